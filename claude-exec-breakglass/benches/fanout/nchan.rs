//! nginx with Debian's nchan (`libnginx-mod-nchan`), when it is installed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

pub(crate) fn start() -> Option<(Child, u16, TempDir)> {
    if !Path::new(MODULE).is_file() || Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err()
    {
        return None;
    }
    let files = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dir = files.path().display();
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    let config = format!(
        "load_module {MODULE};\n{user}\nworker_processes 1;\ndaemon off;\nworker_rlimit_nofile 20000;\npid {dir}/pid;\n\
         error_log {dir}/error.log;\nevents {{ worker_connections 20000; }}\n\
         http {{\n access_log off;\n client_body_temp_path {dir}/b;\n proxy_temp_path {dir}/p;\n fastcgi_temp_path {dir}/f;\n\
         uwsgi_temp_path {dir}/u;\n scgi_temp_path {dir}/s;\n\
         server {{\n listen 127.0.0.1:{port} backlog=4096;\n tcp_nodelay on;\n keepalive_requests 100000;\n\
         location = /pub {{ nchan_publisher; nchan_channel_id x; nchan_store_messages off; }}\n\
         location = /sub {{ nchan_subscriber eventsource; nchan_channel_id x; nchan_subscriber_first_message newest; }}\n\
         }} }}\n"
    );
    let path = files.path().join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let mut child = Command::new("nginx").arg("-c").arg(&path).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((child, port, files));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill().and_then(|()| child.wait());
    let log = std::fs::read_to_string(files.path().join("error.log")).unwrap_or_default();
    panic!("nginx does not listen: {log}");
}
