//! Which of the agent's wishes run by themselves, and which wait for a person. Pure.
//!
//! | file | what it decides |
//! |---|---|
//! | `shell` | what a command line is made of, when it is plain enough to be judged |
//! | `read_only` | which programs, with which arguments, only look |
//! | `rule` | what leave for a session covers |
//! | `power_tool` | the tool with which the agent asks for a power verb |

pub(crate) mod power_tool;
mod read_only;
mod rule;
mod shell;

pub(crate) use power_tool::PowerAsk;
pub(crate) use rule::{READ_ONLY, rules};

pub use power_tool::{SERVER as POWER_SERVER, TOOL as POWER_TOOL};

/// True when a tool call with this input only looks: an ssh to `host` with commands that change nothing, in a
/// form that leaves no doubt. Everything else is asked for.
pub fn is_read_only(tool: &str, input: &serde_json::Value, host: &str) -> bool {
    let Some(command) = input["command"].as_str().filter(|_| tool == "Bash") else { return false };
    // What runs on in the background, or outside the sandbox, is a matter for a person.
    let plain = |field: &str| input.get(field).is_none_or(|value| value == false || value.is_null());
    plain("run_in_background")
        && plain("dangerouslyDisableSandbox")
        && shell::remote(command, host).is_some_and(|remote| read_only::is_read_only(&remote))
}
