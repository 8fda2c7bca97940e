//! The fake's HTTP: statuses, content types and bodies as the real server's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::command::Outcome;
use super::world::{Fault, World};
use crate::stub::{Asked, Reply, Stub};
use crate::t3::schema::Release;

/// A status, a content type and a body.
type Told = (u16, &'static str, Vec<u8>);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) async fn serve(world: Arc<Mutex<World>>) -> Stub {
    Stub::start(move |asked| answer(&mut world.lock().unwrap(), asked)).await
}

fn answer(world: &mut World, asked: &Asked) -> Reply {
    let told = world.reply(asked);
    let status = told.as_ref().map_or(0, |(status, ..)| *status);
    world.requests.push(format!("{} {status}", asked.line()));
    let Some((status, kind, body)) = told else { return Reply::hang_up() };
    let reply = Reply { body: body.into(), ..Reply::empty(status) }.header("date", world.date());
    if kind.is_empty() { reply } else { reply.header("content-type", kind) }
}

impl World {
    fn reply(&mut self, asked: &Asked) -> Option<Told> {
        let (method, path, kind, body) =
            (asked.method.as_str(), asked.path.as_str(), asked.header("content-type"), &asked.raw);
        let known =
            asked.header("authorization").strip_prefix("Bearer ").map(|token| self.tokens.contains(token));
        match (method, path) {
            ("GET", "/.well-known/t3/environment") => {
                Some(self.told("environment-descriptor", self.descriptor()))
            }
            ("GET", "/api/auth/session") => {
                Some(plain(200, &json!({"authenticated": known == Some(true), "auth": {}})))
            }
            ("POST", "/oauth/token") => Some(self.exchange(kind, body)),
            _ if path.starts_with("/api/orchestration/")
                && known != Some(true)
                && self.is_route(method, path) =>
            {
                let reason = if known.is_none() { "missing_credential" } else { "invalid_credential" };
                Some(self.error(401, "EnvironmentAuthInvalidError", "auth_invalid", reason))
            }
            ("POST", "/api/orchestration/dispatch") => self.dispatch(kind, body),
            ("GET", _) if self.is_route("GET", path) => Some(self.read(path)),
            ("GET", _) => {
                Some((200, "text/html; charset=utf-8", b"<!doctype html><title>T3 Code</title>".to_vec()))
            }
            _ => Some((404, "", Vec::new())),
        }
    }

    fn is_route(&self, method: &str, path: &str) -> bool {
        let new = self.release == Release::V33;
        match path {
            "/api/orchestration/dispatch" => method == "POST",
            "/api/orchestration/snapshot" => method == "GET",
            "/api/orchestration/shell" => new && method == "GET",
            _ => new && method == "GET" && path.starts_with("/api/orchestration/threads/"),
        }
    }

    fn descriptor(&self) -> Value {
        let version = match self.release {
            Release::V27 => "0.0.27",
            Release::V33 => "0.0.33",
        };
        let mut descriptor = json!({"environmentId": format!("environment-{}", self.environment),
            "label": "fake", "platform": {"os": "linux", "arch": "x64"}, "serverVersion": version,
            "capabilities": {"repositoryIdentity": true}});
        if let Some(protocol) = self.protocol {
            descriptor["orchestrationProtocolVersion"] = json!(protocol);
        }
        descriptor
    }

    /// A read; then a moment passes.
    fn read(&mut self, path: &str) -> Told {
        match self.faults.front() {
            Some(Fault::Page) => {
                self.faults.pop_front();
                return (200, "text/html; charset=utf-8", b"<!doctype html>".to_vec());
            }
            Some(Fault::Stale) if self.before.contains_key(path) => {
                self.faults.pop_front();
                return (200, JSON, self.before[path].clone());
            }
            _ => {}
        }
        let reply = match path.strip_prefix("/api/orchestration/threads/") {
            Some(id) => match self.detail(id) {
                Some(detail) => self.told("thread-detail-snapshot", detail),
                None => self.error(404, "EnvironmentResourceNotFoundError", "not_found", "thread_not_found"),
            },
            None if path.ends_with("/shell") => self.told("shell-snapshot", self.shell()),
            None => match self.release {
                Release::V27 => self.told("read-model", self.snapshot()),
                Release::V33 => self.told("read-model-lean", self.snapshot()),
            },
        };
        if reply.0 == 200 {
            self.before.entry(path.to_owned()).or_insert_with(|| reply.2.clone());
        }
        self.pass();
        reply
    }

    fn dispatch(&mut self, kind: &str, body: &[u8]) -> Option<Told> {
        if !kind.is_empty() && !kind.starts_with(JSON) {
            return Some((415, "text/plain", format!("Unsupported content-type: {kind}").into_bytes()));
        }
        let Ok(command) = serde_json::from_slice::<Value>(body) else {
            return Some((if self.release == Release::V27 { 500 } else { 400 }, "", Vec::new()));
        };
        let fault = self.fault_of_command();
        if fault == Some(Fault::Broken) {
            return Some(self.internal());
        }
        let outcome = self.take(&command);
        match (fault, &outcome) {
            (Some(Fault::AcceptThen500), Outcome::Accepted(_)) => return Some(self.internal()),
            (Some(Fault::AcceptThenHangUp), Outcome::Accepted(_)) => return None,
            _ => {}
        }
        Some(match outcome {
            Outcome::Accepted(sequence) => self.told("dispatch-result", json!({"sequence": sequence})),
            Outcome::Undecodable => (400, "", Vec::new()),
            Outcome::NoDirectory => {
                self.error(400, "EnvironmentRequestInvalidError", "invalid_request", "invalid_command")
            }
            Outcome::Refused => self.internal(),
        })
    }

    /// What goes wrong with this command.
    fn fault_of_command(&mut self) -> Option<Fault> {
        let (fault, after) = self.armed.take()?;
        if after == 0 {
            return Some(fault);
        }
        self.armed = Some((fault, after - 1));
        None
    }

    fn internal(&mut self) -> Told {
        self.error(500, "EnvironmentInternalError", "internal_error", "orchestration_dispatch_failed")
    }

    fn exchange(&mut self, kind: &str, body: &[u8]) -> Told {
        if !kind.starts_with(FORM) {
            return (415, "text/plain", b"Unsupported content-type".to_vec());
        }
        let body = String::from_utf8_lossy(body).replace('+', " ");
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
        let form: HashMap<String, String> =
            pairs.map(|(name, value)| (decode(name), decode(value))).collect();
        let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let fits = field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
            && field("subject_token_type") == "urn:t3:params:oauth:token-type:environment-bootstrap"
            && field("requested_token_type") == "urn:ietf:params:oauth:token-type:access_token";
        if !fits {
            return (400, "", Vec::new());
        }
        // It can be used once.
        if !self.credentials.remove(field("subject_token")) {
            return self.error(401, "EnvironmentAuthInvalidError", "auth_invalid", "invalid_credential");
        }
        let token = format!("ZXhjaGFuZ2Vk.{}", self.id("signature"));
        self.tokens.insert(token.clone());
        let granted = json!({"access_token": token, "token_type": "Bearer", "expires_in": 2_591_999,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": field("scope")});
        self.told("token-response", granted)
    }

    fn error(&mut self, status: u16, tag: &str, code: &str, reason: &str) -> Told {
        let body = json!({"_tag": tag, "code": code, "reason": reason, "traceId": "unavailable"});
        let (_, kind, body) = self.told("error", body);
        (status, kind, body)
    }

    /// An answer, held against what the real server's is like.
    fn told(&mut self, model: &str, body: Value) -> Told {
        for fault in
            self.release.faults("model", model, &body).unwrap_or_else(|| vec!["no such model".into()])
        {
            self.drift.push(format!("{model}: {fault}"));
        }
        plain(200, &body)
    }
}

fn plain(status: u16, body: &Value) -> Told {
    (status, JSON, body.to_string().into_bytes())
}
