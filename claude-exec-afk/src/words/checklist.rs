//! The one comment that a run keeps up to date on its issue.

use std::fmt::Write as _;

use crate::config::Config;
use crate::run::{Outcome, Proof, Row, State};

/// The longest command that is shown.
const COMMAND_LIMIT: usize = 120;

/// The line by which the comment of a run is found again; it does not show.
pub fn marker(row: &Row) -> String {
    format!("<!-- afk-run: {} -->", row.run)
}

/// The comment: the seven phases, each ticked when there is evidence for it and not before, and how the run
/// stands.
pub fn checklist(row: &Row, config: &Config) -> String {
    let mut text = format!("{}\n### {}: agent run\n\n", marker(row), row.issue);
    for (done, phase) in phases(row, config) {
        let _ = writeln!(text, "- [{}] {phase}", if done { 'x' } else { ' ' });
    }
    let _ = write!(text, "\n**{}**", capital(&status(row)));
    let fixes = row.fixes();
    if fixes > 0 {
        let _ = write!(text, " Fix-forward: {fixes} {}.", if fixes == 1 { "attempt" } else { "attempts" });
    }
    if row.flakes > 0 {
        let _ = write!(text, " Red that went away by itself: {}.", row.flakes);
    }
    if row.unproven {
        text.push_str(" Pushed without a test that was first seen to fail and then to pass.");
    }
    let _ =
        write!(text, "\n\n<sub>Run `{}`, for {}, {} USD so far.", row.run, quoted(&row.labeller), row.spent);
    if row.state.outcome().is_some_and(|outcome| outcome.needs_person()) {
        let (ready, human) = (&config.ready_label, &config.human_label);
        let _ = write!(text, " To have it tried again, take `{human}` off and put `{ready}` on.");
    }
    text.push_str("</sub>\n");
    text
}

/// The seven phases, each with whether there is evidence for it.
pub(crate) fn phases(row: &Row, config: &Config) -> [(bool, String); 7] {
    let evidence = &row.evidence;
    let pushed = row.pushed.as_ref();
    let is = |sha: &Option<crate::Sha>| pushed.is_some() && sha.as_ref() == pushed;
    let name = |phase: &str, sha: Option<&crate::Sha>| match sha {
        Some(sha) => format!("{phase} (`{}`)", &sha.as_str()[..SHORT]),
        None => phase.to_owned(),
    };
    let deployed =
        if config.deploy { "Deployed and healthy" } else { "Deployed and healthy (not watched here)" };
    let done = matches!(row.state, State::Closing(outcome) | State::Ended(outcome) if outcome.is_done());
    [
        (evidence.worktree, "Worktree created".into()),
        (evidence.red.is_some(), shown("Failing test written", evidence.red.as_ref())),
        (evidence.green.is_some(), shown("Implementation passes it", evidence.green.as_ref())),
        (pushed.is_some(), name("Pushed", pushed)),
        (is(&row.green), "CI green on the pushed commit".into()),
        (is(&row.deployed), deployed.into()),
        (done, "Done: issue closed".into()),
    ]
}

/// How much of a commit's hash is shown.
const SHORT: usize = 10;

fn shown(phase: &str, proof: Option<&Proof>) -> String {
    match proof {
        Some(proof) => format!("{phase} (`{}`, exit {})", quoted(&proof.command), proof.exit),
        None => phase.to_owned(),
    }
}

/// Text of others on one line, unable to end a code span, to mention anyone or to hide anything.
fn quoted(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.filter(|c| !matches!(c, '`' | '<' | '>' | '@')).take(COMMAND_LIMIT).collect()
}

/// One sentence on how the run stands.
pub(super) fn status(row: &Row) -> String {
    match row.state {
        State::Claimed => "claimed; waiting for the lock.".into(),
        State::Starting => "the session is being started.".into(),
        State::Working => "the agent is working.".into(),
        State::CiWait => "waiting for CI.".into(),
        State::Rerunning => "CI was red; its failed jobs run again.".into(),
        State::FixForward => "CI is red; the agent is fixing it.".into(),
        State::DeployWait => "waiting for the deployment.".into(),
        State::Soaking => "deployed; watching whether it stays healthy.".into(),
        State::Closing(outcome) | State::Ended(outcome) => ended(row, outcome),
    }
}

fn ended(row: &Row, outcome: Outcome) -> String {
    let unwatched = if row.pushed.is_some() && row.green != row.pushed {
        " What it pushed is in the branch."
    } else {
        ""
    };
    match outcome {
        Outcome::Done => "done.".into(),
        Outcome::Superseded => "done: a later commit that holds this one is deployed.".into(),
        Outcome::Escalated(why) => format!("a person has to look: {why}.{unwatched}"),
        Outcome::Frozen(why) => format!("left as it is for a person: {why}."),
        Outcome::Cancelled(why) => format!("cancelled: {why}.{unwatched}"),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
