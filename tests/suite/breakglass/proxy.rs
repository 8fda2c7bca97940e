//! nginx in front, as Debian ships it and as its `proxy_pass` is by default.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Console;
use crate::support::server::Site;

struct Nginx {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Nginx {
    fn start(upstream: std::net::SocketAddr) -> Option<Self> {
        Command::new("nginx").arg("-v").stderr(Stdio::null()).status().ok()?;
        let dir = tempfile::Builder::new().prefix("claude-exec-nginx-").tempdir().expect("a directory");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let root = dir.path().display();
        let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
        let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {root}/{name};"))
            .join(" ");
        let config = format!(
            "{user} daemon off; pid {root}/pid; error_log {root}/error.log; events {{}}\n\
             http {{ access_log off; {temp}\n server {{ listen 127.0.0.1:{port};\n\
             location / {{ proxy_pass http://{upstream}; }} }} }}\n"
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, config).expect("writable");
        let child =
            Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn().expect("it starts");
        let nginx = Self { child, port, _dir: dir };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(nginx)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn each_event_comes_through_nginx_before_the_next_one_happens() {
    let site = Site::fake().breakglass();
    let console = Console::start(&site).await;
    let Some(nginx) = Nginx::start(console.server.address) else {
        crate::support::left_out("streams through nginx: there is none (apt install nginx-light)");
        return;
    };
    let id = console.session().await;
    // By default it asks upstream by the address in its own configuration, in HTTP/1.0, and buffers.
    let mut through = console.through(nginx.port, &format!("/api/sessions/{id}/events")).await;
    assert_eq!(through.status, 200);
    assert_eq!(through.next().await.expect("at once").event.as_deref(), Some("hello"));
    for turn in 1..=3 {
        console.prompt(&id, "[[text a b]]").await;
        assert_eq!(through.until("turn_end").await.json()["turn"], turn);
    }
}
