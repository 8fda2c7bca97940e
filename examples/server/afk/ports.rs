//! The world behind the loop's ports, as configured.

use claude_exec_afk::engine::Ports;

use super::config::Config;
use crate::config::{Refused, refuse};

/// Opens the adapters that the settings name.
pub fn open(_config: &Config) -> Result<Ports, Refused> {
    Err(refuse("AFK_TRACKER", "no adapter to a real tracker is built into this server yet; try --demo"))
}
