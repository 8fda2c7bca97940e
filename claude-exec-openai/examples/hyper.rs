//! Serves chat completions of the installed `claude` on 127.0.0.1:8080, in raw hyper.
//!
//! ```text
//! TOKEN=$(openssl rand -hex 32) cargo run -p claude-exec-openai --example hyper
//! ```

use claude_exec::executor::LocalExecutor;
use claude_exec::http::Keyring;
use claude_exec::jobs::Gate;
use claude_exec_openai::OpenAi;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keyring = Keyring::builder().token("me", std::env::var("TOKEN")?).build()?;
    let gate = Gate::new(4, 16)?;
    let program = std::env::var("CLAUDE_BIN").unwrap_or_else(|_| "claude".to_owned());
    let endpoint = OpenAi::builder(LocalExecutor::new(), gate)
        .keyring(keyring)
        .prepare(move |invocation| invocation.program(&program))
        .build()?;
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(endpoint.clone());
        let mut server = hyper::server::conn::http1::Builder::new();
        server.timer(TokioTimer::new()); // hyper's limit on slow request heads needs a clock
        tokio::spawn(async move {
            // A client that hangs up is an error here, and nothing to be told.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
