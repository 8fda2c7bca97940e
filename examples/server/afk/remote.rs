//! A verb asked of the server that holds the ledger.

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::args::AfkCommand;
use super::verbs::show;
use crate::args::Args;
use crate::life::Failed;

/// The largest answer: a status of every run that is remembered.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// Asks the server at `--listen`. `held` says why the ledger could not be used here.
pub async fn ask(command: &AfkCommand, args: &Args, held: &str) -> Result<(), Failed> {
    let (path, body) = match command {
        AfkCommand::Status => ("/afk/status".to_owned(), None),
        AfkCommand::Explain { issue } => (format!("/afk/explain?issue={}", issue.replace('#', "%23")), None),
        AfkCommand::Pause => mode("Pause"),
        AfkCommand::Drain => mode("Drain"),
        AfkCommand::Halt => mode("Halt"),
        AfkCommand::Resume { issue: None } => mode("Run"),
        AfkCommand::Simulate => return Ok(()),
        AfkCommand::Resume { issue: Some(issue) } => ("/afk/forgive".into(), Some(json!({ "issue": issue }))),
        AfkCommand::Ack { issue } => ("/afk/acknowledge".into(), Some(json!({ "issue": issue }))),
    };
    let keys = args.api_bearer_token.as_deref().unwrap_or_default();
    let first = keys.split(',').next().unwrap_or_default().trim();
    let secret = first.rsplit_once(':').map_or(first, |(_, secret)| secret);
    let context =
        |error: String| Failed::Broke(format!("{held}; asking the server at {}: {error}", args.listen));
    let answer = call(args, &path, body, secret).await.map_err(context)?;
    match command {
        AfkCommand::Status => show(&answer),
        AfkCommand::Explain { issue } => {
            println!("{issue}: {}", answer["why"].as_str().unwrap_or("the server did not say"));
        }
        _ => println!("done"),
    }
    Ok(())
}

fn mode(mode: &str) -> (String, Option<Value>) {
    ("/afk/mode".into(), Some(json!({ "mode": mode })))
}

async fn call(args: &Args, path: &str, body: Option<Value>, secret: &str) -> Result<Value, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let stream = TcpStream::connect(args.listen).await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(path)
        .header(HOST, args.listen.to_string())
        .header(AUTHORIZATION, format!("Bearer {secret}"))
        .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))
        .map_err(|error| text(&error))?;
    let response = sender.send_request(request).await.map_err(|error| text(&error))?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(|error| text(&error))?;
    connection.abort();
    let answer: Value = serde_json::from_slice(&body.to_bytes()).map_err(|error| text(&error))?;
    if status.is_success() {
        return Ok(answer);
    }
    Err(format!("{status}: {}", answer["detail"].as_str().unwrap_or("no reason given")))
}
