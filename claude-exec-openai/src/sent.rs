//! What was already sent of the message under way, for the case that the CLI starts it over.

/// Reconciles text on the wire with text that replaces it: what was sent cannot be taken back, so either the
/// new text begins with it, and only the rest is sent, or the answer has failed.
///
/// Holds the text of one message of the model, which the model's own output limit bounds.
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
            self.text.push_str(text);
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
        self.text.push_str(rest);
        Ok(rest)
    }

    /// The last `bytes` of text are void, and their replacement follows.
    pub(crate) fn void(&mut self, bytes: usize) {
        // Started over twice: what the wire has is void from where the first replacement began.
        let reached = self.expecting.unwrap_or(self.text.len());
        let at = reached.saturating_sub(bytes);
        self.expecting = (at < self.text.len()).then_some(at);
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
        sent.void(8);
        assert_eq!(sent.push("ж"), Ok(""));
        assert_eq!(sent.push("аба и"), Ok(" и"));
        assert_eq!(sent.push(" скакалец"), Ok(" скакалец"));
        assert_eq!(sent.settle(), Ok(()));
    }

    #[test]
    fn an_equal_replacement_sends_nothing() {
        let mut sent = sent(&["same"]);
        sent.void(4);
        assert_eq!((sent.push("same"), sent.settle()), (Ok(""), Ok(())));
    }

    #[test]
    fn a_different_replacement_is_a_contradiction() {
        let mut other = sent(&["word0 word1 "]);
        other.void(12);
        assert_eq!(other.push("ok"), Err(Contradicted));
        let mut half_a_character = sent(&["ж"]);
        half_a_character.void(2);
        assert_eq!(half_a_character.push("з"), Err(Contradicted));
    }

    #[test]
    fn a_replacement_that_ends_early_is_a_contradiction() {
        let mut sent = sent(&["word0 word1"]);
        sent.void(11);
        assert_eq!((sent.push("word0"), sent.settle()), (Ok(""), Err(Contradicted)));
    }

    #[test]
    fn a_replacement_that_never_comes_is_a_contradiction() {
        let mut sent = sent(&["word0"]);
        sent.void(5);
        assert_eq!(sent.settle(), Err(Contradicted));
    }

    #[test]
    fn only_the_tail_is_void_when_a_whole_message_stands_before_it() {
        let mut sent = sent(&["first.", "second"]);
        sent.void(6);
        assert_eq!((sent.push("second!"), sent.settle()), (Ok("!"), Ok(())));
    }

    #[test]
    fn a_second_start_over_counts_from_where_the_first_one_was() {
        let mut sent = sent(&["abcdef"]);
        sent.void(6);
        assert_eq!(sent.push("abc"), Ok(""));
        sent.void(3);
        assert_eq!((sent.push("abcdefg"), sent.settle()), (Ok("g"), Ok(())));
    }

    #[test]
    fn nothing_sent_is_nothing_to_contradict() {
        let mut sent = sent(&[]);
        sent.void(0);
        assert_eq!((sent.push("x"), sent.settle()), (Ok("x"), Ok(())));
    }
}
