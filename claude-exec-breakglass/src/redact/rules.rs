//! What a secret looks like.

use regex::Regex;

/// What stands where a secret was.
pub(super) const MARK: &str = "[redacted]";

/// Patterns, and what a match becomes. Where there is a first group it is kept: it says what was taken out.
const RULES: [(&str, &str); 12] = [
    // A block that never ends goes to the end: half a key is a key.
    (
        r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
        "[redacted private key]",
    ),
    (
        r"(?i)(\bauthorization[\x22']?\s*[:=]\s*[\x22']?(?:bearer|basic|token)\s+)[^\s\x22',;]+",
        "${1}[redacted]",
    ),
    (r"(?i)(\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}", "${1}[redacted]"),
    (
        r"(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?[\x22']?[ \t]*[:=][ \t]*[\x22']?)[^\s\x22',;&|)\[]+",
        "${1}[redacted]",
    ),
    (r"(?im)(^[ \t]*sshkeys:[ \t]*)[^\s\[][^\n]*", "${1}[redacted]"),
    (r"(\b[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:)[^@\s/]+@", "${1}[redacted]@"),
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", MARK),
    (r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{20,})", MARK),
    (r"\bsk-[A-Za-z0-9_-]{20,}", MARK),
    (r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", MARK),
    (r"\bAIza[A-Za-z0-9_-]{35}", MARK),
    (r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*", MARK),
];

/// The rules, ready to run.
pub(super) fn compiled() -> Vec<(Regex, &'static str)> {
    RULES.iter().filter_map(|(pattern, becomes)| Some((Regex::new(pattern).ok()?, *becomes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(compiled().len(), RULES.len());
    }
}
