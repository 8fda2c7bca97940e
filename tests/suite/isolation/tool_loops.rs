//! A hundred tool loops at once, with hang-ups, repeats and crashes: every result reaches the call that it answers, and
//! every client is asked for its own alone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec::executor::{Answer, Said, ScriptedCli};
use serde_json::{Value, json};

use super::{Dice, KEYS, Scene, seed};
use crate::support::server::open_as;

/// Loops that run at once, as many as the issue asks for.
const LOOPS: usize = 100;

/// Half of them may wait for their clients: the others lose theirs, and are replayed.
const PROCESSES: usize = LOOPS;

/// A call: whose loop, which round, which of the round's. All that the model knows of it stands in its id.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Call {
    owner: u64,
    round: u64,
    place: u64,
}

impl Call {
    /// How many rounds a loop has, and how many calls a round.
    fn rounds(owner: u64) -> u64 {
        2 + owner % 3
    }

    fn of_round(owner: u64, round: u64) -> impl Iterator<Item = Self> {
        (0..1 + (owner + round) % 3).map(move |place| Self { owner, round, place })
    }

    fn read(id: &str) -> Self {
        let mut numbers = id.split('_').filter_map(|part| part.parse().ok());
        let mut next = || numbers.next().expect("an id of this model's");
        Self { owner: next(), round: next(), place: next() }
    }

    fn arguments(self) -> Value {
        json!({"at": format!("{}.{}.{}", self.owner, self.round, self.place)})
    }

    /// What the client's tool gives.
    fn result(self) -> String {
        format!("seen by {} in round {} at {}", self.owner, self.round, self.place)
    }
}

fn line(event: Value) -> Value {
    json!({"type": "stream_event", "event": event, "parent_tool_use_id": null})
}

/// A model that asks, round after round, and notes every result that is not what its call asked for.
#[derive(Clone, Default)]
struct Model {
    made: Arc<AtomicU64>,
    taken: Arc<AtomicUsize>,
    /// Of those, in the turn that had asked.
    waited: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Model {
    fn answer(&self, said: &Said) -> Answer {
        let results = said.content.as_array().into_iter().flatten();
        let results = results
            .filter(|block| block["type"] == "tool_result")
            .map(|block| (block["tool_use_id"].as_str().unwrap_or_default(), text_of(&block["content"])));
        let results: Vec<(&str, String)> = results.collect();
        match results.as_slice() {
            [] => self.ask(said.text.trim_start_matches("loop ").parse().expect("a loop's number"), 0),
            results => self.take(results),
        }
    }

    fn take(&self, results: &[(&str, String)]) -> Answer {
        let mut last = None;
        for (id, text) in results {
            let call = Call::read(id);
            if *text != call.result() {
                self.wrong.lock().expect("nobody panics with it").push(format!("{id} was told {text}"));
            }
            self.taken.fetch_add(1, Ordering::Relaxed);
            last = Some(call);
        }
        let Call { owner, round, .. } = last.expect("there are results");
        self.ask(owner, round + 1)
    }

    fn ask(&self, owner: u64, round: u64) -> Answer {
        if round == Call::rounds(owner) {
            return Answer::text(&format!("end {owner}"));
        }
        let mut answer = Answer::default();
        let (mut ids, mut requests) = (Vec::new(), Vec::new());
        for (index, call) in (1..).zip(Call::of_round(owner, round)) {
            let made = self.made.fetch_add(1, Ordering::Relaxed);
            let id = format!("toolu_{owner}_{round}_{}_{made}", call.place);
            let block = json!({"type": "tool_use", "id": id, "name": "mcp__client__look", "input": {}});
            let json = call.arguments().to_string();
            let delta = json!({"type": "input_json_delta", "partial_json": json});
            for event in [
                json!({"type": "content_block_start", "index": index, "content_block": block}),
                json!({"type": "content_block_delta", "index": index, "delta": delta}),
                json!({"type": "content_block_stop", "index": index}),
            ] {
                answer = answer.line(line(event));
            }
            requests.push(json!({"subtype": "mcp_message", "server_name": "client", "message": {
                "jsonrpc": "2.0", "id": index, "method": "tools/call",
                "params": {"name": "look", "arguments": call.arguments(), "_meta": {"claudecode/toolUseId": id}},
            }}));
            ids.push(id);
        }
        let next = format!("msg_next_{}", self.made.fetch_add(1, Ordering::Relaxed));
        let model = self.clone();
        answer
            .line(line(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}})))
            .line(line(json!({"type": "message_stop"})))
            .line(line(json!({"type": "message_start", "message": {"id": next}})))
            .ask_all(requests, move |replies| {
                let texts = replies.iter().map(|reply| text_of(&reply["mcp_response"]["result"]["content"]));
                let results: Vec<(&str, String)> = ids.iter().map(String::as_str).zip(texts).collect();
                model.waited.fetch_add(results.len(), Ordering::Relaxed);
                model.take(&results)
            })
    }
}

fn text_of(content: &Value) -> String {
    content[0]["text"].as_str().or(content.as_str()).unwrap_or("nothing").to_owned()
}

/// What a client has heard: the whole message and why it ended, or nothing that it could use.
async fn ask(address: SocketAddr, token: &str, messages: &[Value], stream: bool) -> Option<(Value, Value)> {
    let schema = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": schema}}]);
    let body = json!({"model": "sonnet", "stream": stream, "messages": messages, "tools": tools});
    let mut reply = open_as(address, "/v1/chat/completions", token, &body).await;
    if reply.status != 200 {
        return None;
    }
    if !stream {
        let choice = reply.whole().await.json()["choices"][0].clone();
        return Some((choice["message"].clone(), choice["finish_reason"].clone()));
    }
    let (mut text, mut calls, mut finish) = (String::new(), Vec::<Value>::new(), Value::Null);
    while let Some(event) = reply.next().await.filter(|event| event.data != "[DONE]") {
        let choice = event.json()["choices"][0].clone();
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        for piece in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            match calls.get_mut(piece["index"].as_u64().expect("an index") as usize) {
                None => calls.push(piece.clone()),
                Some(call) => {
                    let whole =
                        [&call["function"], &piece["function"]].map(|part| part["arguments"].as_str());
                    call["function"]["arguments"] = whole.map(Option::unwrap_or_default).concat().into();
                }
            }
        }
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
    }
    let message = json!({"role": "assistant", "content": text, "tool_calls": calls});
    (!finish.is_null()).then_some((message, finish))
}

#[derive(Debug, Default)]
struct Counts {
    hung_up: AtomicUsize,
    failed: AtomicUsize,
    twice: AtomicUsize,
    restarted: AtomicUsize,
}

/// One client, until its loop has ended as it should.
async fn run(owner: u64, scene: &Scene, mut dice: Dice, counts: &Counts, crash: &(dyn Fn(u64) + Sync)) {
    let (_, token) = KEYS[owner as usize % KEYS.len()];
    let question = json!({"role": "user", "content": format!("loop {owner}")});
    let (mut messages, mut round) = (vec![question.clone()], 0);
    for attempt in 0.. {
        assert!(attempt < 200, "loop {owner} comes to no end: {counts:?}");
        if dice.roll(40) == 0 {
            crash(dice.roll(u64::MAX));
        }
        let stream = dice.roll(2) == 0;
        let asked = ask(scene.address, token, &messages, stream);
        let heard = match dice.roll(12) {
            0 => {
                tokio::time::timeout(Duration::from_millis(dice.roll(40)), asked).await.unwrap_or_else(|_| {
                    counts.hung_up.fetch_add(1, Ordering::Relaxed);
                    None
                })
            }
            // The same results twice at once, as an impatient client sends them.
            1 => {
                counts.twice.fetch_add(1, Ordering::Relaxed);
                let (one, other) = tokio::join!(asked, ask(scene.address, token, &messages, true));
                one.or(other)
            }
            _ => {
                let heard = asked.await;
                counts.failed.fetch_add(usize::from(heard.is_none()), Ordering::Relaxed);
                heard
            }
        };
        let Some((message, finish)) = heard else {
            if dice.roll(4) == 0 {
                counts.restarted.fetch_add(1, Ordering::Relaxed);
                (messages, round) = (vec![question.clone()], 0);
            }
            continue;
        };
        if round == Call::rounds(owner) {
            assert_eq!((&message["content"], &finish), (&json!(format!("end {owner}")), &json!("stop")));
            return;
        }
        assert_eq!(finish, "tool_calls", "loop {owner}: {message}");
        let calls = message["tool_calls"].as_array().expect("calls").clone();
        let told =
            calls.iter().map(|call| call["function"]["arguments"].as_str().expect("a text").to_owned());
        let expected = Call::of_round(owner, round).map(|call| call.arguments().to_string());
        assert!(told.eq(expected), "loop {owner}, round {round}: {message}");
        messages.push(message);
        let results = calls.iter().map(|call| {
            let id = call["id"].as_str().expect("an id");
            json!({"role": "tool", "tool_call_id": id, "content": Call::read(id).result()})
        });
        let mut results: Vec<Value> = results.collect();
        if dice.roll(2) == 0 {
            results.reverse(); // in whatever order they are done
        }
        messages.extend(results);
        round += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_of_a_hundred_loops_reaches_its_own_call() {
    let model = Model::default();
    let answering = model.clone();
    let cli = ScriptedCli::new(move |said| answering.answer(said));
    let scene = Arc::new(Scene::new(cli, PROCESSES).await);
    let (counts, crash) = (Arc::new(Counts::default()), Arc::new(scene.crash()));
    let mut dice = Dice(seed());
    let loops: Vec<_> = (0..LOOPS as u64)
        .map(|owner| {
            let (scene, counts, crash) = (scene.clone(), counts.clone(), crash.clone());
            let dice = Dice(dice.roll(u64::MAX));
            tokio::spawn(async move { run(owner, &scene, dice, &counts, &*crash).await })
        })
        .collect();
    for one in loops {
        one.await.expect("no client was asked for what is another's");
    }
    let wrong = model.wrong.lock().expect("nobody panics with it").clone();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let calls = (0..LOOPS as u64).map(|owner| {
        (0..Call::rounds(owner)).map(|round| Call::of_round(owner, round).count()).sum::<usize>()
    });
    let calls: usize = calls.sum();
    let [taken, waited] = [&model.taken, &model.waited].map(|count| count.load(Ordering::Relaxed));
    assert!(taken >= calls, "each call has its result");
    assert!(waited > taken / 4 && waited < taken, "some waited, some were replayed: {waited} of {taken}");
    let [hung_up, twice, restarted] =
        [&counts.hung_up, &counts.twice, &counts.restarted].map(|count| count.load(Ordering::Relaxed));
    assert!(hung_up > 0 && twice > 0 && restarted > 0, "{counts:?}");
    let claims = scene.pool.stats().claims;
    eprintln!("{counts:?}, {waited} of {taken} results in the turn that had asked, {claims:?}");
    Arc::into_inner(scene).expect("the loops have ended").end().await;
}
