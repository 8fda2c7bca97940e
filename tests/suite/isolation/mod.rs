//! Clients that hang up, repeat themselves, come twice at once and lose their processes: nobody is told what is another's.

mod conversations;
mod tool_loops;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_exec::brain::pool::Pool;
use claude_exec::executor::{Command, Control, Executor, Process, ScriptedCli, Stop};
use claude_exec::http::Keyring;
use claude_exec::jobs::Gate;
use claude_exec::{Result, cli};
use claude_exec_openai::OpenAi;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const KEYS: [(&str, &str); 3] = [
    ("ana", "the-token-of-ana-0123456789abcdef0123"),
    ("bo", "the-token-of-bo-0123456789abcdef01234"),
    ("cy", "the-token-of-cy-0123456789abcdef01234"),
];

/// SplitMix64: one seed, one run.
#[derive(Debug, Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

fn seed() -> u64 {
    let named = std::env::var("CLAUDE_EXEC_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = named.unwrap_or(20_261_124);
    eprintln!("seed {seed} (CLAUDE_EXEC_TEST_SEED)");
    seed
}

/// A CLI that takes its time, and that a test can kill.
#[derive(Clone)]
struct Mortal {
    cli: ScriptedCli,
    alive: Arc<Mutex<VecDeque<Arc<dyn Control>>>>,
}

impl Executor for Mortal {
    fn start(&self, command: Command) -> BoxFuture<'_, Result<Process>> {
        async move {
            let Process { output, control } = self.cli.start(command).await?;
            let mut alive = self.alive.lock().expect("nobody panics with it");
            alive.push_back(control.clone());
            if alive.len() > 64 {
                alive.pop_front();
            }
            let paced = output.enumerate().then(|(number, frame)| async move {
                if number % 4 == 3 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                frame
            });
            Ok(Process { output: paced.boxed(), control })
        }
        .boxed()
    }
}

/// An endpoint over such a CLI, served on loopback.
struct Scene {
    address: SocketAddr,
    pool: Pool,
    alive: Arc<Mutex<VecDeque<Arc<dyn Control>>>>,
    server: JoinHandle<()>,
}

impl Scene {
    async fn new(cli: ScriptedCli, processes: usize) -> Self {
        let mortal = Mortal { cli, alive: Arc::default() };
        let pool = Pool::builder(mortal.clone()).processes(processes).memory(1 << 40).build();
        let pool = pool.expect("the bounds are valid");
        let keyring =
            KEYS.iter().fold(Keyring::builder(), |keyring, (name, token)| keyring.token(*name, *token));
        let endpoint = OpenAi::builder(mortal.clone(), Gate::new(6, 200).expect("it has slots"))
            .keyring(keyring.build().expect("the tokens are long"))
            .pool(pool.clone())
            .parking(processes / 2, Duration::from_secs(300))
            .build()
            .expect("it is complete");
        assert!(endpoint.use_cli(cli::TESTED).await);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = TowerToHyperService::new(endpoint.clone());
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, pool, alive: mortal.alive, server }
    }

    /// Kills one process, by a dice.
    fn crash(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let alive = self.alive.clone();
        move |dice: u64| {
            let mut alive = alive.lock().expect("nobody panics with it");
            let at = dice as usize % alive.len().max(1);
            if let Some(control) = alive.remove(at) {
                control.stop(Stop::Now);
            }
        }
    }

    async fn end(self) {
        self.server.abort();
        self.pool.shutdown(Duration::from_secs(5)).await;
    }
}
