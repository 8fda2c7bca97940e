//! C: what is told is true.

use serde_json::{Value, json};

use super::{argv, everywhere, report, scene, streamed};
use crate::support::server::{AGENT, Server, Site, Sse, body_of};

/// How a streamed chat ends: the words that came, and the code of its error.
async fn failed_stream(server: &Server, prompt: &str) -> (String, Value) {
    let mut stream = server.chat_stream(prompt).await;
    if stream.status != 200 {
        return (String::new(), stream.whole().await.json()["error"]["code"].clone());
    }
    let events = stream.rest().await;
    let (last, chunks) = events.split_last().expect("an end");
    let chunks: Vec<Value> = chunks.iter().map(Sse::json).collect();
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()), "{events:?}");
    assert_ne!(last.data, "[DONE]", "{events:?}");
    let text = chunks.iter().map(crate::support::server::content_of).collect();
    (text, last.json()["error"]["code"].clone())
}

#[tokio::test]
async fn c1_a_stream_does_not_hide_a_failure() {
    let site = Site::fake().repository().env("CONVERSATIONAL_TIMEOUT_SECONDS", "2");
    let server = site.start().await;
    let table = [
        ("[[exit 3]]", "", "execution_failed"),
        ("[[exit 0]]", "", "execution_failed"),
        // It said nothing, and does not end: that is for the clock to end.
        ("[[no_result]]", "", "timeout"),
        ("[[abort]]", "", "execution_failed"),
        ("[[words 2]] [[exit 3]]", "word0 word1 ", "execution_failed"),
        ("[[words 2]] [[is_error 529 API Error: 529]]", "word0 word1 ", "overloaded"),
        ("[[words 2]] [[hang]]", "word0 word1 ", "timeout"),
        ("[[hang]]", "", "timeout"),
    ];
    for (prompt, text, code) in table {
        let found = failed_stream(&server, prompt).await;
        assert_eq!(found, (text.to_owned(), json!(code)), "{prompt}");
        let chat = server.chat(prompt).await;
        assert!(chat.status >= 500 && chat.error().1 == code, "{prompt}: {chat:?}");
    }
}

#[tokio::test]
async fn c2_an_error_is_never_the_assistants_words() {
    let (_site, server) = scene().await;
    let prompt = "[[is_error 529 API Error: 529 overloaded]]";
    let expected = (503, "overloaded".to_owned());
    assert_eq!(server.chat(prompt).await.error(), expected);
    assert_eq!(server.chat_stream(prompt).await.whole().await.error(), expected);
    assert_eq!(server.say("c", prompt).await.error(), expected);
    let job = server.ended(&server.execute(prompt).await).await;
    assert_eq!((&job["status"], &job["is_error"]), (&json!("failed"), &json!(true)), "{job}");
    let spent = server.chat("[[result error_max_budget_usd]]").await;
    assert_eq!(spent.error(), (429, "insufficient_quota".to_owned()), "{spent:?}");
}

#[tokio::test]
async fn c3_an_empty_result_is_the_text_that_was_seen_and_never_the_envelope() {
    let (_site, server) = scene().await;
    assert_eq!(everywhere(&server, "[[text seen]] [[empty_result]]").await, ["seen"; 5]);
    for answer in everywhere(&server, "[[empty_result]]").await {
        assert!(!answer.contains("session_id") && !answer.contains('{'), "{answer}");
    }
}

#[tokio::test]
async fn c4_streamed_or_not_it_is_the_same_run() {
    let (_site, server) = scene().await;
    for model in ["sonnet", "haiku", AGENT] {
        let whole = server.post("/v1/chat/completions", &body_of(model, "[[report]]", false)).await;
        let whole = report(&whole);
        let stream: Value = serde_json::from_str(&streamed(&server, model, "[[report]]").await).unwrap();
        assert_eq!(argv(&whole), argv(&stream), "{model}");
        assert_eq!(whole["user"]["message"], stream["user"]["message"]);
        assert_eq!(whole["initialize"], stream["initialize"]);
        let env = |report: &Value| {
            let mut env = report["env"].as_object().unwrap().clone();
            // Those that tell runs apart, and the shell's idea of where it is.
            env.retain(|name, _| !["CLAUDE_EXEC_RUN", "TMPDIR", "PWD"].contains(&name.as_str()));
            env
        };
        assert_eq!(env(&whole), env(&stream), "{model}");
    }
}

#[tokio::test]
async fn c5_no_tools_is_in_the_arguments_and_not_in_a_file() {
    let (_site, server) = scene().await;
    let chat = argv(&report(&server.chat("[[report]]").await));
    let said: Value = serde_json::from_str(&server.say("c", "[[report]]").await.reply()).unwrap();
    for argv in [chat, super::argv(&said)] {
        for needed in ["--tools=", "--strict-mcp-config", "--setting-sources=", "--disable-slash-commands"] {
            assert!(argv.iter().any(|arg| arg == needed), "{needed} in {argv:?}");
        }
        let grants = ["--agent", "--permission-mode", "--dangerously", "--allow"];
        assert!(!argv.iter().any(|arg| grants.iter().any(|grant| arg.starts_with(grant))), "{argv:?}");
    }
}

#[tokio::test]
async fn c5_an_agent_that_does_not_exist_is_not_replaced_by_one_with_all_tools() {
    let site = Site::fake().repository().env("AGENT_MODELS", "probe=probe,ghost=ghost");
    let server = site.start().await;
    let job = server.submit(&json!({"prompt": "[[text an answer]]", "agent": "ghost"})).await;
    let job = server.ended(&job).await;
    assert_ne!(job["status"], "completed", "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("ghost")), "{job}");
    for stream in [false, true] {
        let body = body_of("ghost", "[[text an answer]]", stream);
        let reply = server.open("/v1/chat/completions", &body).await.whole().await;
        assert!(reply.status >= 500 && !reply.text().contains("an answer"), "{reply:?}");
    }
}

#[tokio::test]
async fn c8_what_cannot_be_is_refused_by_its_name_before_anything_runs() {
    let (_site, server) = scene().await;
    let job = |field: &str, value: Value| {
        let mut body = json!({"prompt": "p", "agent": AGENT});
        body[field] = value;
        body
    };
    let table = [
        ("max_budget_usd", json!(-5)),
        ("max_budget_usd", json!(0)),
        ("max_budget_usd", json!("5")),
        ("timeout_seconds", json!(0)),
        ("timeout_seconds", json!(-1)),
        ("timeout_seconds", json!(86_401)),
        ("agent", json!("--dangerously-skip-permissions")),
        ("agent", json!("")),
        ("prompt", json!("")),
        ("prompt", json!(null)),
        ("metadata", json!([1])),
    ];
    for (field, value) in table {
        let reply = server.post("/execute", &job(field, value.clone())).await;
        assert_eq!(
            (reply.status, &reply.json()["detail"][0]["loc"]),
            (422, &json!(["body", field])),
            "{value}"
        );
    }
    for budget in ["NaN", "Infinity", "1e999"] {
        let body = format!(r#"{{"prompt":"p","agent":"probe","max_budget_usd":{budget}}}"#);
        let reply = server.post_text("/execute", &[], &body).await;
        assert_eq!(reply.status, 422, "{budget}: {reply:?}");
    }
    assert_eq!(server.get("/jobs").await.json()["jobs"], json!([]));
    let chat = server.post("/v1/chat/completions", &body_of("--help", "hi", false)).await;
    assert_eq!(chat.error(), (400, "model_not_found".to_owned()));
    let said =
        server.post("/v1/conversational", &json!({"session_id": "s", "message": "m", "model": "gpt"})).await;
    assert_eq!(said.error(), (400, "model_not_found".to_owned()));
    let said = server.say("", "m").await;
    assert_eq!((said.status, &said.json()["error"]["param"]), (400, &json!("session_id")));
}

#[tokio::test]
async fn c24_a_remote_that_is_gone_is_told_and_does_not_stop_the_job() {
    let (site, server) = scene().await;
    let remote = site.git().base().with_file_name("remote");
    std::fs::rename(&remote, remote.with_file_name("gone")).unwrap();
    let job = server.ended(&server.execute("[[text well]]").await).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!("well")), "{job}");
    assert!(job["stale_workspace"].as_str().is_some_and(|why| why.contains("git fetch")), "{job}");
}

#[tokio::test]
async fn c24_a_repository_that_cannot_be_unlocked_is_an_error_and_leaves_nothing() {
    let site = Site::fake().repository();
    let key = site.home().path().join("key");
    std::fs::write(&key, "no key").unwrap();
    let site = site.env("GIT_CRYPT_KEY", &key.display().to_string());
    let server = site.start().await;
    let job = server.ended(&server.execute("[[text read ciphertext]]").await).await;
    assert_eq!(job["status"], "error", "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("git-crypt")), "{job}");
    server.load_is(0, 0).await;
    crate::support::process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
}

#[tokio::test]
async fn c24_a_job_cannot_reach_the_base_or_its_hooks() {
    let (site, server) = scene().await;
    let report: Value = serde_json::from_str(&super::job(&server, "[[report]]").await).unwrap();
    let place = report["cwd"].as_str().expect("a path").to_owned();
    assert!(place.starts_with(&site.jobs_dir().canonicalize().unwrap().display().to_string()), "{place}");
    assert_eq!(site.git().base_status(), "");
    // No object is shared: each file of the base has one name.
    let objects = site.git().base().join(".git/objects");
    let files = std::fs::read_dir(objects).unwrap().flatten().filter(|entry| entry.path().is_dir());
    let files = files.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten());
    use std::os::unix::fs::MetadataExt;
    assert!(files.filter(|file| file.path().is_file()).all(|file| file.metadata().unwrap().nlink() == 1));
}

#[tokio::test]
async fn c25_a_cancel_is_told_as_a_cancel() {
    let (_site, server) = scene().await;
    let id = server.execute("[[text begun]] [[silence]]").await;
    let mut follower = server.events(&id, None).await;
    while !follower.next().await.expect("it runs").data.contains("begun") {}
    server.post(&format!("/jobs/{id}/cancel"), &Value::Null).await;
    let rest: Vec<Value> = follower.rest().await.iter().map(Sse::json).collect();
    assert!(rest.iter().all(|event| event["kind"] != "error"), "{rest:?}");
    assert_eq!(rest.last().expect("an end")["status"], "cancelled");
    let job = server.job(&id).await;
    assert_eq!((&job["status"], &job["error"]), (&json!("cancelled"), &Value::Null), "{job}");
    // Once more is no error, and changes nothing.
    let again = server.post(&format!("/jobs/{id}/cancel"), &Value::Null).await;
    assert_eq!((again.status, &again.json()["status"]), (200, &json!("cancelled")));
}

#[tokio::test]
async fn c26_an_odd_cursor_hides_no_event() {
    let (_site, server) = scene().await;
    let id = server.execute("[[text one]]").await;
    server.ended(&id).await;
    let all = server.events(&id, None).await.rest().await;
    for odd in ["-3", "9999", "1_0", "x", "99999999999999999999999"] {
        let events = server.events_after(&id, odd).await.rest().await;
        assert_eq!(events, all, "{odd}");
    }
    let later = server.events(&id, Some(2)).await.rest().await;
    assert_eq!(later, all[2..]);
}

#[tokio::test]
async fn c27_nobody_waits_for_a_slot_for_ever() {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "1").env("QUEUE_TIMEOUT_SECONDS", "1");
    let server = site.start().await;
    let running = server.execute("[[text begun]] [[silence]]").await;
    server.job_is(&running, &["running"]).await;
    let waiting = server.execute("[[text never]]").await;
    let (job, chat, stream) =
        tokio::join!(server.ended(&waiting), server.chat("hello"), server.chat_stream("hello"));
    assert_eq!((&job["status"], &job["started_at"]), (&json!("error"), &Value::Null), "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("free slot")), "{job}");
    let expected = (429, "queue_full".to_owned());
    assert_eq!(chat.error(), expected, "{chat:?}");
    assert_eq!(stream.whole().await.error(), expected);
    server.load_is(1, 0).await;
    assert_eq!(server.job(&running).await["status"], "running", "the limit is of the wait, not of the run");
}

#[tokio::test]
async fn c28_health_and_errors_have_the_shapes_that_were_promised() {
    let (_site, server) = scene().await;
    let health = server.health().await;
    let expected =
        json!({"status": "ok", "busy": false, "active": 0, "queued": 0, "capacity": 10, "cli": true});
    assert_eq!(health, expected);
    assert_eq!(server.get("/ready").await.status, 200);
    let metrics = server.get("/metrics").await;
    assert!(metrics.status == 200 && metrics.text().contains("# TYPE"), "{metrics:?}");
    let unknown = server.get("/nothing").await;
    assert_eq!((unknown.status, unknown.json()), (404, json!({"detail": "Not Found"})));
    let wrong = server.get("/execute").await;
    assert_eq!((wrong.status, wrong.json()), (405, json!({"detail": "Method Not Allowed"})));
    assert_eq!(wrong.headers["allow"], "POST");
    assert_eq!(server.get("/v1/nothing").await.error(), (404, "unknown_url".to_owned()));
}
