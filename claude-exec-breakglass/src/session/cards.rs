//! The questions of a turn that wait for a person.

use std::sync::Arc;

use claude_exec::protocol::{McpCall, Reply};
use claude_exec::{Error, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use super::core::{Core, Session, now};
use super::event::{Decision, Event, PowerDone, Verdict};
use super::limits::MAX_REASON_CHARS;
use crate::agent::Reins;
use crate::log::Window;

/// A question that waits.
pub(super) struct Card {
    pub(super) request_id: String,
    pub(super) what: Wanted,
    /// When it is refused for want of an answer, in Unix milliseconds.
    pub(super) expires_at: u64,
    /// A person is about to commit it: it neither expires nor is decided otherwise.
    pub(super) held: bool,
}

impl Card {
    /// The tool and its input, as they were asked for.
    pub(super) fn shown(&self) -> (String, String) {
        match &self.what {
            Wanted::Tool { tool, input, .. } => (tool.clone(), input.get().to_owned()),
            Wanted::Power { verb, reason, .. } => ("power".to_owned(), format!("{verb}: {reason}")),
        }
    }
}

/// What the CLI wants to know.
pub(super) enum Wanted {
    Tool { tool: String, tool_id: Option<String>, input: Box<RawValue>, rule: Option<String> },
    Power { call: Box<McpCall>, verb: String, reason: String },
}

impl Wanted {
    fn reply(&self, verdict: Verdict, reason: Option<&str>) -> Reply {
        let refusal = match (verdict, reason) {
            (Verdict::Expired, _) => "Nobody answered in time, so this was not done.".to_owned(),
            (Verdict::Cancelled, _) => "The turn was cancelled.".to_owned(),
            (_, Some(reason)) => format!("The person refused: {reason}"),
            (_, None) => "The person refused.".to_owned(),
        };
        match self {
            Self::Tool { input, .. }
                if matches!(verdict, Verdict::AllowOnce | Verdict::AllowSession | Verdict::Auto) =>
            {
                allow(input)
            }
            Self::Tool { .. } => Reply::Deny { message: refusal, interrupt: verdict == Verdict::Cancelled },
            Self::Power { call, .. } => call.text(&refusal, true),
        }
    }
}

pub(super) fn allow(input: &RawValue) -> Reply {
    Reply::Allow { updated_input: serde_json::from_str(input.get()).unwrap_or(Value::Null) }
}

/// A decision on a card without further words.
pub(super) fn decided(turn: u64, card: String, decision: Verdict, by: &str, at: u64) -> Event {
    let by = by.to_owned();
    Event::Decision(Decision {
        at,
        turn,
        approval: Some(card),
        tool_id: None,
        decision,
        by,
        reason: None,
        rule: None,
    })
}

/// A power card that a person is committing. Dropping it lets the card wait on.
#[must_use]
pub struct PowerClaim {
    core: Arc<Core>,
    card: String,
    /// The verb.
    pub verb: String,
    /// The agent's reason for it.
    pub reason: String,
}

impl Session {
    /// Answers a card, once.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) for a card that never was, [`is_conflict`](Error::is_conflict) for one
    /// that is answered or waits for another kind of answer, [`is_invalid`](Error::is_invalid) for a reason that is
    /// too long or leave for a session that the card does not offer, and when the store cannot be written; then the
    /// card waits on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave it answered.
    pub async fn decide(&self, card: &str, verdict: Verdict, by: &str, reason: Option<String>) -> Result<()> {
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
            return Err(Error::invalid("reason", format!("must have at most {MAX_REASON_CHARS} characters")));
        }
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        let (session, card, by) = (self.clone(), card.to_owned(), by.to_owned());
        // A caller who hangs up has answered all the same.
        let settled =
            tokio::spawn(async move { session.core.settle(&card, verdict, &by, reason, false).await });
        settled.await.map_err(|_| Error::stopped())?
    }

    /// Takes a power card in hand, to commit its verb.
    ///
    /// # Errors
    ///
    /// As [`decide`](Self::decide).
    pub fn claim_power(&self, card: &str) -> Result<PowerClaim> {
        let (verb, reason) = self.core.change(|state| {
            let running = state.running.as_mut().filter(|running| running.cancel.is_none());
            let found = running.and_then(|running| running.cards.get_mut(card));
            match found {
                Some(Card { what: Wanted::Power { verb, reason, .. }, held, .. }) if !*held => {
                    *held = true;
                    Ok((verb.clone(), reason.clone()))
                }
                Some(Card { what: Wanted::Power { .. }, .. }) => {
                    Err(Error::conflict("someone else is committing it"))
                }
                Some(_) => Err(Error::conflict("this card is about a tool, not a power verb")),
                None => Err(self.core.no_card(card)),
            }
        })?;
        Ok(PowerClaim { core: Arc::clone(&self.core), card: card.to_owned(), verb, reason })
    }

    /// What a card was answered with, when it was.
    pub fn decision(&self, card: &str) -> Option<Verdict> {
        self.core.decision(card)
    }
}

impl PowerClaim {
    /// Tells what the verb has led to: the log, and the agent.
    ///
    /// # Errors
    ///
    /// When the log cannot be written; the agent is told all the same, since it is done.
    pub async fn done(self, by: &str, outcome: &str, text: &str, is_error: bool) -> Result<()> {
        let (core, card, by) = (Arc::clone(&self.core), self.card.clone(), by.to_owned());
        let (outcome, text, verb) = (outcome.to_owned(), text.to_owned(), self.verb.clone());
        let told = tokio::spawn(async move {
            let found = core.change(|state| {
                let running = state.running.as_mut()?;
                running.answered.insert(card.clone());
                Some((running.turn, running.cards.remove(&card)?, running.reins.clone()))
            });
            core.changed.notify_waiters();
            let at = now();
            let turn =
                found.as_ref().map_or_else(|| core.look(|state| state.story.turns), |(turn, ..)| *turn);
            let done = PowerDone {
                at,
                turn,
                approval: card.clone(),
                verb,
                by: by.clone(),
                outcome: outcome.clone(),
                text: text.clone(),
            };
            let told =
                core.tell(vec![decided(turn, card, Verdict::AllowOnce, &by, at), Event::Power(done)]).await;
            if let Some((_, Card { request_id, what: Wanted::Power { call, .. }, .. }, Some(reins))) = found {
                let text = format!("{by} committed it. Outcome: {outcome}.\n{text}");
                let _ = reins.reply(&request_id, call.text(&text, is_error)).await;
            }
            told.map(drop)
        });
        told.await.map_err(|_| Error::stopped())?
    }
}

impl Drop for PowerClaim {
    fn drop(&mut self) {
        self.core.change(|state| {
            if let Some(card) = state.running.as_mut().and_then(|running| running.cards.get_mut(&self.card)) {
                card.held = false;
            }
        });
        self.core.changed.notify_waiters();
    }
}

impl std::fmt::Debug for PowerClaim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PowerClaim")
            .field("card", &self.card)
            .field("verb", &self.verb)
            .finish_non_exhaustive()
    }
}

type Taken = (u64, Card, Option<Arc<dyn Reins>>);

impl Core {
    /// Answers a card: durably first, then to the CLI. `gone`: the CLI no longer waits for it.
    pub(super) async fn settle(
        &self,
        name: &str,
        verdict: Verdict,
        by: &str,
        reason: Option<String>,
        gone: bool,
    ) -> Result<()> {
        let (turn, card, reins) = self.take_card(name, verdict)?;
        let (tool_id, rule) = match &card.what {
            Wanted::Tool { tool_id, rule, .. } => {
                (tool_id.clone(), rule.clone().filter(|_| verdict == Verdict::AllowSession))
            }
            Wanted::Power { .. } => (None, None),
        };
        let decision = Decision {
            at: now(),
            turn,
            approval: Some(name.to_owned()),
            tool_id,
            decision: verdict,
            by: by.to_owned(),
            reason: reason.clone(),
            rule: rule.clone(),
        };
        if let Err(error) = self.tell(vec![Event::Decision(decision)]).await {
            // A refusal needs no record to be safe; leave does.
            if matches!(verdict, Verdict::AllowOnce | Verdict::AllowSession) {
                self.change(|state| {
                    if let Some(running) = state.running.as_mut().filter(|running| running.turn == turn) {
                        running.answered.remove(name);
                        running.cards.insert(name.to_owned(), card);
                    }
                });
                return Err(error);
            }
            tracing::warn!(session = %self.id, %error, "a refusal could not be kept");
        }
        if let Some(rule) = rule {
            self.change(|state| state.rules.insert(rule));
        }
        self.changed.notify_waiters();
        if let Some(reins) = reins.filter(|_| !gone) {
            // A process that no longer reads shows in its turn's end.
            let _ = reins.reply(&card.request_id, card.what.reply(verdict, reason.as_deref())).await;
        }
        Ok(())
    }

    /// Takes a card out of its turn, with the turn's number and what answers it.
    fn take_card(&self, name: &str, verdict: Verdict) -> Result<Taken> {
        self.change(|state| {
            let Some(running) = state.running.as_mut() else { return Err(self.no_card(name)) };
            let by_person = matches!(verdict, Verdict::AllowOnce | Verdict::AllowSession | Verdict::Deny);
            match running.cards.get(name) {
                None if running.answered.contains(name) => {
                    return Err(Error::conflict("it was decided already"));
                }
                None => return Err(self.no_card(name)),
                Some(card) if card.held && by_person => {
                    return Err(Error::conflict("someone is committing it"));
                }
                Some(Card { what: Wanted::Power { .. }, .. }) if by_person && verdict != Verdict::Deny => {
                    return Err(Error::conflict("a power verb is committed with its nonce"));
                }
                Some(Card { what: Wanted::Tool { rule: None, .. }, .. })
                    if verdict == Verdict::AllowSession =>
                {
                    return Err(Error::invalid("decision", "leave for this can only be given once"));
                }
                Some(_)
                    if running.cancel.is_some()
                        && matches!(verdict, Verdict::AllowOnce | Verdict::AllowSession) =>
                {
                    return Err(Error::conflict("the turn is being cancelled"));
                }
                Some(_) => {}
            }
            let card = running.cards.remove(name).ok_or_else(|| self.no_card(name))?;
            running.answered.insert(name.to_owned());
            Ok((running.turn, card, running.reins.clone()))
        })
    }

    fn no_card(&self, name: &str) -> Error {
        match self.decision(name) {
            Some(_) => Error::conflict("it was decided already"),
            None => Error::not_found("a card of this name"),
        }
    }

    fn decision(&self, name: &str) -> Option<Verdict> {
        self.journal.read(|window: &Window| {
            window.entries().rev().filter(|entry| entry.name() == "decision").find_map(
                |entry| match Event::of(entry) {
                    Some(Event::Decision(decision)) if decision.approval.as_deref() == Some(name) => {
                        Some(decision.decision)
                    }
                    _ => None,
                },
            )
        })
    }
}
