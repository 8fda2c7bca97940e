//! The T3 agent against a T3 server: a fake that is held to the contract's schemas, and on request real ones.

mod conformance;
mod fake;
mod schema;
mod smoke;
mod traps;
