//! The load: many readers on one thread, who note when each event came.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

/// A round that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections opened at the same time: the kernel's queue for those not yet accepted is short.
const OPENING: usize = 64;

/// When an event reached its readers, in milliseconds after it was sent off to be published.
pub(crate) struct Round {
    pub(crate) each: Vec<f64>,
    pub(crate) last: f64,
}

/// Readers who are attached.
pub(crate) struct Crowd {
    port: u16,
    count: usize,
    next: u64,
    publisher: TcpStream,
    board: Arc<Board>,
}

/// Where readers note when the event of this round came: one lock that nobody else holds, since they share a thread.
struct Board {
    round: Mutex<(u64, Instant, Vec<f64>)>,
    count: usize,
    all_there: Notify,
}

impl Board {
    fn note(&self, number: u64, when: Instant) {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        if round.0 == number {
            let after = when.duration_since(round.1).as_secs_f64() * 1000.0;
            round.2.push(after);
            if round.2.len() == self.count {
                self.all_there.notify_one();
            }
        }
    }

    fn begin(&self, number: u64) -> Vec<f64> {
        let mut round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *round, (number, Instant::now(), Vec::with_capacity(self.count))).2
    }
}

impl Crowd {
    pub(crate) async fn attach(port: u16, path: &'static str, count: usize) -> Self {
        let round = Mutex::new((0, Instant::now(), Vec::new()));
        let board = Arc::new(Board { round, count, all_there: Notify::new() });
        let mut opening = Vec::new();
        for at in 0..count {
            opening.push(tokio::spawn(open(port, path)));
            if opening.len() == OPENING || at + 1 == count {
                for opened in opening.drain(..) {
                    tokio::spawn(read(opened.await.unwrap(), board.clone()));
                }
            }
        }
        let publisher = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        publisher.set_nodelay(true).unwrap();
        Self { port, count, next: 1, publisher, board }
    }

    /// Publishes one event and waits until every reader has it.
    pub(crate) async fn round(&mut self) -> Round {
        let number = self.next;
        self.next += 1;
        let body = format!("{{\"mark\":\"<{number}>\",\"pad\":\"{}\"}}", "x".repeat(100));
        let request = format!(
            "POST /pub HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        self.board.begin(number);
        self.publisher.write_all(request.as_bytes()).await.unwrap();
        timeout(PATIENCE, self.board.all_there.notified()).await.expect("every reader gets it");
        let each = self.board.begin(0);
        assert_eq!(each.len(), self.count);
        // Whatever it answered: the next request must not find it in its way.
        let mut answer = [0; 4096];
        let _ = timeout(PATIENCE, self.publisher.read(&mut answer)).await.unwrap();
        let last = each.iter().copied().fold(0.0, f64::max);
        Round { each, last }
    }
}

/// Attaches, and reads the head of the answer.
async fn open(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut some = [0; 512];
        let read = timeout(PATIENCE, stream.read(&mut some)).await.expect("it answers").unwrap();
        assert!(read > 0, "it answers: {}", String::from_utf8_lossy(&head));
        head.extend_from_slice(&some[..read]);
    }
    assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn read(mut stream: TcpStream, board: Arc<Board>) {
    let mut bytes = [0; 1024];
    let mut text = Vec::new();
    while let Ok(read) = stream.read(&mut bytes).await {
        if read == 0 {
            return;
        }
        let now = Instant::now();
        text.extend_from_slice(&bytes[..read]);
        while let Some((number, end)) = mark(&text) {
            text.drain(..end);
            board.note(number, now);
        }
        let keep = text.len().saturating_sub(64);
        text.drain(..keep);
    }
}

/// The number of the first event that is whole, and where it ends.
fn mark(text: &[u8]) -> Option<(u64, usize)> {
    let start = text.iter().position(|byte| *byte == b'<')?;
    let end = start + text[start..].iter().position(|byte| *byte == b'>')?;
    let number = std::str::from_utf8(&text[start + 1..end]).ok()?.parse().ok()?;
    Some((number, end + 1))
}

pub(crate) async fn post(port: u16, path: &str) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

/// How long one reader takes to get `count` events that are there, in milliseconds.
pub(crate) async fn replay(port: u16, path: &str, count: usize) -> f64 {
    let start = Instant::now();
    let mut stream = open(port, path).await;
    let (mut seen, mut bytes) = (0, vec![0; 64 * 1024]);
    // The head of the answer may have brought the first ones: their ids are not counted, the last one is looked for.
    let wanted = format!("<{count}>");
    let mut tail = Vec::new();
    loop {
        let read = timeout(PATIENCE, stream.read(&mut bytes)).await.expect("they come").unwrap();
        assert!(read > 0, "after {seen} bytes");
        seen += read;
        tail.extend_from_slice(&bytes[..read]);
        if tail.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
            return start.elapsed().as_secs_f64() * 1000.0;
        }
        let keep = tail.len().saturating_sub(64);
        tail.drain(..keep);
    }
}

/// Attaches with a small window and never reads.
pub(crate) async fn stall(port: u16, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Lets this process, and the servers it starts, have as many connections as the machine allows, and says how many.
pub(crate) fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
