//! What a tick over HTTP costs: `cargo bench -p claude-exec-afk --features http-adapters,sim --bench forge`.
//!
//! Two hundred repositories with nothing to do, on a service of its own process that answers 304. The processor time of
//! this process alone counts; a bound that is passed ends with an error, unless `--test` asks only whether it runs.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use claude_exec::store::Memory;
use claude_exec_afk::Config;
use claude_exec_afk::adapter::{GitHub, Token};
use claude_exec_afk::engine::{Engine, SystemClock};
use claude_exec_afk::ledger::Ledger;
use claude_exec_afk::sim;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const REPOS: usize = 200;
const TICKS: u32 = 20;
const BOUND: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    if std::env::args().any(|arg| arg == "--serve") {
        runtime.block_on(serve());
        return ExitCode::SUCCESS;
    }
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut url = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut url).expect("a line");
    let found = runtime.block_on(ticks(url.trim()));
    let _ = server.kill();
    let _ = server.wait();
    let kept = found <= BOUND;
    let mark = if kept { "ok  " } else { "OVER" };
    println!(
        "{mark} tick over {REPOS} repositories with nothing to do, processor time: {found:?} (bound {BOUND:?})"
    );
    let quick = std::env::args().any(|arg| arg == "--test");
    if kept || quick { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The processor time of one tick.
async fn ticks(url: &str) -> Duration {
    let mut config = Config::default();
    config.kill_switch = false;
    config.allowlist =
        (0..REPOS).map(|number| format!("octo/repo-{number}").parse().expect("a name")).collect();
    let mut ports = sim::World::new(&config).ports();
    let token = Token::Fixed("a-token".parse().expect("a token"));
    ports.tracker = Arc::new(GitHub::new(url, token).expect("an address"));
    let ledger = Ledger::new(Arc::new(Memory::new()));
    let engine = Engine::new(config, ledger, ports, Arc::new(SystemClock::new()));
    let first = engine.tick().await.expect("a tick");
    assert!(first.unknown.is_empty(), "{:?}", first.unknown);
    let before = count(url).await;
    let (start, used) = (Instant::now(), used());
    for _ in 0..TICKS {
        engine.tick().await.expect("a tick");
    }
    let found = (self::used() - used) / TICKS;
    println!("     of {:?} by the clock", start.elapsed() / TICKS);
    let (all, same) = count(url).await;
    let ticks = TICKS as usize;
    assert_eq!(
        (all - before.0, same - before.1),
        (REPOS * ticks, REPOS * ticks),
        "one for each, and all 304"
    );
    found
}

/// How often the service was asked for a list, and how often it said that it is the same.
async fn count(url: &str) -> (usize, usize) {
    let text = reqwest::get(format!("{url}/count")).await.expect("an answer").text().await.expect("text");
    let (all, same) = text.split_once(' ').expect("two numbers");
    (all.parse().expect("a number"), same.parse().expect("a number"))
}

/// The processor time that this process has used.
fn used() -> Duration {
    // proc(5), `stat`: utime and stime are the 14th and 15th field, in ticks of a hundredth of a second.
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("a number") + fields[12].parse::<u64>().expect("a number");
    Duration::from_millis(ticks * 10)
}

async fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("http://{}", listener.local_addr().expect("an address"));
    std::io::stdout().flush().expect("a reader");
    let counts = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let counts = counts.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let counts = counts.clone();
                async move { Ok::<_, Infallible>(answer(&request, &counts)) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, counts: &(AtomicUsize, AtomicUsize)) -> Response<Full<Bytes>> {
    let (all, same) = counts;
    if request.uri().path() == "/count" {
        let text = format!("{} {}", all.load(Ordering::Relaxed), same.load(Ordering::Relaxed));
        return Response::new(Full::from(text));
    }
    all.fetch_add(1, Ordering::Relaxed);
    let mut response = Response::new(Full::from(""));
    if request.headers().contains_key("if-none-match") {
        same.fetch_add(1, Ordering::Relaxed);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = Full::from("[]");
    }
    let headers = response.headers_mut();
    headers.insert("content-type", "application/json".parse().expect("a value"));
    headers.insert("etag", "\"the same\"".parse().expect("a value"));
    response
}
