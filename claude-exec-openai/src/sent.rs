//! What was already sent of the message under way, for the case that the CLI starts it over.

/// Text kept for the comparison. No model writes this much in one message, so nothing is lost by it; messages
/// that come whole are not told apart, and many of them might.
const MAX_KEPT: usize = 4 * 1024 * 1024;

/// Reconciles text on the wire with text that replaces it: what was sent cannot be taken back, so either the
/// new text begins with it, and only the rest is sent, or the answer has failed.
///
/// Holds the text of one message of the model, and no more than [`MAX_KEPT`] of it twice over.
#[derive(Default)]
pub(crate) struct Sent {
    /// What the wire has of the message under way.
    text: String,
    /// While the replacement is still shorter than what was void: where in `text` its next byte is expected.
    expecting: Option<usize>,
}

/// The new text contradicts what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contradicted;

impl Sent {
    /// Takes a piece, and gives what of it is to be sent.
    pub(crate) fn push<'t>(&mut self, text: &'t str) -> Result<&'t str, Contradicted> {
        let Some(at) = self.expecting else {
            self.keep(text);
            return Ok(text);
        };
        let known = &self.text.as_bytes()[at..];
        let common = known.len().min(text.len());
        if known[..common] != text.as_bytes()[..common] {
            return Err(Contradicted);
        }
        if common < known.len() {
            self.expecting = Some(at + common);
            return Ok("");
        }
        self.expecting = None;
        // `common` ends what was sent, and a sent text ends between characters: so does its equal here.
        let rest = &text[common..];
        self.keep(rest);
        Ok(rest)
    }

    fn keep(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() > 2 * MAX_KEPT {
            let from = self.text.len() - MAX_KEPT;
            let from = (from..=self.text.len()).find(|&at| self.text.is_char_boundary(at)).unwrap_or(from);
            self.text.drain(..from);
        }
    }

    /// The last `bytes` of text are void, and their replacement follows.
    pub(crate) fn void(&mut self, bytes: usize) -> Result<(), Contradicted> {
        // Started over twice: what the wire has is void from where the first replacement began.
        let reached = self.expecting.unwrap_or(self.text.len());
        let at = reached.checked_sub(bytes).ok_or(Contradicted)?;
        self.expecting = (at < self.text.len()).then_some(at);
        Ok(())
    }

    /// The message, or the turn, ended well: nothing sent may be left without its like in the new text.
    pub(crate) fn settle(&mut self) -> Result<(), Contradicted> {
        let settled = if self.expecting.take().is_some() { Err(Contradicted) } else { Ok(()) };
        self.text.clear();
        settled
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sent({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(texts: &[&str]) -> Sent {
        let mut sent = Sent::default();
        texts.iter().for_each(|text| assert_eq!(sent.push(text), Ok(*text)));
        sent
    }

    #[test]
    fn a_replacement_that_begins_with_what_was_sent_goes_on_after_it() {
        let mut sent = sent(&["жа", "ба"]);
        sent.void(8).unwrap();
        assert_eq!(sent.push("ж"), Ok(""));
        assert_eq!(sent.push("аба и"), Ok(" и"));
        assert_eq!(sent.push(" скакалец"), Ok(" скакалец"));
        assert_eq!(sent.settle(), Ok(()));
    }

    #[test]
    fn an_equal_replacement_sends_nothing() {
        let mut sent = sent(&["same"]);
        sent.void(4).unwrap();
        assert_eq!((sent.push("same"), sent.settle()), (Ok(""), Ok(())));
    }

    #[test]
    fn a_different_replacement_is_a_contradiction() {
        let mut other = sent(&["word0 word1 "]);
        other.void(12).unwrap();
        assert_eq!(other.push("ok"), Err(Contradicted));
        let mut half_a_character = sent(&["ж"]);
        half_a_character.void(2).unwrap();
        assert_eq!(half_a_character.push("з"), Err(Contradicted));
    }

    #[test]
    fn a_replacement_that_ends_early_is_a_contradiction() {
        let mut sent = sent(&["word0 word1"]);
        sent.void(11).unwrap();
        assert_eq!((sent.push("word0"), sent.settle()), (Ok(""), Err(Contradicted)));
    }

    #[test]
    fn a_replacement_that_never_comes_is_a_contradiction() {
        let mut sent = sent(&["word0"]);
        sent.void(5).unwrap();
        assert_eq!(sent.settle(), Err(Contradicted));
    }

    #[test]
    fn only_the_tail_is_void_when_a_whole_message_stands_before_it() {
        let mut sent = sent(&["first.", "second"]);
        sent.void(6).unwrap();
        assert_eq!((sent.push("second!"), sent.settle()), (Ok("!"), Ok(())));
    }

    #[test]
    fn a_second_start_over_counts_from_where_the_first_one_was() {
        let mut sent = sent(&["abcdef"]);
        sent.void(6).unwrap();
        assert_eq!(sent.push("abc"), Ok(""));
        sent.void(3).unwrap();
        assert_eq!((sent.push("abcdefg"), sent.settle()), (Ok("g"), Ok(())));
    }

    #[test]
    fn what_is_not_kept_any_more_cannot_be_compared() {
        let mut sent = Sent::default();
        for _ in 0..=2 * MAX_KEPT / 1_000 {
            sent.push(&"ж".repeat(500)).unwrap();
        }
        assert!(sent.text.len() <= 2 * MAX_KEPT);
        assert_eq!(sent.void(2 * MAX_KEPT), Err(Contradicted));
        assert_eq!((sent.void(1_000), sent.push(&"ж".repeat(500))), (Ok(()), Ok("")));
    }

    #[test]
    fn nothing_sent_is_nothing_to_contradict() {
        let mut sent = sent(&[]);
        sent.void(0).unwrap();
        assert_eq!((sent.push("x"), sent.settle()), (Ok("x"), Ok(())));
    }
}
