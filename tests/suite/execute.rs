//! `/execute` and `/jobs`: agents in checkouts of their own, and what is told of them.

use serde_json::{Value, json};

use crate::support::model_api::{ModelApi, TOOL_ANSWER, system_text, tool_results};
use crate::support::process;
use crate::support::server::{AGENT, AGENT_PROMPT, NOTE, Server, Site, Sse};

const SILENT: &str = "[[text begun]] [[silence]]";

async fn fake() -> (Site, Server) {
    let site = Site::fake().repository();
    let server = site.start().await;
    (site, server)
}

fn kinds(events: &[Sse]) -> Vec<String> {
    events.iter().map(|event| event.json()["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

fn ids(events: &[Sse]) -> Vec<u64> {
    events.iter().map(|event| event.id.as_ref().expect("an id").parse().expect("a number")).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_works_in_its_own_checkout() {
    let api = ModelApi::start().await;
    let site = Site::real(&api).repository();
    let server = site.start().await;
    let command =
        "pwd; cat note.txt; echo; git branch --show-current; git status --porcelain; touch made.txt";
    let prompt = format!("[[tool Bash {}]]", json!({"command": command, "description": "d"}));
    let first = server.execute(&prompt).await;
    let second = server.execute(&prompt).await;
    let mut places = Vec::new();
    for id in [&first, &second] {
        let job = server.ended(id).await;
        let expected = (&json!("completed"), &json!(0), &json!(TOOL_ANSWER), &json!(false));
        assert_eq!((&job["status"], &job["exit_code"], &job["result"], &job["is_error"]), expected, "{job}");
        // As the original has it: the lines of `--output-format json`.
        let lines = job["output"].as_array().expect("lines");
        let line: Value = serde_json::from_str(lines[0].as_str().expect("a line")).unwrap();
        assert_eq!((lines.len(), &line["type"], &line["result"]), (1, &json!("result"), &json!(TOOL_ANSWER)));
    }
    for request in api.messages() {
        assert!(system_text(&request.body).contains(AGENT_PROMPT), "the agent's own file is used");
        if let [(told, false)] = &tool_results(&request.body)[..] {
            let lines: Vec<&str> = told.lines().collect();
            assert_eq!(&lines[1..], [NOTE, "trunk"], "{told}");
            places.push(lines[0].to_owned());
        }
    }
    places.sort();
    let jobs = site.jobs_dir().canonicalize().unwrap().display().to_string();
    assert!(places.iter().all(|place| place.starts_with(&jobs)), "{places:?}");
    let [one, other] = &places[..] else { panic!("{places:?}") };
    assert_ne!(one, other, "each has its own");
    server.load_is(0, 0).await;
    process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
    assert_eq!(site.git().base_status(), "", "the base is untouched");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_jobs_events_can_be_followed_while_it_runs_and_taken_up_again() {
    let api = ModelApi::start().await;
    let site = Site::real(&api).repository();
    let server = site.start().await;
    let tool = json!({"command": "echo ran", "description": "d"});
    let prompt = format!("[[text look:]] [[tool Bash {tool}]] [[next]] [[text all]] [[hold]] [[text done]]");
    let id = server.execute(&prompt).await;
    let mut live = server.events(&id, None).await;
    assert_eq!(
        (live.status, &live.headers["content-type"]),
        (200, &"text/event-stream; charset=utf-8".parse().unwrap())
    );
    let mut seen = Vec::new();
    while !seen.iter().any(|event: &Sse| event.data.contains("all")) {
        seen.push(live.next().await.expect("it is still held"));
    }
    assert_eq!(server.job(&id).await["status"], "running", "told before the end");
    let cursor = *ids(&seen).last().expect("events");
    drop(live);
    api.release();
    let rest = server.events(&id, Some(cursor)).await.rest().await;
    let all = [seen, rest].concat();
    assert_eq!(ids(&all), (1..=all.len() as u64).collect::<Vec<_>>(), "no gap, nothing twice");

    let interesting = ["session", "text", "tool", "tool_result", "result", "status"];
    let mut told = kinds(&all);
    told.retain(|kind| interesting.contains(&kind.as_str()));
    told.dedup();
    let expected = ["status", "session", "text", "tool", "tool_result", "text", "result", "status"];
    assert_eq!(told, expected);
    let text: String =
        all.iter().map(Sse::json).filter_map(|event| Some(event["text"].as_str()?.to_owned())).collect();
    assert_eq!(text, "look:alldone");
    let end = all.last().expect("an end").json();
    assert_eq!((&end["kind"], &end["status"]), (&json!("status"), &json!("completed")));

    // A browser that reconnects to an ended job is told to stop.
    let last = all.len() as u64;
    assert_eq!(server.events(&id, Some(last)).await.status, 204);
    let job = server.job(&id).await;
    assert_eq!((&job["last_event"], &job["result"]), (&json!(last), &json!("alldone")));
}

#[tokio::test]
async fn the_list_shows_the_newest_first_and_no_prompt() {
    let (_site, server) = fake().await;
    let mut expected = Vec::new();
    for prompt in ["[[words 1]] secret", "[[is_error 400 no]] secret", "[[exit 3]] secret"] {
        let id = server.execute(prompt).await;
        let job = server.ended(&id).await;
        expected.insert(0, (id, job["status"].clone()));
    }
    let list = server.get("/jobs").await;
    assert!(!list.text().contains("secret"), "{list:?}");
    let jobs = list.json()["jobs"].as_array().expect("a list").clone();
    let found: Vec<_> = jobs
        .iter()
        .map(|job| (job["job_id"].as_str().unwrap_or_default().to_owned(), job["status"].clone()))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(found.iter().map(|job| job.1.clone()).collect::<Vec<_>>(), ["failed", "failed", "completed"]);
    assert_eq!(server.get("/jobs/0123456789ab").await.status, 404);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_unknown_agent_is_an_error_before_the_model_is_asked() {
    let api = ModelApi::start().await;
    let site = Site::real(&api).repository();
    let server = site.start().await;
    let id = server.submit(&json!({"prompt": "hello", "agent": "nobody"})).await;
    let job = server.ended(&id).await;
    assert_eq!(job["status"], "error", "{job}");
    let error = job["error"].as_str().expect("a reason");
    assert!(error.contains("nobody") && error.contains(AGENT), "it names those there are: {error}");
    assert_eq!(api.messages().len(), 0, "nothing was asked with another agent's powers");
}

#[tokio::test]
async fn the_same_key_is_the_same_job() {
    let (_site, server) = fake().await;
    let body = json!({"prompt": SILENT, "agent": AGENT});
    let key = [("idempotency-key", "order-66")];
    let first = server.post_with("/execute", &key, &body).await;
    let (again, once_more) =
        tokio::join!(server.post_with("/execute", &key, &body), server.post_with("/execute", &key, &body));
    let id = first.json()["job_id"].clone();
    for reply in [&first, &again, &once_more] {
        assert_eq!((reply.status, &reply.json()["job_id"]), (202, &id), "{reply:?}");
    }
    let other = json!({"prompt": "another", "agent": AGENT});
    assert_eq!(server.post_with("/execute", &key, &other).await.status, 409);
    assert_ne!(server.post("/execute", &body).await.json()["job_id"], id, "without the key it is another");
    assert_eq!(server.get("/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_full_queue_is_told_and_those_before_it_keep_their_places() {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "1").env("MAX_QUEUE_DEPTH", "2");
    let server = site.start().await;
    let running = server.execute(SILENT).await;
    server.job_is(&running, &["running"]).await;
    let second = server.execute(SILENT).await;
    let third = server.execute("[[text last]]").await;
    server.load_is(1, 2).await;
    let refused = server.post("/execute", &json!({"prompt": "one more", "agent": AGENT})).await;
    assert_eq!((refused.status, refused.json()), (429, json!({"detail": "Queue full"})));
    assert!(refused.headers.contains_key("retry-after"));
    let chat = server.chat("hello").await;
    assert_eq!(chat.error(), (429, "queue_full".to_owned()));
    let place = |job: &Value| (job["status"].clone(), job["queue_position"].clone());
    assert_eq!(place(&server.job(&second).await), (json!("queued"), json!(1)));
    assert_eq!(place(&server.job(&third).await), (json!("queued"), json!(2)));

    // A queued job that is cancelled gives its place to the next.
    let reply = server.post(&format!("/jobs/{second}/cancel"), &Value::Null).await;
    assert_eq!(reply.json()["status"], "cancelled");
    assert_eq!(place(&server.job(&third).await), (json!("queued"), json!(1)));
    server.load_is(1, 1).await;
    let waiting = server.execute("[[text after]]").await;
    server.post(&format!("/jobs/{running}/cancel"), &Value::Null).await;
    assert_eq!(server.ended(&third).await["result"], "last");
    assert_eq!(server.ended(&waiting).await["result"], "after");
    assert!(server.job(&second).await["started_at"].is_null(), "it never ran");
}

#[tokio::test]
async fn a_restart_keeps_what_is_finished_and_says_what_was_interrupted() {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "1").env("SHUTDOWN_GRACE_SECONDS", "0");
    for crash in [false, true] {
        let server = site.start().await;
        let done = server.execute("[[text kept]]").await;
        let finished = server.ended(&done).await;
        let running = server.execute(SILENT).await;
        server.job_is(&running, &["running"]).await;
        let queued = server.execute("[[text never]]").await;
        let mut follower = server.events(&running, None).await;
        while !follower.next().await.expect("it runs").data.contains("begun") {}
        if crash {
            server.kill().await;
        } else {
            assert_eq!(server.terminate().await.code(), Some(0));
            let last = follower.rest().await.pop().expect("an end");
            assert_eq!(last.json()["status"], "interrupted");
        }
        let server = site.start().await;
        assert_eq!(server.job(&done).await, finished);
        for id in [&running, &queued] {
            let job = server.job(id).await;
            assert_eq!(job["status"], "interrupted", "{job}");
            let events = server.events(id, None).await.rest().await;
            assert_eq!(events.last().expect("its end").json()["status"], "interrupted");
        }
        process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
        assert_eq!(site.children(), []);
        assert_eq!(server.terminate().await.code(), Some(0));
    }
}

#[tokio::test]
async fn a_key_is_remembered_over_a_restart() {
    let site = Site::fake().repository();
    let server = site.start().await;
    let key = [("idempotency-key", "order-66")];
    let body = json!({"prompt": "[[text once]]", "agent": AGENT});
    let id = server.post_with("/execute", &key, &body).await.json()["job_id"].clone();
    server.ended(id.as_str().expect("an id")).await;
    server.kill().await;
    let server = site.start().await;
    let again = server.post_with("/execute", &key, &body).await;
    assert_eq!((again.status, again.json()), (202, json!({"job_id": id, "status": "completed"})));
}

#[tokio::test]
async fn an_ended_job_is_forgotten_in_time_by_itself() {
    let site = Site::fake().repository().env("JOB_TTL_SECONDS", "1");
    let server = site.start().await;
    let ended = server.execute("[[text done]]").await;
    let running = server.execute(SILENT).await;
    server.job_is(&running, &["running"]).await;
    // No job ends meanwhile and nobody asks for it: a timer does it.
    let path = format!("/jobs/{ended}");
    while server.get(&path).await.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(server.get(&path).await.status, 404);
    assert_eq!(server.job(&running).await["status"], "running");
}

#[tokio::test]
async fn a_job_gets_what_the_remote_has_now() {
    let (site, server) = fake().await;
    let first = server.execute("[[report]]").await;
    assert_eq!(server.ended(&first).await["status"], "completed");
    site.git().commit(".claude/agents/late.md", "---\nname: late\ndescription: d\n---\nLate.\n");
    let id = server.submit(&json!({"prompt": "[[text found]]", "agent": "late"})).await;
    let job = server.ended(&id).await;
    assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!("found")), "{job}");
}

#[tokio::test]
async fn a_base_that_cannot_be_cloned_is_an_error_with_the_reason() {
    let (site, server) = fake().await;
    std::fs::rename(site.git().base(), site.git().base().with_file_name("moved")).unwrap();
    let id = server.execute("hello").await;
    let job = server.ended(&id).await;
    assert_eq!(job["status"], "error", "{job}");
    assert!(job["error"].as_str().is_some_and(|error| error.contains("preparing the workspace")), "{job}");
    server.load_is(0, 0).await;
    process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
}
