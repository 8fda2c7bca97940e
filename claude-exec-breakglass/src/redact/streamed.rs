//! Takes secrets out of a text that comes in pieces.

use std::fmt;

use super::Redactor;

/// The most held back of a line, or of a word: what is longer is no secret that a rule knows.
const LINE_BYTES: usize = 16 * 1024;

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_KEY: &str = "PRIVATE KEY-----";
const PEM_END: &str = "-----END ";

/// Takes secrets out of pieces of one text, however it is cut.
///
/// A piece comes out as soon as its last word is known to have ended, so a text that streams word by word lags
/// one word behind.
#[derive(Clone)]
pub struct Redacting {
    redactor: Redactor,
    /// The line so far, as it came.
    line: String,
    /// What of it went out, redacted.
    told: String,
    in_key: bool,
}

impl Redacting {
    pub(super) fn new(redactor: Redactor) -> Self {
        Self { redactor, line: String::new(), told: String::new(), in_key: false }
    }

    /// Takes the next piece, and gives what can be told by now.
    pub fn push(&mut self, piece: &str) -> String {
        let mut out = String::new();
        for part in piece.split_inclusive('\n') {
            self.line.push_str(part);
            if part.ends_with('\n') || self.line.len() > LINE_BYTES {
                self.end_line(&mut out);
            }
        }
        // A line that may become the first one of a key waits for its end.
        if !self.in_key && !self.line.contains("-----") {
            let known = self.line.rfind(char::is_whitespace).unwrap_or(0);
            let text = self.redactor.text(&self.line[..known]).into_owned();
            if let Some(news) = text.strip_prefix(&self.told) {
                out.push_str(news);
                self.told = text;
            }
        }
        out
    }

    /// Gives what is left at the end of the text.
    pub fn finish(mut self) -> String {
        let mut out = String::new();
        self.end_line(&mut out);
        out
    }

    fn end_line(&mut self, out: &mut String) {
        let line = std::mem::take(&mut self.line);
        let told = std::mem::take(&mut self.told);
        if self.in_key {
            self.in_key = !line.contains(PEM_END);
            return;
        }
        self.in_key = line.contains(PEM_BEGIN) && line.contains(PEM_KEY) && !line.contains(PEM_END);
        let text = self.redactor.text(&line);
        // A rule that reaches over the words told already has changed them; what is told stays told.
        out.push_str(text.strip_prefix(&told).unwrap_or_default());
        if self.in_key {
            out.push('\n');
        }
    }
}

/// Tells sizes only.
impl fmt::Debug for Redacting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redacting").field("held", &self.line.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "say password=hunter2 and\nAuthorization: Bearer abcdefgh now\n\
        -----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----\n\
        é after https://u:pw@h/ sshkeys:\nsshkeys: ssh-ed25519 AAAA me\nown-key-of-this-server!\nend ghp_0123456789abcdefghijABCDEFGHIJ";

    const EXPECTED: &str = "say password=[redacted] and\nAuthorization: Bearer [redacted] now\n\
        [redacted private key]\n\
        é after https://u:[redacted]@h/ sshkeys:\nsshkeys: [redacted]\n[redacted]!\nend [redacted]";

    #[test]
    fn however_it_is_cut_the_text_is_the_same() {
        let redactor = Redactor::new().secret("own-key-of-this-server");
        let told = |pieces: &mut dyn Iterator<Item = &str>| {
            let mut stream = redactor.streamed();
            let mut out: String = pieces.map(|piece| stream.push(piece)).collect();
            out.push_str(&stream.finish());
            out
        };
        for at in (0..=TEXT.len()).filter(|at| TEXT.is_char_boundary(*at)) {
            assert_eq!(told(&mut [&TEXT[..at], &TEXT[at..]].into_iter()), EXPECTED, "cut at {at}");
        }
        for size in 1..40 {
            let chars: Vec<char> = TEXT.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
            assert_eq!(told(&mut pieces.iter().map(String::as_str)), EXPECTED, "in pieces of {size}");
        }
    }

    #[test]
    fn words_come_out_one_behind() {
        let mut stream = Redactor::new().streamed();
        let told: Vec<String> =
            ["All ", "is ", "wel", "l.\nYes"].iter().map(|piece| stream.push(piece)).collect();
        assert_eq!(told, ["All", " is", "", " well.\n"]);
        assert_eq!(stream.finish(), "Yes");
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut stream = Redactor::new().streamed();
        let word = "x".repeat(LINE_BYTES + 1);
        assert_eq!(stream.push(&word), word);
        assert_eq!(stream.line.len(), 0);
    }
}
