//! The pure argv builder: an invocation to a command.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::options::SessionChoice;
use super::value::Invocation;
use crate::error::{Error, Result};
use crate::executor::{Command, Stdin};
use crate::protocol::{Content, Initialize, Request};

/// The longest single argument Linux takes is 131,071 bytes (`MAX_ARG_STRLEN` less its NUL).
const MAX_ARG_BYTES: usize = 131_071;

/// The id of the `initialize` request that opens every turn.
pub(crate) const INITIALIZE_ID: &str = "initialize";

/// A command to start, and what to write once the CLI has said what it knows.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) command: Command,
    pub(crate) held: Option<Held>,
}

/// A user message that waits until the CLI has shown that it knows the agent.
#[derive(Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) agent_name: String,
    pub(crate) message: Bytes,
}

impl Invocation {
    /// Builds the command with a fresh message id.
    ///
    /// # Errors
    ///
    /// [`is_invalid`](Error::is_invalid), with [`field`](Error::field) naming what cannot be used: an empty
    /// prompt, a budget that is not a finite number above 0, a NUL or an over-long value in argv.
    pub fn to_command(&self) -> Result<Command> {
        self.to_command_with(Uuid::new_v4())
    }

    /// Builds the command with `message_id` as the user message's `uuid`: equal calls give equal values.
    ///
    /// # Errors
    ///
    /// As [`to_command`](Self::to_command).
    pub fn to_command_with(&self, message_id: Uuid) -> Result<Command> {
        let Launch { command, held } = self.to_launch(message_id)?;
        match (command.stdin.clone(), held) {
            (Stdin::Open(first), Some(held)) => {
                Ok(command.stdin(Stdin::Open([first, held.message].concat().into())))
            }
            _ => Ok(command),
        }
    }

    /// Builds the command, and holds the user message back when the CLI must first prove that it knows the
    /// agent: with stream-json input it runs an unknown one as no agent at all, with every tool (2.1.330).
    pub(crate) fn to_launch(&self, message_id: Uuid) -> Result<Launch> {
        check_content(&self.prompt)?;
        self.check()?;
        let command = self.to_bare_command()?;
        let mut first = BytesMut::new();
        if self.initialize != Initialize::default() || self.agent_name.is_some() {
            let request = Request::Initialize(self.initialize.clone());
            first.extend_from_slice(&request.to_line(INITIALIZE_ID));
        }
        let message = self.prompt.to_line(message_id, !self.expand_prompt);
        let held = match self.agent_name.clone() {
            Some(agent_name) => Some(Held { agent_name, message }),
            None => {
                first.extend_from_slice(&message);
                None
            }
        };
        Ok(Launch { command: command.stdin(Stdin::Open(first.freeze())), held })
    }

    /// Builds the command of a live process: what must be known when it is started, and nothing that may come
    /// later. The prompt, the system prompt, the schema, the agents and the MCP servers of this process are left
    /// out, so invocations that differ only in these give equal commands: the key of a pool.
    ///
    /// # Errors
    ///
    /// As [`to_command`](Self::to_command), but an empty prompt is none.
    pub fn to_live_command(&self) -> Result<Command> {
        Ok(self.to_bare_command()?.stdin(Stdin::Open(Bytes::new())))
    }

    fn to_bare_command(&self) -> Result<Command> {
        let mut command = Command::new(checked("program", &self.program)?);
        command.args = self.to_args()?;
        if let Some(cwd) = &self.cwd {
            command = command.cwd(Path::new(&checked("cwd", cwd.as_os_str())?));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(Error::invalid("env", format!("{name:?} is no name of a variable")));
            }
            command = command.env(name, checked("env", value)?);
        }
        if !self.expand_prompt {
            // Belt and braces beside `client_composed`: either alone keeps `@path` from being read.
            command = command.env("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1");
        }
        Ok(command)
    }

    /// Refuses texts that no session can carry.
    pub(crate) fn check(&self) -> Result<()> {
        let system = [
            ("system_prompt", &self.initialize.system_prompt),
            ("append_system_prompt", &self.initialize.append_system_prompt),
        ];
        for (field, text) in system {
            if text.as_ref().is_some_and(|text| text.contains('\0')) {
                return Err(Error::invalid(field, "must not contain NUL"));
            }
        }
        Ok(())
    }

    fn to_args(&self) -> Result<Vec<OsString>> {
        let mut args = Args(Vec::new());
        args.switch("-p");
        args.value("--input-format", "input_format", "stream-json")?;
        args.value("--output-format", "output_format", "stream-json")?;
        args.switch("--include-partial-messages"); // deltas, not whole blocks
        args.switch("--verbose"); // stream-json under -p demands it
        match &self.session {
            SessionChoice::Ephemeral => args.switch("--no-session-persistence"),
            SessionChoice::New => {}
            SessionChoice::NewWithId(id) => args.value("--session-id", "session_id", id.as_str())?,
            SessionChoice::Resume(id) => args.value("--resume", "session_id", id.as_str())?,
        }
        args.optional("--model", "model", self.model.as_deref())?;
        args.optional("--fallback-model", "fallback_model", self.fallback_model.as_deref())?;
        args.optional("--effort", "effort", self.effort.map(|effort| effort.as_str()))?;
        if self.show_thinking {
            args.value("--thinking-display", "show_thinking", "summarized")?;
        }
        args.optional("--max-turns", "max_turns", self.max_turns.map(|turns| turns.to_string()))?;
        if let Some(dollars) = self.max_budget_usd {
            if !dollars.is_finite() || dollars <= 0.0 {
                return Err(Error::invalid("max_budget_usd", "must be a finite number above 0"));
            }
            args.value("--max-budget-usd", "max_budget_usd", dollars.to_string())?;
        }
        args.optional("--agent", "agent", self.agent_name.as_deref())?;
        args.optional(
            "--permission-mode",
            "permission_mode",
            self.permission_mode.map(|mode| mode.as_str()),
        )?;
        if self.ask_permission {
            args.value("--permission-prompt-tool", "permission_prompt_tool", "stdio")?;
        }
        if let Some(tools) = &self.tools {
            args.list("--tools", "tools", tools)?;
        }
        for (flag, field, rules) in [
            ("--allowedTools", "allowed_tools", &self.allowed_tools),
            ("--disallowedTools", "disallowed_tools", &self.disallowed_tools),
        ] {
            if !rules.is_empty() {
                args.list(flag, field, rules)?;
            }
        }
        for config in &self.mcp_config {
            args.value("--mcp-config", "mcp_config", config)?;
        }
        if self.strict_mcp_config {
            args.switch("--strict-mcp-config");
        }
        if let Some(sources) = &self.setting_sources {
            args.list("--setting-sources", "setting_sources", sources)?;
        }
        if !self.slash_commands && !self.expand_prompt {
            args.switch("--disable-slash-commands");
        }
        for dir in &self.add_dirs {
            args.value("--add-dir", "add_dir", dir.as_os_str())?;
        }
        Ok(args.0)
    }
}

/// Refuses what no turn can carry.
pub(crate) fn check_content(content: &Content) -> Result<()> {
    if content.is_empty() {
        return Err(Error::invalid("prompt", "must not be empty"));
    }
    // JSON could carry a NUL; the shells and files behind tools cannot.
    if content.has_nul() {
        return Err(Error::invalid("prompt", "must not contain NUL"));
    }
    Ok(())
}

/// Arguments in `--flag=value` form: a value that begins with a dash stays a value, and variadic flags
/// swallow nothing.
struct Args(Vec<OsString>);

impl Args {
    fn switch(&mut self, flag: &str) {
        self.0.push(flag.into());
    }

    fn value(&mut self, flag: &str, field: &'static str, value: impl AsRef<OsStr>) -> Result<()> {
        let value = value.as_ref();
        let mut arg = OsString::from(flag);
        arg.push("=");
        arg.push(checked(field, value)?);
        if arg.len() > MAX_ARG_BYTES {
            return Err(Error::invalid(field, format!("longer than the {MAX_ARG_BYTES} bytes argv takes")));
        }
        self.0.push(arg);
        Ok(())
    }

    fn optional(&mut self, flag: &str, field: &'static str, value: Option<impl AsRef<OsStr>>) -> Result<()> {
        match value {
            Some(value) if value.as_ref().is_empty() => Err(Error::invalid(field, "must not be empty")),
            Some(value) => self.value(flag, field, value),
            None => Ok(()),
        }
    }

    fn list(&mut self, flag: &str, field: &'static str, values: &[String]) -> Result<()> {
        self.value(flag, field, values.join(","))
    }
}

/// `value` unless it holds a NUL, which ends a C string.
fn checked(field: &'static str, value: &OsStr) -> Result<OsString> {
    if value.as_encoded_bytes().contains(&0) {
        return Err(Error::invalid(field, "must not contain NUL"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::invocation::PermissionMode;
    use crate::protocol::SessionId;

    const ID: &str = "6f1c1e0a-3a52-4b57-9d7b-0b1f4c2d3e4f";

    fn args(invocation: &Invocation) -> Vec<String> {
        let command = invocation.to_command().unwrap();
        command.args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    const COMMON: [&str; 5] = [
        "-p",
        "--input-format=stream-json",
        "--output-format=stream-json",
        "--include-partial-messages",
        "--verbose",
    ];

    #[test]
    fn conversational_has_no_tools_and_no_settings() {
        let expected = [
            &COMMON[..],
            &[
                "--no-session-persistence",
                "--model=haiku",
                "--tools=",
                "--strict-mcp-config",
                "--setting-sources=",
                "--disable-slash-commands",
            ],
        ]
        .concat();
        assert_eq!(args(&Invocation::conversational("hi").model("haiku")), expected);
    }

    #[test]
    fn agent_takes_what_its_caller_names() {
        let invocation = Invocation::agent("hi")
            .agent_name("recruiter-triage")
            .permission_mode(PermissionMode::BypassPermissions)
            .max_budget_usd(5.0)
            .session(SessionChoice::Resume(SessionId::parse(ID).unwrap()))
            .add_dir("/srv/-odd");
        let expected = [
            &COMMON[..],
            &[
                "--resume=6f1c1e0a-3a52-4b57-9d7b-0b1f4c2d3e4f",
                "--max-budget-usd=5",
                "--agent=recruiter-triage",
                "--permission-mode=bypassPermissions",
                "--disallowedTools=AskUserQuestion,EnterPlanMode,ExitPlanMode",
                "--add-dir=/srv/-odd",
            ],
        ]
        .concat();
        assert_eq!(args(&invocation), expected);
    }

    #[test]
    fn breakglass_asks_a_person() {
        let expected = [
            &COMMON[..],
            &[
                "--permission-mode=default",
                "--permission-prompt-tool=stdio",
                "--tools=Bash,Read,Grep,Glob",
                "--strict-mcp-config",
                "--setting-sources=",
            ],
        ]
        .concat();
        assert_eq!(args(&Invocation::breakglass("hi")), expected);
    }

    #[test]
    fn nothing_a_user_wrote_is_in_argv() {
        let hostile = "--dangerously-skip-permissions";
        let long = "x".repeat(2 * MAX_ARG_BYTES);
        for text in [hostile, "--mcp-config={}", long.as_str()] {
            let invocation = Invocation::conversational(text).system_prompt(text).append_system_prompt(text);
            let command = invocation.to_command().unwrap();
            assert!(command.args.iter().all(|arg| !arg.to_str().unwrap().contains(text)));
            let Stdin::Open(stdin) = command.stdin else { panic!("the prompt travels on stdin") };
            assert_eq!(String::from_utf8(stdin.to_vec()).unwrap().matches(text).count(), 3);
        }
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        let talk = || Invocation::conversational("hi");
        let table = [
            (Invocation::conversational(" \n"), "prompt"),
            (Invocation::agent(Content::Blocks(vec![json!({"type": "text", "text": " "})])), "prompt"),
            (Invocation::agent(Content::Blocks(vec![json!({"type": "text", "text": "a\0b"})])), "prompt"),
            (talk().system_prompt("a\0b"), "system_prompt"),
            (talk().max_budget_usd(f64::NAN), "max_budget_usd"),
            (talk().max_budget_usd(f64::INFINITY), "max_budget_usd"),
            (talk().max_budget_usd(-5.0), "max_budget_usd"),
            (talk().max_budget_usd(0.0), "max_budget_usd"),
            (talk().model("a\0b"), "model"),
            (talk().model(""), "model"),
            (talk().agent_name(""), "agent"),
            (talk().cwd("/a\0b"), "cwd"),
            (talk().env("A=B", "c"), "env"),
            (talk().program("cl\0ude"), "program"),
            (talk().mcp_config("x".repeat(MAX_ARG_BYTES)), "mcp_config"),
        ];
        for (invocation, field) in table {
            assert_eq!(invocation.to_command().unwrap_err().field(), Some(field));
        }
        for id in ["", "x", "--dangerously-x", "6f1c1e0a3a524b579d7b0b1f4c2d3e4f"] {
            assert_eq!(SessionId::parse(id).unwrap_err().field(), Some("session_id"));
        }
    }

    #[test]
    fn a_nul_in_the_prompt_is_refused_as_the_prompt() {
        assert_eq!(Invocation::agent("a\0b").to_command().unwrap_err().field(), Some("prompt"));
    }

    #[test]
    fn a_live_command_is_the_same_for_every_prompt() {
        let talk = |text: &str| Invocation::conversational(text).model("haiku").system_prompt(text);
        let command = talk("").to_live_command().unwrap();
        assert_eq!(command, talk("other").to_live_command().unwrap());
        assert_eq!(command.stdin, Stdin::Open(Bytes::new()));
        assert_ne!(command, talk("").model("opus").to_live_command().unwrap());
    }

    #[test]
    fn equal_invocations_give_equal_commands() {
        let invocation = Invocation::conversational("hi");
        let id = Uuid::nil();
        assert_eq!(invocation.to_command_with(id).unwrap(), invocation.clone().to_command_with(id).unwrap());
    }

    #[test]
    fn the_message_waits_until_the_agent_is_known() {
        let launch = Invocation::agent("do it").agent_name("deploy").to_launch(Uuid::nil()).unwrap();
        let Stdin::Open(first) = launch.command.stdin else { panic!("stdin stays open") };
        assert!(first.ends_with(b"\"request\":{\"subtype\":\"initialize\"}}\n"));
        let message = Content::from("do it").to_line(Uuid::nil(), true);
        assert_eq!(launch.held, Some(Held { agent_name: "deploy".to_owned(), message }));
        assert_eq!(Invocation::agent("do it").to_launch(Uuid::nil()).unwrap().held, None);
    }

    #[test]
    fn expansion_is_a_choice() {
        let verbatim = Invocation::conversational("@/etc/hostname").to_command().unwrap();
        let expanded = Invocation::conversational("@/etc/hostname").expand_prompt(true).to_command().unwrap();
        let mentions_off = OsStr::new("CLAUDE_CODE_DISABLE_FILE_MENTIONS");
        assert!(verbatim.env.contains_key(mentions_off) && !expanded.env.contains_key(mentions_off));
        assert!(!expanded.args.contains(&OsString::from("--disable-slash-commands")));
    }
}
