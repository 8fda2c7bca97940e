//! Text within its bound, and text that hides nothing.

/// A text within its bound.
pub(super) struct Capped {
    pub(super) text: String,
    pub(super) truncated: bool,
}

/// Cuts a text at `most` bytes, never inside a character.
pub(super) fn cap(text: &str, most: usize) -> Capped {
    if text.len() <= most {
        return Capped { text: text.to_owned(), truncated: false };
    }
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    Capped { text: text[..end].to_owned(), truncated: true }
}

/// Writes every character that a screen would act on, not show, or show elsewhere as its escape; tab and newline
/// stay.
pub(super) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' => visible.push(c),
            c if c.is_control() || is_invisible(c) => visible.extend(c.escape_default()),
            c => visible.push(c),
        }
    }
    visible
}

/// Marks of writing direction, and characters without width.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_at_a_character() {
        assert_eq!(cap("aé", 2).text, "a");
        assert_eq!(cap("aé", 3).text, "aé");
        assert!(cap("aé", 0).truncated);
    }

    #[test]
    fn nothing_is_hidden() {
        assert_eq!(visible("plain é 日本"), "plain é 日本");
        assert_eq!(visible("a\u{202e}b\u{0}\u{9b}c\u{feff}"), "a\\u{202e}b\\u{0}\\u{9b}c\\u{feff}");
    }
}
