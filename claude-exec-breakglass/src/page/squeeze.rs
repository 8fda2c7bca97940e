//! A script without its comments and without the space that separates nothing. Pure.
//!
//! Nothing is renamed or reordered, and strings, templates and regular expressions are left as they are: the script
//! stays readable in a browser's tools.

/// Beside one of these, a space separates nothing; `/` is not among them.
const SIGNS: &str = "(){}[];,=<>&|?:!*'\"`";

/// Beside one of these neither, unless there is one of them on both sides: two in a row are another sign.
const DOUBLED: &str = "+-";

/// After one of these, or before one of [`CLOSING`], a line end is no end of a statement.
const OPENING: &str = "{([;,=>:?&|}";
const CLOSING: &str = "})].,:?&|=";

/// Squeezes `script`, which has a semicolon at the end of every statement that needs one, and no empty statement.
pub(super) fn squeeze(script: &str) -> String {
    let (mut text, mut rest) = (String::with_capacity(script.len()), script);
    while let Some(next) = rest.chars().next() {
        let taken = match next {
            '\'' | '"' => quoted(rest, next),
            '`' => template(rest),
            '/' if rest.starts_with("//") => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '/' if rest.starts_with("/*") => {
                rest = rest.split_once("*/").map_or("", |(_, after)| after);
                continue;
            }
            '/' if begins_pattern(&text) => pattern(rest),
            _ if next.is_whitespace() => {
                let after = skip_blank(rest);
                text.push_str(separator(&text, &rest[..rest.len() - after.len()], after));
                rest = after;
                continue;
            }
            '}' => {
                // Before the end of a block a statement needs none.
                text.truncate(text.strip_suffix(';').map_or(text.len(), str::len));
                1
            }
            _ => next.len_utf8(),
        };
        text.push_str(&rest[..taken]);
        rest = &rest[taken..];
    }
    text
}

/// What stays of the blank between `text` and `after`.
fn separator(text: &str, blank: &str, after: &str) -> &'static str {
    let (Some(before), Some(next)) = (text.chars().next_back(), after.chars().next()) else { return "" };
    match blank.contains('\n') {
        true if OPENING.contains(before) || CLOSING.contains(next) || before == '\n' => "",
        true => "\n",
        false if SIGNS.contains(before) || SIGNS.contains(next) || before == '\n' => "",
        false if DOUBLED.contains(before) != DOUBLED.contains(next) => "",
        false => " ",
    }
}

/// `text` without the blank and the comments that it begins with.
fn skip_blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let after = match rest {
            _ if rest.starts_with("//") => &rest[rest.find('\n').unwrap_or(rest.len())..],
            _ if rest.starts_with("/*") => rest.split_once("*/").map_or("", |(_, after)| after),
            _ => return rest,
        };
        rest = after.trim_start();
    }
}

/// The bytes of a string.
fn quoted(text: &str, quote: char) -> usize {
    ends(text, |letter, _| letter == quote)
}

/// The bytes of a regular expression, its flags left out.
fn pattern(text: &str) -> usize {
    ends(text, |letter, in_class| letter == '/' && !in_class)
}

/// Where what begins at the first letter ends, backslashes minded.
fn ends(text: &str, is_end: impl Fn(char, bool) -> bool) -> usize {
    let (mut escaped, mut in_class) = (false, false);
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if is_end(letter, in_class) => return at + letter.len_utf8(),
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of a template, with the templates and strings in it.
fn template(text: &str) -> usize {
    let mut at = 1;
    let mut depth = 0_u32;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        at += match letter {
            '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            '`' if depth == 0 => return at + 1,
            '`' => template(rest),
            '\'' | '"' if depth > 0 => quoted(rest, letter),
            '$' if rest.starts_with("${") => {
                depth += 1;
                2
            }
            '{' if depth > 0 => {
                depth += 1;
                1
            }
            '}' if depth > 0 => {
                depth -= 1;
                1
            }
            _ => letter.len_utf8(),
        };
    }
    text.len()
}

/// True when a slash after `text` begins a regular expression and does not divide.
fn begins_pattern(text: &str) -> bool {
    let text = text.trim_end();
    text.is_empty()
        || text.ends_with(['(', ',', '=', ':', '[', '!', '&', '|', '?', '{', '}', ';', '>'])
        || text.ends_with("return")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_separates_nothing_goes() {
        let table = [
            ("const a = 1;\n\nconst b = 2;\n", "const a=1;const b=2;"),
            ("// said\nlet a; // and said\nlet b;", "let a;let b;"),
            (
                "/** Says\n * it. */\nfunction f(a, b) {\n  return a;\n}\nf();",
                "function f(a,b){return a}f();",
            ),
            ("const a = /** @type {any} */ (b);", "const a=(b);"),
            ("a = b + +c - -d / e;", "a=b+ +c- -d / e;"),
            ("a++ + b - c", "a++ +b-c"),
            ("a = 'b  // c' + \"d /* e\";", "a='b  // c'+\"d /* e\";"),
            ("a = 'it\\'s  so';", "a='it\\'s  so';"),
            ("a = `b  ${c ? `d  ${e}` : '}'}  f`;  g", "a=`b  ${c ? `d  ${e}` : '}'}  f`;g"),
            ("a = `b \\` { ${ { c: 1 } }  }`;  d", "a=`b \\` { ${ { c: 1 } }  }`;d"),
            ("a.replace(/[/ ]\\/  /g, ' ')", "a.replace(/[/ ]\\/  /g,' ')"),
            ("return /a  b/.test(c) ? d : e;", "return /a  b/.test(c)?d:e;"),
            ("a = (b / c) * d / e;", "a=(b / c)*d / e;"),
            ("if (a)\n  b\n  c", "if(a)\nb\nc"),
            ("a\n  .b()\n  .c();", "a.b().c();"),
            ("case 'a': return 'b';\nasync  f", "case'a':return'b';async f"),
            ("a\n// said\n  && b", "a&&b"),
            ("'unended", "'unended"),
        ];
        for (before, after) in table {
            assert_eq!(squeeze(before), after, "{before}");
        }
    }
}
