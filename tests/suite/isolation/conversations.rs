//! Many clients with the same beginnings, random hang-ups, repeats and crashes: each answer says all that the model was
//! told, and that is what its asker has said, to the word.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use claude_exec::executor::{Answer, ScriptedCli};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Dice, KEYS, Scene, seed};
use crate::support::model_api::{ModelApi, Scenario};
use crate::support::process;
use crate::support::server::{Site, content_of, open_as};

/// Turns over a script and on the real CLI; together those that the issue asks for.
const SCRIPTED: usize = 1_880;
const REAL: usize = 120;

/// A conversation is begun anew after so many messages.
const LONG: usize = 14;

/// What a model says that was told this: every word of its users, and a hash of all of it in order.
fn testimony(told: &[(String, String)]) -> String {
    let mut hash = DefaultHasher::new();
    told.hash(&mut hash);
    let users = told.iter().filter(|(role, _)| role == "user");
    let words: Vec<&str> = users.map(|(_, text)| text.as_str()).collect();
    format!("{} #{:016x}", words.join(" | "), hash.finish())
}

/// Messages as the model reads them: texts in a row of one role are one message's.
fn told(messages: &[Value]) -> Vec<(String, String)> {
    let of = |message: &Value| {
        let role = message["role"].as_str().unwrap_or_default().to_owned();
        let texts = match &message["content"] {
            Value::String(text) => vec![text.clone()],
            blocks => {
                let blocks = blocks.as_array().cloned().unwrap_or_default();
                blocks.iter().map(|block| block["text"].as_str().unwrap_or("?").to_owned()).collect()
            }
        };
        texts.into_iter().map(move |text| (role.clone(), text)).collect::<Vec<_>>()
    };
    messages.iter().filter(|message| message["role"] != "system").flat_map(of).collect()
}

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicUsize,
    hung_up: AtomicUsize,
    failed: AtomicUsize,
    crashes: AtomicUsize,
}

/// When a client stops listening.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    Never,
    AfterMillis(u64),
    AfterWords(u64),
}

#[derive(Debug)]
enum Heard {
    Whole(String),
    Part(String),
    Failed,
}

async fn ask(address: SocketAddr, token: &str, messages: &[Value], stream: bool, leaves: Leaves) -> Heard {
    let body = json!({"model": "sonnet", "stream": stream, "messages": messages});
    let asked = open_as(address, "/v1/chat/completions", token, &body);
    let mut reply = match leaves {
        Leaves::AfterMillis(millis) => {
            match tokio::time::timeout(Duration::from_millis(millis), asked).await {
                Ok(reply) => reply,
                Err(_) => return Heard::Part(String::new()),
            }
        }
        _ => asked.await,
    };
    if reply.status != 200 {
        return Heard::Failed;
    }
    if !stream {
        let reply = reply.whole().await;
        return Heard::Whole(reply.answer());
    }
    let (mut text, mut words) = (String::new(), 0);
    while let Some(event) = reply.next().await {
        if event.data == "[DONE]" {
            return Heard::Whole(text);
        }
        let event = event.json();
        if event["error"].is_object() {
            return Heard::Failed;
        }
        text += &content_of(&event);
        words += 1;
        if matches!(leaves, Leaves::AfterWords(most) if words > most) {
            return Heard::Part(text);
        }
    }
    Heard::Failed
}

/// One client, until it has had its share of answers.
async fn live(
    number: usize,
    address: SocketAddr,
    share: usize,
    mut dice: Dice,
    counts: Arc<Counts>,
    crash: Arc<dyn Fn(u64) + Send + Sync>,
) {
    let (_, token) = KEYS[number % KEYS.len()];
    let mut messages: Vec<Value> = Vec::new();
    let (mut answered, mut turn) = (0, 0);
    while answered < share {
        turn += 1;
        assert!(turn < 20 * share + 100, "client {number} gets no answers: {counts:?}");
        // Everybody begins alike, with the same few words.
        let text = match messages.len() {
            0 => "hello".to_owned(),
            2 if dice.roll(2) == 0 => "and then?".to_owned(),
            _ => format!("client-{number} turn-{turn} {:x}", dice.roll(u64::MAX)),
        };
        messages.push(json!({"role": "user", "content": text}));
        let stream = dice.roll(2) == 0;
        let leaves = match dice.roll(20) {
            0 => Leaves::AfterMillis(dice.roll(30)),
            1 | 2 if stream => Leaves::AfterWords(dice.roll(4)),
            _ => Leaves::Never,
        };
        if dice.roll(60) == 0 {
            counts.crashes.fetch_add(1, Ordering::Relaxed);
            crash(dice.roll(u64::MAX));
        }
        let expected = testimony(&told(&messages));
        let heard = if dice.roll(25) == 0 {
            // The same request twice at once, as an impatient client does it.
            let both = (
                ask(address, token, &messages, stream, leaves),
                ask(address, token, &messages, true, leaves),
            );
            let (one, other) = tokio::join!(both.0, both.1);
            if let Heard::Whole(text) = other {
                assert_eq!(text, expected, "client {number}, turn {turn}, twice");
                counts.answered.fetch_add(1, Ordering::Relaxed);
            }
            one
        } else {
            ask(address, token, &messages, stream, leaves).await
        };
        match heard {
            Heard::Whole(text) => {
                assert_eq!(text, expected, "client {number}, turn {turn}");
                counts.answered.fetch_add(1, Ordering::Relaxed);
                answered += 1;
                messages.push(json!({"role": "assistant", "content": text}));
                match dice.roll(20) {
                    // Another answer is wanted, or another question asked, from the middle.
                    0 => messages.truncate(messages.len() - 2),
                    1 => messages.truncate(2 * (messages.len() / 4)),
                    _ if messages.len() > LONG => messages.clear(),
                    _ => {}
                }
            }
            Heard::Part(text) => {
                assert!(expected.starts_with(&text), "client {number}, turn {turn}: {text} of {expected}");
                counts.hung_up.fetch_add(1, Ordering::Relaxed);
                match dice.roll(3) {
                    // It goes on from what it has heard, as a voice assistant does it; or says it again; or more.
                    0 if !text.trim().is_empty() => {
                        messages.push(json!({"role": "assistant", "content": text}))
                    }
                    1 => drop(messages.pop()),
                    _ => {}
                }
            }
            Heard::Failed => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                messages.pop();
            }
        }
    }
}

/// All clients at once, each with its own dice.
async fn all(
    clients: usize,
    turns: usize,
    address: SocketAddr,
    crash: impl Fn(u64) + Send + Sync + 'static,
) -> Arc<Counts> {
    let (counts, crash) = (Arc::new(Counts::default()), Arc::new(crash));
    let mut dice = Dice(seed());
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let (counts, crash) = (counts.clone(), crash.clone());
            let dice = Dice(dice.roll(u64::MAX));
            tokio::spawn(live(number, address, turns.div_ceil(clients), dice, counts, crash))
        })
        .collect();
    for task in tasks {
        task.await.expect("no client heard another's words");
    }
    assert!(counts.answered.load(Ordering::Relaxed) >= turns, "{counts:?}");
    assert!(
        counts.hung_up.load(Ordering::Relaxed) > 0 && counts.crashes.load(Ordering::Relaxed) > 0,
        "{counts:?}"
    );
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_one_conversation_reaches_another() {
    let cli = ScriptedCli::new(|said| {
        let lines = said.history.iter().cloned().chain([("user".to_owned(), said.text.clone())]);
        let told: Vec<(String, String)> = lines
            .flat_map(|(role, text)| {
                text.split('\n').map(|line| (role.clone(), line.to_owned())).collect::<Vec<_>>()
            })
            .collect();
        Answer::text(&testimony(&told))
    });
    let scene = Scene::new(cli, 24).await;
    let counts = all(16, SCRIPTED, scene.address, scene.crash()).await;
    let stats = scene.pool.stats();
    eprintln!("{counts:?}, {:?}", stats.claims);
    assert!(stats.claims.live as usize > SCRIPTED / 4, "most of it was warm: {:?}", stats.claims);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn nor_on_the_real_cli() {
    let api = ModelApi::start().await;
    api.script(|request| {
        let messages = request.body["messages"].as_array().cloned().unwrap_or_default();
        Scenario::text(&testimony(&told(&messages)))
    });
    let tokens: Vec<String> = KEYS.iter().map(|(name, token)| format!("{name}:{token}")).collect();
    let site = Site::real(&api).tokens(&tokens.join(",")).env("PUBLIC_METRICS", "true");
    let server = site.start().await;
    let address = server.address;
    let watched = Arc::new(site);
    let site = watched.clone();
    let crash = move |dice: u64| {
        let alive = site.children();
        if let Some(process) = alive.get(dice as usize % alive.len().max(1)) {
            process::kill(process.pid, Signal::KILL);
        }
    };
    let counts = all(6, REAL, address, crash).await;
    let live = server.metric(r#"claude_exec_pool_claims_total{origin="live"}"#).await;
    eprintln!("{counts:?}, live {live}");
    assert!(live > REAL as f64 / 4.0, "most of it was warm");
    assert_eq!(server.terminate().await.code(), Some(0));
    assert_eq!(watched.children(), [], "nothing is left");
}
