//! The role `breakglass`: emergency sessions, and power verbs that need no model.

mod args;
mod config;
mod demo;
mod life;
mod open;

pub use args::BreakglassArgs;
pub use config::Config;
pub use life::live;

use std::path::Path;

use claude_exec_breakglass::audit;

use crate::life::Failed;

/// `server audit verify`
pub fn verify_audit(dir: &Path) -> Result<(), Failed> {
    let report = audit::verify(dir).map_err(|error| Failed::Broke(format!("{}: {error}", dir.display())))?;
    if let Some((file, line, fault)) = &report.broken {
        return Err(Failed::Broke(format!("the chain is broken: {} line {line}: {fault}", file.display())));
    }
    println!(
        "{} records hold, from number {}; the last hash is {}",
        report.records, report.first, report.head
    );
    if report.torn_bytes > 0 {
        println!(
            "{} bytes of a last line without an end: a crash in the middle of a write",
            report.torn_bytes
        );
    }
    Ok(())
}
