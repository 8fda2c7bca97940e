//! The emergency role through its public face.

mod approvals;
mod contract;
mod crash;
mod demo;
mod faults;
mod proxy;

use serde_json::{Value, json};

use crate::support::server::{Reply, Server, Site, Streamed};

/// A caller of the role: one who says what a browser's page says too.
struct Console {
    server: Server,
    host: String,
}

impl Console {
    async fn start(site: &Site) -> Self {
        let server = site.start().await;
        let host = server.address.to_string();
        Self { server, host }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &body.to_string()).await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        self.stream_with(method, path, &[], body).await.whole().await
    }

    async fn stream_with(&self, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Streamed {
        let mut headers =
            vec![("host", self.host.as_str()), ("content-type", "application/json"), ("x-breakglass", "1")];
        headers.extend_from_slice(more);
        self.server.open_with(method, path, &headers, body).await
    }

    /// Begins a GET through a proxy on this port, which asks for the upstream by its address.
    async fn through(&self, port: u16, path: &str) -> Streamed {
        crate::support::server::open_at(([127, 0, 0, 1], port).into(), path).await
    }

    /// Makes a session.
    async fn session(&self) -> String {
        let reply = self.post("/api/sessions", &json!({})).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["session_id"].as_str().expect("an id").to_owned()
    }

    /// Follows a session, from a cursor on.
    async fn follow(&self, id: &str, cursor: Option<&str>) -> Streamed {
        let path = format!("/api/sessions/{id}/events");
        let headers: Vec<_> = cursor.iter().map(|cursor| ("last-event-id", *cursor)).collect();
        self.stream_with("GET", &path, &headers, "").await
    }

    /// Begins a turn, and gives its number.
    async fn prompt(&self, id: &str, text: &str) -> u64 {
        let reply = self.post(&format!("/api/sessions/{id}/turns"), &json!({ "prompt": text })).await;
        assert_eq!(reply.status, 202, "{reply:?}");
        reply.json()["turn"].as_u64().expect("a number")
    }

    async fn decide(&self, id: &str, card: &Value, body: &Value) -> Reply {
        let card = card["approval"].as_str().expect("a card");
        self.post(&format!("/api/sessions/{id}/approvals/{card}"), body).await
    }
}
