//! What the trackers have in common, over what they do differently.

use super::history::{LabelEvent, last_labelling, text_when_labelled};
use super::http::Answer;
use super::mentions;
use crate::error::{Error, Result};
use crate::issue::{Blocker, Issue, Labelling, Permission};
use crate::names::{IssueKey, Repo};
use crate::seen::Seen;

/// The most blockers of one issue that its text may name, each of which is a request: more are unknown, which holds
/// the issue.
const MENTIONED: usize = 20;

/// A service with issues, as one account sees it.
pub(super) trait Forge {
    /// Its name in errors.
    const NAME: &'static str;

    /// What `login` may do in a repository; unknown when this account may not ask.
    async fn permission(&self, repo: &Repo, login: &str) -> Seen<Permission>;

    /// The account's own login.
    async fn own_login(&self) -> Result<&str>;

    /// Whether an issue is open; absent when there is none that this account may see.
    async fn is_open(&self, key: &IssueKey) -> Seen<bool>;
}

/// Who put `label` on an issue the last time, and what they may do. `events` are all of its labellings, in order;
/// `author` is what its author may do.
pub(super) async fn labelling<F: Forge>(
    forge: &F,
    label: &str,
    issue: &Issue,
    events: &[LabelEvent],
    author: &Seen<Permission>,
) -> Seen<Labelling> {
    if !issue.has(label) {
        return Seen::Absent;
    }
    let Some(event) = last_labelling(events, label) else {
        return Seen::unknown(format_args!("{} does not tell who put the ready label on", F::NAME));
    };
    let permission = match forge.own_login().await {
        // The loop must not authorise itself.
        Ok(own) if own.eq_ignore_ascii_case(&event.actor) => Seen::Known(Permission::None),
        Ok(_) => forge.permission(&issue.key.repo, &event.actor).await,
        Err(error) => Seen::unknown(error),
    };
    let text = text_when_labelled(event.at, issue.updated, &issue.text, author);
    Seen::Known(Labelling { actor: event.actor.clone(), at: event.at, permission, text })
}

/// `linked`, which the service itself knows of, and the blockers that the text names, each with its real state.
pub(super) async fn blockers<F: Forge>(
    forge: &F,
    key: &IssueKey,
    body: &str,
    linked: Vec<Blocker>,
) -> Result<Vec<Blocker>> {
    let mut blockers = linked;
    let mut named = mentions::blockers(&key.repo, body);
    named.retain(|named| named != key && !blockers.iter().any(|blocker| blocker.key == *named));
    if named.len() > MENTIONED {
        let reason = format!("its text names more than {MENTIONED} blockers");
        return Err(Error::unavailable(F::NAME, reason, None));
    }
    for key in named {
        let open = forge.is_open(&key).await;
        blockers.push(Blocker { key, open });
    }
    Ok(blockers)
}

/// That something is not there for this token: gone, or not to be seen. Nothing follows from that.
pub(super) fn hidden(service: &'static str, what: impl std::fmt::Display) -> Error {
    Error::unavailable(service, format_args!("404: {what} is gone, or this token may not see it"), None)
}

/// A 404 to a change: the token may have lost its access for a while, so it is tried again.
pub(super) fn gone<F: Forge>(answer: Answer, key: &IssueKey) -> Result<Answer> {
    if answer.status() == 404 { Err(hidden(F::NAME, key)) } else { Ok(answer) }
}

/// Checks that a change of labels was made: without the right to push they are dropped in silence (T9).
pub(super) fn confirm(
    service: &'static str,
    change: &crate::port::LabelChange,
    labels: &[String],
) -> Result<()> {
    let missing = change.add.iter().find(|label| !labels.contains(label));
    if let Some(label) = missing {
        let reason =
            format!("the label `{label}` was not put on; may this account do that, and is it spelt so?");
        return Err(Error::refused(service, reason));
    }
    match change.remove.iter().find(|label| labels.contains(label)) {
        Some(label) => Err(Error::refused(service, format_args!("the label `{label}` was not taken off"))),
        None => Ok(()),
    }
}
