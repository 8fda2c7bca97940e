//! Messages and their content blocks.

use std::ops::ControlFlow::{Break, Continue};

use serde_json::Value;

use crate::input::Incoming;
use crate::lines::{self, quoted};
use crate::script::{Step, words};
use crate::turn::{Ending, Flow, Interrupted, Turn};

impl Turn<'_> {
    pub(crate) fn text<'t>(&mut self, parts: impl Iterator<Item = &'t str>) -> Flow {
        self.open("text", r#"{"type":"text","text":""}"#);
        for part in parts {
            self.text.push_str(part);
            self.delta("text_delta", "text", part)?;
        }
        Continue(())
    }

    pub(crate) fn words(&mut self, count: usize) -> Flow {
        let words: Vec<String> = words(count).collect();
        self.text(words.iter().map(String::as_str))
    }

    pub(crate) fn thinking(&mut self, count: usize) -> Flow {
        self.open("thinking", r#"{"type":"thinking","thinking":"","signature":""}"#);
        for (n, word) in words(count).enumerate() {
            let tokens = n + 1;
            let fields = format!(",\"estimated_tokens\":{tokens},\"estimated_tokens_delta\":1");
            self.host.out.system("thinking_tokens", &fields);
            self.text.push_str(&word);
            self.delta("thinking_delta", "thinking", &word)?;
        }
        self.delta("signature_delta", "signature", "c2ln")?;
        self.close_block();
        Continue(())
    }

    /// A call, its result and the end of the message. With `ask` the host decides, if it said that it would.
    pub(crate) fn tool(&mut self, name: &str, input: &str, ask: bool) -> Flow {
        self.close_block();
        let message = self.message();
        let id = format!("toolu_{}_{}", message.trim_start_matches("msg_"), self.index);
        let block =
            format!("{{\"type\":\"tool_use\",\"id\":\"{id}\",\"name\":{},\"input\":{{}}}}", quoted(name));
        self.open("tool_use", &block);
        self.text =
            format!("{{\"type\":\"tool_use\",\"id\":\"{id}\",\"name\":{},\"input\":{input}}}", quoted(name));
        self.delta("input_json_delta", "partial_json", input)?;
        self.close_message(Some("tool_use"));
        let verdict = if ask { self.ask(name, input, &id)? } else { Ok("ran".to_owned()) };
        let (text, is_error) = match verdict {
            Ok(text) => (text, false),
            Err(text) => {
                self.ending.denials.push(format!(
                    "{{\"tool_name\":{},\"tool_use_id\":\"{id}\",\"tool_input\":{input}}}",
                    quoted(name)
                ));
                (text, true)
            }
        };
        let content = format!(
            "[{{\"tool_use_id\":\"{id}\",\"type\":\"tool_result\",\"content\":{},\"is_error\":{is_error}}}]",
            quoted(&text)
        );
        self.host.out.user(&content, "");
        self.host.requesting();
        self.needs_answer = true;
        Continue(())
    }

    /// Asks the host and waits for its word; without a host that answers, the call is denied.
    fn ask(
        &mut self,
        name: &str,
        input: &str,
        tool_use: &str,
    ) -> std::ops::ControlFlow<Interrupted, Verdict> {
        if self.host.args.value("--permission-prompt-tool") != Some("stdio") {
            return Continue(Err(format!("{name} needs approval.")));
        }
        let id = self.host.out.uuid();
        self.host.out.line(format!(
            "{{\"type\":\"control_request\",\"request_id\":\"{id}\",\"request\":{{\"subtype\":\"can_use_tool\",\"tool_name\":{name},\
             \"display_name\":{name},\"input\":{input},\"description\":\"\",\"permission_suggestions\":[],\
             \"tool_use_id\":\"{tool_use}\"}}}}",
            name = quoted(name),
        ));
        self.host.out.flush();
        loop {
            let long = std::time::Duration::from_secs(3600);
            match self.input.as_deref_mut().and_then(|input| input.control(long)) {
                Some(Incoming::Response(response)) if response["request_id"] == id.as_str() => {
                    let answer = &response["response"];
                    return Continue(match answer["behavior"].as_str() {
                        Some("allow") => Ok(format!("ran {}", answer["updatedInput"])),
                        _ => Err(answer["message"].as_str().unwrap_or("denied").to_owned()),
                    });
                }
                Some(incoming) => {
                    if let Break(interrupted) = self.control(incoming) {
                        return Break(interrupted);
                    }
                }
                None => {}
            }
        }
    }

    /// Deltas that turn out void.
    pub(crate) fn abandon(&mut self, count: usize) -> Flow {
        self.words(count)?;
        let message = self.message();
        let stop = lines::block_stop(self.index);
        self.host.event(&stop, &message);
        if self.host.partial() {
            let (uuid, session, index) = (self.host.out.uuid(), self.host.out.session.clone(), self.index);
            self.host.out.line(format!(
                "{{\"type\":\"stream_event\",\"event\":{{\"type\":\"message_stop\"}},\"session_id\":\"{session}\",\
                 \"parent_tool_use_id\":null,\"uuid\":\"{uuid}\",\"api_message_id\":\"{message}\",\"abandoned_blocks\":\
                 {{\"api_message_id\":\"{message}\",\"from_block_index\":{index}}}}}"
            ));
        }
        self.block = None;
        self.message = None;
        self.rounds -= 1; // what is void does not count as a turn
        Continue(())
    }

    /// Void deltas, then the answer at once, under another id and without deltas.
    pub(crate) fn restart(&mut self, count: usize, text: &str) -> Flow {
        self.abandon(count)?;
        let (id, model) = (self.host.out.message_id(), self.host.model.clone());
        let content = format!("[{}]", lines::text_block(text));
        self.host.out.assistant(&content, &id, &model, None);
        text.clone_into(&mut self.text);
        Continue(())
    }

    /// A subagent's words, which are none of the answer's.
    pub(crate) fn subagent(&mut self, count: usize) {
        let parent = Some("toolu_subagent");
        let (id, model) = (self.host.out.message_id(), self.host.model.clone());
        let words: Vec<String> = words(count).map(|word| format!("sub{word}")).collect();
        if self.host.partial() {
            self.host.out.event(&lines::message_start(&id, &model), &id, parent);
            self.host.out.event(&lines::block_start(0, r#"{"type":"text","text":""}"#), &id, parent);
            for word in &words {
                self.host.out.event(&lines::delta(0, "text_delta", "text", word), &id, parent);
            }
            self.host.out.event(&lines::block_stop(0), &id, parent);
        }
        let content = format!("[{}]", lines::text_block(&words.concat()));
        self.host.out.assistant(&content, &id, &model, parent);
    }

    /// This turn's lines of the recording, up to its `result`, as they are; without the answers to the control
    /// requests of whoever was recorded.
    pub(crate) fn play_recording(&mut self, path: &str) {
        let recording = std::fs::read(path).unwrap_or_else(|error| {
            eprintln!("fake-claude: {path}: {error}");
            std::process::exit(70)
        });
        self.ending.none = true;
        let mut turn = 1;
        for line in recording.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let value: Value = serde_json::from_slice(line).unwrap_or_default();
            if turn == self.host.turns && value["type"] != "control_response" {
                self.host.out.line(line);
            }
            if value["type"] == "result" {
                if turn == self.host.turns {
                    self.host.failed = value["is_error"] == true;
                }
                turn += 1;
            }
        }
    }

    fn message(&mut self) -> String {
        if let Some(message) = &self.message {
            return message.clone();
        }
        let id = self.host.out.message_id();
        let start = lines::message_start(&id, &self.host.model);
        self.host.event(&start, &id);
        self.message = Some(id.clone());
        self.needs_answer = false;
        self.index = 0;
        self.rounds += 1;
        id
    }

    fn open(&mut self, kind: &'static str, block: &str) {
        if self.block == Some(kind) {
            return;
        }
        self.close_block();
        let message = self.message();
        self.block = Some(kind);
        self.text.clear();
        let start = lines::block_start(self.index, block);
        self.host.event(&start, &message);
    }

    fn delta(&mut self, kind: &str, field: &str, text: &str) -> Flow {
        if self.deltas > 0 && !self.pace.is_zero() {
            self.wait(self.pace)?;
        } else if self.deltas.is_multiple_of(64) {
            self.check()?;
        }
        self.deltas += 1;
        let message = self.message.take().unwrap_or_default();
        let delta = lines::delta(self.index, kind, field, text);
        self.host.event(&delta, &message);
        self.message = Some(message);
        Continue(())
    }

    /// The block as a whole, before its `content_block_stop`, as the real one has it.
    pub(crate) fn close_block(&mut self) {
        let (Some(kind), Some(message)) = (self.block.take(), self.message.clone()) else { return };
        self.whole(kind, &message);
        let stop = lines::block_stop(self.index);
        self.host.event(&stop, &message);
        self.index += 1;
    }

    fn whole(&mut self, kind: &str, message: &str) {
        let block = match kind {
            "thinking" => {
                format!(
                    "{{\"type\":\"thinking\",\"thinking\":{},\"signature\":\"c2ln\"}}",
                    quoted(&self.text)
                )
            }
            "tool_use" => self.text.clone(),
            _ => lines::text_block(&self.text),
        };
        let model = self.host.model.clone();
        self.host.out.assistant(&format!("[{block}]"), message, &model, None);
    }

    fn close_message(&mut self, stop: Option<&str>) {
        self.close_block();
        let Some(message) = self.message.take() else { return };
        let delta = lines::message_delta(stop, self.deltas);
        self.host.event(&delta, &message);
        self.host.event(r#"{"type":"message_stop"}"#, &message);
    }

    pub(crate) fn complete(mut self) {
        if self.needs_answer {
            // A tool's result is answered, as the real model would.
            let _ = self.step(&Step::Text(vec!["done".to_owned()]));
        }
        if let Some((status, text)) = &self.ending.error {
            let (content, status) = (format!("[{}]", lines::text_block(text)), *status);
            self.close_message(None);
            self.host.synthetic(&content, status);
        }
        let stop = self.ending.stop.clone().unwrap_or_else(|| "end_turn".to_owned());
        self.close_message(Some(&stop));
        self.finish();
    }

    /// The order of the real one: what there was as a whole, the synthetic user message, the stops, the result.
    pub(crate) fn interrupted(mut self) {
        let block = self.block.take();
        let message = self.message.take();
        if let (Some(kind), Some(message)) = (block, &message) {
            self.whole(kind, message);
        }
        self.host.out.user(r#"[{"type":"text","text":"[Request interrupted by user]"}]"#, "");
        if let Some(message) = &message {
            if block.is_some() {
                let stop = lines::block_stop(self.index);
                self.host.event(&stop, message);
            }
            let delta = lines::message_delta(None, self.deltas);
            self.host.event(&delta, message);
            self.host.event(r#"{"type":"message_stop"}"#, message);
        }
        let denials = std::mem::take(&mut self.ending.denials);
        let subtype = Some("error_during_execution".to_owned());
        self.ending = Ending { subtype, denials, ..Ending::default() };
        self.finish();
    }

    fn finish(self) {
        let text = self.text;
        self.host.session.append("user", &self.user.text);
        self.host.session.append("assistant", &text);
        if !self.ending.none {
            self.host.result(&self.ending, &text, self.rounds.max(1));
        }
        self.host.out.flush();
    }
}

/// What a tool that was asked for answered, or why it did not run.
type Verdict = Result<String, String>;
