//! What a command line is made of, when it is plain enough to be judged.
//!
//! This is no shell: whatever it does not know for certain, it does not accept, and a person is asked.

/// The words of one plain command: blanks part them, `'…'` and `"…"` hold them together. `None` when there is
/// anything that a shell would act on: expansion, substitution, redirection, globs, escapes, control characters.
pub(super) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' => words.extend(word.take()),
            '\'' | '"' => {
                let open = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        end if end == c => break,
                        inside if is_plain(inside) || is_inert(inside, c) => open.push(inside),
                        _ => return None,
                    }
                }
            }
            c if is_plain(c) => word.get_or_insert_default().push(c),
            _ => return None,
        }
    }
    words.extend(word);
    (!words.is_empty()).then_some(words)
}

/// Means itself everywhere.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./:=,+%@".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
}

/// Means itself inside these quotes.
fn is_inert(c: char, quote: char) -> bool {
    match quote {
        '\'' => " \t\"#$&()*;<>?[\\]^`{|}~!".contains(c),
        _ => " \t'#&()*;<>?[]^{|}~".contains(c),
    }
}

/// The commands of a line: parted by `|`, `&&`, `||` and `;` outside quotes; `2>/dev/null` and `2>&1` are left
/// out. `None` when a part is not plain.
pub(super) fn commands(line: &str) -> Option<Vec<Vec<String>>> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '|') => {
                let _ = chars.next_if_eq(&'|');
                parts.push(String::new());
                continue;
            }
            (None, '&') if chars.next_if_eq(&'&').is_some() => {
                parts.push(String::new());
                continue;
            }
            (None, ';') => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut()?.push(c);
    }
    if quote.is_some() {
        return None;
    }
    parts.iter().map(|part| words(&without_stderr(part))).collect()
}

fn without_stderr(part: &str) -> String {
    let mut part = format!("{part} ");
    for redirection in [" 2>/dev/null ", " 2>&1 "] {
        // Inside quotes it would be text: then what is left is still only read.
        if !part.contains(['\'', '"']) {
            part = part.replace(redirection, " ");
        }
    }
    part
}

/// The commands that an ssh to `host` runs there; `None` when the line is anything else.
///
/// ssh joins its arguments with blanks, and the far shell reads them anew.
pub(super) fn remote(line: &str, host: &str) -> Option<Vec<Vec<String>>> {
    let words = words(line.trim_matches(' '))?;
    let mut words = words.iter().map(String::as_str);
    if words.next() != Some("ssh") {
        return None;
    }
    loop {
        match words.next()? {
            "-T" | "-n" | "-q" => {}
            "-o" => {
                let option = words.next()?;
                let fine = option == "BatchMode=yes"
                    || option.strip_prefix("ConnectTimeout=").is_some_and(|seconds| {
                        !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit())
                    });
                if !fine {
                    return None;
                }
            }
            found if found == host => break,
            _ => return None,
        }
    }
    let rest: Vec<&str> = words.collect();
    commands(&rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_plain_is_taken_apart() {
        let taken: [(&str, &[&[&str]]); 7] = [
            ("ssh devvm df -h", &[&["df", "-h"]]),
            ("ssh devvm 'df -h | tail -3'", &[&["df", "-h"], &["tail", "-3"]]),
            ("ssh devvm \"free -m && uptime; w\"", &[&["free", "-m"], &["uptime"], &["w"]]),
            ("ssh -o ConnectTimeout=5 -T devvm uptime", &[&["uptime"]]),
            ("ssh devvm 'dmesg -T 2>/dev/null | tail'", &[&["dmesg", "-T"], &["tail"]]),
            ("ssh devvm \"journalctl -u 'a b' -n 5 2>&1\"", &[&["journalctl", "-u", "a b", "-n", "5"]]),
            ("ssh devvm 'grep \"a|b\" /var/log/syslog'", &[&["grep", "a|b", "/var/log/syslog"]]),
        ];
        for (line, expected) in taken {
            let found = remote(line, "devvm");
            let found: Option<Vec<Vec<&str>>> = found.as_ref().map(|commands| {
                commands.iter().map(|words| words.iter().map(String::as_str).collect()).collect()
            });
            let expected: Vec<Vec<&str>> = expected.iter().map(|words| words.to_vec()).collect();
            // A quoted `2>&1` beside other quotes is not taken out, and then the line is not plain.
            if line.contains("'a b'") {
                assert_eq!(found, None, "{line}");
            } else {
                assert_eq!(found, Some(expected), "{line}");
            }
        }
    }

    #[test]
    fn everything_a_shell_acts_on_is_a_matter_for_a_person() {
        let hostile = [
            "",
            "df -h",
            "ssh devvm",
            "ssh pve df",
            "ssh devvm2 df",
            "ssh root@devvm df",
            "ssh -o ProxyCommand=reboot devvm df",
            "ssh -oProxyCommand=reboot devvm df",
            "ssh -o ConnectTimeout= devvm df",
            "ssh -F /tmp/x devvm df",
            "ssh devvm df > /etc/passwd",
            "ssh devvm 'df > /etc/passwd'",
            "ssh devvm 'df $(reboot)'",
            "ssh devvm df $(reboot)",
            "ssh devvm \"df `reboot`\"",
            "ssh devvm 'df `reboot`'",
            "ssh devvm 'df & reboot'",
            "ssh devvm df; reboot",
            "ssh devvm df | sh",
            "ssh devvm df\nreboot",
            "ssh devvm 'df\nreboot'",
            "ssh devvm 'df\\\nreboot'",
            "ssh devvm 'ls ~/.ssh'",
            "ssh devvm 'ls *'",
            "ssh devvm df {a,b}",
            "ssh devvm 'df",
            "ssh devvm df\0",
            "ssh devvm df\r",
            "ssh devvm df \u{a0}x",
            "env ssh devvm df",
            "FOO=x ssh devvm df",
            "ssh devvm 'df |'",
            "ssh devvm '| df'",
            "ssh devvm 'cat <(reboot)'",
            "ssh devvm '(reboot)'",
            "ssh devvm 'df 2>/tmp/x'",
            "ssh devvm 'df !reboot'",
        ];
        for line in hostile {
            assert_eq!(remote(line, "devvm"), None, "{line:?}");
        }
    }
}
