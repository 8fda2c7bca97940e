//! Identities that a proxy tells in headers, and the proof that they are its own.

use std::fmt;
use std::net::IpAddr;
use std::time::SystemTime;

use claude_exec::http::MIN_SECRET_BYTES;
use claude_exec::{Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Method, PinnedKeys, Principal, Scopes};

/// The header in which a proxy shows its secret.
pub const SECRET_HEADER: HeaderName = HeaderName::from_static("x-breakglass-proxy-secret");

const USERNAME: HeaderName = HeaderName::from_static("x-authentik-username");
const GROUPS: HeaderName = HeaderName::from_static("x-authentik-groups");
const TOKEN: HeaderName = HeaderName::from_static("x-authentik-jwt");

/// What the names of all headers of the proxy begin with.
const PREFIX: &str = "x-authentik-";

/// The longest name of a person.
const NAME_BYTES: usize = 128;

/// A forward-auth proxy, such as authentik's outpost behind nginx, Traefik or Caddy.
///
/// Its headers count only on a connection from an address that is its own, and with a proof: anything on that
/// network can write headers, and proxies have forwarded the client's own.
#[derive(Debug, Clone)]
pub struct ForwardAuth {
    peers: Vec<IpNet>,
    proof: Proof,
    groups: Vec<(String, Scopes)>,
}

/// What proves that headers are the proxy's.
#[derive(Clone)]
#[non_exhaustive]
pub enum Proof {
    /// A secret that the proxy adds to every request in [`SECRET_HEADER`].
    Secret(ProxySecret),
    /// The provider's signed token in `X-authentik-jwt`. The better one: the plain headers are not believed at all.
    Jwt(PinnedKeys),
}

/// The digest of the proxy's secret.
#[derive(Clone)]
pub struct ProxySecret([u8; 32]);

/// Shows nothing.
impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxySecret")
    }
}

impl Proof {
    /// A shared secret.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for one under [`MIN_SECRET_BYTES`], or with bytes that no header carries.
    pub fn secret(secret: &str) -> Result<Self> {
        let secret = secret.trim();
        if secret.len() < MIN_SECRET_BYTES || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = format!(
                "must be at least {MIN_SECRET_BYTES} visible characters; make one with `openssl rand -hex 32`"
            );
            return Err(Error::invalid("BREAKGLASS_PROXY_SECRET", why));
        }
        Ok(Self::Secret(ProxySecret(Sha256::digest(secret).into())))
    }
}

/// Names the kind, and shows no digest.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret"),
            Self::Jwt(keys) => keys.fmt(f),
        }
    }
}

/// What the headers of a request come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// Nobody is named.
    Nothing,
    /// Somebody is, and it is proved.
    Somebody(Principal),
    /// Somebody is, and it is not.
    Unproved(&'static str),
    /// Two programs could read it differently.
    Ambiguous(&'static str),
}

impl ForwardAuth {
    /// A proxy that connects from one of `peers` and has this proof. Members of the group `breakglass` may do
    /// everything, and nobody else anything, until [`group`](Self::group) says otherwise.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid) for no peers at all, and for a range that is everybody.
    pub fn new<I>(peers: I, proof: Proof) -> Result<Self>
    where
        I: IntoIterator<Item = IpNet>,
    {
        let peers: Vec<IpNet> = peers.into_iter().collect();
        if peers.is_empty() || peers.iter().any(|peer| peer.prefix_len() == 0) {
            let why =
                "must name the proxy's own addresses, such as 10.0.0.5/32; not nobody and not everybody";
            return Err(Error::invalid("BREAKGLASS_PROXY_PEERS", why));
        }
        Ok(Self { peers, proof, groups: Vec::new() })
    }

    /// Sets what the members of a group may do. A member of several may do what any of them may.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>, scopes: Scopes) -> Self {
        self.groups.push((name.into(), scopes));
        self
    }

    /// Reads the headers of a request from `peer`, the socket's other end; what `X-Forwarded-For` says of it is
    /// anybody's word.
    pub(super) fn read(&self, headers: &HeaderMap, peer: IpAddr) -> Told {
        if let Some(why) = aliased(headers) {
            return Told::Ambiguous(why);
        }
        let (username, groups, token, secret) =
            (headers.get(&USERNAME), headers.get(&GROUPS), headers.get(&TOKEN), headers.get(&SECRET_HEADER));
        if username.is_none() && token.is_none() && secret.is_none() {
            return Told::Nothing;
        }
        let peer = peer.to_canonical();
        if !self.peers.iter().any(|range| range.contains(&peer)) {
            return Told::Unproved("identity headers from an address that is not the proxy's");
        }
        let username = match username.map(name) {
            // 200 from the provider and nobody named: CVE-2026-25748 of authentik.
            Some(None) => return Told::Unproved("an empty or unreadable X-authentik-username"),
            Some(Some(name)) => Some(name),
            None => None,
        };
        match &self.proof {
            Proof::Secret(expected) => {
                let shown: [u8; 32] = Sha256::digest(secret.map_or(&b""[..], HeaderValue::as_bytes)).into();
                if !bool::from(shown.ct_eq(&expected.0)) {
                    return Told::Unproved("identity headers without the proxy's secret");
                }
                let Some(name) = username else {
                    return Told::Unproved("the proxy names nobody");
                };
                let groups = groups.and_then(|groups| groups.to_str().ok()).unwrap_or_default();
                let scopes = self.scopes(groups.split('|').map(str::trim));
                Told::Somebody(Principal::new(name, Method::ProxySecret, scopes, peer))
            }
            Proof::Jwt(keys) => {
                let Some(token) = token.and_then(|token| token.to_str().ok()) else {
                    return Told::Unproved("identity headers without X-authentik-jwt");
                };
                let claims = match keys.verify(token) {
                    Ok(claims) => claims,
                    Err(why) => return Told::Unproved(why),
                };
                let plain = HeaderValue::from_str(claims.name()).ok();
                let Some(named) = plain.as_ref().and_then(name) else {
                    return Told::Unproved("the token names nobody");
                };
                if username.is_some_and(|username| username != named) {
                    return Told::Ambiguous("the token names somebody else than X-authentik-username");
                }
                let scopes = self.scopes(claims.groups());
                let mut somebody = Principal::new(named, Method::Jwt, scopes, peer);
                somebody.expires = Some(claims.expires()).filter(|end| *end > SystemTime::UNIX_EPOCH);
                Told::Somebody(somebody)
            }
        }
    }

    fn scopes<'g>(&self, groups: impl Iterator<Item = &'g str>) -> Scopes {
        groups.fold(Scopes::NONE, |scopes, group| {
            if self.groups.is_empty() && group == "breakglass" {
                return Scopes::ALL;
            }
            let of_group = self.groups.iter().filter(|(name, _)| name == group);
            of_group.fold(scopes, |scopes, (_, more)| scopes.and(*more))
        })
    }
}

/// A header that some program between here and there may take for one of the proxy's, or that is there twice.
fn aliased(headers: &HeaderMap) -> Option<&'static str> {
    for name in headers.keys() {
        let text = name.as_str();
        // CGI and its heirs read `_` and `.` as `-`.
        let folded = text.replace(['_', '.'], "-");
        let ours = folded.starts_with(PREFIX) || folded == SECRET_HEADER.as_str();
        if ours && folded != text {
            return Some("a header that is written like an identity header and is none");
        }
        if ours && headers.get_all(name).iter().count() > 1 {
            return Some("an identity header that is there twice");
        }
    }
    None
}

/// The name of a person, if it is one.
fn name(value: &HeaderValue) -> Option<&str> {
    let name = value.to_str().ok()?.trim();
    // A comma is how a proxy joins two headers of one name.
    let fit = (1..=NAME_BYTES).contains(&name.len()) && !name.contains(',');
    fit.then_some(name)
}
