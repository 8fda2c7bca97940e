//! Through the bundled server, over HTTP.

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::client::{CHAT, Client, has_text};
use crate::server::Server;
use crate::stand::{PROMPT, Sample, Stand, Way};
use crate::support::cli;

/// Turns of the history that is replayed.
const HISTORY: usize = 10;

/// Longer than the server takes to have a spare again.
const SPARE: Duration = Duration::from_secs(2);

/// A server on a stand of its own, and a connection to it.
struct Served {
    stand: Stand,
    client: Client,
    _server: Server,
}

impl Served {
    async fn new() -> Self {
        let stand = Stand::new().await;
        let key_only = [("CLAUDE_CODE_SIMPLE", "1"), ("CHILD_ENV", "CLAUDE_CODE_SIMPLE")];
        let key_only = key_only.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let server = Server::start(&cli::path(), stand.home.env().into_iter().chain(key_only));
        let client = Client::connect(server.address).await;
        Self { stand, client, _server: server }
    }

    /// The server keeps processes between turns: else there is nothing here to measure.
    fn is_warm(&self) -> bool {
        !self.stand.processes().is_empty()
    }

    /// Posts `body`; when the first frame that `is_text` was there, and everything.
    async fn ask(&mut self, path: &str, body: String, is_text: fn(&[u8]) -> bool) -> (Duration, String) {
        let start = Instant::now();
        let mut response = self.client.post(path, body).await;
        let (mut first, mut all) = (None, Vec::new());
        while let Some(frame) = response.body_mut().frame().await {
            let Ok(bytes) = frame.expect("the stream does not break").into_data() else { continue };
            if is_text(&bytes) {
                first.get_or_insert_with(|| start.elapsed());
            }
            all.extend_from_slice(&bytes);
        }
        (first.expect("it has text"), String::from_utf8(all).expect("it is text"))
    }

    /// A chat completion of these messages, and the answer.
    async fn chat(&mut self, messages: &[Value]) -> (Sample, Value) {
        let body = json!({"model": "sonnet", "stream": true, "messages": messages}).to_string();
        let (first, stream) = self.ask(CHAT, body, has_text).await;
        let chunks = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        let chunks = chunks.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let text: String = chunks
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
            .collect();
        (self.stand.sample(first), json!({"role": "assistant", "content": text}))
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// A later turn of `/v1/conversational`, streamed.
pub(crate) struct Conversational(Served);

impl Conversational {
    /// `None` when the server has no warm conversations.
    pub(crate) async fn new() -> Option<Self> {
        let mut served = Served::new().await;
        served.client.post(CONVERSATIONAL, say()).await.collect().await.expect("it answers");
        served.is_warm().then_some(Self(served))
    }
}

fn is_delta(bytes: &[u8]) -> bool {
    bytes.starts_with(b"event: delta")
}

const CONVERSATIONAL: &str = "/v1/conversational";

fn say() -> String {
    json!({"session_id": "kitchen", "message": PROMPT, "stream": true}).to_string()
}

impl Way for Conversational {
    fn name(&self) -> &'static str {
        "later turn, the server's `/v1/conversational`"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed() // the first turn is one of the warm-up
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            let (first, _) = self.0.ask(CONVERSATIONAL, say(), is_delta).await;
            self.0.stand.sample(first)
        }
        .boxed()
    }
}

/// A later turn of a chat whose history the server knows.
pub(crate) struct Matched {
    served: Served,
    messages: Vec<Value>,
}

impl Matched {
    /// `None` when the server has no warm chats.
    pub(crate) async fn new() -> Option<Self> {
        let mut served = Served::new().await;
        served.chat(&[user(PROMPT)]).await;
        served.is_warm().then_some(Self { served, messages: Vec::new() })
    }
}

impl Way for Matched {
    fn name(&self) -> &'static str {
        "chat completion, matched history"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed() // the first turn is one of the warm-up
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            self.messages.push(user(PROMPT));
            let (sample, answer) = self.served.chat(&self.messages).await;
            self.messages.push(answer);
            sample
        }
        .boxed()
    }
}

/// A chat whose history of ten turns the server has never seen.
pub(crate) struct Replayed {
    served: Served,
    chats: usize,
}

impl Replayed {
    /// `None` when the server has no warm chats.
    pub(crate) async fn new() -> Option<Self> {
        let mut replayed = Self { served: Served::new().await, chats: 0 };
        replayed.take().await;
        replayed.served.is_warm().then_some(replayed)
    }
}

impl Way for Replayed {
    fn name(&self) -> &'static str {
        "chat completion, replayed history of 10 turns"
    }

    fn ready(&mut self) -> BoxFuture<'_, ()> {
        tokio::time::sleep(SPARE).boxed()
    }

    fn take(&mut self) -> BoxFuture<'_, Sample> {
        async {
            self.chats += 1;
            let mut messages = Vec::new();
            for turn in 0..HISTORY {
                messages.push(user(&format!("question {turn} of chat {}", self.chats)));
                messages.push(json!({"role": "assistant", "content": format!("answer {turn}")}));
            }
            messages.push(user(PROMPT));
            self.served.chat(&messages).await.0
        }
        .boxed()
    }
}
