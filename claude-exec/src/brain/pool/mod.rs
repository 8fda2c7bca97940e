//! Warm processes: spares started before anybody asks, and sessions that keep theirs between turns.

mod demand;
mod key;
mod limits;
mod policy;
mod stats;

use key::LaunchKey;
pub use stats::{Claims, Origin, PoolStats, Retirement, Retirements, StartTimes};
