//! Phones: the contract of [`Bell`], on fakes of Slack, ntfy and a webhook's receiver with their traps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec_afk::Seen;
use claude_exec_afk::adapter::{LogBell, Ntfy, Slack, Token, Webhook};
use claude_exec_afk::engine::Clock;
use claude_exec_afk::port::{Bell, Notice, NoticeKind, Receipt};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::stub::{Asked, Reply, Stub};

const SECRET: &str = "a-secret-of-the-test";
const CHANNEL: &str = "C0123456789";
const TOPIC: &str = "afk-topic";

/// What a service does with the next message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It takes it, and its answer is lost.
    Lose,
    /// It does not take it.
    Down,
}

#[derive(Default)]
struct World {
    messages: Vec<Value>,
    fault: Option<Fault>,
    /// Slack's error for everything, if there is one.
    error: Option<&'static str>,
    /// What may not be read.
    blind: bool,
}

type Shared = Arc<Mutex<World>>;

/// Takes a message, or does not; `None` goes on.
fn take(world: &mut World, message: Value) -> Option<Reply> {
    match world.fault.take() {
        Some(Fault::Down) => Some(Reply::empty(503)),
        fault => {
            world.messages.push(message);
            fault.map(|_| Reply::empty(502))
        }
    }
}

fn slack_answer(world: &mut World, asked: &Asked) -> Reply {
    // HTTP 200, whatever happened.
    let told = |body: Value| Reply::json(200, &body);
    let failed = |error: &str| told(json!({"ok": false, "error": error}));
    if asked.header("authorization") != format!("Bearer {SECRET}") {
        return failed("invalid_auth");
    }
    if let Some(error) = world.error {
        return failed(error);
    }
    let channel = asked.query("channel").or_else(|| asked.body["channel"].as_str().map(str::to_owned));
    if channel.as_deref() != Some(CHANNEL) {
        return failed("channel_not_found");
    }
    match asked.line().as_str() {
        "POST /chat.postMessage" => {
            assert_eq!(asked.header("content-type"), "application/json; charset=utf-8");
            let ts = format!("1790000000.{:06}", world.messages.len() + 1);
            let message = json!({"type": "message", "ts": ts, "text": asked.body["text"],
                "metadata": asked.body["metadata"]});
            let reply = take(world, message);
            reply.unwrap_or_else(|| told(json!({"ok": true, "channel": CHANNEL, "ts": ts, "message": {}})))
        }
        "GET /conversations.history" if world.blind => told(
            json!({"ok": false, "error": "missing_scope", "needed": "channels:history", "provided": "chat:write"}),
        ),
        "GET /conversations.history" => {
            let mut found: Vec<_> = world.messages.iter().rev().cloned().collect();
            if asked.query("include_all_metadata").as_deref() != Some("true") {
                found
                    .iter_mut()
                    .for_each(|message| drop(message.as_object_mut().unwrap().remove("metadata")));
            }
            told(json!({"ok": true, "messages": found, "has_more": false}))
        }
        "GET /conversations.replies" => match asked.query("ts") {
            Some(ts) if world.messages.iter().any(|message| message["ts"] == ts) => {
                let found: Vec<_> = world.messages.iter().filter(|message| message["ts"] == ts).collect();
                told(json!({"ok": true, "messages": found}))
            }
            _ => failed("thread_not_found"),
        },
        _ => failed("unknown_method"),
    }
}

fn ntfy_answer(world: &mut World, asked: &Asked) -> Reply {
    let failed = |code: u32, http: u16, error: &str| {
        Reply::json(
            http,
            &json!({"code": code, "http": http, "error": error, "link": "https://ntfy.sh/docs/"}),
        )
    };
    if asked.header("authorization") != format!("Bearer {SECRET}") {
        return failed(40101, 401, "unauthorized");
    }
    match asked.line().as_str() {
        "POST /" if asked.body["topic"] == TOPIC => {
            let text = asked.body["message"].as_str().unwrap();
            let priority = asked.body["priority"].as_u64().unwrap();
            if text.len() > 4096 || !(1..=5).contains(&priority) {
                return failed(40024, 400, "invalid request: priority invalid, or the message is too long");
            }
            let mut message = asked.body.clone();
            message["id"] = json!(format!("m{}", world.messages.len() + 1));
            message["event"] = json!("message");
            take(world, message.clone()).unwrap_or_else(|| Reply::json(200, &message))
        }
        "GET /afk-topic/json" if world.blind => failed(40301, 403, "forbidden"),
        "GET /afk-topic/json" => {
            assert_eq!(asked.query("poll").as_deref(), Some("1"), "it would stream for ever");
            let lines = world.messages.iter().map(|message| format!("{message}\n")).collect::<String>();
            Reply { body: lines.into(), ..Reply::empty(200) }.header("content-type", "application/x-ndjson")
        }
        _ => failed(40401, 404, "page not found"),
    }
}

/// A receiver that does what the specification says: it checks the signature, and drops what it has.
fn webhook_answer(world: &mut World, asked: &Asked) -> Reply {
    let (id, time) = (asked.header("webhook-id"), asked.header("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(&asked.raw);
    let signature = format!("v1,{}", data_encoding::BASE64.encode(&mac.finalize().into_bytes()));
    if asked.line() != "POST /hooks/afk"
        || asked.header("webhook-signature") != signature
        || time != "1790000000"
    {
        return Reply::empty(401);
    }
    if asked.body["key"] != id {
        return Reply::empty(400);
    }
    if world.messages.iter().any(|message| message["key"] == id) {
        return Reply::empty(204);
    }
    take(world, asked.body.clone()).unwrap_or_else(|| Reply::empty(204))
}

struct TestClock;

impl Clock for TestClock {
    fn wall(&self) -> u64 {
        1_790_000_000_123
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

async fn serve(answer: fn(&mut World, &Asked) -> Reply) -> (Stub, Shared) {
    let world = Shared::default();
    let answering = world.clone();
    (Stub::start(move |asked| answer(&mut answering.lock().unwrap(), asked)).await, world)
}

fn token(text: &str) -> Token {
    Token::Fixed(text.parse().unwrap())
}

fn slack(stub: &Stub, secret: &str) -> Slack {
    Slack::new(&stub.url, token(secret), CHANNEL).unwrap()
}

fn ntfy(stub: &Stub, secret: &str) -> Ntfy {
    Ntfy::new(&stub.url, Some(token(secret)), TOPIC).unwrap()
}

fn webhook(stub: &Stub, secret: &str) -> Webhook {
    Webhook::new(&format!("{}/hooks/afk", stub.url), &secret.parse().unwrap(), Arc::new(TestClock)).unwrap()
}

fn notice(key: &str) -> Notice {
    Notice {
        key: key.into(),
        kind: NoticeKind::Frozen,
        issue: "octo/site#7".parse().unwrap(),
        title: format!("[FROZEN] octo/site#7 <!channel> {key}"),
        body: "Rounding & totals\n2 of 3 steps".into(),
        link: Some("https://afk.example/afk#run".into()),
    }
}

/// The key is the bell: whatever becomes of an answer, one key rings once, and another one rings too.
async fn conformance(bell: &dyn Bell, world: &Shared) {
    let rung = || world.lock().unwrap().messages.len();
    let fail = |fault| world.lock().unwrap().fault = Some(fault);
    let (first, second, third) = (notice("run.1:frozen"), notice("run.1:frozen:1"), notice("run.2:frozen"));
    let receipt = bell.ring(&first, false).await.unwrap();
    assert_eq!(rung(), 1);
    assert_eq!(bell.ring(&first, true).await.unwrap(), receipt, "it has rung");
    assert_eq!(rung(), 1);
    fail(Fault::Lose);
    let error = bell.ring(&second, false).await.unwrap_err();
    assert!(error.is_transient() && !format!("{error} {error:?}").contains(SECRET), "{error}");
    bell.ring(&second, true).await.unwrap();
    assert_eq!(rung(), 2, "its answer was lost, and it had rung");
    fail(Fault::Down);
    assert!(bell.ring(&third, false).await.unwrap_err().is_transient());
    bell.ring(&third, true).await.unwrap();
    assert_eq!(rung(), 3, "it had not rung");
}

#[tokio::test]
async fn f13_slack_rings_once_for_each_key() {
    let (stub, world) = serve(slack_answer).await;
    let bell = slack(&stub, SECRET);
    conformance(&bell, &world).await;
    let text = world.lock().unwrap().messages[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("&lt;!channel&gt;") && !text.contains("<!channel>"), "{text}");
    assert!(!format!("{bell:?}").contains(SECRET));
}

#[tokio::test]
async fn slack_s_errors_come_with_200_and_are_errors() {
    let (stub, world) = serve(slack_answer).await;
    let refused = slack(&stub, "another-secret").ring(&notice("k"), false).await.unwrap_err();
    assert!(refused.is_refused() && refused.to_string().contains("AFK_SLACK_TOKEN"), "{refused}");
    assert!(!refused.to_string().contains("another-secret"));
    for (error, transient) in [("ratelimited", true), ("internal_error", true), ("is_archived", false)] {
        world.lock().unwrap().error = Some(error);
        let told = slack(&stub, SECRET).ring(&notice("k"), false).await.unwrap_err();
        assert_eq!((told.is_transient(), told.is_refused()), (transient, !transient), "{told}");
        assert!(told.to_string().contains(error), "{told}");
    }
    world.lock().unwrap().error = None;
    world.lock().unwrap().blind = true;
    let told = slack(&stub, SECRET).ring(&notice("k"), true).await.unwrap_err();
    assert!(told.is_refused() && told.to_string().contains("channels:history"), "{told}");
    assert_eq!(world.lock().unwrap().messages.len(), 0);
}

#[tokio::test]
async fn a_reaction_or_an_answer_acknowledges_a_slack_message() {
    let (stub, world) = serve(slack_answer).await;
    let bell = slack(&stub, SECRET);
    for (key, value) in [("reactions", json!([{"name": "eyes", "count": 1}])), ("reply_count", json!(1))] {
        let receipt = bell.ring(&notice(key), false).await.unwrap();
        assert_eq!(bell.acknowledged(&receipt).await, Seen::Known(false));
        world.lock().unwrap().messages.last_mut().unwrap()[key] = value;
        assert_eq!(bell.acknowledged(&receipt).await, Seen::Known(true), "{key}");
        world.lock().unwrap().messages.clear();
        assert!(bell.acknowledged(&receipt).await.is_absent(), "deleted");
    }
    world.lock().unwrap().error = Some("ratelimited");
    assert!(bell.acknowledged(&Receipt(format!("{CHANNEL}/1.2"))).await.is_unknown());
}

#[tokio::test]
async fn f13_ntfy_rings_once_for_each_key() {
    let (stub, world) = serve(ntfy_answer).await;
    let bell = ntfy(&stub, SECRET);
    conformance(&bell, &world).await;
    let shown = format!("{bell:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(TOPIC), "{shown}");
    let first = world.lock().unwrap().messages[0].clone();
    assert_eq!((&first["priority"], &first["click"]), (&json!(4), &json!("https://afk.example/afk#run")));
    // Longer than a phone shows, and cut between letters.
    let long = Notice { body: "ä".repeat(3000), ..notice("long") };
    bell.ring(&long, false).await.unwrap();
    let refused = ntfy(&stub, "another-secret").ring(&notice("k"), false).await.unwrap_err();
    assert!(!format!("{refused:?}").contains("another-secret"), "{refused}");
    world.lock().unwrap().blind = true;
    let told = bell.ring(&notice("k"), true).await.unwrap_err();
    assert!(told.is_refused() && told.to_string().contains("read"), "{told}");
    assert!(bell.acknowledged(&Receipt("m1".into())).await.is_absent());
}

#[tokio::test]
async fn f13_a_webhook_rings_once_for_each_key_and_is_signed() {
    let (stub, world) = serve(webhook_answer).await;
    let bell = webhook(&stub, SECRET);
    conformance(&bell, &world).await;
    assert!(!format!("{bell:?}").contains("hooks"));
    let first = world.lock().unwrap().messages[0].clone();
    assert_eq!((&first["issue"], &first["kind"]), (&json!("octo/site#7"), &json!("Frozen")));
    let unsigned = webhook(&stub, "another-secret-of-16").ring(&notice("k"), false).await.unwrap_err();
    assert!(!unsigned.to_string().contains("another-secret"), "{unsigned}");
    let gone = Stub::start(|_| Reply::empty(410)).await;
    let told = webhook(&gone, SECRET).ring(&notice("k"), false).await.unwrap_err();
    assert!(told.is_refused() && told.to_string().contains("gone"), "{told}");
    for short in ["whsec_c2hvcnQ=", "whsec_***", "short"] {
        let secret = short.parse().unwrap();
        assert!(Webhook::new(&stub.url, &secret, Arc::new(TestClock)).is_err_and(|error| error.is_invalid()));
    }
}

#[tokio::test]
async fn a_page_in_between_is_no_answer() {
    let portal = Stub::start(|_| {
        Reply { body: "<html>sign in</html>".into(), ..Reply::empty(200) }.header("content-type", "text/html")
    });
    let portal = portal.await;
    for bell in [&slack(&portal, SECRET) as &dyn Bell, &ntfy(&portal, SECRET)] {
        let told = bell.ring(&notice("k"), false).await.unwrap_err();
        assert!(told.is_transient() && told.to_string().contains("text/html"), "{told}");
    }
}

#[tokio::test]
async fn without_a_phone_a_notice_is_logged_and_owed_no_more() {
    let bell = LogBell::new();
    let receipt = bell.ring(&notice("k"), false).await.unwrap();
    assert!(bell.acknowledged(&receipt).await.is_absent());
}
