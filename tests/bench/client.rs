//! An HTTP client that streams chat completions over one connection that stays open.
#![allow(dead_code, reason = "shared by the benchmarks; none of them uses all of it")]

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;

use crate::server::TOKEN;

/// Where chat completions are.
pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) struct Client(SendRequest<Full<Bytes>>);

/// What came of one request.
pub(crate) struct Answer {
    /// When the first piece of text was there.
    pub(crate) first_text: Option<Instant>,
    /// Chunks that carry text.
    pub(crate) deltas: usize,
    /// It ended as a good answer ends.
    pub(crate) is_whole: bool,
}

impl Client {
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).await.expect("the server listens");
        socket.set_nodelay(true).expect("the socket is open");
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("it speaks HTTP");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Posts `body`, and gives the response once its head is there.
    pub(crate) async fn post(&mut self, path: &str, body: String) -> Response<Incoming> {
        let request = Request::post(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .expect("the parts are valid");
        self.0.ready().await.expect("the connection stays open");
        let response = self.0.send_request(request).await.expect("the server answers");
        assert_eq!(response.status(), StatusCode::OK);
        response
    }

    /// Asks `prompt` and reads the stream to its end.
    pub(crate) async fn stream(&mut self, prompt: &str) -> Answer {
        let mut response = self.post(CHAT, body(prompt)).await;
        let mut answer = Answer { first_text: None, deltas: 0, is_whole: false };
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(bytes) = frame.expect("the stream does not break").into_data() else { continue };
            // Every event is one line and a blank one; the CLI's text holds no raw newline.
            answer.deltas += bytes.iter().filter(|byte| **byte == b'\n').count() / 2;
            if answer.first_text.is_none() && has_text(&bytes) {
                answer.first_text = Some(Instant::now());
            }
            answer.is_whole = bytes.ends_with(b"data: [DONE]\n\n");
        }
        // Without the role, the finish reason and the end mark.
        answer.deltas = answer.deltas.saturating_sub(3);
        answer
    }
}

/// The request's body.
pub(crate) fn body(prompt: &str) -> String {
    let message = json!({"role": "user", "content": prompt});
    json!({"model": "sonnet", "stream": true, "messages": [message]}).to_string()
}

/// It holds a chunk with text.
pub(crate) fn has_text(bytes: &[u8]) -> bool {
    const TEXT: &[u8] = br#""delta":{"content":"#;
    bytes.windows(TEXT.len()).any(|window| window == TEXT)
}
