//! The steps that need no message around them.

use crate::host::Host;
use crate::lines;
use crate::misbehave;
use crate::script::Step;

impl Host {
    pub(crate) fn aside(&mut self, step: &Step) {
        match step {
            Step::Stderr(bytes) => {
                self.out.flush();
                misbehave::stderr(*bytes);
            }
            Step::StderrText(text) => eprintln!("{text}"),
            Step::Raw(text) => self.out.line(text),
            Step::NotObjects => {
                for line in
                    ["[SandboxDebug] hello", "null", "42", "\"text\"", "[1,2]", "", "  ", "{\"type\":"]
                {
                    self.out.line(line);
                }
            }
            Step::BadUtf8 => {
                let event = lines::delta(0, "text_delta", "text", "BAD");
                let line =
                    format!("{{\"type\":\"stream_event\",\"event\":{event},\"parent_tool_use_id\":null}}");
                let (before, after) = line.split_once("BAD").unwrap_or((&line, ""));
                self.out.line([before.as_bytes(), &[0xff, 0xc3, 0x28], after.as_bytes()].concat());
            }
            Step::NullMessage => {
                self.out.line(r#"{"type":"assistant","message":null,"parent_tool_use_id":null}"#);
                self.out.line(r#"{"type":"user","message":null,"parent_tool_use_id":null}"#);
                self.out.line(r#"{"type":"stream_event","event":null}"#);
            }
            Step::UnknownTypes => {
                for line in [
                    r#"{"type":"brand_new","payload":{"type":"result"}}"#,
                    r#"{"type":"system","subtype":"brand_new"}"#,
                    r#"{"type":"stream_event","event":{"type":"brand_new"}}"#,
                    r#"{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"brand_new_delta"}}}"#,
                    r#"{"type":7}"#,
                    r#"{"no":"type"}"#,
                ] {
                    self.out.line(line);
                }
            }
            Step::Crlf => self.out.crlf(),
            Step::RateLimit => {
                let (uuid, session) = (self.out.uuid(), self.out.session.clone());
                self.out.line(format!(
                    "{{\"type\":\"rate_limit_event\",\"rate_limit_info\":{{\"status\":\"allowed\",\"resetsAt\":1778598000,\
                     \"rateLimitType\":\"five_hour\",\"overageStatus\":\"allowed\",\"isUsingOverage\":false}},\
                     \"uuid\":\"{uuid}\",\"session_id\":\"{session}\"}}"
                ));
            }
            Step::ApiRetry { status, times } => {
                let error = match status {
                    401 => "authentication_failed",
                    429 => "rate_limit",
                    529 => "overloaded",
                    0 => "unknown", // no HTTP status: the connection broke
                    _ => "server_error",
                };
                let status = if *status == 0 { "null".to_owned() } else { status.to_string() };
                for attempt in 1..=*times {
                    let fields = format!(
                        ",\"attempt\":{attempt},\"max_retries\":10,\"retry_delay_ms\":{},\"error_status\":{status},\
                         \"error\":\"{error}\"",
                        500 << attempt.min(6)
                    );
                    self.out.system("api_retry", &fields);
                }
            }
            Step::Touch(path) => {
                // A rendezvous that cannot be made shows in the test that waits for it.
                let _ = std::fs::write(path, "");
            }
            Step::Abort => {
                self.out.flush();
                std::process::abort()
            }
            Step::CloseStdout => {
                self.out.flush();
                misbehave::close_stdout();
            }
            Step::Grandchild => misbehave::spawn_sleeper(false),
            Step::Detached => misbehave::spawn_sleeper(true),
            _ => {}
        }
    }
}
