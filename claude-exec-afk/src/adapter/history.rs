//! What a tracker without a history of texts can still say about them, and about who labelled an issue.

use crate::issue::Permission;
use crate::names::Digest;
use crate::seen::Seen;

/// An issue's times are whole seconds at some trackers, rounded in different places.
const ROUNDING: u64 = 1000;

/// A label that was put on or taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LabelEvent {
    pub(super) label: String,
    pub(super) on: bool,
    pub(super) actor: String,
    pub(super) at: u64,
}

/// The last time that `label` was put on; `None` when that, or a later taking off, is all that is known.
pub(super) fn last_labelling<'a>(events: &'a [LabelEvent], label: &str) -> Option<&'a LabelEvent> {
    events.iter().rfind(|event| event.label == label).filter(|event| event.on)
}

/// The digest of what the text was when it was labelled, as far as that can be told from the time of the last
/// change: nothing changed since, or only those could change it who may write anyway (then what the loop saw first
/// counts: absent). Otherwise nobody knows, and it is not guessed: the author, whom nobody trusts, can edit an issue
/// after it was labelled.
pub(super) fn text_when_labelled(
    at: u64,
    updated: u64,
    now: &Seen<Digest>,
    author: &Seen<Permission>,
) -> Seen<Digest> {
    match author {
        _ if updated <= at + ROUNDING => now.clone(),
        Seen::Known(permission) if permission.is_trusted() => Seen::Absent,
        _ => Seen::unknown(
            "something changed after it was labelled, and its author, who may not write to the repository, can \
             edit it; label it again",
        ),
    }
}

/// What whoever edited it last may do, at the least: its author, or someone who may write.
pub(super) fn least_editor(author: &Seen<Permission>) -> Seen<Permission> {
    author.clone().map(|permission| permission.min(Permission::Write))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f17_a_text_is_known_only_when_nobody_untrusted_can_have_changed_it() {
        let now = Seen::Known(Digest::of("a", "b"));
        let known = |permission| Seen::Known(permission);
        let unknown = Seen::unknown("403");
        for (updated, author, expected) in [
            (5000, known(Permission::None), "known"),
            (6000, known(Permission::None), "known"),
            (6001, known(Permission::None), "unknown"),
            (6001, known(Permission::Read), "unknown"),
            (6001, known(Permission::Write), "absent"),
            (6001, unknown.clone(), "unknown"),
            (6001, Seen::Absent, "unknown"),
            (5000, unknown, "known"),
        ] {
            let found = match text_when_labelled(5000, updated, &now, &author) {
                Seen::Known(_) => "known",
                Seen::Absent => "absent",
                Seen::Unknown(_) => "unknown",
            };
            assert_eq!(found, expected, "{updated} {author:?}");
        }
        assert_eq!(least_editor(&known(Permission::Admin)), known(Permission::Write));
        assert_eq!(least_editor(&known(Permission::Read)), known(Permission::Read));
    }

    #[test]
    fn the_last_labelling_counts_and_a_later_taking_off_ends_it() {
        let event = |label: &str, on, at| LabelEvent { label: label.into(), on, actor: "a".into(), at };
        let mut events = vec![event("ready", true, 1), event("ready", false, 2), event("ready", true, 3)];
        events.push(event("other", true, 4));
        assert_eq!(last_labelling(&events, "ready").map(|event| event.at), Some(3));
        events.push(event("ready", false, 5));
        assert_eq!(last_labelling(&events, "ready"), None);
    }
}
