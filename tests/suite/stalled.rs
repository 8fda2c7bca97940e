//! Callers that take nothing, or send nothing: they cost the others a wait, and nothing after that.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::process;
use crate::support::server::{Server, Site, TOKEN, body_of};

/// Callers at the same time, against four slots.
const CALLERS: usize = 50;

/// Deltas without end.
const FLOOD: &str = "[[flood]]";

/// What a process holds at the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: usize,
    files: usize,
}

fn held(server: &Server) -> Held {
    let count =
        |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", server.pid())).map_or(0, Iterator::count);
    Held { threads: count("task"), files: count("fd") }
}

/// Threads for blocking work that may outlive it: the pool measures its processes every few seconds, and so keeps a
/// few of them from ending. Fewer than [`CALLERS`] by far.
const THREADS_BESIDES: usize = 6;

/// Memory of a server that holds back fifty floods: each is bounded by pipes, sockets and a few buffers.
const MEMORY_LIMIT: u64 = 200 * 1024 * 1024;

/// Sends a request and reads nothing of the answer.
async fn stall(address: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("there are sockets");
    // Little room, so that the server notices soon; the default takes megabytes first.
    socket.set_recv_buffer_size(4096).expect("it is not connected yet");
    let mut socket = socket.connect(address).await.expect("the server listens");
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("the server reads");
    socket.write_all(body.as_bytes()).await.expect("the server reads");
    socket
}

async fn scene() -> (Site, Server) {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "4").env("POOL_PROCESSES", "4");
    let site = site.env("WRITE_STALL_SECONDS", "1");
    let server = site.start().await;
    // As many processes as it will ever keep.
    for _ in 0..4 {
        assert_eq!(server.chat("[[text warm]]").await.answer(), "warm");
    }
    server.load_is(0, 0).await;
    (site, server)
}

/// Everything is as it was: slots, processes, workspaces, threads, files.
async fn assert_as_before(site: &Site, server: &Server, before: Held) {
    server.load_is(0, 0).await;
    server.keeps_only(site).await;
    process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
    process::until("threads and files are back", || {
        let now = held(server);
        now.threads <= before.threads + THREADS_BESIDES && now.files <= before.files
    })
    .await;
}

#[tokio::test]
async fn s6_stalled_readers_keep_nobody_from_being_served() {
    let (site, server) = scene().await;
    let before = held(&server);
    let body = body_of("sonnet", FLOOD, true).to_string();
    let mut stalled = Vec::new();
    for _ in 0..CALLERS {
        stalled.push(stall(server.address, "POST", "/v1/chat/completions", &body).await);
    }
    server.load_is(4, CALLERS as u64 - 4).await;
    // Behind all fifty in the queue, and served although none of them ever reads or leaves.
    assert_eq!(server.chat("[[text served]]").await.answer(), "served");
    let resident = process::resident(server.pid());
    assert!(resident < MEMORY_LIMIT, "{resident} bytes");
    assert_as_before(&site, &server, before).await;
    drop(stalled);
}

#[tokio::test]
async fn s6_stalled_readers_that_leave_give_everything_back() {
    let (site, server) = scene().await;
    let before = held(&server);
    let body = body_of("probe", "[[detached]] [[flood]]", true).to_string();
    let mut stalled = Vec::new();
    for _ in 0..CALLERS {
        stalled.push(stall(server.address, "POST", "/v1/chat/completions", &body).await);
    }
    server.load_is(4, CALLERS as u64 - 4).await;
    drop(stalled);
    assert_as_before(&site, &server, before).await;
    assert_eq!(server.chat("[[text served]]").await.answer(), "served");
}

#[tokio::test]
async fn followers_that_read_nothing_do_not_hold_a_job_up() {
    let (site, server) = scene().await;
    let before = held(&server);
    let marker = site.home().path().join("written");
    // More than sockets and pipes hold, and then a sign that all of it was written.
    let prompt = format!("[[words 4000]] [[touch {}]] [[silence]]", marker.display());
    let id = server.submit(&json!({"prompt": prompt, "agent": "probe"})).await;
    let mut stalled = Vec::new();
    for _ in 0..CALLERS {
        stalled.push(stall(server.address, "GET", &format!("/jobs/{id}/events"), "").await);
    }
    process::until("the agent has written everything", || marker.exists()).await;
    assert_eq!(server.job(&id).await["status"], "running");
    let reply = server.post(&format!("/jobs/{id}/cancel"), &json!(null)).await;
    assert_eq!(reply.json()["status"], "cancelled");
    drop(stalled);
    assert_as_before(&site, &server, before).await;
}

#[tokio::test]
async fn callers_that_never_finish_asking_hold_no_slot() {
    let (site, server) = scene().await;
    let before = held(&server);
    let mut silent = Vec::new();
    for number in 0..CALLERS {
        let mut socket = TcpStream::connect(server.address).await.expect("the server listens");
        let part = match number % 3 {
            0 => String::new(),
            1 => "POST /v1/chat/completions HTTP/1.1\r\nhost".to_owned(),
            _ => format!(
                "POST /v1/conversational HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: 99\r\n\r\n{{"
            ),
        };
        socket.write_all(part.as_bytes()).await.expect("the server reads");
        silent.push(socket);
    }
    assert_eq!(server.health().await["active"], 0);
    let all = (0..8).map(|_| server.chat("[[text served]]"));
    for reply in futures::future::join_all(all).await {
        assert_eq!(reply.answer(), "served");
    }
    drop(silent);
    assert_as_before(&site, &server, before).await;
}
