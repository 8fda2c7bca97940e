//! S: processes, their pipes and what they leave.

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{argv, everywhere, report, scene, streamed};
use crate::support::process;
use crate::support::server::{AGENT, Server, Site, TOKEN, body_of};

/// A CLI that does not want to end, with children inside and outside of its session.
const STUBBORN: &str = "[[ignore_sigterm]] [[grandchild]] [[detached]]";

async fn assert_clean(site: &Site, server: &Server) {
    server.load_is(0, 0).await;
    server.keeps_only(site).await;
    process::until("the workspaces are gone", || site.workspaces().is_empty()).await;
}

#[tokio::test]
async fn s1_timeouts_stop_the_agent() {
    let site = Site::fake().repository().env("CONVERSATIONAL_TIMEOUT_SECONDS", "1");
    let server = site.start().await;
    let prompt = format!("{STUBBORN} [[hang]]");
    let (chat, said) = tokio::join!(server.chat(&prompt), server.say("c", &prompt));
    assert_eq!(chat.error(), (504, "timeout".to_owned()));
    assert_eq!(said.error(), (504, "timeout".to_owned()));
    let job = server.submit(&json!({"prompt": prompt, "agent": AGENT, "timeout_seconds": 1})).await;
    let job = server.ended(&job).await;
    assert_eq!(job["status"], "timeout", "{job}");
    assert_clean(&site, &server).await;
}

#[tokio::test]
async fn s2_stderr_does_not_deadlock() {
    let (_site, server) = scene().await;
    for bytes in [200 * 1024, 1024 * 1024] {
        let prompt = format!("[[stderr {bytes}]] [[text before]] [[stderr {bytes}]] [[text after]]");
        assert_eq!(everywhere(&server, &prompt).await, ["beforeafter"; 5]);
    }
}

#[tokio::test]
async fn s3_a_line_of_5_mb_is_an_answer_like_any_other() {
    let (_site, server) = scene().await;
    let prompt = "[[long_line 5000000]]";
    let whole = "x".repeat(5_000_000);
    assert!(server.chat(prompt).await.answer() == whole);
    assert!(streamed(&server, "sonnet", prompt).await == whole);
    assert!(server.say("c", prompt).await.reply() == whole);
    // A job's record keeps the beginning, and says so.
    let job = server.ended(&server.execute(prompt).await).await;
    assert_eq!((&job["status"], &job["output_truncated"]), (&json!("completed"), &json!(true)));
    assert!(job["result"].as_str().is_some_and(|text| whole.starts_with(text) && text.len() == 1024 * 1024));
}

#[tokio::test]
async fn s4_a_cancel_reaches_every_descendant() {
    let (site, server) = scene().await;
    let id = server.execute(&format!("{STUBBORN} [[text begun]] [[hang]]")).await;
    process::until("the CLI and both children run", || site.children().len() == 3).await;
    let reply = server.post(&format!("/jobs/{id}/cancel"), &json!(null)).await;
    assert_eq!(reply.json()["status"], "cancelled");
    assert_eq!(site.children(), []);
    assert_clean(&site, &server).await;
}

#[tokio::test]
async fn s5_a_descendant_that_holds_the_pipe_holds_nothing_up() {
    let (site, server) = scene().await;
    assert_eq!(everywhere(&server, "[[grandchild]] [[text well]]").await, ["well"; 5]);
    assert_clean(&site, &server).await;
}

#[tokio::test]
async fn s7_a_directory_that_cannot_be_made_costs_no_slot() {
    let site = Site::fake().repository().env("MAX_CONCURRENCY", "1").env("MAX_QUEUE_DEPTH", "1");
    let server = site.start().await;
    let is_instance = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("claude-exec-"))
    };
    let entries = std::fs::read_dir(site.jobs_dir()).unwrap().flatten().map(|entry| entry.path());
    let instance = entries.filter(is_instance).last().expect("the server has made it");
    let moved = instance.with_file_name("moved");
    std::fs::rename(&instance, &moved).unwrap();
    for _ in 0..3 {
        let job = server.ended(&server.execute("hello").await).await;
        assert_eq!(job["status"], "error", "{job}");
        for stream in [false, true] {
            let reply =
                server.open("/v1/chat/completions", &body_of(AGENT, "hello", stream)).await.whole().await;
            assert_eq!(reply.status, 500, "{reply:?}");
        }
    }
    server.load_is(0, 0).await;
    std::fs::rename(&moved, &instance).unwrap();
    assert_eq!(super::job(&server, "[[text well]]").await, "well");
}

#[tokio::test]
async fn s8_callers_that_hang_up_leave_no_directory() {
    let (site, server) = scene().await;
    for _ in 0..5 {
        let body = body_of(AGENT, "[[text begun]] [[silence]]", true);
        let mut stream = server.open("/v1/chat/completions", &body).await;
        assert_eq!(stream.first_text().await, "begun");
        assert_eq!(site.workspaces().len(), 1);
        drop(stream);
        assert_clean(&site, &server).await;
    }
}

#[tokio::test]
async fn s9_json_callers_that_hang_up_end_their_run() {
    let (site, server) = scene().await;
    let marker = site.home().path().join("running");
    let prompt = format!("{STUBBORN} [[touch {}]] [[hang]]", marker.display());
    for agent in [false, true] {
        let model = if agent { AGENT } else { "sonnet" };
        let body = body_of(model, &prompt, false);
        tokio::select! {
            reply = server.post("/v1/chat/completions", &body) => panic!("{reply:?}"),
            () = process::until("it runs", || marker.exists()) => {}
        }
        assert_clean(&site, &server).await;
        std::fs::remove_file(&marker).unwrap();
    }
    tokio::select! {
        reply = server.say("c", &prompt) => panic!("{reply:?}"),
        () = process::until("it runs", || marker.exists()) => {}
    }
    assert_clean(&site, &server).await;
}

#[tokio::test]
async fn s9_a_hang_up_is_seen_behind_what_was_sent_ahead() {
    let (site, server) = scene().await;
    let marker = site.home().path().join("running");
    let prompt = format!("[[touch {}]] [[hang]]", marker.display());
    let chat = body_of("sonnet", &prompt, false).to_string();
    let said = json!({"session_id": "c", "message": prompt}).to_string();
    for (path, body) in [("/v1/chat/completions", &chat), ("/v1/conversational", &said)] {
        for ahead in ["\r\n", "GET /health HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let mut caller = TcpStream::connect(server.address).await.unwrap();
            let length = body.len();
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n");
            let request = format!("{head}content-length: {length}\r\n\r\n{body}{ahead}");
            caller.write_all(request.as_bytes()).await.unwrap();
            process::until("it runs", || marker.exists()).await;
            drop(caller);
            assert_clean(&site, &server).await;
            std::fs::remove_file(&marker).unwrap();
        }
    }
}

#[tokio::test]
async fn s10_nobody_who_is_attached_holds_the_end_up() {
    let site = Site::fake().repository().env("SHUTDOWN_GRACE_SECONDS", "1");
    let server = site.start().await;
    let id = server.execute(&format!("{STUBBORN} [[text begun]] [[hang]]")).await;
    let mut follower = server.events(&id, None).await;
    while !follower.next().await.expect("it runs").data.contains("begun") {}
    let idle = TcpStream::connect(server.address).await.unwrap();
    let mut half = TcpStream::connect(server.address).await.unwrap();
    let head = format!("POST /v1/conversational HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n");
    half.write_all(format!("{head}content-length: 9\r\n\r\n").as_bytes()).await.unwrap();
    let mut chat = server.chat_stream("[[text begun]] [[ignore_sigterm]] [[hang]]").await;
    assert_eq!(chat.first_text().await, "begun");

    let (exit, events, rest) = tokio::join!(server.terminate(), follower.rest(), chat.rest());
    assert_eq!(exit.code(), Some(0), "{}", site.log());
    assert_eq!(events.last().expect("an end").json()["status"], "interrupted");
    assert_eq!(rest.last().expect("an end").json()["error"]["code"], "interrupted", "{rest:?}");
    assert_eq!(site.children(), []);
    assert!(site.workspaces().is_empty(), "{:?}", site.workspaces());
    drop((idle, half));
}

#[tokio::test]
async fn s10_running_turns_may_end_and_new_ones_are_refused() {
    let site = Site::fake().repository().env("SHUTDOWN_GRACE_SECONDS", "60");
    let server = site.start().await;
    let go = site.home().path().join("go");
    let mut chat =
        server.chat_stream(&format!("[[text begun]] [[wait_file {}]] [[text ended]]", go.display())).await;
    assert_eq!(chat.first_text().await, "begun");
    let address = server.address;
    let end = tokio::spawn(server.terminate());
    process::until("it takes no more", || std::net::TcpStream::connect(address).is_err()).await;
    std::fs::write(&go, "").unwrap();
    let rest = chat.rest().await;
    assert_eq!(rest.last().expect("an end").data, "[DONE]", "{rest:?}");
    assert_eq!(end.await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn s12_the_cli_does_not_get_the_servers_stdin() {
    let (site, server) = scene().await;
    let report = report(&server.chat("[[report]]").await);
    let fds: Vec<&str> = report["fds"].as_array().unwrap().iter().filter_map(|fd| fd.as_str()).collect();
    let own = std::fs::read_link(format!("/proc/{}/fd/0", server.pid())).unwrap();
    for number in ["0", "1", "2"] {
        let target = fds.iter().find_map(|fd| fd.strip_prefix(&format!("{number} "))).expect("it is open");
        assert!(target.starts_with("pipe:["), "{number}: {target}");
        assert_ne!(target, own.to_string_lossy());
    }
    // Nor anything else that the server has opened: sockets, its store, its log.
    let root = site.home().path().display().to_string();
    assert!(!fds.iter().any(|fd| fd.contains("socket:") || fd.contains(&root)), "{fds:?}");
}

#[tokio::test]
async fn s13_no_prompt_is_in_argv_and_no_nul_reaches_the_cli() {
    let (_site, server) = scene().await;
    let text = "[[report]] a prompt that nobody shall see in ps";
    let found = server.chat(text).await;
    assert!(!argv(&report(&found)).iter().any(|arg| arg.contains("prompt that")), "{found:?}");
    let found = streamed(&server, AGENT, text).await;
    assert!(!argv(&serde_json::from_str(&found).unwrap()).iter().any(|arg| arg.contains("prompt that")));
    let nul = "a\0b";
    let chat = server.chat(nul).await;
    assert_eq!((chat.status, &chat.json()["error"]["param"]), (400, &json!("messages[0].content")));
    let said = server.say("c", nul).await;
    assert_eq!((said.status, &said.json()["error"]["param"]), (400, &json!("message")));
    let job = server.post("/execute", &json!({"prompt": nul, "agent": AGENT})).await;
    assert_eq!((job.status, &job.json()["detail"][0]["loc"]), (422, &json!(["body", "prompt"])));
    assert_eq!(server.get("/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn s14_a_bad_byte_costs_a_character_and_no_answer() {
    let (_site, server) = scene().await;
    for answer in everywhere(&server, "[[bad_utf8]] [[text well]]").await {
        assert!(answer.ends_with("well"), "{answer:?}");
    }
}

#[tokio::test]
async fn s14_odd_lines_cost_nothing() {
    let (_site, server) = scene().await;
    for odd in [
        "[[not_objects]]",
        "[[null_message]]",
        "[[string_content x]]",
        "[[unknown_types]]",
        "[[raw {{{]]",
        "[[crlf]]",
    ] {
        let prompt = format!("{odd} [[text well]]");
        assert_eq!(server.chat(&prompt).await.answer(), "well", "{odd}");
        assert_eq!(super::job(&server, &prompt).await, "well", "{odd}");
    }
}

#[tokio::test]
async fn s15_a_flood_does_not_fill_the_memory() {
    let site = Site::fake().repository().env("CONVERSATIONAL_TIMEOUT_SECONDS", "3");
    let server = site.start().await;
    let id = server.execute("[[flood]]").await;
    let (chat, said) = tokio::join!(server.chat("[[flood]]"), server.say("c", "[[flood]]"));
    assert!(chat.status >= 500 && said.status >= 500, "{} {}", chat.status, said.status);
    assert_bounded(&server);
    server.post(&format!("/jobs/{id}/cancel"), &json!(null)).await;
    assert_clean(&site, &server).await;
}

#[tokio::test]
async fn s15_an_endless_answer_is_refused_whole_and_passes_through_streamed() {
    let (site, server) = scene().await;
    let long = "[[long_line 3000000]]".repeat(8);
    assert_eq!(server.chat(&long).await.error(), (502, "answer_too_long".to_owned()));
    let streamed = server.chat_stream(&long).await.whole().await;
    assert!(streamed.body.len() > 24_000_000 && streamed.body.ends_with(b"data: [DONE]\n\n"));
    let job = server.ended(&server.execute(&long).await).await;
    assert_eq!((&job["status"], &job["output_truncated"]), (&json!("completed"), &json!(true)));
    assert_bounded(&server);
    assert_clean(&site, &server).await;
}

/// Far below what went through it.
fn assert_bounded(server: &Server) {
    let resident = process::resident(server.pid());
    assert!(resident < 200 * 1024 * 1024, "{resident} bytes");
}
