//! ntfy: a topic that phones subscribe to.
//!
//! Publishing as JSON and polling as <https://docs.ntfy.sh/> describes them. A message carries its key twice: as
//! `sequence_id`, by which 2.16 and later replace a message instead of adding one, and as a tag, by which it is
//! found on any. Without read access to the topic an attempt whose answer was lost cannot be told from one that never
//! arrived, and stays owed.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::adapter::Token;
use crate::adapter::http::{Answer, Call, Client, Scheme};
use crate::error::{Error, Result};
use crate::names::Digest;
use crate::port::{Bell, Notice, Receipt};
use crate::seen::Seen;

const WHAT: &str = "ntfy";
/// The most bytes of a message; a longer one becomes a file that phones do not show. ntfy's limit is 4096.
const MESSAGE_LIMIT: usize = 4000;
/// The most bytes of a title; ntfy has no limit of its own there, phones show a line.
const TITLE_LIMIT: usize = 250;

/// A topic of an ntfy server as a bell. It has no acknowledgements.
pub struct Ntfy {
    client: Client,
    topic: String,
}

#[derive(Deserialize)]
struct Published {
    id: String,
    event: String,
    #[serde(default)]
    tags: Vec<String>,
}

impl Ntfy {
    /// The topic of the server at `url`; without a token where the server wants none.
    ///
    /// # Errors
    ///
    /// When `url` is no address, or `topic` no topic.
    pub fn new(url: &str, token: Option<Token>, topic: &str) -> Result<Self> {
        let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if topic.is_empty() || topic.len() > 64 || !topic.bytes().all(ordinary) {
            let reason = "must be 1 to 64 letters, digits, `-` and `_`";
            return Err(Error::invalid("AFK_NTFY_TOPIC", reason));
        }
        let client = Client::new(WHAT, "AFK_NTFY_URL", url, token, Scheme::Bearer)?;
        Ok(Self { client, topic: topic.to_owned() })
    }

    async fn rung(&self, notice: &Notice, again: bool) -> Result<Receipt> {
        let key = key(notice);
        if again && let Some(id) = self.find(&key).await? {
            return Ok(Receipt(id));
        }
        let mut tags: Vec<&str> = notice.kind.tags().to_vec();
        tags.push(&key);
        let mut message = json!({
            "topic": self.topic,
            "title": cut(&notice.title, TITLE_LIMIT),
            "message": cut(&notice.body, MESSAGE_LIMIT),
            "priority": if notice.kind.is_urgent() { 4 } else { 2 },
            "tags": tags,
            "sequence_id": key,
        });
        if let Some(link) = &notice.link {
            message["click"] = json!(link);
            message["actions"] = json!([{"action": "view", "label": "Open", "url": link}]);
        }
        // To the root: the topic is in the body, and in no log of a proxy.
        let answer = self.client.send(&Call::post("/").json(&message)?).await?;
        let published: Published = accepted(answer)?.json()?;
        if published.event != "message" || published.id.is_empty() {
            return Err(Error::unavailable(WHAT, "the answer is of no message", None));
        }
        Ok(Receipt(published.id))
    }

    /// The message with this key, of those that the server still keeps.
    async fn find(&self, key: &str) -> Result<Option<String>> {
        let call = Call::get(format!("/{}/json", self.topic)).query("poll", "1").query("since", "all");
        let answer = accepted(self.client.send(&call).await?)?;
        for line in answer.bytes().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let message: Published = serde_json::from_slice(line)
                .map_err(|_| Error::unavailable(WHAT, "its list of messages cannot be read", None))?;
            if message.event == "message" && message.tags.iter().any(|tag| tag == key) {
                return Ok(Some(message.id));
            }
        }
        Ok(None)
    }
}

fn accepted(answer: Answer) -> Result<Answer> {
    match answer.status() {
        403 => Err(Error::refused(
            WHAT,
            format_args!("{}; the token has to be able to read and to write the topic", answer.told()),
        )),
        _ => answer.ok(),
    }
}

/// A key as ntfy's ids and tags can be.
fn key(notice: &Notice) -> String {
    format!("afk-{}", &Digest::of("", &notice.key).as_str()[..24])
}

/// The start of a text, in so many bytes.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

impl Bell for Ntfy {
    fn ring<'a>(&'a self, notice: &'a Notice, again: bool) -> BoxFuture<'a, Result<Receipt>> {
        self.client.within(self.rung(notice, again)).boxed()
    }

    fn acknowledged<'a>(&'a self, _receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>> {
        futures::future::ready(Seen::Absent).boxed()
    }
}

/// Without the topic, which on a public server is all that keeps others out.
impl fmt::Debug for Ntfy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ntfy").field("client", &self.client).finish_non_exhaustive()
    }
}
