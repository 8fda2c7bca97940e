//! What the phone says.

use super::checklist::status;
use crate::config::Config;
use crate::port::{Notice, NoticeKind};
use crate::run::{Outcome, Ring, Row};

/// The notice for the end of a run, or a reminder of it; `None` for a run that calls nobody.
pub fn notice(row: &Row, ring: Ring, config: &Config, link: Option<String>) -> Option<Notice> {
    let outcome = row.state.outcome()?;
    let (kind, headline) = match outcome {
        Outcome::Done | Outcome::Superseded => (NoticeKind::Done, "landed"),
        Outcome::Escalated(_) => (NoticeKind::NeedsHuman, "needs a human"),
        Outcome::Frozen(_) => (NoticeKind::Frozen, "is broken and frozen"),
        Outcome::Cancelled(_) => return None,
    };
    let again = if ring.0 == 0 { String::new() } else { format!(" (reminder {})", ring.0) };
    let key = match ring.0 {
        0 => format!("{}:{}", row.run, outcome.name()),
        number => format!("{}:{}:{number}", row.run, outcome.name()),
    };
    let mut body = format!("{}\n{}", row.title, status(row));
    if let Some(sha) = &row.pushed {
        body.push_str(&format!("\nCommit {sha}"));
    }
    body.push_str(&format!("\nRun {}, {} USD", row.run, row.spent));
    if outcome.needs_person() {
        body.push_str(&format!(
            "\nTo have it tried again, take {} off and put {} on.",
            config.human_label, config.ready_label
        ));
    }
    Some(Notice {
        key,
        kind,
        issue: row.issue.clone(),
        title: format!("{} {} {headline}{again}", kind.marker(), row.issue),
        body,
        link,
    })
}
