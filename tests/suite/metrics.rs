//! `/metrics`, as Prometheus reads it.

use serde_json::Value;

use crate::support::server::{Reply, Site};

/// The value of one line.
#[track_caller]
fn value(scrape: &Reply, name: &str) -> f64 {
    let text = scrape.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in:\n{text}")).parse().expect("a number")
}

#[tokio::test]
async fn a_scrape_counts_what_was_asked_and_what_it_cost() {
    let site = Site::fake().repository();
    let server = site.start().await;
    for _ in 0..2 {
        assert_eq!(server.chat("[[text said]]").await.answer(), "said");
    }
    let job = server.ended(&server.execute("[[text done]]").await).await;
    assert_eq!(server.get_with("/jobs", &[("authorization", "none")]).await.status, 401);
    server.load_is(0, 0).await;
    let scrape = server.get("/metrics").await;
    assert_eq!(scrape.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let table = [
        (r#"claude_exec_requests_total{route="/v1",status="200"}"#, 2.0),
        (r#"claude_exec_requests_total{route="/execute",status="202"}"#, 1.0),
        (r#"claude_exec_requests_total{route="/jobs",status="401"}"#, 1.0),
        (r#"claude_exec_response_head_seconds_count{route="/v1"}"#, 2.0),
        ("claude_exec_slots_active", 0.0),
        ("claude_exec_slots_queued", 0.0),
        ("claude_exec_slots_capacity", 10.0),
        ("claude_exec_processes", 2.0),
        (r#"claude_exec_pool_processes{state="idle"}"#, 2.0),
        ("claude_exec_cli_up", 1.0),
    ];
    for (name, expected) in table {
        assert_eq!(value(&scrape, name), expected, "{name}");
    }
    let chats = r#"{key="default",model="sonnet"}"#;
    assert_eq!(value(&scrape, &format!("claude_exec_key_requests_total{chats}")), 2.0);
    let tokens = r#"{key="default",model="sonnet",kind="output"}"#;
    assert_eq!(value(&scrape, &format!("claude_exec_key_tokens_total{tokens}")), 14.0);
    let of_chats = value(&scrape, &format!("claude_exec_key_cost_usd_total{chats}"));
    let cost = job["total_cost_usd"].as_f64().expect("the CLI tells it");
    assert!(cost > 0.0 && of_chats > 0.0, "{job}");
    assert_eq!(value(&scrape, "claude_exec_cost_usd_total"), cost + of_chats);
}

#[tokio::test]
async fn a_stream_is_counted_by_its_end_and_not_by_its_head() {
    let site = Site::fake();
    let server = site.start().await;
    for (text, events) in
        [("[[text said]]", "[DONE]"), ("[[words 2]] [[is_error 529 Overloaded]]", "overloaded")]
    {
        let mut stream = server.chat_stream(text).await;
        assert_eq!(stream.status, 200);
        let last = stream.rest().await.pop().expect("an end");
        assert!(last.data.contains(events), "{last:?}");
    }
    let mut left = server.chat_stream("[[words 1]] [[silence]]").await;
    left.first_text().await;
    drop(left);
    server.load_is(0, 0).await;
    let said = r#"{"session_id":"a","message":"[[words 2]] [[is_error 529 Overloaded]]","stream":true}"#;
    let mut spoken = server.open("/v1/conversational", &serde_json::from_str(said).expect("JSON")).await;
    assert_eq!(
        (spoken.status, spoken.rest().await.pop().expect("an end").event.as_deref()),
        (200, Some("error"))
    );
    let counts = async || {
        let scrape = server.get("/metrics").await;
        let count = |route: &str, status: u16| {
            value(&scrape, &format!("claude_exec_requests_total{{route=\"{route}\",status=\"{status}\"}}"))
        };
        [count("/v1", 200), count("/v1", 503), count("/v1", 499), count("/v1/conversational", 503)]
    };
    assert_eq!(counts().await, [1.0; 4]);
}

#[tokio::test]
async fn a_scrape_shows_what_runs_and_what_waits() {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "1").env("PUBLIC_METRICS", "true");
    let server = site.start().await;
    let running = server.execute("[[text begun]] [[silence]]").await;
    let mut follower = server.events(&running, None).await;
    while !follower.next().await.expect("it runs").data.contains("begun") {}
    let queued = server.execute("[[text never]]").await;
    let scrape = server.get_with("/metrics", &[("authorization", "none")]).await;
    assert_eq!(scrape.status, 200, "it is public");
    let now = ["slots_active", "slots_queued", "processes"]
        .map(|name| value(&scrape, &format!("claude_exec_{name}")));
    assert_eq!(now, [1.0, 1.0, 1.0]);
    for id in [queued, running] {
        server.post(&format!("/jobs/{id}/cancel"), &Value::Null).await;
    }
    server.load_is(0, 0).await;
}
