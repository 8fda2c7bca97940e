//! Who may: the checks that stand before every route.
//!
//! In this order, each before anything of the request is looked at that a later one needs:
//!
//! 1. **Host**: exactly one of the configured names, on every route, static files and streams included. A page that
//!    a rebound name leads here is turned away before it can ask anything (421).
//! 2. **Identity**: a bearer key, or the headers of a forward-auth proxy that has proved that they are its own
//!    ([`ForwardAuth`]). None: 401. Headers that two programs could read differently: 400. Peers that go on failing:
//!    429.
//! 3. **Scope**: read, chat or power (403).
//! 4. **Origin** ([`origin`]): what a browser sends on behalf of another site is turned away (403, 415).
//!
//! Without any source of credentials there is no [`Guard`], so no server: on loopback too, where every program and
//! every page in a browser of that machine is a caller.

mod forward;
mod guard;
mod headers;
mod host;
mod jwt;
mod keys;
mod limit;
pub mod origin;
mod principal;
mod scope;

pub use forward::{ForwardAuth, Proof, ProxySecret, SECRET_HEADER};
pub use guard::{Denied, Guard, GuardConfig, Need};
pub use headers::{Served, protect};
pub use host::Hosts;
pub use jwt::PinnedKeys;
pub use keys::parse_keys;
pub use principal::{Method, Principal};
pub use scope::{Scope, Scopes};
