//! X: who may ask, and what a child learns.

use serde_json::{Value, json};

use super::{argv, report, scene};
use crate::support::server::{AGENT, Site, TOKEN, body_of};

#[tokio::test]
async fn x1_nothing_a_caller_writes_is_a_flag() {
    let (_site, server) = scene().await;
    let usual = argv(&report(&server.chat("[[report]]").await));
    let flag = "--mcp-config={\"mcpServers\":{}}";
    let body = json!({"model": "sonnet", "messages": [
        {"role": "system", "content": "--dangerously-skip-permissions"},
        {"role": "user", "content": flag},
        {"role": "assistant", "content": "--settings=x"},
        {"role": "user", "content": "--version [[report]]"},
    ]});
    let odd = server.post("/v1/chat/completions", &body).await;
    assert_eq!(argv(&report(&odd)), usual);
    assert_eq!(report(&odd)["initialize"]["systemPrompt"], json!(["--dangerously-skip-permissions"]));

    let said: Value =
        serde_json::from_str(&server.say("--resume=x --agent=y", "--help [[report]]").await.reply()).unwrap();
    assert!(!argv(&said).iter().any(|arg| arg.contains("--help") || arg.contains("agent")), "{said}");
    let id = argv(&said).iter().find_map(|arg| Some(arg.strip_prefix("--session-id=")?.to_owned()));
    assert!(id.is_some_and(|id| uuid::Uuid::parse_str(&id).is_ok()), "an id of our own: {said}");
    let job: Value = serde_json::from_str(&super::job(&server, "--settings={} [[report]]").await).unwrap();
    assert!(!argv(&job).iter().any(|arg| arg.contains("--settings")), "{job}");
    assert_eq!(job["user"]["client_composed"], true);
}

#[tokio::test]
async fn x4_a_child_learns_no_secret_of_the_servers() {
    let site = Site::fake()
        .repository()
        .env("OPERATORS_SECRET", "s3cr3t-of-the-operator")
        .env("DATABASE_URL", "postgres://u:s3cr3t@h/d");
    let server = site.start().await;
    let chat = report(&server.chat("[[report]]").await);
    let job: Value = serde_json::from_str(&super::job(&server, "[[report]]").await).unwrap();
    for report in [chat, job] {
        let env = report["env"].as_object().expect("an environment");
        assert!(!report.to_string().contains("s3cr3t") && !report.to_string().contains(TOKEN), "{report}");
        for name in
            ["API_BEARER_TOKEN", "OPERATORS_SECRET", "DATABASE_URL", "JOBS_DIR", "CLAUDECODE", "CLAUDE_BIN"]
        {
            assert!(!env.contains_key(name), "{name}");
        }
        // What was named is handed on, and what the CLI needs.
        for name in ["SUITE_RUN", "PATH", "HOME", "ANTHROPIC_API_KEY"] {
            assert!(env.contains_key(name), "{name}");
        }
    }
}

#[tokio::test]
async fn x5_tokens_have_names_and_the_log_knows_them_and_no_secret() {
    let (voice, n8n) = ("voice-secret-0123456789abcdef0123", "n8n-secret-0123456789abcdef012345");
    let site = Site::fake().tokens(&format!("voice:{voice},n8n:{n8n}"));
    let server = site.start().await;
    for (secret, status) in [(voice, 200), (n8n, 200), (TOKEN, 401), ("voice", 401), ("", 401)] {
        let header = format!("Bearer {secret}");
        let body = body_of("sonnet", "[[text a private answer]] a private prompt", false);
        let reply = server.post_with("/v1/chat/completions", &[("authorization", &header)], &body).await;
        assert_eq!(reply.status, status, "{secret}");
    }
    server.terminate().await;
    let log = site.log();
    assert!(log.contains(r#""voice""#) && log.contains(r#""n8n""#), "{log}");
    for secret in [voice, n8n, "private"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn x6_nobody_learns_anything_without_a_token() {
    let site = Site::fake().repository().env("MAX_BODY_BYTES", "2000");
    let server = site.start().await;
    let anonymous = [("authorization", "none")];
    for path in [
        "/docs",
        "/openapi.json",
        "/redoc",
        "/jobs",
        "/jobs/0123456789ab",
        "/metrics",
        "/nothing",
        "/v1/models",
    ] {
        let reply = server.get_with(path, &anonymous).await;
        assert_eq!(reply.status, 401, "{path}");
    }
    for (path, status) in [("/docs", 404), ("/openapi.json", 200), ("/redoc", 404)] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
    // Who asks comes before what is asked, and before how long it is.
    for path in ["/execute", "/v1/chat/completions", "/v1/conversational"] {
        let reply = server.post_text(path, &anonymous, "{ not json").await;
        assert_eq!(reply.status, 401, "{path}");
        let reply = server.post_text(path, &anonymous, &"x".repeat(5000)).await;
        assert_eq!(reply.status, 401, "{path}");
        let reply = server.post_text(path, &[], &"x".repeat(5000)).await;
        assert_eq!(reply.status, 413, "{path}");
        let reply = server.post_text(path, &[], "{ not json").await;
        assert!(reply.status == 400 || reply.status == 422, "{path}: {reply:?}");
    }
    for path in ["/health", "/ready"] {
        assert_eq!(server.get_with(path, &anonymous).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn x7_an_odd_token_is_a_wrong_token() {
    let (_site, server) = scene().await;
    let long = format!("Bearer {}", "x".repeat(20_000));
    for header in ["Bearer ключ", "Bearer \u{ff}", "Bearer", "Bearer  ", "Basic eDp5", "bearer", &long] {
        for path in ["/jobs", "/v1/models"] {
            let reply = server.get_with(path, &[("authorization", header)]).await;
            assert_eq!(reply.status, 401, "{header:.20} {path}");
        }
    }
    let job = json!({"prompt": "p", "agent": AGENT});
    let reply = server.post_with("/execute", &[("authorization", "Bearer ключ")], &job).await;
    assert_eq!(reply.status, 401);
}

#[tokio::test]
async fn x5_a_server_without_a_good_token_does_not_start() {
    for (token, reason) in [("", "no token"), ("short", "at least 32")] {
        let site = Site::fake().tokens(token);
        let output = crate::support::server::Server::command(&site).output().await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("API_BEARER_TOKEN") && told.contains(reason), "{told}");
        assert!(output.stdout.is_empty());
    }
}
