//! Cutting text where a character ends.

/// The start of `text` of at most `bytes` bytes. (`str::floor_char_boundary` needs Rust 1.91.)
pub(crate) fn start(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut() {
        let table = [("abc", 2, "ab"), ("abc", 9, "abc"), ("aж", 2, "a"), ("ж", 1, ""), ("", 0, "")];
        for (text, bytes, expected) in table {
            assert_eq!(start(text, bytes), expected);
        }
    }
}
