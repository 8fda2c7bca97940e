//! An event as it lies in memory, on the disk and on the wire.

use std::fmt;

use bytes::Bytes;

use super::id::EventId;

/// One event of a log: an id, a name, and data that is JSON on one line.
///
/// It is kept as the block of the event stream that shows it, so that showing it to a thousand readers copies
/// nothing: `id: 7-41\nevent: delta\ndata: {…}\n\n`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    id: EventId,
    block: Bytes,
    /// Where the name begins; it ends 7 bytes before the data does begin (`\ndata: `).
    name_at: u32,
    data_at: u32,
}

impl Entry {
    /// An event. A line end in `name` or `data` would end the block early: both are the caller's own words and
    /// JSON, which have none; should one be there all the same, it becomes a blank.
    pub fn new(id: EventId, name: &str, data: &str) -> Self {
        let head = format!("id: {id}\nevent: ");
        let mut block = String::with_capacity(head.len() + name.len() + data.len() + 9);
        block.push_str(&head);
        push_line(&mut block, name);
        block.push_str("\ndata: ");
        let data_at = block.len();
        push_line(&mut block, data);
        block.push_str("\n\n");
        let at = |place: usize| u32::try_from(place).unwrap_or(u32::MAX);
        Self { id, name_at: at(head.len()), data_at: at(data_at), block: Bytes::from(block) }
    }

    /// Its id.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Its name: the `event` of the stream.
    pub fn name(&self) -> &str {
        self.text(self.name_at as usize, self.data_at as usize - "\ndata: ".len())
    }

    /// Its data, JSON on one line.
    pub fn data(&self) -> &str {
        self.text(self.data_at as usize, self.block.len() - 2)
    }

    /// The whole block of the event stream.
    pub fn block(&self) -> &Bytes {
        &self.block
    }

    /// The event as one line, newline included, for a file: `7-41 delta {…}`.
    pub fn write_row(&self, rows: &mut String) {
        use fmt::Write as _;
        let _ = writeln!(rows, "{} {} {}", self.id, self.name(), self.data());
    }

    /// Reads what [`write_row`](Self::write_row) has written; `None` for anything else.
    pub fn read_row(row: &str) -> Option<Self> {
        let mut parts = row.splitn(3, ' ');
        let (id, name, data) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self::new(id.parse().ok()?, name, data))
    }

    fn text(&self, from: usize, to: usize) -> &str {
        // The block was made of strings.
        self.block.get(from..to).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// Shows no data: it holds prompts and answers.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.id, self.name(), self.data().len())
    }
}

fn push_line(block: &mut String, text: &str) {
    if text.contains(['\r', '\n', '\0']) {
        block.extend(text.chars().map(|c| if matches!(c, '\r' | '\n' | '\0') { ' ' } else { c }));
    } else {
        block.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_exact_and_a_row_reads_back() {
        let entry = Entry::new(EventId::new(7, 41), "delta", r#"{"text":"h\ré\u2028"}"#);
        let block = "id: 7-41\nevent: delta\ndata: {\"text\":\"h\\ré\\u2028\"}\n\n";
        assert_eq!(entry.block(), block);
        assert_eq!((entry.name(), entry.data()), ("delta", r#"{"text":"h\ré\u2028"}"#));
        let mut rows = String::new();
        entry.write_row(&mut rows);
        assert_eq!(rows, "7-41 delta {\"text\":\"h\\ré\\u2028\"}\n");
        assert_eq!(Entry::read_row(rows.trim_end()), Some(entry));
        for row in ["", "7-41", "7-41 delta", "x delta {}"] {
            assert_eq!(Entry::read_row(row), None, "{row}");
        }
    }

    #[test]
    fn no_text_ends_a_block_early() {
        let entry = Entry::new(EventId::new(1, 1), "a\r\nid: 9", "x\n\ndata: y\r\0");
        assert_eq!(entry.block(), "id: 1-1\nevent: a  id: 9\ndata: x  data: y  \n\n");
    }
}
