//! The last bytes of a stream: what an error message needs of stderr.

use std::collections::VecDeque;

/// Bytes of stderr kept by default: a stack trace and the lines before it.
pub(crate) const TAIL_BYTES: usize = 16 * 1024;

/// Keeps the last bytes of what it is given.
#[derive(Debug, Clone)]
pub struct Tail {
    bytes: VecDeque<u8>,
    limit: usize,
}

impl Default for Tail {
    fn default() -> Self {
        Self::new(TAIL_BYTES)
    }
}

impl Tail {
    /// Keeps the last `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { bytes: VecDeque::new(), limit }
    }

    /// Takes more bytes; the oldest over the limit are forgotten.
    pub fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.limit)..];
        let over = (self.bytes.len() + bytes.len()).saturating_sub(self.limit);
        self.bytes.drain(..over);
        self.bytes.extend(bytes);
    }

    /// What is kept as text, with U+FFFD for what is no UTF-8.
    pub fn to_text(&self) -> String {
        let (front, back) = self.bytes.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn only_the_last_bytes_are_kept() {
        let mut tail = Tail::new(4);
        for (piece, kept) in [("ab", "ab"), ("cd", "abcd"), ("e", "bcde"), ("123456", "3456"), ("", "3456")] {
            tail.push(piece.as_bytes());
            assert_eq!(tail.to_text(), kept);
        }
    }
}
