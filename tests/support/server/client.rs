//! A client with one connection per request.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::running::TOKEN;

/// Longer than anything here takes, so that a hang fails one test instead of stopping the suite.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The assistant's words of a chat completion.
    pub(crate) fn answer(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["choices"][0]["message"]["content"].as_str().expect("a text").to_owned()
    }

    /// The reply of a conversational turn.
    pub(crate) fn reply(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()["reply"].as_str().expect("a text").to_owned()
    }

    /// Status and code of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    }
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sse {
    pub(crate) event: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

impl Sse {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// A response that is still coming. Dropping it hangs up.
#[derive(Debug)]
pub(crate) struct Streamed {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    buffer: BytesMut,
    /// The connection broke before the body's end.
    pub(crate) broken: bool,
    connection: JoinHandle<()>,
}

impl Streamed {
    /// The next event; comments are skipped. `None` at the end, a broken one included.
    pub(crate) async fn next(&mut self) -> Option<Sse> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block = self.buffer.split_to(end + 2);
                if let Some(event) = event(&String::from_utf8_lossy(&block)) {
                    return Some(event);
                }
            }
            let bytes = self.frame().await?;
            self.buffer.extend_from_slice(&bytes);
        }
    }

    async fn frame(&mut self) -> Option<Bytes> {
        let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("something comes");
        match frame? {
            Ok(frame) => Some(frame.into_data().unwrap_or_default()),
            Err(_) => {
                self.broken = true;
                None
            }
        }
    }

    /// The next event of this name; those before it are dropped.
    ///
    /// # Panics
    ///
    /// When the stream ends before.
    pub(crate) async fn until(&mut self, name: &str) -> Sse {
        let mut seen = Vec::new();
        while let Some(event) = self.next().await {
            if event.event.as_deref() == Some(name) {
                return event;
            }
            seen.push(event);
        }
        panic!("no {name} after {seen:#?}");
    }

    /// All events that are left.
    pub(crate) async fn rest(&mut self) -> Vec<Sse> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Waits for the first text of a chat stream.
    pub(crate) async fn first_text(&mut self) -> String {
        loop {
            let event = self.next().await.expect("a text comes before the end");
            let text = content_of(&event.json());
            if !text.is_empty() {
                return text;
            }
        }
    }

    /// Reads a body that is no stream, such as an error's.
    pub(crate) async fn whole(mut self) -> Reply {
        let mut body = std::mem::take(&mut self.buffer);
        while let Some(bytes) = self.frame().await {
            body.extend_from_slice(&bytes);
        }
        Reply { status: self.status, headers: self.headers.clone(), body: body.freeze() }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// The text of a chunk.
pub(crate) fn content_of(chunk: &Value) -> String {
    chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
}

/// A chat request of one user message.
pub(crate) fn body_of(model: &str, text: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

fn event(block: &str) -> Option<Sse> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned()).collect::<Vec<_>>()
    };
    let data = field("data");
    (!data.is_empty()).then(|| Sse {
        event: field("event").pop(),
        id: field("id").pop(),
        data: data.join("\n"),
    })
}

pub(super) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request = request.header("host", "127.0.0.1");
    }
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        request = request.header("authorization", format!("Bearer {TOKEN}"));
    }
    // An empty authorization stands for none.
    for (name, value) in headers.iter().filter(|header| **header != ("authorization", "")) {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from(body))).expect("the test's headers are valid")
}

/// Posts with a token of one's own.
pub(crate) async fn open_as(address: SocketAddr, path: &str, token: &str, body: &Value) -> Streamed {
    let authorization = format!("Bearer {token}");
    open(address, request("POST", path, &[("authorization", &authorization)], body.to_string())).await
}

pub(super) async fn open(address: SocketAddr, request: Request<Full<Bytes>>) -> Streamed {
    let socket = TcpStream::connect(address).await.expect("the server listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.expect("it speaks HTTP");
    let connection = tokio::spawn(async move {
        // A broken connection shows in the body.
        let _ = connection.await;
    });
    let response = {
        // Dropped in the middle, by a test that hangs up, it takes the connection with it.
        let guard = AbortOnDrop(Some(connection));
        let response = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
        let response = response.expect("the server answers").expect("the connection holds");
        (response, guard.keep())
    };
    let (response, connection) = response;
    let (parts, body) = response.into_parts();
    let (status, headers) = (parts.status.as_u16(), parts.headers);
    Streamed { status, headers, body, buffer: BytesMut::new(), broken: false, connection }
}

/// Begins a GET of `path` from any address.
pub(crate) async fn open_at(address: SocketAddr, path: &str) -> Streamed {
    open(address, request("GET", path, &[], String::new())).await
}

pub(super) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    open(address, request).await.whole().await
}

/// One call to any service of loopback.
pub(crate) async fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Reply {
    send(address, request(method, path, headers, body)).await
}

struct AbortOnDrop(Option<JoinHandle<()>>);

impl AbortOnDrop {
    fn keep(mut self) -> JoinHandle<()> {
        self.0.take().expect("it is kept once")
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.abort();
        }
    }
}
