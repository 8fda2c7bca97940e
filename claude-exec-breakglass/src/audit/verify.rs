//! Walks a whole chain and says where it is broken.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::chain::{Fault, Head};
use super::segments::Segments;

/// The longest line: a text at its bound, each byte of it written as six, and the rest. What is longer is no record.
const LINE_BYTES: u64 = 1024 * 1024;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Records that hold.
    pub records: u64,
    /// The number of the first of them: more than 1 when older files were moved away.
    pub first: u64,
    /// The hash of the last of them. Whoever noted it elsewhere can tell that nothing was cut off.
    pub head: String,
    /// Bytes of a last line without an end: a crash in the middle of a write, of a record that never counted.
    pub torn_bytes: u64,
    /// Where the chain is broken: file, line from 1, and how.
    pub broken: Option<(PathBuf, u64, Fault)>,
}

impl Report {
    /// True when every record holds.
    pub fn is_intact(&self) -> bool {
        self.broken.is_none()
    }
}

/// Checks every record in `dir`. Nothing is changed, and a server may be writing meanwhile.
///
/// # Errors
///
/// When the directory or a file cannot be read. A broken chain is no error: see [`Report::broken`].
pub fn verify(dir: &Path) -> io::Result<Report> {
    walk(dir, |_| {}).map(|walked| walked.report)
}

pub(super) struct Walked {
    pub(super) report: Report,
    pub(super) head: Head,
    /// The last file, its first number, and the bytes of it that hold.
    pub(super) last: Option<(PathBuf, u64, u64)>,
}

/// Walks the chain, and hands over each line that holds.
pub(super) fn walk(dir: &Path, mut seen: impl FnMut(&str)) -> io::Result<Walked> {
    let mut head: Option<Head> = None;
    let mut report = Report { records: 0, first: 1, head: String::new(), torn_bytes: 0, broken: None };
    let mut last = None;
    let files = Segments::list(dir)?;
    let newest = files.last().map(|(_, path)| path.clone());
    'files: for (first, path) in files {
        let mut reader = BufReader::new(File::open(&path)?);
        let (mut line, mut number, mut length) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let read = (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            number += 1;
            let torn = line.last() != Some(&b'\n') && (read as u64) < LINE_BYTES;
            if torn && Some(&path) == newest.as_ref() {
                report.torn_bytes = read as u64;
                break;
            }
            let text = std::str::from_utf8(&line).map_err(|_| Fault::Form);
            let text = text.and_then(|text| text.strip_suffix('\n').ok_or(Fault::Form));
            let followed = text.and_then(|text| {
                let before = match &head {
                    Some(head) => head.clone(),
                    None => Head::before(text)?,
                };
                // A file that was renamed is as bad as one that was changed.
                if number == 1 && before.seq + 1 != first {
                    return Err(Fault::Number { expected: first, found: before.seq + 1 });
                }
                let next = before.follow(text)?;
                seen(text);
                Ok(next)
            });
            match followed {
                Ok(next) => {
                    if head.is_none() {
                        report.first = next.seq;
                    }
                    report.records += 1;
                    length += read as u64;
                    head = Some(next);
                }
                Err(fault) => {
                    report.broken = Some((path, number, fault));
                    break 'files;
                }
            }
        }
        last = Some((path, first, length));
    }
    let head = head.unwrap_or_default();
    report.head.clone_from(&head.hash);
    Ok(Walked { report, head, last })
}
