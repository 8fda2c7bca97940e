//! What a request to the model holds beside what was said: the tokens that every turn pays for.

use claude_exec::executor::LocalExecutor;
use claude_exec::{Invocation, brain};
use serde_json::Value;

use crate::by_hand::Bare;
use crate::stand::{PROMPT, Stand, Way};
use crate::support::cli::on;

/// What the crate may add, with an API key and with a login.
const API_KEY_TARGET: usize = 950;
const LOGIN_TARGET: usize = 1750;

pub(crate) async fn print() {
    println!("\nrequest body of a first turn, in bytes");
    println!("| who asks | body | beside the prompt and the system prompt | target |");
    println!("|---|---:|---:|---:|");
    let mut bare = Bare::new().await;
    bare.take().await;
    row("`claude -p` as the original, with its 1.5 KB prompt", bare.stand(), "", None);
    let talk = || Invocation::conversational(PROMPT).system_prompt(SYSTEM);
    let login = Stand::new().await;
    run(&on(&login.home, talk())).await;
    row("ours, as with a login", &login, SYSTEM, Some(LOGIN_TARGET));
    let key = Stand::new().await;
    run(&key.on(talk())).await;
    row("ours, with an API key", &key, SYSTEM, Some(API_KEY_TARGET));
}

const SYSTEM: &str = "Answer in one sentence.";

async fn run(invocation: &Invocation) {
    let turn = brain::run(&LocalExecutor::new(), invocation).await.expect("it starts");
    assert!(turn.outcome().await.expect("it ends well").is_success());
}

fn row(who: &str, stand: &Stand, system: &str, target: Option<usize>) {
    let request = stand.api.messages().pop().expect("the model was asked");
    assert!(request.body["system"].to_string().contains(system) && says(&request.body, PROMPT));
    let beside = request.body_len - PROMPT.len() - system.len();
    let target = target.map_or_else(String::new, |target| {
        format!("{target}: {}", if beside <= target { "yes" } else { "NO" })
    });
    println!("| {who} | {} | {beside} | {target} |", request.body_len);
}

fn says(body: &Value, text: &str) -> bool {
    crate::support::model_api::user_texts(body).iter().any(|said| said == text)
}
