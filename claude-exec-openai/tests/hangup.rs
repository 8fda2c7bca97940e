//! Clients that hang up, over real connections: their turns end and their slots come back.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use claude_exec::executor::Scripted;
use claude_exec_openai::OpenAi;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use support::{TOKEN, endpoint, first_word, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves in raw hyper, and connects.
async fn connect(endpoint: OpenAi) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(endpoint.clone());
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    TcpStream::connect(address).await.unwrap()
}

async fn send(client: &mut TcpStream, stream: bool) {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": stream}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
}

async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(end) {
        let read = client.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the connection was closed after {text}");
        text += std::str::from_utf8(&buffer[..read]).unwrap();
    }
    text
}

#[tokio::test]
async fn in_the_middle_of_a_stream() {
    let (builder, gate, started) = endpoint(first_word("half").until_stopped(), 1, 0);
    let mut client = connect(builder.build().unwrap()).await;
    send(&mut client, true).await;
    read_until(&mut client, "half").await;
    assert_eq!((gate.status().active, started.all_stopped()), (1, false));
    drop(client);
    soon("the process is stopped", || started.all_stopped()).await;
    soon("the slot comes back", || gate.status().active == 0).await;
}

#[tokio::test]
async fn before_the_first_word_of_either_wire() {
    for stream in [false, true] {
        let (builder, gate, started) = endpoint(Scripted::new().until_stopped(), 1, 0);
        let mut client = connect(builder.build().unwrap()).await;
        send(&mut client, stream).await;
        soon("the process runs", || started.count() == 1).await;
        drop(client);
        soon("the process is stopped", || started.all_stopped()).await;
        soon("the slot comes back", || gate.status().active == 0).await;
    }
}

#[tokio::test]
async fn in_the_queue() {
    for stream in [false, true] {
        let (builder, gate, started) = endpoint(first_word("x").until_stopped(), 1, 1);
        let endpoint = builder.build().unwrap();
        let mut first = connect(endpoint.clone()).await;
        send(&mut first, true).await;
        read_until(&mut first, "x").await;
        let mut second = connect(endpoint).await;
        send(&mut second, stream).await;
        soon("the second one waits", || gate.status().queued == 1).await;
        drop(second);
        soon("its place is given back", || gate.status().queued == 0).await;
        assert_eq!((gate.status().active, started.count()), (1, 1));
    }
}

#[tokio::test]
async fn the_body_ends_right_after_done_and_the_connection_goes_on() {
    let (builder, _, _) = endpoint(Scripted::answer("Hi."), 4, 0);
    let mut client = connect(builder.build().unwrap()).await;
    for _ in 0..2 {
        send(&mut client, true).await;
        let text = read_until(&mut client, "0\r\n\r\n").await;
        assert!(text.contains("data: [DONE]\n\n"));
    }
    send(&mut client, false).await;
    read_until(&mut client, "\"finish_reason\":\"stop\"").await;
}
