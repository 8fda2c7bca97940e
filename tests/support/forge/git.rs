//! Bare repositories over smart HTTP: git's own CGI, behind the least of servers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

/// The running host. Stops when dropped.
pub(crate) struct GitHost {
    pub(crate) address: SocketAddr,
    root: PathBuf,
    server: JoinHandle<()>,
}

impl GitHost {
    /// Serves the repositories below `root` to everyone; each push is told to `pushed`.
    pub(crate) async fn start(root: &Path, pushed: mpsc::Sender<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let server = tokio::spawn(serve(listener, root.to_owned(), pushed));
        Self { address, root: root.to_owned(), server }
    }

    /// The address of repositories, with `{}` for `owner/name`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{{}}.git", self.address)
    }

    /// A bare repository that may be pushed to.
    pub(crate) fn create(&self, repo: &str) -> PathBuf {
        let bare = self.bare(repo);
        std::fs::create_dir_all(&bare).expect("the directory is writable");
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=main"]);
        git(&bare, &["config", "http.receivepack", "true"]);
        bare
    }

    pub(crate) fn bare(&self, repo: &str) -> PathBuf {
        self.root.join(format!("{repo}.git"))
    }
}

impl Drop for GitHost {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Runs git with an identity of its own; its output without the line's end.
pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .args(["-c", "user.name=Suite", "-c", "user.email=suite@example.com", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(directory)
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

async fn serve(listener: TcpListener, root: PathBuf, pushed: mpsc::Sender<()>) {
    let mut connections = JoinSet::new(); // dropped with this task, so the connections end with it
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else { continue };
                let (root, pushed) = (root.clone(), pushed.clone());
                connections.spawn(async move {
                    let service = service_fn(|request| answer(request, root.clone(), pushed.clone()));
                    // An error is a client that left.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    root: PathBuf,
    pushed: mpsc::Sender<()>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let is_push = head.method == "POST" && head.uri.path().ends_with("/git-receive-pack");
    let mut cgi = Command::new("git");
    cgi.arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "agent") // who may push
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for (variable, name) in [
        ("CONTENT_TYPE", "content-type"),
        ("HTTP_CONTENT_ENCODING", "content-encoding"),
        ("GIT_PROTOCOL", "git-protocol"),
    ] {
        cgi.env(variable, header(&head.headers, name));
    }
    let mut child = cgi.spawn().expect("git is installed");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let (_, output) = tokio::join!(
        async move {
            // It may have no use for the body.
            let _ = stdin.write_all(&body).await;
        },
        child.wait_with_output()
    );
    let output = Bytes::from(output.expect("it is our child").stdout);
    if is_push {
        // Full means that one is told already.
        let _ = pushed.try_send(());
    }
    Ok(response(&output))
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What a CGI has said (RFC 3875, 6.2).
fn response(output: &Bytes) -> Response<Full<Bytes>> {
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let body = output.slice((end + 4).min(output.len())..);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..end]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or("500")),
            _ => response.header(name, value),
        };
    }
    response.body(Full::new(body)).expect("git writes valid headers")
}
