//! What the server does with a command.

use serde_json::{Value, json};

use super::provider::Job;
use super::world::World;
use crate::t3::schema::Release;

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted(u64),
    /// 400 with an empty body: not a command of this release.
    Undecodable,
    /// 400 `invalid_command`: the directory is not there.
    NoDirectory,
    /// 500: a rule is broken; remembered.
    Refused,
}

impl World {
    /// Takes a command, as `POST /api/orchestration/dispatch` does.
    pub(super) fn take(&mut self, command: &Value) -> Outcome {
        let kind = command["type"].as_str().unwrap_or_default().to_owned();
        match self.release.faults("accept", &kind, command) {
            Some(faults) if faults.is_empty() => {}
            _ => return Outcome::Undecodable,
        }
        for fault in self.release.faults("strict", &kind, command).unwrap_or_default() {
            self.lax.push(format!("{kind}: {fault}"));
        }
        let id = text(command, "commandId");
        if let Some(receipt) = self.receipts.get(&id) {
            // Nothing is done, and nothing but the id is looked at.
            return receipt.map_or(Outcome::Refused, Outcome::Accepted);
        }
        if kind == "project.create" && self.missing_roots.contains(&text(command, "workspaceRoot")) {
            return Outcome::NoDirectory;
        }
        let done = self.apply(&kind, command);
        let receipt = done.then(|| self.event());
        self.receipts.insert(id, receipt);
        receipt.map_or(Outcome::Refused, Outcome::Accepted)
    }

    /// False when a rule is broken.
    fn apply(&mut self, kind: &str, command: &Value) -> bool {
        let id = text(command, "threadId");
        match kind {
            "project.create" => return self.create_project(command),
            "project.delete" => return self.delete_project(command),
            "thread.create" => return self.create_thread(command),
            _ if self.thread(&id).is_none() => return false,
            _ => {}
        }
        let now = self.now();
        match kind {
            "thread.turn.start" => self.start_turn(&id, command, now),
            "thread.turn.interrupt" => {
                if let (Some(turn), Some(thread)) = (command["turnId"].as_str(), self.thread_mut(&id))
                    && thread["latestTurn"]["turnId"] == turn
                {
                    thread["latestTurn"]["state"] = json!("interrupted");
                }
                self.queue.push_back(Job::Interrupt(id));
            }
            "thread.session.stop" => self.queue.push_back(Job::Stop(id)),
            "thread.archive" | "thread.unarchive" => {
                let archive = kind == "thread.archive";
                let Some(thread) = self.thread_mut(&id) else { return false };
                if thread["archivedAt"].is_null() != archive {
                    return false;
                }
                // The agent's process is left as it is.
                thread["archivedAt"] = if archive { json!(now) } else { Value::Null };
            }
            "thread.delete" => self.delete_thread(&id, &now),
            _ => {}
        }
        true
    }

    fn create_project(&mut self, command: &Value) -> bool {
        let (id, root) = (text(command, "projectId"), text(command, "workspaceRoot"));
        let root = root.trim_end_matches('/').to_owned();
        let one_for_each_root = self.release == Release::V33;
        let taken = self.projects.iter().any(|project| {
            project["id"] == id
                || one_for_each_root && project["workspaceRoot"] == root && project["deletedAt"].is_null()
        });
        if taken {
            return false;
        }
        let now = self.stamp(command);
        let mut project = json!({"id": id, "title": command["title"], "workspaceRoot": root,
            "repositoryIdentity": null, "defaultModelSelection": null, "scripts": [], "createdAt": now,
            "updatedAt": now, "deletedAt": null});
        if self.release == Release::V33 {
            (project["defaultThreadEnvMode"], project["faviconPath"]) = (Value::Null, Value::Null);
        }
        self.projects.push(project);
        true
    }

    fn delete_project(&mut self, command: &Value) -> bool {
        let (id, now) = (text(command, "projectId"), self.now());
        let threads = self.threads.iter().filter(|thread| thread["projectId"] == id);
        let threads = threads.filter(|thread| thread["deletedAt"].is_null());
        let threads: Vec<_> = threads.map(|thread| text(thread, "id")).collect();
        let Some(project) = self.projects.iter_mut().find(|project| project["id"] == id) else {
            return false;
        };
        if !threads.is_empty() && command["force"] != true {
            return false;
        }
        project["deletedAt"] = json!(now);
        threads.iter().for_each(|thread| self.delete_thread(thread, &now));
        true
    }

    fn create_thread(&mut self, command: &Value) -> bool {
        let (id, project) = (text(command, "threadId"), text(command, "projectId"));
        if self.thread(&id).is_some() || !self.projects.iter().any(|row| row["id"] == project) {
            return false;
        }
        let now = self.stamp(command);
        let mut thread = json!({"id": id, "projectId": project, "title": command["title"],
            "modelSelection": command["modelSelection"], "runtimeMode": command["runtimeMode"],
            "interactionMode": command["interactionMode"], "branch": command["branch"],
            "worktreePath": command["worktreePath"], "latestTurn": null, "createdAt": now, "updatedAt": now,
            "archivedAt": null, "deletedAt": null, "messages": [], "proposedPlans": [], "activities": [],
            "checkpoints": [], "session": null});
        if self.release == Release::V33 {
            for part in [
                "settledOverride",
                "settledAt",
                "snoozedUntil",
                "snoozedAt",
                "pinnedAt",
                "titleRegeneration",
                "pinOrderKey",
            ] {
                thread[part] = Value::Null;
            }
        }
        self.threads.push(thread);
        true
    }

    fn start_turn(&mut self, id: &str, command: &Value, now: String) {
        let message = &command["message"];
        let at = match self.release {
            Release::V27 => text(command, "createdAt"),
            Release::V33 => now,
        };
        let said = json!({"id": message["messageId"], "role": "user", "text": message["text"], "attachments": [],
            "turnId": null, "streaming": false, "createdAt": at, "updatedAt": at});
        self.event();
        let Some(thread) = self.thread_mut(id) else { return };
        thread["messages"].as_array_mut().unwrap().push(said);
        thread["updatedAt"] = json!(at);
        self.queue.push_back(Job::Start { thread: id.to_owned(), asked: at, text: text(message, "text") });
    }

    fn delete_thread(&mut self, id: &str, now: &str) {
        self.alive.remove(id);
        self.active.remove(id);
        if let Some(thread) = self.thread_mut(id) {
            thread["deletedAt"] = json!(now);
        }
    }

    /// The time of what a command makes: its own before 0.0.29, the server's since.
    fn stamp(&mut self, command: &Value) -> String {
        match self.release {
            Release::V27 => text(command, "createdAt"),
            Release::V33 => self.now(),
        }
    }
}

/// The server trims what it is given.
fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().trim().to_owned()
}
