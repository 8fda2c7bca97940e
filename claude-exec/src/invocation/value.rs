//! The invocation: a value with a builder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde_json::Value;

use super::options::{Deadlines, Effort, PermissionMode, SessionChoice};
use crate::protocol::{Content, Initialize, McpServer};

/// What to ask of the CLI: a plain value; asking twice is asking the same.
///
/// Start from a preset: [`conversational`](Self::conversational), [`agent`](Self::agent) or
/// [`breakglass`](Self::breakglass).
///
/// ```
/// use claude_exec::Invocation;
///
/// let invocation = Invocation::conversational("--version, please").model("haiku");
/// let command = invocation.to_command()?;
/// assert!(command.args.iter().all(|arg| !arg.to_string_lossy().contains("please")));
/// # Ok::<(), claude_exec::Error>(())
/// ```
#[derive(Clone, PartialEq)]
#[must_use]
pub struct Invocation {
    pub(super) program: OsString,
    pub(super) prompt: Content,
    pub(super) expand_prompt: bool,
    pub(super) initialize: Initialize,
    pub(super) mcp_servers: Vec<McpServer>,
    pub(super) session: SessionChoice,
    pub(super) model: Option<String>,
    pub(super) fallback_model: Option<String>,
    pub(super) effort: Option<Effort>,
    pub(super) show_thinking: bool,
    pub(super) max_turns: Option<NonZeroU32>,
    pub(super) max_budget_usd: Option<f64>,
    pub(super) agent_name: Option<String>,
    pub(super) permission_mode: Option<PermissionMode>,
    pub(super) ask_permission: bool,
    pub(super) tools: Option<Vec<String>>,
    pub(super) allowed_tools: Vec<String>,
    pub(super) disallowed_tools: Vec<String>,
    pub(super) mcp_config: Vec<String>,
    pub(super) strict_mcp_config: bool,
    pub(super) setting_sources: Option<Vec<String>>,
    pub(super) slash_commands: bool,
    pub(super) add_dirs: Vec<PathBuf>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) env: BTreeMap<String, OsString>,
    pub(super) deadlines: Deadlines,
}

impl Invocation {
    pub(super) fn new(prompt: Content, deadlines: Deadlines) -> Self {
        Self {
            program: OsString::from("claude"),
            prompt,
            expand_prompt: false,
            initialize: Initialize::default(),
            mcp_servers: Vec::new(),
            session: SessionChoice::default(),
            model: None,
            fallback_model: None,
            effort: None,
            show_thinking: false,
            max_turns: None,
            max_budget_usd: None,
            agent_name: None,
            permission_mode: None,
            ask_permission: false,
            tools: None,
            allowed_tools: Vec::new(),
            disallowed_tools: Vec::new(),
            mcp_config: Vec::new(),
            strict_mcp_config: false,
            setting_sources: None,
            slash_commands: true,
            add_dirs: Vec::new(),
            cwd: None,
            env: BTreeMap::new(),
            deadlines,
        }
    }

    /// Sets the CLI's program. Default is `claude`, looked up in the executor's `PATH`.
    pub fn program(mut self, program: impl Into<OsString>) -> Self {
        self.program = program.into();
        self
    }

    /// Replaces the prompt.
    pub fn prompt(mut self, prompt: impl Into<Content>) -> Self {
        self.prompt = prompt.into();
        self
    }

    /// Lets the CLI expand `@file` and run `/command` in the prompt. Default is verbatim.
    ///
    /// Only for a prompt that a trusted person wrote: `@/etc/passwd` sends that file to the model.
    pub fn expand_prompt(mut self, expand: bool) -> Self {
        self.expand_prompt = expand;
        self
    }

    /// Replaces the system prompt.
    pub fn system_prompt(mut self, text: impl Into<String>) -> Self {
        self.initialize.system_prompt = Some(text.into());
        self
    }

    /// Adds to the CLI's own system prompt.
    pub fn append_system_prompt(mut self, text: impl Into<String>) -> Self {
        self.initialize.append_system_prompt = Some(text.into());
        self
    }

    /// Asks for JSON that fits `schema`; it comes as [`Outcome::structured_output`].
    ///
    /// [`Outcome::structured_output`]: crate::protocol::Outcome::structured_output
    pub fn json_schema(mut self, schema: Value) -> Self {
        self.initialize.json_schema = Some(schema);
        self
    }

    /// Defines agents by name, in the form of the CLI's `--agents`.
    pub fn agents(mut self, agents: Value) -> Self {
        self.initialize.agents = Some(agents);
        self
    }

    /// Adds an MCP server that lives in this process. Its handshake is answered for you; each call of a tool comes
    /// as an [`Event::ControlRequest`] to be read with [`McpCall::read`] and answered. Let the tools run by the rule
    /// `mcp__<name>` in [`allowed_tools`](Self::allowed_tools).
    ///
    /// [`Event::ControlRequest`]: crate::protocol::Event::ControlRequest
    /// [`McpCall::read`]: crate::protocol::McpCall::read
    pub fn mcp_server(mut self, server: McpServer) -> Self {
        self.initialize.sdk_mcp_servers.push(server.name.clone());
        self.mcp_servers.push(server);
        self
    }

    /// Chooses the session. The conversational default is none that is kept, the agents' a new one.
    pub fn session(mut self, session: SessionChoice) -> Self {
        self.session = session;
        self
    }

    /// Sets the model: an alias such as `sonnet`, or a full name. The CLI passes any name on to the API.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Sets the models to fall back to, comma-separated.
    pub fn fallback_model(mut self, names: impl Into<String>) -> Self {
        self.fallback_model = Some(names.into());
        self
    }

    /// Sets how hard the model thinks.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Has the model tell what it thinks, in summary, as [`Event::Thinking`]. Without it newer models tell little or
    /// nothing of it.
    ///
    /// [`Event::Thinking`]: crate::protocol::Event::Thinking
    pub fn show_thinking(mut self, show: bool) -> Self {
        self.show_thinking = show;
        self
    }

    /// Bounds the requests to the model in this turn.
    pub fn max_turns(mut self, turns: NonZeroU32) -> Self {
        self.max_turns = Some(turns);
        self
    }

    /// Bounds the cost in US dollars. Must be finite and above 0.
    pub fn max_budget_usd(mut self, dollars: f64) -> Self {
        self.max_budget_usd = Some(dollars);
        self
    }

    /// Runs as the agent of this name. The CLI exits with an error when it does not know it.
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.agent_name = Some(name.into());
        self
    }

    /// Sets which tools run without asking.
    pub fn permission_mode(mut self, mode: PermissionMode) -> Self {
        self.permission_mode = Some(mode);
        self
    }

    /// Has the CLI ask us before a tool runs, as [`Event::ControlRequest`]. Default is to refuse what no rule
    /// allows, since nobody is there to ask.
    ///
    /// [`Event::ControlRequest`]: crate::protocol::Event::ControlRequest
    pub fn ask_permission(mut self, ask: bool) -> Self {
        self.ask_permission = ask;
        self
    }

    /// Offers the model these built-in tools only; an empty list means none at all.
    pub fn tools<I>(mut self, tools: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Lets tools run without asking, by rule, such as `Bash(git *)`.
    pub fn allowed_tools<I>(mut self, rules: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.allowed_tools.extend(rules.into_iter().map(Into::into));
        self
    }

    /// Refuses tools by rule.
    pub fn disallowed_tools<I>(mut self, rules: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.disallowed_tools.extend(rules.into_iter().map(Into::into));
        self
    }

    /// Adds MCP servers: a path to a file, or JSON. JSON stands in argv, where other users of the machine can
    /// read it: put secrets in a file.
    pub fn mcp_config(mut self, file_or_json: impl Into<String>) -> Self {
        self.mcp_config.push(file_or_json.into());
        self
    }

    /// Uses the MCP servers of [`mcp_config`](Self::mcp_config) only.
    pub fn strict_mcp_config(mut self, strict: bool) -> Self {
        self.strict_mcp_config = strict;
        self
    }

    /// Reads settings from these sources only (`user`, `project`, `local`); an empty list means none.
    pub fn setting_sources<I>(mut self, sources: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.setting_sources = Some(sources.into_iter().map(Into::into).collect());
        self
    }

    /// Lets tools work in one more directory.
    pub fn add_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.add_dirs.push(dir.into());
        self
    }

    /// Sets the working directory. It decides where sessions are kept: resume in the same one.
    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    /// Sets a variable of the CLI's environment.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Leaves out the environment block and every credential but an API key (`CLAUDE_CODE_SIMPLE=1`): half the
    /// request, and logins are never read.
    pub fn api_key_only(self) -> Self {
        self.env("CLAUDE_CODE_SIMPLE", "1")
    }

    /// Sets the time limits.
    pub fn deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }

    /// The time limits.
    pub fn get_deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// What the session is opened with.
    pub fn get_initialize(&self) -> &Initialize {
        &self.initialize
    }

    /// The agent's name.
    pub fn get_agent_name(&self) -> Option<&str> {
        self.agent_name.as_deref()
    }

    /// Without what `initialize` carries.
    #[cfg(feature = "runtime")]
    pub(crate) fn uninitialized(mut self) -> Self {
        (self.initialize, self.mcp_servers) = Default::default();
        self
    }

    /// The variables that it sets.
    pub fn get_env(&self) -> &BTreeMap<String, OsString> {
        &self.env
    }

    /// True when the prompt reaches the model as it is.
    pub fn is_verbatim(&self) -> bool {
        !self.expand_prompt
    }

    /// The MCP servers of this process.
    pub fn get_mcp_servers(&self) -> &[McpServer] {
        &self.mcp_servers
    }

    /// The session.
    pub fn get_session(&self) -> &SessionChoice {
        &self.session
    }

    /// The working directory.
    pub fn get_cwd(&self) -> Option<&std::path::Path> {
        self.cwd.as_deref()
    }
}

/// Shows names and sizes: never a prompt, a variable's value or an MCP server's configuration.
impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("program", &self.program)
            .field("prompt", &self.prompt)
            .field("initialize", &self.initialize)
            .field("session", &self.session)
            .field("model", &self.model)
            .field("agent_name", &self.agent_name)
            .field("permission_mode", &self.permission_mode)
            .field("tools", &self.tools)
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("deadlines", &self.deadlines)
            .finish_non_exhaustive()
    }
}
