//! The child's environment: an allowlist over ours.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Names a CLI and its tools need to work at all, and no secret of a server's.
const NAMES: [&str; 21] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TERM",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "IS_SANDBOX",
];

/// Families of names: the CLI's own configuration and credentials.
const PREFIXES: [&str; 4] = ["LC_", "ANTHROPIC_", "CLAUDE_", "DISABLE_"];

/// Inside those families, what marks a nested run, and what is ours.
const EXCEPT: [&str; 2] = ["CLAUDE_CODE_ENTRYPOINT", "CLAUDE_BIN"];

/// The prefix of this project's own variables.
const OWN_PREFIX: &str = "CLAUDE_EXEC_";

fn is_allowed(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
            && !EXCEPT.contains(&name)
            && !name.starts_with(OWN_PREFIX)
}

/// What of `variables` a child inherits.
pub(super) fn clean(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<OsString, OsString> {
    variables.filter(|(name, _)| name.to_str().is_some_and(is_allowed)).collect()
}

/// The variables with these names.
pub(super) fn named(
    variables: impl Iterator<Item = (OsString, OsString)>,
    names: &[String],
) -> BTreeMap<OsString, OsString> {
    variables.filter(|(name, _)| names.iter().any(|named| OsStr::new(named) == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowlist_passes() {
        // Spelled out once more: a name that is lost here is a CLI that finds no proxy or no certificate.
        let passes: Vec<&str> = "PATH HOME USER LOGNAME SHELL LANG LC_ALL LC_CTYPE TZ TERM TMPDIR SSL_CERT_FILE \
            SSL_CERT_DIR NODE_EXTRA_CA_CERTS HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy \
            all_proxy no_proxy ANTHROPIC_API_KEY ANTHROPIC_BASE_URL CLAUDE_CONFIG_DIR CLAUDE_CODE_MAX_RETRIES \
            DISABLE_TELEMETRY IS_SANDBOX"
            .split_whitespace()
            .collect();
        let stays = [
            "API_BEARER_TOKEN",
            "CLAUDECODE",
            "CLAUDE_CODE_ENTRYPOINT",
            "CLAUDE_EXEC_RUN",
            "CLAUDE_BIN",
            "AWS_SECRET_ACCESS_KEY",
            "LD_PRELOAD",
            "NODE_OPTIONS",
            "SSH_AUTH_SOCK",
            "LC",
            "XPATH",
            "path",
        ];
        let variables =
            || passes.iter().chain(&stays).map(|name| (OsString::from(name), OsString::from("x")));
        let clean = clean(variables());
        let expected: BTreeMap<OsString, OsString> =
            passes.iter().map(|name| (OsString::from(name), OsString::from("x"))).collect();
        assert_eq!(clean, expected);
    }
}
