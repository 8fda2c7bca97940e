//! Bytes to lines, bounded: an over-long line costs one report and never the session.

use bytes::{Buf, Bytes, BytesMut};

/// The longest line taken by default. A tool result that carries an image has been seen at 1.3 MB, and an
/// image may be 20 MB before base64; a line longer than this is no message but a fault.
pub const MAX_LINE_BYTES: usize = 64 * 1024 * 1024;

/// One line, or what is known of one that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Line {
    /// A whole line without its newline (and without a carriage return before it).
    Whole(Bytes),
    /// The input ended before this line's newline.
    Unfinished(Bytes),
    /// A line over the limit was dropped; this many bytes, newline not counted.
    TooLong(u64),
}

/// Cuts a byte stream into lines at `\n`.
///
/// **After every [`push`](Self::push), call [`next_line`](Self::next_line) until it returns `None`.** Memory
/// is bounded by the line limit plus one pushed piece. How the bytes were cut makes no difference to the lines.
#[derive(Debug)]
pub struct LineFramer {
    buffer: BytesMut,
    /// Bytes of `buffer` already searched for a newline, so that a long line in pieces stays linear.
    scanned: usize,
    /// Bytes dropped so far of a line over the limit.
    dropping: Option<u64>,
    limit: usize,
    finished: bool,
}

impl Default for LineFramer {
    fn default() -> Self {
        Self::new(MAX_LINE_BYTES)
    }
}

impl LineFramer {
    /// A framer that drops lines of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, dropping: None, limit, finished: false }
    }

    /// Takes the next piece of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that the stream has ended; what is left becomes [`Line::Unfinished`].
    pub fn finish(&mut self) {
        self.finished = true;
    }

    /// The next line, or `None` until more bytes come.
    pub fn next_line(&mut self) -> Option<Line> {
        if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            let at = self.scanned + at;
            let mut line = self.buffer.split_to(at + 1).freeze();
            self.scanned = 0;
            line.truncate(at);
            if let Some(dropped) = self.dropping.take() {
                return Some(Line::TooLong(dropped + at as u64));
            }
            if line.len() > self.limit {
                return Some(Line::TooLong(at as u64));
            }
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            return Some(Line::Whole(line));
        }
        self.scanned = self.buffer.len();
        if self.dropping.is_some() || self.scanned > self.limit {
            *self.dropping.get_or_insert(0) += self.scanned as u64;
            self.buffer.advance(self.scanned);
            self.scanned = 0;
        }
        if !self.finished {
            return None;
        }
        if let Some(dropped) = self.dropping.take() {
            return Some(Line::TooLong(dropped));
        }
        self.scanned = 0;
        let rest = self.buffer.split().freeze();
        (!rest.is_empty()).then_some(Line::Unfinished(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(limit: usize, pieces: &[&[u8]]) -> Vec<Line> {
        let mut framer = LineFramer::new(limit);
        let mut lines = Vec::new();
        for piece in pieces {
            framer.push(piece);
            lines.extend(std::iter::from_fn(|| framer.next_line()));
        }
        framer.finish();
        lines.extend(std::iter::from_fn(|| framer.next_line()));
        lines
    }

    fn whole(text: &'static str) -> Line {
        Line::Whole(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn any_cut_gives_the_same_lines() {
        let input = b"one\r\n\ntwo longer than the limit\nthree\nrest";
        let expected = vec![
            whole("one"),
            whole(""),
            Line::TooLong(25),
            whole("three"),
            Line::Unfinished(Bytes::from_static(b"rest")),
        ];
        for size in 1..=input.len() {
            let pieces: Vec<&[u8]> = input.chunks(size).collect();
            assert_eq!(lines(10, &pieces), expected, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_at_the_limit_is_kept_and_one_more_byte_is_not() {
        assert_eq!(lines(3, &[b"abc\nabcd\nabc\n"]), vec![whole("abc"), Line::TooLong(4), whole("abc")]);
    }

    #[test]
    fn a_dropped_line_takes_no_memory() {
        let mut framer = LineFramer::new(1024);
        for _ in 0..1000 {
            framer.push(&[b'x'; 4096]);
            assert_eq!(framer.next_line(), None);
            assert!(framer.buffer.len() <= 1024);
        }
        framer.push(b"\nnext\n");
        assert_eq!(framer.next_line(), Some(Line::TooLong(4_096_000)));
        assert_eq!(framer.next_line(), Some(whole("next")));
    }

    #[test]
    fn a_cut_over_long_line_is_reported_once() {
        assert_eq!(lines(2, &[b"abcdef"]), vec![Line::TooLong(6)]);
    }
}
