//! Text that JSON does not allow, made readable: a bad byte costs a character and never the line.

/// The line as JSON text with U+FFFD for what no Rust string can hold: bytes that are not UTF-8, and `\u`
/// escapes of half a surrogate pair, which JavaScript writes when a pair was cut.
pub(super) fn repair(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(at) = rest.find('\\') {
        repaired.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (surrogate(rest), surrogate(rest.get(6..).unwrap_or_default())) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                repaired.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            // The character after a backslash belongs to it: `\\u` is no escape of a code point.
            (None, _) => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        repaired.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    repaired.push_str(rest);
    repaired
}

enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair the `\uXXXX` at the start of `text` is.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::repair;

    #[test]
    fn only_what_no_string_can_hold_is_replaced() {
        let table: [(&[u8], &str); 7] = [
            (br#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (b"{\"a\":\"\xff\"}", "{\"a\":\"\u{fffd}\"}"),
            (br#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (br#""\ud83d""#, r#""\ufffd""#),
            (br#""\ude00x\ud83dy""#, r#""\ufffdx\ufffdy""#),
            (br#""\\ud83d \"""#, r#""\\ud83d \"""#),
            (br#"trailing \"#, r"trailing \"),
        ];
        for (line, expected) in table {
            assert_eq!(repair(line), expected);
        }
    }
}
