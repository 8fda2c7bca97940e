//! Takes secrets out of whole texts.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use super::rules::{self, MARK};
use super::streamed::Redacting;

/// Shorter literals would take ordinary words out of every text.
const MIN_LITERAL: usize = 8;

static RULES: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(rules::compiled);

/// Takes out what looks like a secret, and the secrets it was told. Cheap to clone.
///
/// Taking out twice changes nothing more.
///
/// ```
/// use claude_exec_breakglass::redact::Redactor;
/// let redactor = Redactor::new().secret("correct-horse-battery");
/// assert_eq!(redactor.text("password=hunter2 correct-horse-battery"), "password=[redacted] [redacted]");
/// ```
#[derive(Clone, Default)]
pub struct Redactor {
    literals: Arc<[Box<str>]>,
}

impl Redactor {
    /// One that knows no secret by heart.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells it a secret of this process's own. One of fewer than 8 bytes is not taken.
    #[must_use]
    pub fn secret(self, secret: &str) -> Self {
        if secret.len() < MIN_LITERAL {
            return self;
        }
        let mut literals: Vec<Box<str>> = self.literals.to_vec();
        literals.push(secret.into());
        // The longest first: one may begin with another.
        literals.sort_by_key(|literal| std::cmp::Reverse(literal.len()));
        Self { literals: literals.into() }
    }

    /// The text without secrets; the text itself when there is none in it.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for literal in &*self.literals {
            if text.contains(&**literal) {
                text = Cow::Owned(text.replace(&**literal, MARK));
            }
        }
        for (pattern, becomes) in &*RULES {
            if let Cow::Owned(changed) = pattern.replace_all(&text, *becomes) {
                text = Cow::Owned(changed);
            }
        }
        text
    }

    /// Takes secrets out of every text in `value`. The text under a key that names a secret goes whole.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(changed) = self.text(text) {
                    *text = changed;
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::String(text) if names_a_secret(name) => *text = MARK.to_owned(),
                        value => self.json(value),
                    }
                }
            }
            _ => {}
        }
    }

    /// The same for a text that comes in pieces.
    pub fn streamed(&self) -> Redacting {
        Redacting::new(self.clone())
    }
}

/// Says how many secrets it knows, and none of them.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("secrets", &self.literals.len()).finish()
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "passphrase", "secret", "private_key", "api_key", "apikey", "authorization"]
        .iter()
        .any(|word| name.ends_with(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let token = "ghp_0123456789abcdefghijABCDEFGHIJ";
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        let table: [(String, &str); 22] = [
            (
                "nothing to see: tokens are counted, 12 passwords".into(),
                "nothing to see: tokens are counted, 12 passwords",
            ),
            (format!("x {key} y"), "x [redacted private key] y"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMIIE half".into(), "[redacted private key]"),
            ("Authorization: Bearer abc.def".into(), "Authorization: Bearer [redacted]"),
            ("curl -H 'authorization: Basic dTpw' x".into(), "curl -H 'authorization: Basic [redacted]' x"),
            ("bearer 0123456789abcdef0".into(), "bearer [redacted]"),
            ("the bearer of news".into(), "the bearer of news"),
            ("password=hunter2 next".into(), "password=[redacted] next"),
            ("DB_PASSWORD: 'a b'".into(), "DB_PASSWORD: '[redacted] b'"),
            (r#"{"api_key": "k1", "n": 1}"#.into(), r#"{"api_key": "[redacted]", "n": 1}"#),
            ("cipassword: hunter2\ncores: 4".into(), "cipassword: [redacted]\ncores: 4"),
            ("sshkeys: ssh-ed25519%20AAAA x\nvmid: 1".into(), "sshkeys: [redacted]\nvmid: 1"),
            ("https://bob:s3cr3t@host/p".into(), "https://bob:[redacted]@host/p"),
            ("https://host/p?token=abc&x=1".into(), "https://host/p?token=[redacted]&x=1"),
            ("AKIAABCDEFGHIJKLMNOP.".into(), "[redacted]."),
            (format!("push with {token}!"), "push with [redacted]!"),
            (format!("sk-ant-api03-{}", "a".repeat(30)), "[redacted]"),
            ("xoxb-123456789012-abc".into(), "[redacted]"),
            (format!("AIza{}", "b".repeat(35)), "[redacted]"),
            ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.sig-x".into(), "[redacted]"),
            ("PVEAPIToken=root@pam!x=0000-11".into(), "PVEAPIToken=[redacted]"),
            ("my own-key-of-this-server here".into(), "my [redacted] here"),
        ];
        let redactor = Redactor::new().secret("own-key-of-this-server").secret("short");
        for (text, expected) in &table {
            let once = redactor.text(text);
            assert_eq!(&once, expected);
            assert_eq!(redactor.text(&once), once, "twice");
        }
        assert!(matches!(redactor.text("untouched"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_is_searched_at_every_depth() {
        let mut value = json!({"a": ["token=x", {"password": "p", "n": 1}], "db_secret": "q", "b": "fine"});
        Redactor::new().json(&mut value);
        let expected = json!({"a": ["token=[redacted]", {"password": "[redacted]", "n": 1}],
            "db_secret": "[redacted]", "b": "fine"});
        assert_eq!(value, expected);
    }

    #[test]
    fn debug_tells_no_secret() {
        assert_eq!(format!("{:?}", Redactor::new().secret("a-secret-text")), "Redactor { secrets: 1 }");
    }
}
