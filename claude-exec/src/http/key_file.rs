//! Keys in a file: one a line, known by their digests, with fields that say what each is good for.

use std::time::{Duration, SystemTime};

use super::Key;
use crate::error::{Error, Result};
use crate::timestamp::Timestamp;

/// One key of a file, and what its service reads of the line beside it.
#[derive(Debug, Clone)]
pub struct KeyLine {
    key: Key,
    fields: Vec<(&'static str, String)>,
    file: &'static str,
    number: usize,
}

/// Reads the text of a file with one key a line; blank lines and lines that begin with `#` do not count:
///
/// ```text
/// phone   scopes=read,chat  expires=2027-01-01  sha256=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
/// ```
///
/// The digest is that of the secret: `printf %s "$KEY" | sha256sum`; `expires` may be left out, and means the
/// beginning of that day, UTC. `fields` are the names that a line may have besides, each once and in any order. Two
/// lines may have one name, which is how a key is rotated. `file` names the setting in errors.
///
/// # Errors
///
/// [`is_invalid`](Error::is_invalid) for a line that cannot be read, with its number and without the digest.
pub fn read_key_file(
    file: &'static str,
    text: &str,
    fields: &'static [&'static str],
) -> Result<Vec<KeyLine>> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = lines.map(|(number, line)| {
        let (key, fields) = read(line, fields).map_err(|why| at(file, number, &why))?;
        Ok(KeyLine { key, fields, file, number })
    });
    read.collect()
}

impl KeyLine {
    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// A field's text, when the line has it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// An error about this line.
    pub fn error(&self, why: &str) -> Error {
        at(self.file, self.number, why)
    }
}

fn at(file: &'static str, number: usize, why: &str) -> Error {
    Error::invalid(file, format!("line {number}: {why}"))
}

type Line = (Key, Vec<(&'static str, String)>);

fn read(line: &str, known: &'static [&'static str]) -> Result<Line, String> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let (mut expires, mut digest, mut fields) = (None, None, Vec::new());
    for word in words {
        let (field, value) = word.split_once('=').ok_or("a field is NAME=VALUE")?;
        let again = match field {
            "expires" => expires.replace(day(value).ok_or("expires is a day like 2027-01-01")?).is_some(),
            "sha256" => digest.replace(hex(value).ok_or("sha256 is 64 hexadecimal digits")?).is_some(),
            _ => {
                let field = known
                    .iter()
                    .find(|known| **known == field)
                    .ok_or_else(|| format!("the fields are {}, expires and sha256", known.join(", ")))?;
                let again = fields.iter().any(|(known, _)| known == field);
                fields.push((*field, value.to_owned()));
                again
            }
        };
        if again {
            return Err(format!("{field} is there twice"));
        }
    }
    let digest = digest.ok_or("sha256 is missing: printf %s \"$KEY\" | sha256sum")?;
    let key = Key::of_digest(name, digest);
    Ok((expires.into_iter().fold(key, Key::expires), fields))
}

fn day(text: &str) -> Option<SystemTime> {
    let at: Timestamp = format!("{text}T00:00:00.000000+00:00").parse().ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).ok()?))
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn lines_are_keys_with_their_fields() {
        let text = format!("# keys\n\n  a size=2 expires=1970-01-02 sha256={DIGEST}\r\nb sha256={DIGEST}");
        let lines = read_key_file("KEYS", &text, &["size"]).unwrap();
        let told: Vec<_> =
            lines.iter().map(|line| (line.key().name().as_str(), line.field("size"))).collect();
        assert_eq!(told, [("a", Some("2")), ("b", None)]);
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!(lines[0].key().get_expires(), Some(end));
        assert_eq!(lines[1].key().digest, hex(DIGEST).unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line_and_without_the_digest() {
        let table = [
            ("a size=2".to_owned(), "sha256 is missing"),
            (format!("a sha256={}", &DIGEST[1..]), "64 hexadecimal"),
            (format!("a expires=2027-02-30 sha256={DIGEST}"), "a day"),
            (format!("a length=1 sha256={DIGEST}"), "the fields are size, expires and sha256"),
            (format!("a size=1 size=2 sha256={DIGEST}"), "size is there twice"),
            (format!("a size sha256={DIGEST}"), "NAME=VALUE"),
        ];
        for (line, expected) in table {
            let error = read_key_file("KEYS", &format!("# x\n{line}\n"), &["size"]).unwrap_err();
            let shown = error.to_string();
            assert_eq!(error.field(), Some("KEYS"), "{line}");
            assert!(shown.contains("line 2") && shown.contains(expected), "{shown}");
            assert!(!shown.contains(&DIGEST[..8]), "{shown}");
        }
    }
}
