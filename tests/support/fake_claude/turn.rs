//! One turn: a script played as the lines of a real one.

use std::ops::ControlFlow::{self, Break, Continue};
use std::process::exit;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::Host;
use crate::input::{Incoming, Input, User};
use crate::lines::quoted;
use crate::misbehave;
use crate::script::Step;

/// The user interrupted.
pub(crate) struct Interrupted;

pub(crate) type Flow = ControlFlow<Interrupted>;

/// How the turn ends, so far.
#[derive(Default)]
pub(crate) struct Ending {
    pub(crate) subtype: Option<String>,
    pub(crate) error: Option<(u16, String)>,
    pub(crate) stop: Option<String>,
    pub(crate) structured: Option<String>,
    pub(crate) empty: bool,
    pub(crate) none: bool,
    pub(crate) denials: Vec<String>,
}

pub(crate) struct Turn<'a> {
    pub(crate) host: &'a mut Host,
    pub(crate) input: Option<&'a mut Input>,
    pub(crate) user: &'a User,
    pub(crate) message: Option<String>,
    pub(crate) block: Option<&'static str>,
    pub(crate) index: usize,
    /// The text of the open block, then of the last one.
    pub(crate) text: String,
    pub(crate) pace: Duration,
    pub(crate) deltas: u64,
    pub(crate) ending: Ending,
    /// A tool's result came, and no words after it.
    pub(crate) needs_answer: bool,
    pub(crate) rounds: usize,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(host: &'a mut Host, input: Option<&'a mut Input>, user: &'a User) -> Self {
        Self {
            host,
            input,
            user,
            message: None,
            block: None,
            index: 0,
            text: String::new(),
            pace: Duration::ZERO,
            deltas: 0,
            ending: Ending::default(),
            needs_answer: false,
            rounds: 0,
        }
    }

    pub(crate) fn play(mut self, steps: &[Step]) {
        let flow = steps.iter().try_for_each(|step| self.step(step));
        match flow {
            Continue(()) => self.complete(),
            Break(Interrupted) => self.interrupted(),
        }
    }

    pub(crate) fn step(&mut self, step: &Step) -> Flow {
        match step {
            Step::Text(parts) => self.text(parts.iter().map(String::as_str)),
            Step::Words(count) => self.words(*count),
            Step::Echo => {
                let text = self.user.text.clone();
                self.text([text.as_str()].into_iter())
            }
            Step::Recall => {
                let users = self.host.session.history.iter().filter(|(role, _)| role == "user");
                let text = users.map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" | ");
                self.text([text.as_str()].into_iter())
            }
            Step::System => {
                let prompt =
                    self.host.initialize.as_ref().map_or(&Value::Null, |request| &request["systemPrompt"]);
                let text = prompt.as_str().map_or_else(|| prompt.to_string(), str::to_owned);
                self.text([text.as_str()].into_iter())
            }
            Step::Report => {
                let report = self.host.report(self.user);
                self.text([report.as_str()].into_iter())
            }
            Step::Thinking(count) => self.thinking(*count),
            Step::Block => {
                self.close_block();
                Continue(())
            }
            Step::Tool { name, input, ask } => self.tool(name, input, *ask),
            Step::Sleep(time) => self.wait(Duration::from_millis(*time)),
            Step::Pace(pace) => {
                self.pace = Duration::from_millis(*pace);
                Continue(())
            }
            Step::WaitFile(path) => {
                while !std::path::Path::new(path).exists() {
                    self.wait(Duration::from_millis(2))?;
                }
                Continue(())
            }
            Step::Silence => self.wait(Duration::MAX),
            Step::Hang => self.host.hang(),
            Step::Restart(count, text) => self.restart(*count, text),
            Step::Abandon(count) => {
                self.abandon(*count)?;
                self.host.aside(&Step::ApiRetry { status: 0, times: 1 });
                Continue(())
            }
            Step::Subagent(count) => {
                self.subagent(*count);
                Continue(())
            }
            Step::Flood => loop {
                self.words(64)?;
            },
            Step::Exit(code) => {
                self.host.out.flush();
                exit(*code)
            }
            Step::IgnoreSigterm => {
                misbehave::ignore_sigterm();
                Continue(())
            }
            Step::IgnoreInterrupt => {
                self.host.ignores_interrupt = true;
                Continue(())
            }
            Step::StringContent(text) => {
                let (id, model) = (self.host.out.message_id(), self.host.model.clone());
                self.host.out.assistant(&quoted(text), &id, &model, None);
                self.text.clone_from(text);
                Continue(())
            }
            Step::Play(path) => {
                self.play_recording(path);
                Continue(())
            }
            Step::IsError { .. }
            | Step::Result(_)
            | Step::EmptyResult
            | Step::NoResult
            | Step::Structured(_)
            | Step::Stop(_) => {
                self.ends_with(step);
                Continue(())
            }
            other => {
                self.host.aside(other);
                // What comes next may be a wait; whoever reads should see it before.
                self.host.out.flush();
                Continue(())
            }
        }
    }

    fn ends_with(&mut self, step: &Step) {
        match step {
            Step::IsError { status, text } => self.ending.error = Some((*status, text.clone())),
            Step::Result(subtype) => self.ending.subtype = Some(subtype.clone()),
            Step::EmptyResult => self.ending.empty = true,
            Step::NoResult => self.ending.none = true,
            Step::Structured(json) => self.ending.structured = Some(json.clone()),
            Step::Stop(reason) => self.ending.stop = Some(reason.clone()),
            _ => {}
        }
    }

    /// Waits, and answers what the host asks meanwhile.
    pub(crate) fn wait(&mut self, time: Duration) -> Flow {
        self.host.out.flush();
        let end = Instant::now().checked_add(time);
        loop {
            let left =
                end.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
            let Some(input) = self.input.as_deref_mut() else {
                std::thread::sleep(left);
                return Continue(());
            };
            if let Some(incoming) = input.control(left) {
                self.control(incoming)?;
            } else if end.is_some_and(|end| Instant::now() >= end) {
                return Continue(());
            }
        }
    }

    /// Looks whether the host wants something, without waiting.
    pub(crate) fn check(&mut self) -> Flow {
        match self.input.as_deref_mut().and_then(|input| input.control(Duration::ZERO)) {
            Some(incoming) => self.control(incoming),
            None => Continue(()),
        }
    }

    pub(crate) fn control(&mut self, incoming: Incoming) -> Flow {
        let Incoming::Control { id, request } = incoming else { return Continue(()) };
        let interrupts = request["subtype"] == "interrupt" && !self.host.ignores_interrupt;
        self.host.control(&id, request);
        if interrupts { Break(Interrupted) } else { Continue(()) }
    }
}
