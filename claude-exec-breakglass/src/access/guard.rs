//! All checks in their order.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use claude_exec::http::{AuthError, Body, Keyring, detail};
use claude_exec::{Error, Result};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};

use super::forward::Told;
use super::limit::Failures;
use super::origin::{self, Origins};
use super::{ForwardAuth, Hosts, Principal, Scope, keys};

/// What a route needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing but that it was this server that was meant: `/health`, and the files of the page, which hold no
    /// secret and have to come before anybody can be asked who they are.
    Nothing,
    /// That they are somebody, and may.
    Scope(Scope),
}

/// What a [`Guard`] is made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GuardConfig {
    /// The bearer keys, when there are any.
    pub keys: Option<Keyring>,
    /// The proxy whose headers are believed, when there is one.
    pub forward: Option<ForwardAuth>,
    /// The names that this server answers to.
    pub hosts: Hosts,
    /// The origins of its pages. Default: those of the hosts.
    pub origins: Option<Origins>,
}

impl GuardConfig {
    /// A guard of these names, without anybody who may.
    pub fn new(hosts: Hosts) -> Self {
        Self { keys: None, forward: None, hosts, origins: None }
    }

    /// Sets the bearer keys.
    #[must_use]
    pub fn keys(mut self, keys: Option<Keyring>) -> Self {
        self.keys = keys;
        self
    }

    /// Sets the proxy.
    #[must_use]
    pub fn forward(mut self, forward: Option<ForwardAuth>) -> Self {
        self.forward = forward;
        self
    }

    /// Sets the origins of the pages.
    #[must_use]
    pub fn origins(mut self, origins: Option<Origins>) -> Self {
        self.origins = origins;
        self
    }
}

/// Lets requests in, or not.
#[derive(Debug)]
pub struct Guard {
    keys: Option<Keyring>,
    forward: Option<ForwardAuth>,
    hosts: Hosts,
    origins: Origins,
    failures: Mutex<Failures>,
}

impl Guard {
    /// A guard.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) when nobody could ever prove who they are: there is no server without
    /// that, on loopback neither.
    pub fn new(config: GuardConfig) -> Result<Self> {
        if config.keys.is_none() && config.forward.is_none() {
            let why = "no credential: give bearer keys (BREAKGLASS_KEYS_FILE, or API_BEARER_TOKEN made with \
                       `openssl rand -hex 32`), or a forward-auth proxy (BREAKGLASS_PROXY_PEERS)";
            return Err(Error::invalid("API_BEARER_TOKEN", why));
        }
        let origins = config.origins.unwrap_or_else(|| Origins::of(&config.hosts));
        Ok(Self {
            keys: config.keys,
            forward: config.forward,
            hosts: config.hosts,
            origins,
            failures: Mutex::default(),
        })
    }

    /// Lets a request in, with who its caller is, when the route needs to know.
    ///
    /// # Errors
    ///
    /// [`Denied`], which knows its response. What is [`worth_recording`](Denied::worth_recording) goes into the
    /// audit.
    pub fn admit(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: IpAddr,
        need: Need,
    ) -> Result<Option<Principal>, Denied> {
        self.admit_at(method, uri, headers, peer, need, SystemTime::now(), Instant::now())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a request, and two clocks")]
    pub(super) fn admit_at(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        peer: IpAddr,
        need: Need,
        now: SystemTime,
        instant: Instant,
    ) -> Result<Option<Principal>, Denied> {
        if !self.hosts.admit(uri, headers) {
            return Err(Denied::new(
                StatusCode::MISDIRECTED_REQUEST,
                "this server does not answer to that name",
            ));
        }
        let Need::Scope(scope) = need else { return Ok(None) };
        let caller = self.identify(headers, peer, now).map_err(|denied| {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            if failures.count(peer, instant) {
                return Denied::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too many failed sign-ins from this address",
                );
            }
            denied
        })?;
        if !caller.may(scope) {
            let detail = format!("`{}` may not: the scope `{}` is missing", caller.name, scope.name());
            return Err(Denied {
                caller: Some(Box::new(caller)),
                ..Denied::new(StatusCode::FORBIDDEN, detail)
            });
        }
        origin::check(method, headers, &self.origins, caller.is_ambient())
            .map_err(|foreign| Denied::new(foreign.status(), foreign.detail()))?;
        Ok(Some(caller))
    }

    /// Who is calling. A key goes before what a proxy says: it was sent on purpose.
    fn identify(&self, headers: &HeaderMap, peer: IpAddr, now: SystemTime) -> Result<Principal, Denied> {
        let told = match &self.forward {
            Some(forward) => forward.read(headers, peer),
            None => Told::Nothing,
        };
        if let Told::Ambiguous(why) = told {
            return Err(Denied::new(StatusCode::BAD_REQUEST, why));
        }
        let key = match &self.keys {
            Some(keys) => keys.find(headers, now),
            None => Err(AuthError::Missing),
        };
        match (key, told) {
            (Ok(key), _) => {
                let name = key.name().as_str();
                let mut caller =
                    Principal::new(name, super::Method::Bearer, keys::scopes(key), peer.to_canonical());
                caller.expires = key.get_expires();
                Ok(caller)
            }
            // A key that is wrong is not made right by what a proxy says.
            (Err(AuthError::Missing), Told::Somebody(caller)) => Ok(caller),
            (Err(AuthError::Missing), Told::Unproved(why)) => {
                Err(Denied::unauthorized(AuthError::Missing, why))
            }
            (Err(AuthError::Missing), _) => Err(Denied::unauthorized(AuthError::Missing, "unauthenticated")),
            (Err(error), _) => Err(Denied::unauthorized(error, &error.to_string())),
        }
    }
}

/// A request that was not let in.
#[derive(Debug, Clone)]
pub struct Denied {
    status: StatusCode,
    detail: String,
    challenge: Option<AuthError>,
    caller: Option<Box<Principal>>,
}

impl Denied {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), challenge: None, caller: None }
    }

    fn unauthorized(error: AuthError, detail: &str) -> Self {
        Self { challenge: Some(error), ..Self::new(StatusCode::UNAUTHORIZED, detail) }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Why, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Who it was, when they are known and may not.
    pub fn caller(&self) -> Option<&Principal> {
        self.caller.as_deref()
    }

    /// True for what says something about somebody; false for the noise that a limit keeps down.
    pub fn worth_recording(&self) -> bool {
        self.status != StatusCode::TOO_MANY_REQUESTS
    }

    /// The response: never a redirect, which would end an event stream for good.
    pub fn to_response(&self) -> Response<Body> {
        let mut response = detail(self.status, &self.detail);
        let headers = response.headers_mut();
        if let Some(error) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, error.challenge());
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.detail)
    }
}

impl std::error::Error for Denied {}
