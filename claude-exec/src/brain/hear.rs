//! What the driver makes of each thing the CLI says.

use tokio::time::Instant;

use super::drive::{Driver, INTERRUPT_ID};
use super::tally::Answers;
use crate::error::{Error, Result};
use crate::invocation::INITIALIZE_ID;
use crate::protocol::{
    Ask, ControlRequest, ControlResponse, Event, Failure, McpCall, McpStep, Outcome, Reply, Retry, Session,
};
use crate::time::after;

/// Control requests of the CLI's that may wait for the caller at a time: more than any model calls tools at once.
const MAX_OPEN: usize = 128;

impl Driver {
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Finished(outcome) => self.result(outcome),
            Event::ControlResponse(response) => self.answered(response),
            Event::ControlRequest(request) => self.asked(request),
            Event::ControlCancel(id) => {
                self.open.remove(&id);
                self.pass_on(Event::ControlCancel(id));
            }
            Event::Session(session) => self.session(session),
            Event::Retry(retry) if retry.is_hopeless() => {
                let outcome = hopeless(&retry);
                self.pass_on(Event::Retry(retry));
                if self.turn.is_some() {
                    self.settle(Event::Finished(Box::new(outcome)));
                    self.stop();
                }
            }
            event => self.pass_on(event),
        }
    }

    fn pass_on(&mut self, event: Event) {
        if let Some(turn) = &mut self.turn {
            turn.pass_on(event);
        }
    }

    fn has_turn(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| !turn.is_over())
    }

    /// A turn begins; in a live process it must be ours.
    fn session(&mut self, session: Session) {
        let named = &session.user_message_uuids;
        let ours = self
            .turn
            .as_ref()
            .filter(|turn| !turn.is_over())
            .is_some_and(|turn| named.is_empty() || named.contains(&turn.message_id));
        if ours || self.once {
            self.pass_on(Event::Session(session));
        } else {
            self.fail(out_of_step("a turn began that nobody asked for"));
        }
    }

    fn result(&mut self, outcome: Box<Outcome>) {
        if self.once {
            self.settle(Event::Finished(outcome));
            return self.close();
        }
        if !self.has_turn() {
            let unknown = outcome.failure() == Some(Failure::UnknownSession);
            return if unknown {
                // Now it exits by itself, and says so on stderr.
                self.retire(Error::unknown_session(outcome.error_message()));
            } else {
                self.fail(out_of_step("a result came that answers nothing"));
            };
        }
        let Some(turn) = &mut self.turn else { return };
        match self.tally.judge(&outcome, &turn.message_id) {
            Answers::NotOurs => self.fail(out_of_step("a result came that answers another message")),
            Answers::Ours => {
                turn.settle(Event::Finished(outcome));
                self.end_turn();
            }
            Answers::OursAfterGap => {
                turn.settle(Event::Finished(outcome));
                self.end_turn();
                self.retire(out_of_step("a result was lost"));
                self.close();
            }
        }
    }

    /// The turn is over and the process goes on.
    fn end_turn(&mut self) {
        self.open.clear();
        if self.reason.is_none() {
            self.ending = None;
        }
        if let Some(turn) = &mut self.turn {
            turn.end();
        }
        if !self.is_owned() {
            self.close();
        }
    }

    fn answered(&mut self, response: ControlResponse) {
        if let Some(answered) = self.questions.answer(&response) {
            if let Err(error) = answered {
                self.fail(Error::failed("changing the settings of the turn", error.to_string()));
            }
            return;
        }
        if response.request_id == INTERRUPT_ID && !self.once && self.is_taken_back(&response) {
            self.settle(Event::Cancelled);
            return self.end_turn();
        }
        let held = self.turn.as_mut().and_then(|turn| turn.held.take());
        match held {
            Some(held) if response.request_id == INITIALIZE_ID => {
                match know_agent(&response, &held.agent_name) {
                    Ok(()) => self.write(held.message),
                    Err(error) => return self.fail(error),
                }
            }
            held => {
                if let Some(turn) = &mut self.turn {
                    turn.held = held;
                }
            }
        }
        self.pass_on(Event::ControlResponse(response));
    }

    /// True when the interrupt came before the turn began: no result will come.
    fn is_taken_back(&self, response: &ControlResponse) -> bool {
        #[derive(serde::Deserialize)]
        struct Receipt {
            #[serde(default)]
            cancelled: Vec<String>,
        }
        let Ok(Some(answer)) = &response.result else { return false };
        let Ok(receipt) = serde_json::from_str::<Receipt>(answer.get()) else { return false };
        let under_way = self.turn.as_ref().filter(|turn| !turn.is_over());
        under_way.is_some_and(|turn| receipt.cancelled.contains(&turn.message_id))
    }

    fn asked(&mut self, request: ControlRequest) {
        let id = request.request_id.clone();
        let refusal = match self.answer_to(&request.ask) {
            Ok(answer) => return self.write(answer.to_line(&id)),
            Err(refusal) => refusal,
        };
        let listening = self.turn.as_ref().is_some_and(|turn| !turn.is_settled());
        let is_known = !matches!(request.ask, Ask::Other { .. });
        if let Some(turn) = self.turn.as_ref().filter(|_| listening && is_known)
            && self.open.len() < MAX_OPEN
        {
            let due = after(Instant::now(), turn.clock.answer());
            self.open.insert(id, (due, refusal));
        } else {
            // The CLI would wait for ever.
            self.write(refusal.to_line(&id));
        }
        self.pass_on(Event::ControlRequest(request));
    }

    /// Our answer, or what to say when the caller has none.
    fn answer_to(&self, ask: &Ask) -> Result<Reply, Reply> {
        match ask {
            Ask::Permission(_) => {
                let message = "Nobody was there to allow it.".to_owned();
                Err(Reply::Deny { message, interrupt: false })
            }
            Ask::Mcp { server_name, message } => {
                let server = self.servers.iter().find(|server| server.name == *server_name);
                match server.map(|server| server.step(message)) {
                    Some(McpStep::Answer(answer)) => Ok(answer),
                    Some(McpStep::Call(call)) => Err(call.text("Nobody was there to answer.", true)),
                    None => Err(McpCall::read(ask).map_or_else(
                        || Reply::Error(format!("there is no MCP server {server_name} here")),
                        |call| call.text("Nobody was there to answer.", true),
                    )),
                }
            }
            Ask::Other { subtype, .. } => Err(Reply::Error(format!("{subtype} is not supported here"))),
        }
    }
}

fn out_of_step(what: &str) -> Error {
    Error::failed("keeping step with the CLI", what)
}

/// Refuses to go on with an agent that the CLI did not list: it would run as no agent, with every tool.
pub(super) fn know_agent(response: &ControlResponse, name: &str) -> Result<()> {
    let known = response.agent_names()?;
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(Error::not_found(format!("agent {name:?} (the CLI knows {})", known.join(", "))))
}

/// What a turn comes to whose retries cannot help.
fn hopeless(retry: &Retry) -> Outcome {
    let message = format!("the model API refused the credential: {}", retry.error);
    Outcome {
        subtype: "error_during_execution".to_owned(),
        is_error: true,
        terminal_reason: Some("api_error".to_owned()),
        api_error_status: retry.status,
        errors: vec![message],
        cost_usd: Some(0.0), // nobody was let in
        ..Outcome::default()
    }
}
