//! The presets: plain values, with the reason for each flag.

use std::time::Duration;

use super::options::{Deadlines, PermissionMode, SessionChoice};
use super::value::Invocation;
use crate::protocol::Content;

/// The system prompt of the conversational preset: an answer that is read aloud.
pub const SPOKEN_SYSTEM_PROMPT: &str = "\
You are a voice assistant. What you write is spoken aloud, so write the way a person talks.
Reply in the language of the latest message: in Bulgarian to Bulgarian, in English to English.
One to three short sentences, plain text only. Never use Markdown, lists, tables, links, code, emoji or headings.
Write numbers, times and units as they are pronounced.
You have no tools and cannot look anything up or change anything; when that is asked of you, say so in a few words.
If you did not understand, ask one short question.";

/// A spoken answer that takes longer is no answer.
const CONVERSATION_LIMIT: Duration = Duration::from_secs(120);

/// The original service's limit for an agent's run.
const AGENT_LIMIT: Duration = Duration::from_secs(2700);

/// The original service's limit for an emergency turn.
const BREAKGLASS_LIMIT: Duration = Duration::from_secs(1800);

impl Invocation {
    /// A turn of talk: no tools, lean context, no session files.
    ///
    /// | what | why |
    /// |---|---|
    /// | `--tools=` | no tools means none, enforced here and not by an agent file that may be missing |
    /// | `--strict-mcp-config` | no MCP server of the user's brings tools back in |
    /// | `--setting-sources=` | no settings, hooks, memory files or agents of the machine |
    /// | `--disable-slash-commands` | no skill or command is listed to the model |
    /// | `--no-session-persistence` | nothing is kept unless [`session`](Self::session) asks for it |
    /// | `CLAUDE_CODE_DISABLE_THINKING=1` | the first word comes at once; no other switch works on every model |
    /// | `CLAUDE_CODE_MAX_RETRIES=3` | a listener waits seconds, not the minutes of ten retries |
    ///
    /// The system prompt is [`SPOKEN_SYSTEM_PROMPT`] until [`system_prompt`](Self::system_prompt) replaces it.
    /// 120 s in all.
    pub fn conversational(prompt: impl Into<Content>) -> Self {
        let mut invocation = Self::new(prompt.into(), Deadlines::within(CONVERSATION_LIMIT))
            .system_prompt(SPOKEN_SYSTEM_PROMPT)
            .tools::<[&str; 0]>([])
            .strict_mcp_config(true)
            .setting_sources::<[&str; 0]>([])
            .env("CLAUDE_CODE_DISABLE_THINKING", "1")
            .env("CLAUDE_CODE_MAX_RETRIES", "3");
        invocation.slash_commands = false;
        invocation
    }

    /// An unattended piece of work with tools: the CLI's own system prompt, settings and agents.
    ///
    /// | what | why |
    /// |---|---|
    /// | permission mode unset | the CLI's default asks, and unattended asking is refusing: widening it is the caller's word |
    /// | `AskUserQuestion`, `EnterPlanMode`, `ExitPlanMode` refused | nobody is there to answer; the run would hang or end |
    /// | `CLAUDE_CODE_DISABLE_BACKGROUND_TASKS=1` | the turn ends at its result; what ran on behind it would be killed |
    /// | a kept session | it can be looked at, and resumed, after the run |
    ///
    /// 2,700 s in all.
    pub fn agent(prompt: impl Into<Content>) -> Self {
        Self::new(prompt.into(), Deadlines::within(AGENT_LIMIT))
            .session(SessionChoice::New)
            .disallowed_tools(["AskUserQuestion", "EnterPlanMode", "ExitPlanMode"])
            .env("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "1")
    }

    /// An emergency turn that a person follows: tools, and every use of one that no rule allows is asked for.
    ///
    /// | what | why |
    /// |---|---|
    /// | `--tools=Bash,Read,Grep,Glob` | what a diagnosis over ssh needs |
    /// | `--permission-prompt-tool=stdio` | each command is shown to a person first |
    /// | `--strict-mcp-config`, `--setting-sources=` | no rule or hook of the machine answers in that person's place |
    ///
    /// 1,800 s in all.
    pub fn breakglass(prompt: impl Into<Content>) -> Self {
        Self::new(prompt.into(), Deadlines::within(BREAKGLASS_LIMIT))
            .session(SessionChoice::New)
            .tools(["Bash", "Read", "Grep", "Glob"])
            .permission_mode(PermissionMode::Default)
            .ask_permission(true)
            .strict_mcp_config(true)
            .setting_sources::<[&str; 0]>([])
    }
}
