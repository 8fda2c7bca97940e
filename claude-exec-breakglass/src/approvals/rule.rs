//! What leave for a session covers.

use serde_json::Value;

use super::shell;

/// The rule's name for what only looks.
pub(crate) const READ_ONLY: &str = "read-only";

/// Programs whose first word says what they do, so that leave may cover all further words.
const VERBS: &[&str] = &["systemctl", "service", "docker"];

/// What of a session's leave would cover this call, from narrow to broad, in the CLI's way of writing rules:
/// `Bash(ssh devvm rm /tmp/x)`, `Bash(ssh devvm systemctl restart *)`. Empty when leave can only be given once.
///
/// Leave covers a call when it holds one of the call's rules.
pub(crate) fn rules(tool: &str, input: &Value, host: &str) -> Vec<String> {
    let exact = match tool {
        "Bash" => input["command"].as_str(),
        "Read" => input["file_path"].as_str(),
        _ => None,
    };
    // What is not shown in full cannot be covered by what was shown.
    let Some(exact) = exact.filter(|text| text.len() <= MAX_RULE && !text.contains(char::is_control)) else {
        return Vec::new();
    };
    if tool == "Bash" && input.get("run_in_background").is_some_and(|value| value != false) {
        return Vec::new();
    }
    let mut rules = vec![format!("{tool}({exact})")];
    if let Some([command]) = shell::remote(exact, host).as_deref() {
        let (sudo, words) = match &command[..] {
            [sudo, words @ ..] if sudo == "sudo" => ("sudo ", words),
            words => ("", words),
        };
        if let [program, verb, _, ..] = words
            && VERBS.contains(&program.as_str())
            && !verb.starts_with('-')
            && words[2..].iter().all(|word| !word.starts_with('-'))
        {
            rules.push(format!("Bash(ssh {host} {sudo}{program} {verb} *)"));
        }
    }
    rules
}

/// The longest command that leave can be given for: what fits a card.
const MAX_RULE: usize = 1000;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leave_is_for_the_same_line_or_the_same_verb() {
        let bash = |command: &str| rules("Bash", &json!({ "command": command }), "devvm");
        assert_eq!(bash("ssh devvm rm /tmp/x"), ["Bash(ssh devvm rm /tmp/x)"]);
        assert_eq!(
            bash("ssh devvm sudo systemctl restart nginx"),
            ["Bash(ssh devvm sudo systemctl restart nginx)", "Bash(ssh devvm sudo systemctl restart *)"]
        );
        let broad = "Bash(ssh devvm systemctl restart *)".to_owned();
        assert!(bash("ssh devvm 'systemctl restart postgresql'").contains(&broad));
        for other in [
            "ssh devvm systemctl stop nginx",
            "ssh devvm 'systemctl restart nginx; reboot'",
            "ssh devvm 'systemctl restart nginx && reboot'",
            "ssh devvm 'systemctl restart $(reboot)'",
            "ssh devvm systemctl restart -H other nginx",
            "ssh pve systemctl restart nginx",
            "ssh devvm systemctl -H x restart nginx",
        ] {
            assert!(!bash(other).contains(&broad), "{other}");
        }
        assert_eq!(bash("ssh devvm x\nreboot"), [""; 0]);
        assert_eq!(bash(&"x".repeat(MAX_RULE + 1)), [""; 0]);
        assert_eq!(rules("Write", &json!({"file_path": "/x"}), "devvm"), [""; 0]);
        assert_eq!(rules("Read", &json!({"file_path": "/x"}), "devvm"), ["Read(/x)"]);
    }
}
