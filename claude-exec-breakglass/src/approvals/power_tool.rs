//! The tool with which the agent asks for a power verb.

use serde_json::{Value, json};

/// The in-process MCP server's name.
pub const SERVER: &str = "breakglass";

/// The tool's name in the CLI's rules.
pub const TOOL: &str = "mcp__breakglass__power";

/// The tool's name in its server.
pub(crate) const NAME: &str = "power";

/// What the model is told of it.
pub(crate) const DESCRIPTION: &str = "\
Looks at, or switches, the virtual machine from outside. `status` and `forensics` only look and run at once. Every \
other verb is shown to a person, who decides; the answer says what was done and what was seen afterwards. Ask for one \
verb at a time.";

/// The longest reason: it goes on a card and into the audit.
const MAX_REASON: usize = 500;

/// A power verb that the agent asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PowerAsk {
    pub(crate) verb: String,
    pub(crate) reason: String,
}

/// The JSON schema of the tool's arguments.
pub(crate) fn schema(verbs: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": {
            "verb": {"type": "string", "enum": verbs},
            "reason": {"type": "string", "description": "one sentence, for the person and for the record"},
        },
        "required": ["verb", "reason"],
        "additionalProperties": false,
    })
}

impl PowerAsk {
    /// Reads the arguments of a call.
    ///
    /// # Errors
    ///
    /// What is wrong with them, in words for the model.
    pub(crate) fn read(arguments: &str, verbs: &[&str]) -> Result<Self, String> {
        let arguments: Value = serde_json::from_str(arguments).unwrap_or_default();
        let verb = arguments["verb"].as_str().filter(|verb| verbs.contains(verb));
        let verb = verb.ok_or_else(|| format!("`verb` must be one of {}", verbs.join(", ")))?;
        let reason = arguments["reason"].as_str().map(str::trim).unwrap_or_default();
        if reason.is_empty() || reason.len() > MAX_REASON {
            return Err(format!("`reason` must have 1 to {MAX_REASON} bytes"));
        }
        Ok(Self { verb: verb.to_owned(), reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_verb_of_the_list_with_a_reason() {
        let read = |arguments: Value| PowerAsk::read(&arguments.to_string(), &["status", "cycle"]);
        let good = PowerAsk { verb: "cycle".into(), reason: "hangs".into() };
        assert_eq!(read(json!({"verb": "cycle", "reason": " hangs "})), Ok(good));
        for bad in [
            json!({}),
            json!({"verb": "cycle"}),
            json!({"verb": "cycle", "reason": "  "}),
            json!({"verb": "CYCLE", "reason": "x"}),
            json!({"verb": "cycle; reboot", "reason": "x"}),
            json!({"verb": ["cycle"], "reason": "x"}),
            json!({"verb": "cycle", "reason": "x".repeat(MAX_REASON + 1)}),
            json!(7),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
