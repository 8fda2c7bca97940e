//! Two conversations, streaming, and a barge-in: `cargo run -p claude-exec --features store --example brain`.

use claude_exec::brain::{Brain, Busy, ConversationTurn, Message};
use claude_exec::{executor::LocalExecutor, protocol::Event};
use futures::StreamExt;

#[tokio::main]
async fn main() -> claude_exec::Result<()> {
    let brain = Brain::builder(LocalExecutor::new()).build()?; // `.store(…)`: conversations outlive a restart
    print(brain.say("kitchen", "My name is Ana. How long does an egg boil?").await?).await;
    print(brain.say("kitchen", "And what is my name?").await?).await; // the same process: no start, no wait
    print(brain.say("bathroom", "What is my name?").await?).await; // another conversation knows nothing of it

    let mut story = brain.say("kitchen", "Tell me a very long story.").await?;
    while !matches!(story.next().await, Some(Event::Text(_) | Event::TurnEnd) | None) {} // it begins …
    let barge_in = Message::new("Stop. In one word: how was it?").busy(Busy::Interrupt);
    print(brain.say("kitchen", barge_in).await?).await; // … and ends in mid-sentence
    println!("{} turns in the kitchen", brain.history("kitchen").await?.len());
    Ok(())
}

async fn print(mut turn: ConversationTurn) {
    while let Some(event) = turn.next().await {
        match event {
            Event::Text(text) => print!("{}", text.text),
            Event::Error(error) => eprintln!("{error}"),
            Event::TurnEnd => println!(),
            _ => {}
        }
    }
}
