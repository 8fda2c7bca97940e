//! The HTTP shell: everything of this crate, mounted.
//!
//! Order of every request: its id, the route, [`Guard::admit`] (host, identity, scope, origin), the handler, the
//! headers that every answer has. The power routes need nothing of sessions: with those down they answer as ever.
//! The routes and the stream are told in `docs/wire.md`.

mod decide;
mod events;
mod route;
mod sessions;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use claude_exec::http::{Body, REQUEST_ID, RequestId, detail, json};
use http::{Method, Request, Response, StatusCode};
use serde_json::json as object;

pub use route::Route;

use crate::access::{Guard, Need, Principal, Scope, Served, protect};
use crate::attach::{Attach, HEARTBEAT};
use crate::audit::Audit;
use crate::power::{self, Power};
use crate::session::Sessions;

/// What answers for paths outside `/api/`: the page.
pub type Files = dyn Fn(&Method, &str, &http::HeaderMap) -> Option<Response<Body>> + Send + Sync;

/// The breakglass server. Cheap to clone.
#[derive(Clone)]
pub struct Breakglass {
    inner: Arc<Inner>,
}

struct Inner {
    guard: Guard,
    power: Power,
    audit: Audit,
    sessions: Result<Sessions, String>,
    files: Box<Files>,
    heartbeat: Duration,
}

impl Breakglass {
    /// A server of these parts, without sessions.
    pub fn new(guard: Guard, power: Power, audit: Audit) -> Self {
        let sessions = Err("this server has none".to_owned());
        let (files, heartbeat): (Box<Files>, _) = (Box::new(|_, _, _| None), HEARTBEAT);
        Self { inner: Arc::new(Inner { guard, power, audit, sessions, files, heartbeat }) }
    }

    /// Adds sessions, or why there are none: the rest works all the same.
    ///
    /// # Panics
    ///
    /// When the server is shared already.
    #[must_use]
    pub fn sessions(self, sessions: Result<Sessions, String>) -> Self {
        self.with(|inner| inner.sessions = sessions)
    }

    /// Adds the page: what answers for paths outside `/api/`, to anybody.
    ///
    /// # Panics
    ///
    /// When the server is shared already.
    #[must_use]
    pub fn files(
        self,
        files: impl Fn(&Method, &str, &http::HeaderMap) -> Option<Response<Body>> + Send + Sync + 'static,
    ) -> Self {
        self.with(|inner| inner.files = Box::new(files))
    }

    /// Sets the silence after which a stream sends a heartbeat. Default is 15 s.
    ///
    /// # Panics
    ///
    /// When the server is shared already.
    #[must_use]
    pub fn heartbeat(self, heartbeat: Duration) -> Self {
        self.with(|inner| inner.heartbeat = heartbeat)
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        let inner = Arc::get_mut(&mut self.inner);
        change(inner.expect("a server is put together before it is shared"));
        self
    }

    /// Its sessions, when it has some.
    pub fn get_sessions(&self) -> Option<&Sessions> {
        self.inner.sessions.as_ref().ok()
    }

    /// Answers a request from `peer`, the address of the connection's other end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops nothing that was begun: neither a turn nor an operation.
    pub async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: fmt::Display,
    {
        let id = RequestId::of(request.headers());
        let path = request.uri().path().to_owned();
        let route = Mounted::find(request.method(), &path);
        let (uri, headers) = (request.uri(), request.headers());
        let mut response = match self.inner.guard.admit(request.method(), uri, headers, peer, route.need()) {
            Ok(caller) => self.respond(route, caller, &path, request).await,
            Err(denied) => {
                if denied.worth_recording() {
                    self.inner.audit.refused(Some(peer), denied.detail(), &path).await;
                }
                denied.to_response()
            }
        };
        response.headers_mut().insert(REQUEST_ID, id.to_header());
        protect(&mut response, if matches!(route, Mounted::File) { Served::Page } else { Served::Data });
        response
    }

    async fn respond<B>(
        &self,
        route: Mounted<'_>,
        caller: Option<Principal>,
        path: &str,
        request: Request<B>,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: fmt::Display,
    {
        match (route, caller) {
            (Mounted::Health, _) => {
                json(StatusCode::OK, &object!({ "status": "ok", "service": "claude-breakglass" }))
            }
            (Mounted::Power(route), Some(caller)) => {
                power::respond(&self.inner.power, route, &caller, request).await
            }
            (Mounted::Sessions(route), Some(caller)) => match &self.inner.sessions {
                Ok(_) => sessions::respond(self, route, &caller, request).await,
                Err(reason) => detail(StatusCode::SERVICE_UNAVAILABLE, &format!("no sessions: {reason}")),
            },
            (Mounted::File, _) => (self.inner.files)(request.method(), path, request.headers())
                .unwrap_or_else(|| detail(StatusCode::NOT_FOUND, "Not Found")),
            _ => detail(StatusCode::NOT_FOUND, "Not Found"),
        }
    }

    /// Its sessions, on a route that is only reached when there are some.
    #[expect(clippy::result_large_err, reason = "the refusal is the response itself")]
    fn open_sessions(&self) -> Result<&Sessions, Response<Body>> {
        self.inner
            .sessions
            .as_ref()
            .map_err(|reason| detail(StatusCode::SERVICE_UNAVAILABLE, &format!("no sessions: {reason}")))
    }

    fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    fn power(&self) -> &Power {
        &self.inner.power
    }

    /// A stream for a caller: it ends when their credential does.
    fn stream_for(&self, caller: &Principal, attach: Attach) -> Attach {
        let attach = attach.heartbeat(self.inner.heartbeat);
        let Some(expires) = caller.expires else { return attach };
        let left = expires.duration_since(SystemTime::now()).unwrap_or_default();
        attach.cut_after(left).may(move || SystemTime::now() < expires)
    }
}

impl fmt::Debug for Breakglass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakglass").field("guard", &self.inner.guard).finish_non_exhaustive()
    }
}

/// What a path belongs to.
#[derive(Debug, Clone, Copy)]
enum Mounted<'p> {
    Health,
    Power(power::Route<'p>),
    Sessions(Route<'p>),
    /// Below `/api/`, and nothing that is known: whoever is nobody learns nothing, not even that.
    Unknown,
    File,
}

impl<'p> Mounted<'p> {
    fn find(method: &Method, path: &'p str) -> Self {
        if path == "/health" {
            return Self::Health;
        }
        if let Some(route) = power::Route::find(method, path) {
            return Self::Power(route);
        }
        if let Some(route) = Route::find(method, path) {
            return Self::Sessions(route);
        }
        if path.starts_with("/api") { Self::Unknown } else { Self::File }
    }

    fn need(self) -> Need {
        match self {
            Self::Health | Self::File => Need::Nothing,
            Self::Power(route) => Need::Scope(route.scope()),
            Self::Sessions(route) => Need::Scope(route.scope()),
            Self::Unknown => Need::Scope(Scope::Read),
        }
    }
}
