//! The one worker that talks to agents, and the agents.

use serde_json::{Value, json};

use super::world::{Play, World};
use crate::t3::schema::Release;

/// What waits for the worker.
#[derive(Debug)]
pub(super) enum Job {
    Start { thread: String, asked: String, text: String },
    Interrupt(String),
    Stop(String),
}

/// A turn that an agent has.
#[derive(Debug)]
pub(super) struct Active {
    turn: String,
    asked: String,
    text: String,
    play: Play,
    stage: u32,
}

impl World {
    /// A moment passes: the worker does one thing, and every agent gets one step further.
    pub(crate) fn pass(&mut self) {
        let job = if self.wedged { None } else { self.queue.pop_front() };
        match job {
            Some(Job::Start { thread, asked, text }) => self.begin(thread, asked, text),
            Some(Job::Interrupt(thread)) => self.interrupt(&thread),
            Some(Job::Stop(thread)) => self.stop(&thread),
            None => {
                let threads: Vec<_> = self.active.keys().cloned().collect();
                threads.iter().for_each(|thread| self.work(thread));
            }
        }
    }

    fn begin(&mut self, thread: String, asked: String, text: String) {
        // Nobody listens in a thread that is put away.
        let used =
            self.thread(&thread).is_some_and(|row| row["archivedAt"].is_null() && row["deletedAt"].is_null());
        if !used {
            return;
        }
        let play = self.plays.pop_front().unwrap_or(Play::Works);
        if play == Play::CannotStart {
            let detail = "Provider instance 'claudeAgent' is not installed.\n    at spawn";
            self.add_activity(
                &thread,
                "error",
                "provider.turn.start.failed",
                None,
                json!({"detail": detail}),
            );
            if self.release == Release::V33 {
                self.session(&thread, "error", None, Some(detail));
            }
            return;
        }
        self.alive.insert(thread.clone());
        // 0.0.27 shows a new session as ready before anything runs in it.
        let status = if self.release == Release::V27 { "ready" } else { "starting" };
        self.session(&thread, status, None, None);
        let turn = self.id("turn");
        self.active.insert(thread, Active { turn, asked, text, play, stage: 0 });
    }

    fn interrupt(&mut self, thread: &str) {
        if !self.alive.contains(thread) {
            let payload = json!({"detail": "No active provider session."});
            return self.add_activity(thread, "error", "provider.turn.interrupt.failed", None, payload);
        }
        let Some(active) = self.active.get_mut(thread) else { return };
        if active.play == Play::Stuck {
            return;
        }
        let (turn, asked) = (active.turn.clone(), active.asked.clone());
        self.session(thread, "ready", None, None);
        match (self.release, self.git) {
            (Release::V27, _) => self.latest(thread, None),
            (Release::V33, _) => self.latest(thread, Some((&turn, "interrupted", &asked))),
        }
        if self.git {
            self.checkpoint(thread, &turn, &asked);
        }
        self.active.remove(thread);
    }

    fn stop(&mut self, thread: &str) {
        let Some(row) = self.thread(thread) else { return };
        if !row["archivedAt"].is_null() {
            return;
        }
        let runs = self.active.contains_key(thread) && row["session"]["status"] == "running";
        if runs {
            // It waits for the agent's next word, and nothing else is done meanwhile.
            self.wedged = true;
            return;
        }
        self.active.remove(thread);
        self.alive.remove(thread);
        self.session(thread, "stopped", None, None);
    }

    /// One step of an agent's turn.
    fn work(&mut self, thread: &str) {
        let Some(active) = self.active.get_mut(thread) else { return };
        active.stage += 1;
        let (turn, asked, play, stage) =
            (active.turn.clone(), active.asked.clone(), active.play, active.stage);
        let text = active.text.clone();
        let v27 = self.release == Release::V27;
        match (stage, play) {
            (1, _) => {
                self.begun.push((thread.to_owned(), text));
                self.session(thread, "running", Some(&turn), None);
                self.latest(thread, Some((&turn, "running", &asked)));
            }
            (2, Play::Fails) => {
                self.session(thread, "error", None, Some("the model said no"));
                self.latest(thread, Some((&turn, "error", &asked)));
                self.active.remove(thread);
            }
            (2, Play::Asks) => {
                let payload = json!({"requestId": format!("request-{turn}"), "requestKind": "command",
                    "requestType": "command_execution_approval", "detail": "Bash: git push"});
                self.add_activity(thread, "approval", "approval.requested", Some(&turn), payload);
            }
            (2, _) => {
                self.add_activity(
                    thread,
                    "tool",
                    "tool.started",
                    Some(&turn),
                    json!({"itemType": "command_execution"}),
                );
                self.say(thread, &turn, "I look at it.");
                if v27 {
                    // At the first finished message, while it works on.
                    self.latest(thread, Some((&turn, "completed", &asked)));
                }
            }
            (_, Play::Asks | Play::Hangs | Play::Stuck) => {}
            (3, Play::Limited) => self.say(thread, &turn, "You've hit your session limit · resets 3pm (UTC)"),
            (3, _) => {
                self.add_activity(
                    thread,
                    "tool",
                    "tool.completed",
                    Some(&turn),
                    json!({"itemType": "command_execution"}),
                );
                self.say(thread, &turn, "Done.");
            }
            (4, _) => {
                self.session(thread, "ready", None, None);
                self.latest(thread, (!v27).then_some((&*turn, "completed", &*asked)));
            }
            _ => {
                if self.git {
                    self.checkpoint(thread, &turn, &asked);
                }
                self.active.remove(thread);
            }
        }
    }

    fn say(&mut self, thread: &str, turn: &str, text: &str) {
        let (id, at) = (self.id("assistant:message"), self.now());
        self.event();
        if let Some(thread) = self.thread_mut(thread) {
            let said = json!({"id": id, "role": "assistant", "text": text, "turnId": turn, "streaming": false,
                "createdAt": at, "updatedAt": at});
            thread["messages"].as_array_mut().unwrap().push(said);
        }
    }

    fn checkpoint(&mut self, thread: &str, turn: &str, asked: &str) {
        let at = self.now();
        self.event();
        let Some(row) = self.thread_mut(thread) else { return };
        let checkpoints = row["checkpoints"].as_array_mut().unwrap();
        let count = checkpoints.len() + 1;
        checkpoints.push(json!({"turnId": turn, "checkpointTurnCount": count,
            "checkpointRef": format!("refs/t3/checkpoints/dA/turn/{count}"), "status": "ready",
            "files": [{"path": "a.txt", "kind": "modified", "additions": 1, "deletions": 0}],
            "assistantMessageId": null, "completedAt": at}));
        // The turn comes back, and is completed whatever it was.
        self.latest(thread, Some((turn, "completed", asked)));
    }

    fn latest(&mut self, thread: &str, turn: Option<(&str, &str, &str)>) {
        let at = self.now();
        self.event();
        let Some(thread) = self.thread_mut(thread) else { return };
        thread["latestTurn"] = turn.map_or(Value::Null, |(turn, state, asked)| {
            json!({"turnId": turn, "state": state, "requestedAt": asked, "startedAt": asked,
                "completedAt": if state == "running" { Value::Null } else { json!(at) }, "assistantMessageId": null})
        });
    }

    fn session(&mut self, thread: &str, status: &str, turn: Option<&str>, error: Option<&str>) {
        let at = self.now();
        self.event();
        let Some(row) = self.thread_mut(thread) else { return };
        row["session"] = json!({"threadId": row["id"], "status": status, "providerName": "claudeAgent",
            "providerInstanceId": "claudeAgent", "runtimeMode": row["runtimeMode"], "activeTurnId": turn,
            "lastError": error, "updatedAt": at});
        row["updatedAt"] = json!(at);
    }
}
