//! Whose result is it: pure.

use crate::protocol::Outcome;

/// Counts the results of one process.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The index of the last result, from a CLI that tells one.
    last: Option<u64>,
}

/// What a result answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The message that was sent.
    Ours,
    /// The message that was sent, and a result before it was lost.
    OursAfterGap,
    /// Something else: the process and we no longer agree.
    NotOurs,
}

impl Tally {
    /// Judges a result that came while the message `id` was under way.
    pub(super) fn judge(&mut self, outcome: &Outcome, id: &str) -> Answers {
        let index = outcome.result_index;
        let follows = index.is_none_or(|index| index == self.last.map_or(0, |last| last + 1));
        self.last = index.or(self.last);
        let named = outcome.user_message_uuids.iter().any(|named| named == id);
        match (named, follows) {
            (true, true) => Answers::Ours,
            (true, false) => Answers::OursAfterGap,
            // A CLI that names no messages counts its results at least.
            (false, true) if outcome.user_message_uuids.is_empty() => Answers::Ours,
            (false, _) => Answers::NotOurs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_ours_by_name_and_by_count() {
        let table = [
            (Some(0), "a", Answers::Ours),
            (Some(1), "a", Answers::Ours),
            (Some(3), "a", Answers::OursAfterGap),
            (Some(4), "b", Answers::NotOurs),
            (Some(5), "", Answers::Ours),
            (Some(5), "", Answers::NotOurs),
            (None, "", Answers::Ours),
            (None, "b", Answers::NotOurs),
            (Some(6), "a", Answers::Ours),
        ];
        let mut tally = Tally::default();
        for (index, named, answers) in table {
            let user_message_uuids = named.split_terminator(',').map(str::to_owned).collect();
            let outcome = Outcome { result_index: index, user_message_uuids, ..Outcome::default() };
            assert_eq!(tally.judge(&outcome, "a"), answers, "{index:?} {named}");
        }
    }
}
