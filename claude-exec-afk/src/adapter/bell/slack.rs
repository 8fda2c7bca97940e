//! Slack, by a bot's token.
//!
//! `chat.postMessage`, `conversations.history` and `conversations.replies` as <https://docs.slack.dev/> describes
//! them: an error is HTTP 200 with `"ok": false`. The bot needs the scopes `chat:write`, and `channels:history` (or
//! `groups:history` for a private channel) to tell whether a bell has rung and whether anyone has seen it.

use std::fmt;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;

use crate::adapter::Token;
use crate::adapter::http::{Answer, Call, Client, Scheme};
use crate::error::{Error, Result};
use crate::port::{Bell, Notice, Receipt};
use crate::seen::Seen;

const WHAT: &str = "Slack";
/// What the metadata of our messages is called.
const EVENT: &str = "afk_notice";
/// The newest messages that are looked through for a key: more are not posted between two attempts.
const HISTORY: &str = "200";

/// A Slack channel as a bell. A reaction or an answer acknowledges it.
pub struct Slack {
    client: Client,
    channel: String,
}

#[derive(Deserialize)]
struct Said {
    ok: bool,
    error: Option<String>,
    needed: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    ts: String,
    metadata: Option<Metadata>,
    #[serde(default)]
    reactions: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    reply_count: u64,
}

#[derive(Deserialize)]
struct Metadata {
    event_type: String,
    event_payload: serde_json::Value,
}

impl Slack {
    /// The address of Slack's Web API.
    pub const URL: &str = "https://slack.com/api";

    /// The channel of this id, such as `C0123456789`: its name would not do to look into it.
    ///
    /// # Errors
    ///
    /// When `url` is no address, or `channel` no id.
    pub fn new(url: &str, token: Token, channel: &str) -> Result<Self> {
        let fits = channel.len() >= 9
            && channel.starts_with(['C', 'G', 'D'])
            && channel.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !fits {
            return Err(Error::invalid("AFK_SLACK_CHANNEL", "must be a channel's id such as C0123456789"));
        }
        let client = Client::new(WHAT, "AFK_SLACK_URL", url, Some(token), Scheme::Bearer)?;
        Ok(Self { client, channel: channel.to_owned() })
    }

    async fn rung(&self, notice: &Notice, again: bool) -> Result<Receipt> {
        if again && let Some(ts) = self.find(&notice.key).await? {
            return Ok(receipt(&self.channel, &ts));
        }
        let link = notice.link.as_ref().map(|link| format!("\n{}", escaped(link))).unwrap_or_default();
        let text = format!("*{}*\n{}{link}", escaped(&notice.title), escaped(&notice.body));
        let message = json!({
            "channel": self.channel,
            "text": text,
            "unfurl_links": false,
            "metadata": {"event_type": EVENT, "event_payload": {"key": notice.key}},
        });
        let call =
            Call::post("/chat.postMessage").body("application/json; charset=utf-8", message.to_string());
        let said = read(&self.client.send(&call).await?)?;
        match (said.channel, said.ts) {
            (Some(channel), Some(ts)) => Ok(receipt(&channel, &ts)),
            _ => Err(Error::unavailable(WHAT, "the message was taken and has no `ts`", None)),
        }
    }

    /// The message with this key, when it was posted.
    async fn find(&self, key: &str) -> Result<Option<String>> {
        let call = Call::get("/conversations.history")
            .query("channel", self.channel.as_str())
            .query("limit", HISTORY)
            .query("include_all_metadata", "true");
        let said = read(&self.client.send(&call).await?)?;
        let ours = |message: &Message| {
            let metadata = message.metadata.as_ref().filter(|metadata| metadata.event_type == EVENT);
            metadata.is_some_and(|metadata| metadata.event_payload["key"] == key)
        };
        Ok(said.messages.into_iter().find(ours).map(|message| message.ts))
    }

    async fn seen(&self, receipt: &Receipt) -> Result<Option<bool>> {
        let Some((channel, ts)) = receipt.0.split_once('/') else { return Ok(None) };
        let call =
            Call::get("/conversations.replies").query("channel", channel).query("ts", ts).query("limit", "2");
        let said: Said = self.client.send(&call).await?.ok()?.json()?;
        // Somebody deleted it.
        if matches!(said.error.as_deref(), Some("thread_not_found" | "message_not_found")) {
            return Ok(None);
        }
        let said = judged(said)?;
        let parent = said.messages.iter().find(|message| message.ts == ts);
        Ok(parent
            .map(|parent| !parent.reactions.is_empty() || parent.reply_count > 0 || said.messages.len() > 1))
    }
}

fn receipt(channel: &str, ts: &str) -> Receipt {
    Receipt(format!("{channel}/{ts}"))
}

fn read(answer: &Answer) -> Result<Said> {
    if !answer.is_success() {
        return Err(answer.refused());
    }
    judged(answer.json()?)
}

/// What the answer says, whatever its status: errors come with 200.
fn judged(said: Said) -> Result<Said> {
    if said.ok {
        return Ok(said);
    }
    let error: String = said.error.as_deref().unwrap_or("no reason given").chars().take(80).collect();
    let passing = [
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    ];
    if passing.contains(&error.as_str()) {
        return Err(Error::unavailable(WHAT, error, None));
    }
    let what_to_do = match (error.as_str(), said.needed) {
        ("missing_scope", Some(scope)) => format!("; give the bot the scope {scope}"),
        ("not_in_channel", _) => "; invite the bot to the channel".into(),
        ("channel_not_found", _) => "; see AFK_SLACK_CHANNEL, and invite the bot".into(),
        ("invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive", _) => {
            "; see AFK_SLACK_TOKEN".into()
        }
        _ => String::new(),
    };
    Err(Error::refused(WHAT, format!("{error}{what_to_do}")))
}

/// Text as it is: without it, an issue's title could call a whole channel (`<!channel>`).
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Bell for Slack {
    fn ring<'a>(&'a self, notice: &'a Notice, again: bool) -> BoxFuture<'a, Result<Receipt>> {
        self.client.within(self.rung(notice, again)).boxed()
    }

    fn acknowledged<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Seen<bool>> {
        self.client.within(self.seen(receipt)).map(Seen::from).boxed()
    }
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").field("channel", &self.channel).finish_non_exhaustive()
    }
}
