//! What a control request of the host gets.

use std::process::exit;

use serde_json::{Value, json};

use crate::args::Args;
use crate::host::Host;
use crate::input::{Incoming, User};
use crate::misbehave;
use crate::script::Step;
use crate::session;

/// What succeeds without being looked at.
const ACCEPTED: [&str; 9] = [
    "interrupt",
    "set_model",
    "set_permission_mode",
    "set_max_thinking_tokens",
    "apply_flag_settings",
    "get_settings",
    "mcp_status",
    "stop_task",
    "set_has_subscribers",
];

impl Host {
    /// The steps that come before stdin is read.
    pub(crate) fn begin(&mut self, start: &[Step]) {
        for step in start {
            match step {
                Step::IgnoreInitialize => self.ignores_initialize = true,
                Step::IgnoreInterrupt => self.ignores_interrupt = true,
                Step::IgnoreSigterm => misbehave::ignore_sigterm(),
                Step::Hang => self.hang(),
                Step::Exit(code) => exit(*code),
                Step::Sleep(time) => std::thread::sleep(std::time::Duration::from_millis(*time)),
                _ => self.aside(step),
            }
        }
        self.out.flush();
    }

    /// What comes while no turn is being played.
    pub(crate) fn between_turns(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Control { id, request } => self.control(&id, request),
            Incoming::Assistant(message) => {
                let text = crate::input::text_of(&message["content"]);
                self.session.append("assistant", &text);
            }
            // A response that nobody waits for is dropped.
            Incoming::Response(_) | Incoming::User(_) | Incoming::End => {}
        }
    }

    pub(crate) fn control(&mut self, id: &str, request: Value) {
        let subtype = request["subtype"].as_str().unwrap_or_default().to_owned();
        match subtype.as_str() {
            "initialize" if self.ignores_initialize => {}
            "interrupt" if self.ignores_interrupt => {}
            "initialize" => {
                // The first one counts; a second system prompt changes nothing.
                self.initialize.get_or_insert(request);
                let reply = self.initialized();
                self.out.control_success(id, &reply);
            }
            "interrupt" => self.out.control_success(id, &json!({"still_queued": []})),
            "set_model" => {
                if let Some(model) = request["model"].as_str() {
                    self.model = model.to_owned();
                }
                self.out.control_success(id, &json!({}));
            }
            known if ACCEPTED.contains(&known) => self.out.control_success(id, &json!({})),
            other => self.out.control_error(id, &format!("Unsupported control request subtype: {other}")),
        }
    }

    fn initialized(&self) -> Value {
        let agents = self.agents().into_iter().map(|name| json!({"name": name, "description": ""}));
        json!({
            "commands": [], "agents": agents.collect::<Vec<_>>(), "output_style": "default", "models": [],
            "account": {"apiKeySource": "ANTHROPIC_API_KEY", "apiProvider": "firstParty", "tokenSource": "none"},
            "pid": std::process::id(),
        })
    }

    pub(crate) fn agents(&self) -> Vec<String> {
        let extra = self.initialize.as_ref().map_or(&Value::Null, |request| &request["agents"]);
        session::agents(&self.args, extra)
    }

    /// The `system/init` line that begins a turn.
    pub(crate) fn announce(&mut self) {
        let version = crate::version();
        let version = version.split(' ').next().unwrap_or_default();
        let cwd = std::env::current_dir().unwrap_or_default().display().to_string();
        let tools = tools(&self.args);
        let fields = format!(
            ",\"cwd\":{},\"tools\":{},\"mcp_servers\":[],\"model\":{},\"permissionMode\":{},\"slash_commands\":[],\
             \"apiKeySource\":\"ANTHROPIC_API_KEY\",\"claude_code_version\":\"{version}\",\"output_style\":\"default\",\
             \"agents\":{},\"skills\":[],\"plugins\":[],\"capabilities\":[\"interrupt_receipt_v1\"]",
            json!(cwd),
            json!(tools),
            json!(self.model),
            json!(self.args.permission_mode()),
            json!(self.agents()),
        );
        self.out.system("init", &fields);
    }

    /// `-p` with the prompt as an argument or as text on stdin: no control protocol, and one result.
    pub(crate) fn one_shot(&mut self) -> i32 {
        if let Some(agent) = self.args.value("--agent") {
            let agents = self.agents();
            if !agents.iter().any(|name| name == agent) {
                eprintln!("--agent '{agent}' not found. Available agents: {}", agents.join(", "));
                return 1;
            }
        }
        let prompt = match self.args.positional.first() {
            Some(prompt) => prompt.clone(),
            None => std::io::read_to_string(std::io::stdin()).unwrap_or_default().trim_end().to_owned(),
        };
        if prompt.is_empty() {
            eprintln!(
                "Error: Input must be provided either through stdin or as a prompt argument when using --print"
            );
            return 1;
        }
        self.play_alone(&User::plain(&prompt));
        self.exit_code()
    }
}

fn tools(args: &Args) -> Vec<String> {
    match args.values("--tools") {
        None => ["Task", "Bash", "Edit", "Read", "WebFetch", "Write"].map(str::to_owned).to_vec(),
        Some(values) => {
            let names = values.iter().flat_map(|value| value.split([',', ' ']));
            names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
        }
    }
}
