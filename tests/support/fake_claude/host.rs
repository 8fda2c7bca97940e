//! The process, for all its turns.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::args::Args;
use crate::input::{Input, User};
use crate::lines::{Out, quoted};
use crate::script::{Script, Step};
use crate::session::Session;
use crate::turn::{Ending, Turn};

pub(crate) struct Host {
    pub(crate) args: Args,
    pub(crate) session: Session,
    pub(crate) out: Out,
    pub(crate) model: String,
    pub(crate) initialize: Option<Value>,
    pub(crate) ignores_initialize: bool,
    pub(crate) ignores_interrupt: bool,
    argv: Vec<String>,
    script: Script,
    pub(crate) turns: usize,
    results: usize,
    pub(crate) failed: bool,
}

impl Host {
    pub(crate) fn new(args: Args, session: Session, argv: Vec<String>) -> Self {
        let model = match args.value("--model") {
            None => "claude-opus-5-5",
            Some("haiku") => "claude-haiku-4-5",
            Some("sonnet") => "claude-sonnet-5",
            Some("opus") => "claude-opus-5-5",
            Some(other) => other,
        };
        Self {
            model: model.to_owned(),
            out: Out::new(&session.id),
            args,
            session,
            argv,
            initialize: None,
            ignores_initialize: false,
            ignores_interrupt: false,
            script: Script::of_environment(),
            turns: 0,
            results: 0,
            failed: false,
        }
    }

    pub(crate) fn exit_code(&self) -> i32 {
        i32::from(self.failed)
    }

    pub(crate) fn turn(&mut self, user: &User, input: &mut Input) {
        self.lifecycle(user, &["queued", "started"]);
        if user.queries() {
            self.play(user, Some(input));
        } else {
            self.session.append("user", &user.text);
            self.result(&Ending::default(), "", 0);
        }
        self.lifecycle(user, &["completed"]);
        self.out.flush();
    }

    pub(crate) fn play_alone(&mut self, user: &User) {
        self.play(user, None);
        self.out.flush();
    }

    fn play(&mut self, user: &User, input: Option<&mut Input>) {
        let steps = self.script.steps(self.turns, &user.text);
        self.turns += 1;
        // A recording has its own beginning.
        if !matches!(steps[..], [Step::Play(_), ..]) {
            self.announce();
            self.requesting();
        }
        self.out.flush();
        Turn::new(self, input, user).play(&steps);
    }

    /// A message that carries a uuid is followed through its life.
    fn lifecycle(&mut self, user: &User, states: &[&str]) {
        for command in &user.uuids {
            for state in states {
                let uuid = self.out.uuid();
                let session = self.out.session.clone();
                self.out.line(format!(
                    "{{\"type\":\"command_lifecycle\",\"command_uuid\":{},\"state\":\"{state}\",\"uuid\":\"{uuid}\",\
                     \"session_id\":\"{session}\"}}",
                    quoted(command)
                ));
            }
        }
    }

    pub(crate) fn requesting(&mut self) {
        if self.partial() {
            self.out.system("status", ",\"status\":\"requesting\"");
        }
    }

    pub(crate) fn partial(&self) -> bool {
        self.args.has("--include-partial-messages")
    }

    pub(crate) fn event(&mut self, event: &str, message: &str) {
        if self.partial() {
            self.out.event(event, message, None);
        }
    }

    pub(crate) fn hang(&mut self) -> ! {
        self.out.flush();
        loop {
            std::thread::park();
        }
    }

    pub(crate) fn result(&mut self, ending: &Ending, text: &str, rounds: usize) {
        let subtype = ending.subtype.as_deref().unwrap_or("success");
        let is_error = ending.error.is_some() || subtype != "success";
        self.failed = is_error;
        let status = ending.error.as_ref().map_or("null".to_owned(), |(status, _)| status.to_string());
        let mut extra = String::new();
        if subtype == "success" {
            let text = ending.error.as_ref().map_or(text, |(_, text)| text);
            extra.push_str(&format!(",\"result\":{}", quoted(if ending.empty { "" } else { text })));
        } else {
            extra.push_str(&format!(",\"errors\":[{}]", quoted(subtype)));
        }
        if let Some(structured) = &ending.structured {
            extra.push_str(&format!(",\"structured_output\":{structured}"));
        }
        let terminal = match subtype {
            "error_during_execution" => "aborted_streaming",
            "error_max_turns" => "max_turns",
            "error_max_budget_usd" => "budget_exhausted",
            _ if is_error => "api_error",
            _ => "completed",
        };
        let (index, uuid, session) = (self.results, self.out.uuid(), self.out.session.clone());
        self.results += 1;
        // The cost adds up over the turns of a process; the usage does not.
        let cost = 0.0001 * self.turns as f64;
        self.out.line(format!(
            "{{\"duration_api_ms\":1,\"stop_reason\":{stop},\"session_id\":\"{session}\",\"total_cost_usd\":{cost:.4},\
             \"usage\":{{\"input_tokens\":10,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\
             \"output_tokens\":7}},\"modelUsage\":{{}},\"model_usage_since_last_result\":{{\"fake\":{{\"inputTokens\":10,\
             \"outputTokens\":7,\"cacheReadInputTokens\":0,\"cacheCreationInputTokens\":0,\"costUSD\":0.0001}}}},\"permission_denials\":[{denials}],\"terminal_reason\":\
             \"{terminal}\",\"is_error\":{is_error},\"num_turns\":{rounds},\"subtype\":\"{subtype}\",\
             \"api_error_status\":{status}{extra},\"ttft_ms\":1,\"type\":\"result\",\"duration_ms\":2,\"uuid\":\"{uuid}\",\
             \"queued_turn_count\":0,\"result_index\":{index}}}",
            stop = ending.stop.as_deref().map_or("\"end_turn\"".to_owned(), quoted),
            denials = ending.denials.join(","),
        ));
        self.out.flush();
    }

    /// The message that stands for an API error.
    pub(crate) fn synthetic(&mut self, content: &str, status: u16) {
        let (uuid, session) = (self.out.uuid(), self.out.session.clone());
        let error = match status {
            401 | 403 => "authentication_failed",
            404 => "model_not_found",
            413 => "invalid_request",
            429 => "rate_limit",
            500.. => "server_error",
            _ => "unknown",
        };
        self.out.line(format!(
            "{{\"type\":\"assistant\",\"message\":{{\"id\":\"{uuid}\",\"container\":null,\"model\":\"<synthetic>\",\
             \"role\":\"assistant\",\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"\",\"type\":\"message\",\
             \"usage\":{{\"input_tokens\":0,\"output_tokens\":0}},\"content\":{content}}},\"parent_tool_use_id\":null,\
             \"session_id\":\"{session}\",\"uuid\":\"{uuid}\",\"error\":\"{error}\",\"is_api_error_message\":true,\
             \"api_error_status\":{status}}}"
        ));
    }

    /// Everything a test may want to know of how this process was started.
    pub(crate) fn report(&self, user: &User) -> String {
        let environment: HashMap<String, String> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        let descriptors = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let open = descriptors.filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            Some(format!("{} {}", entry.file_name().to_string_lossy(), target.display()))
        });
        json!({
            "argv": self.argv, "cwd": std::env::current_dir().unwrap_or_default(), "env": environment,
            "fds": open.collect::<Vec<_>>(), "initialize": self.initialize, "pid": std::process::id(),
            "session_id": self.session.id, "user": user.raw,
        })
        .to_string()
    }
}
