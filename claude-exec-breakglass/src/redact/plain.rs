//! Text from elsewhere, without what would steer a terminal or turn a line of text around.

/// The text without control characters other than tab and newline, ANSI sequences, and the marks that change the
/// direction of text; a carriage return ends a line.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\t' | '\n' => out.push(c),
            '\r' => {
                if rest.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            '\u{1b}' => skip_sequence(&mut rest),
            c if c.is_control() || turns(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Unicode's bidirectional controls, the invisible separators of lines, and the tag characters.
fn turns(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Skips what follows an escape (ECMA-48): a control sequence to its final byte, a string to its terminator, or
/// one character. What never ends stops at the end of its line.
fn skip_sequence(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let Some(kind) = rest.next_if(|c| *c != '\n') else { return };
    let is_end = |c: char| match kind {
        '[' => ('\u{40}'..='\u{7e}').contains(&c),
        ']' | 'P' | 'X' | '^' | '_' => c == '\u{7}' || c == '\u{1b}',
        _ => true,
    };
    if !matches!(kind, '[' | ']' | 'P' | 'X' | '^' | '_') {
        return;
    }
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        if is_end(c) {
            if c == '\u{1b}' {
                rest.next_if_eq(&'\\');
            }
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_steers_a_terminal_or_turns_text_around() {
        let table = [
            ("plain é 日\ttab\n", "plain é 日\ttab\n"),
            ("one\rtwo\r\nthree", "one\ntwo\nthree"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}[12", ""),
            ("\u{1b}[12\nnext", "\nnext"),
            ("\u{1b}cx", "x"),
            ("a\0b\u{7}c\u{8}d\u{9b}e\u{7f}f", "abcdef"),
            ("x\u{202e}evil\u{202c}y\u{2066}z\u{2069}", "xevilyz"),
            ("a\u{2028}b\u{feff}c", "abc"),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }
}
