//! The servers that are measured, each in a process of its own.

use std::convert::Infallible;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claude_exec::executor::ScriptedCli;
use claude_exec::http::{Body, event_stream};
use claude_exec::store::{Embedded, Memory, Store};
use claude_exec_breakglass::agent::{CliAgent, invocation};
use claude_exec_breakglass::attach::{Attach, follow};
use claude_exec_breakglass::log::Draft;
use claude_exec_breakglass::session::{Mode, Session, Sessions};
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::broadcast;

/// As the bundled server has them for this role.
const BUFFER_BYTES: usize = 8 * 1024;
const SEND_BUFFER_BYTES: u32 = 32 * 1024;

/// As the original has it.
const KEEPALIVE: Duration = Duration::from_secs(20);

#[derive(Clone)]
enum Kind {
    Ours(Session),
    Naive(broadcast::Sender<Bytes>),
}

pub(crate) fn serve(kind: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let files = tempfile::tempdir().unwrap();
        let kind = match kind {
            "naive broadcast" => Kind::Naive(broadcast::Sender::new(1024)),
            "ours, durable" => {
                let store = Embedded::open(files.path().join("log.redb")).await.unwrap();
                Kind::Ours(session(Arc::new(store), files.path()).await)
            }
            _ => Kind::Ours(session(Arc::new(Memory::new()), files.path()).await),
        };
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(SEND_BUFFER_BYTES).unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(4096).unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        accept(listener, kind).await;
    });
}

async fn session(store: Arc<dyn Store>, files: &std::path::Path) -> Session {
    let agent = CliAgent::new(Arc::new(ScriptedCli::echo()), Arc::clone(&store), files, invocation(&[]));
    let sessions = Sessions::builder(store, Arc::new(agent)).open().await.unwrap();
    sessions.create(None, Mode::Ask, None).await.unwrap()
}

async fn accept(listener: TcpListener, kind: Kind) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        socket.set_nodelay(true).unwrap();
        let kind = kind.clone();
        let service = service_fn(move |request| {
            let kind = kind.clone();
            async move { Ok::<_, Infallible>(answer(kind, request).await) }
        });
        tokio::spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).max_buf_size(BUFFER_BYTES);
            let _ = builder.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(kind: Kind, request: Request<Incoming>) -> Response<Body> {
    match (request.uri().path(), kind) {
        ("/events", Kind::Ours(session)) => {
            let resume = session.resume(None).await.unwrap();
            event_stream(follow(&session, resume, Attach::new(0.0)))
        }
        ("/events", Kind::Naive(sender)) => {
            // The original: a queue per reader, and a comment after silence.
            let events = stream::unfold(sender.subscribe(), |mut events| async move {
                let bytes = match tokio::time::timeout(KEEPALIVE, events.recv()).await {
                    Ok(Ok(bytes)) => bytes,
                    Ok(Err(_)) => return None,
                    Err(_) => Bytes::from_static(b": keepalive\n\n"),
                };
                Some((bytes, events))
            });
            let hello = stream::iter([Bytes::from_static(b"event: caught-up\ndata: {}\n\n")]);
            event_stream(hello.chain(events))
        }
        ("/pub", Kind::Ours(session)) => {
            let data = text(request).await;
            session.journal().append(vec![Draft::new("mark", data)]).await.unwrap();
            Response::new(Body::full("ok"))
        }
        ("/pub", Kind::Naive(sender)) => {
            let data = text(request).await;
            let _ = sender.send(Bytes::from(format!("id: 1\ndata: {data}\n\n")));
            Response::new(Body::full("ok"))
        }
        ("/fill", Kind::Ours(session)) => {
            let (count, bytes) = request.uri().query().and_then(|query| query.split_once('x')).unwrap();
            let (count, bytes): (usize, usize) = (count.parse().unwrap(), bytes.parse().unwrap());
            let drafts = (1..=count).map(|number| {
                let mark = format!("{{\"mark\":\"<{number}>\",\"pad\":\"");
                let pad = "x".repeat(bytes.saturating_sub(mark.len() + 2));
                Draft::new("mark", format!("{mark}{pad}\"}}"))
            });
            session.journal().append(drafts.collect()).await.unwrap();
            Response::new(Body::full("ok"))
        }
        _ => Response::new(Body::empty()),
    }
}

async fn text(request: Request<Incoming>) -> String {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}
