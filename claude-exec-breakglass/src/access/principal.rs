//! Who somebody is, once it is proved.

use std::net::IpAddr;
use std::time::SystemTime;

use super::{Scope, Scopes};
use crate::audit::Actor;

/// Who somebody is, how that was proved, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// The name of a key, or the name that the identity provider gave.
    pub name: String,
    /// How that was proved.
    pub method: Method,
    /// What they may do.
    pub scopes: Scopes,
    /// The address of the connection's other end, which may be a proxy's.
    pub peer: IpAddr,
    /// From when on the proof is worth nothing: streams are cut then.
    pub expires: Option<SystemTime>,
}

/// How an identity was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// By a bearer key, which no browser sends by itself.
    Bearer,
    /// By a proxy that knows the secret.
    ProxySecret,
    /// By a token that the identity provider has signed.
    Jwt,
}

impl Principal {
    /// Somebody.
    pub fn new(name: impl Into<String>, method: Method, scopes: Scopes, peer: IpAddr) -> Self {
        Self { name: name.into(), method, scopes, peer, expires: None }
    }

    /// True when a browser sends the proof by itself, whichever page asked it to.
    pub fn is_ambient(&self) -> bool {
        self.method != Method::Bearer
    }

    /// True when they may.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// As the audit writes it.
    pub fn actor(&self) -> Actor {
        let method = match self.method {
            Method::Bearer => "bearer",
            Method::ProxySecret => "proxy-secret",
            Method::Jwt => "jwt",
        };
        Actor::new(self.name.clone(), method, self.peer.to_string())
    }
}
