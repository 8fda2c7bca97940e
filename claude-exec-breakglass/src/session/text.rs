//! Text that a screen can show: capped, without control characters.

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

/// Takes out what a terminal would act on and what would show text as other than it is: escape sequences,
/// control characters but tab and newline, and the marks that change the direction of writing. A carriage return
/// before a newline goes; one alone becomes a newline, as the line it would overwrite is worth reading.
pub(super) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' | '\n' => plain.push(c),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => plain.push('\n'),
            '\u{1b}' => skip_escape(&mut chars),
            c if c.is_control() || is_direction_mark(c) => {}
            c => plain.push(c),
        }
    }
    plain
}

/// ECMA-48: CSI sequences end with a byte from `@` to `~`, strings (OSC, DCS, …) with BEL or ST, the rest is two
/// characters.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next_if(|c| !c.is_control()) {
        Some('[') => {
            while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            let _ = chars.next_if(|c| matches!(c, '@'..='~'));
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_acts() {
        let table = [
            ("plain\ttext\n", "plain\ttext\n"),
            ("a\r\nb\rc", "a\nb\nc"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x\u{1b}]8;;http://e\u{1b}\\y", "xy"),
            ("\u{1b}]never ends\nnext", "\nnext"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}cx", "x"),
            ("nul\0bell\u{7}del\u{7f}c1\u{9b}31m", "nulbelldelc131m"),
            ("rm -rf \u{202e}txt.\u{2066}", "rm -rf txt."),
            ("日本語 é", "日本語 é"),
        ];
        for (text, expected) in table {
            assert_eq!(printable(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_cut_is_at_a_character() {
        assert_eq!(cap("aé", 2).text, "a");
        assert_eq!(cap("aé", 3).text, "aé");
        assert!(cap("aé", 0).truncated);
    }
}
