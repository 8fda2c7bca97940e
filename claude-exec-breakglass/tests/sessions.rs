//! Sessions over a scripted CLI: turns, readers, cards, and what is left of them.

mod support;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use claude_exec::executor::Answer;
use claude_exec_breakglass::attach::Attach;
use claude_exec_breakglass::audit::{Actor, Decision, Event};
use claude_exec_breakglass::log::{Bounds, EventId, Resume, Window};
use claude_exec_breakglass::session::{Found, Limits, Mode, Prompt, Verdict};
use serde_json::json;
use support::{Reader, Site, asks, names, records, text};

#[tokio::test]
async fn a_turn_runs_on_without_its_client_and_everyone_reads_the_same() {
    let site = Site::new(|said| Answer::text(&format!("you said {}", said.text))).await;
    let session = site.session().await;
    let mut early = Reader::attach(&session, None).await;
    assert_eq!(early.next().await.unwrap().event, "hello");
    let begun = session.prompt(Prompt::new("hi", "me")).await.unwrap();
    assert_eq!((begun.turn, begun.id, begun.is_new), (1, EventId::new(1, 1), true));
    let events = early.until_with("turn_end").await;
    assert_eq!(names(&events), ["user", "session", "delta", "result", "turn_end"]);
    assert_eq!(text(&events), "you said hi");
    assert_eq!(events.last().unwrap().data["state"], "done");
    let mut late = Reader::attach(&session, None).await;
    assert_eq!(late.next().await.unwrap().data["resume"], "start");
    assert_eq!(late.until_with("turn_end").await, events);
    assert_eq!(session.summary().turn, "idle");
}

#[tokio::test]
async fn one_process_serves_turn_after_turn_and_rests_when_told() {
    let site = Site::new(|said| Answer::text(&format!("{} before", said.history.len()))).await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    for turn in 0..3 {
        session.prompt(Prompt::new("x", "me")).await.unwrap();
        assert_eq!(text(&reader.until_with("turn_end").await), format!("{} before", turn * 2));
    }
    assert_eq!(site.cli.starts().len(), 1, "one live process");
    site.sessions.shutdown().await;
    let again = site.restarted().await;
    let Found::Session(session) = again.find(session.id()) else { panic!("it is kept") };
    let mut reader = Reader::attach(&session, reader.cursor).await;
    assert_eq!(reader.next().await.unwrap().data["resume"], "ok");
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let events = reader.until_with("turn_end").await;
    assert_eq!(text(&events), "6 before", "it goes on where it was");
    assert!(events[0].id.unwrap().epoch > 1, "a new writer");
    let starts = site.cli.starts();
    assert!(format!("{:?}", starts[1].args).contains("--resume"), "{:?}", starts[1].args);
}

#[tokio::test]
async fn c7_a_first_turn_that_fails_spoils_nothing() {
    let site = Site::new(|said| match said.text.as_str() {
        "die" => Answer::text("a").exit(1),
        _ => Answer::text("alive"),
    })
    .await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("die", "me")).await.unwrap();
    let events = reader.until_with("turn_end").await;
    assert_eq!(names(&events)[..], ["hello", "user", "session", "delta", "error", "turn_end"]);
    assert_eq!(events.last().unwrap().data["state"], "failed");
    session.prompt(Prompt::new("live", "me")).await.unwrap();
    assert_eq!(text(&reader.until_with("turn_end").await), "alive");
}

#[tokio::test]
async fn one_turn_at_a_time_and_asking_twice_is_asking_once() {
    let site =
        Site::new(
            |said| if said.text == "wait" { Answer::text("w and more").hang() } else { Answer::text("x") },
        )
        .await;
    let session = site.session().await;
    let mut prompt = Prompt::new("wait", "me");
    prompt.key = Some("k1".into());
    let (first, second) = tokio::join!(session.prompt(prompt.clone()), session.prompt(prompt.clone()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.turn, first.id), (second.turn, second.id));
    assert_eq!([first.is_new, second.is_new].iter().filter(|new| **new).count(), 1);
    assert!(session.prompt(Prompt::new("other", "me")).await.unwrap_err().is_conflict());
    prompt.text = "other".into();
    assert_eq!(session.prompt(prompt).await.unwrap_err().field(), Some("Idempotency-Key"));
    for text in ["", " \n", "a\0b", &"x".repeat(65_537)] {
        assert_eq!(session.prompt(Prompt::new(text, "me")).await.unwrap_err().field(), Some("prompt"));
    }
    assert!(session.cancel(Some(1), "me", false));
    session.journal().head();
    let mut reader = Reader::attach(&session, None).await;
    let events = reader.until_with("turn_end").await;
    assert_eq!(names(&events).last_chunk::<2>().unwrap(), &["cancelled", "turn_end"]);
    // Over when it is seen to be: the next one need not wait.
    session.prompt(Prompt::new("next", "me")).await.unwrap();
}

#[tokio::test]
async fn c25_a_cancelled_turn_ends_as_cancelled_and_cancelling_is_idempotent() {
    let site =
        Site::new(|said| if said.text == "go" { Answer::text("a b c").hang() } else { Answer::text("ok") })
            .await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    assert!(!session.cancel(None, "me", false), "nothing to cancel");
    session.prompt(Prompt::new("go", "me")).await.unwrap();
    reader.until("delta").await;
    assert!(!session.cancel(Some(7), "me", false), "another turn");
    assert!(session.cancel(Some(1), "me", false));
    assert!(session.cancel(Some(1), "you", false), "once more");
    let events = reader.until_with("turn_end").await;
    let cancelled = events.iter().find(|sse| sse.event == "cancelled").unwrap();
    assert_eq!(cancelled.data["by"], "me");
    assert!(!events.iter().any(|sse| sse.event == "error" || sse.data["is_error"] == true), "{events:#?}");
    assert_eq!(events.last().unwrap().data["state"], "cancelled");
    assert!(session.cancel(Some(1), "me", false), "and afterwards");
    session.prompt(Prompt::new("next", "me")).await.unwrap();
    assert_eq!(text(&reader.until_with("turn_end").await), "ok");
    assert!(!session.cancel(Some(2), "me", false), "it had ended by itself");
}

#[tokio::test]
async fn c23_as_many_turns_run_as_may() {
    let limits = Limits { turns: NonZeroUsize::new(2).unwrap(), ..Limits::default() };
    let site = Site::with(limits, |_| Answer::text("w and more").hang()).await;
    let sessions = [site.session().await, site.session().await, site.session().await];
    for session in &sessions[..2] {
        session.prompt(Prompt::new("x", "me")).await.unwrap();
    }
    assert!(sessions[2].prompt(Prompt::new("x", "me")).await.unwrap_err().is_queue_full());
    assert_eq!(site.sessions.running(), 2);
    assert_eq!(sessions[2].journal().read(|window| window.head()), EventId::ORIGIN, "and left no trace");
    let mut reader = Reader::attach(&sessions[0], None).await;
    sessions[0].cancel(None, "me", false);
    reader.until("turn_end").await;
    sessions[2].prompt(Prompt::new("x", "me")).await.unwrap();
}

#[tokio::test]
async fn what_only_looks_runs_by_itself_and_the_rest_waits_for_a_person() {
    let site = Site::new(|_| {
        Answer::text("looking ").ask(asks("ssh devvm uptime")).ask(asks("ssh devvm reboot")).then_text("done")
    })
    .await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let decision = reader.until("decision").await;
    assert_eq!((&decision.data["decision"], &decision.data["rule"]), (&json!("auto"), &json!("read-only")));
    let card = reader.until("approval").await;
    assert_eq!(card.data["command"], "ssh devvm reboot");
    assert_eq!(card.data["rule"], "Bash(ssh devvm reboot)");
    assert_eq!(session.summary().turn, "needs_input");
    let name = card.data["approval"].as_str().unwrap().to_owned();
    let both = tokio::join!(
        session.decide(&name, Verdict::AllowOnce, "me", None),
        session.decide(&name, Verdict::Deny, "you", Some("no".into())),
    );
    let lost = match both {
        (Ok(()), Err(error)) | (Err(error), Ok(())) => error,
        other => panic!("{other:?}"),
    };
    assert!(lost.is_conflict(), "{lost}");
    let events = reader.until_with("turn_end").await;
    assert_eq!(events.iter().filter(|sse| sse.event == "decision").count(), 1);
    assert!(session.decision(&name).is_some());
    assert!(session.decide("a9", Verdict::Deny, "me", None).await.unwrap_err().is_not_found());
}

/// Who asked, and what ran without anybody's leave, before it is done; without the secrets, which only the model reads.
#[tokio::test]
async fn x5_a_prompt_and_what_runs_by_itself_are_on_record_first_and_without_secrets() {
    const SECRET: &str = "log in with password=hunter2";
    let at_the_cli = Arc::new(Mutex::new(Vec::new()));
    let place = Arc::new(OnceLock::new());
    let site = {
        let (seen, place) = (Arc::clone(&at_the_cli), Arc::clone(&place));
        Site::new(move |said| {
            let dir: &PathBuf = place.get().unwrap();
            seen.lock().unwrap().push((said.text.clone(), records(dir).len()));
            Answer::text("x ").ask(asks("ssh devvm uptime")).then_text("done")
        })
        .await
    };
    place.set(site.dir.path().to_owned()).unwrap();
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    let mut prompt = Prompt::new(SECRET, "sam");
    prompt.actor = Some(Actor::new("sam", "bearer", "10.0.0.9"));
    prompt.key = Some("k".into());
    let begun = session.prompt(prompt.clone()).await.unwrap();
    assert_eq!(
        session.prompt(prompt).await.unwrap().turn,
        begun.turn,
        "the same again is known for what it is"
    );
    let events = reader.until_with("turn_end").await;
    assert_eq!(events[1].data["text"], "log in with password=[redacted]", "in the log and on the stream");
    assert_eq!(
        *at_the_cli.lock().unwrap(),
        [(SECRET.to_owned(), 2)],
        "the model gets it, once it is on record"
    );
    let records = records(site.dir.path());
    assert_eq!(records.len(), 3, "{records:?}");
    assert_eq!(records[1].actor, Actor::new("sam", "bearer", "10.0.0.9"));
    assert!(
        matches!(&records[1].event, Event::Prompt { text, .. } if text == "log in with password=[redacted]")
    );
    assert_eq!(records[2].actor, Actor::agent());
    let Event::Approval { tool, input, decision, reason, .. } = &records[2].event else {
        panic!("{records:?}")
    };
    assert_eq!((tool.as_str(), *decision, reason.as_deref()), ("Bash", Decision::Rule, Some("read-only")));
    assert!(input.contains("ssh devvm uptime"), "{input}");
}

#[tokio::test]
async fn leave_for_the_session_covers_the_same_again_and_survives_a_restart() {
    let site = Site::new(|_| Answer::text("x").ask(asks("ssh devvm systemctl restart nginx"))).await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let card = reader.until("approval").await;
    assert_eq!(card.data["rule"], "Bash(ssh devvm systemctl restart *)");
    let name = card.data["approval"].as_str().unwrap();
    session.decide(name, Verdict::AllowSession, "me", None).await.unwrap();
    reader.until("turn_end").await;
    let again = site.restarted().await;
    let Found::Session(session) = again.find(session.id()) else { panic!("it is kept") };
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let mut reader = Reader::attach(&session, reader.cursor).await;
    let events = reader.until_with("turn_end").await;
    let decisions: Vec<_> = events.iter().filter(|sse| sse.event == "decision").collect();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].data["rule"], "Bash(ssh devvm systemctl restart *)");
    assert!(!events.iter().any(|sse| sse.event == "approval"));
}

#[tokio::test]
async fn nobody_answers_is_no_and_unattended_is_said() {
    let limits = Limits { approval: Duration::from_millis(30), ..Limits::default() };
    let site = Site::with(limits, |_| Answer::text("x").ask(asks("ssh devvm reboot"))).await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let events = reader.until_with("turn_end").await;
    let decision = events.iter().find(|sse| sse.event == "decision").unwrap();
    assert_eq!(decision.data["decision"], "expired");
    let timed_out = |event: &Event| matches!(event, Event::Approval { decision: Decision::TimedOut, .. });
    assert_eq!(records(site.dir.path()).iter().filter(|record| timed_out(&record.event)).count(), 1);
    session.set_mode(Mode::Unattended, "me").await.unwrap();
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let events = reader.until_with("turn_end").await;
    assert_eq!(events[0].event, "mode");
    let decision = events.iter().find(|sse| sse.event == "decision").unwrap();
    assert_eq!((&decision.data["decision"], &decision.data["rule"]), (&json!("auto"), &json!("unattended")));
}

#[tokio::test]
async fn a_card_ends_with_its_turn() {
    let site = Site::new(|_| Answer::text("x").ask(asks("ssh devvm reboot"))).await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    let card = reader.until("approval").await;
    assert!(session.cancel(None, "me", false));
    let events = reader.until_with("turn_end").await;
    let decision = events.iter().find(|sse| sse.event == "decision").unwrap();
    assert_eq!(
        (&decision.data["decision"], &decision.data["approval"]),
        (&json!("cancelled"), &card.data["approval"])
    );
    let name = card.data["approval"].as_str().unwrap();
    assert!(session.decide(name, Verdict::AllowOnce, "me", None).await.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_a_failed_turn_and_no_open_card() {
    let site = Site::new(|_| Answer::text("half").ask(asks("ssh devvm reboot"))).await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("x", "me")).await.unwrap();
    reader.until("approval").await;
    // The server before is not told: it is as if it were killed.
    let again = site.restarted().await;
    let Found::Session(session) = again.find(session.id()) else { panic!("it is kept") };
    let mut reader = Reader::attach(&session, reader.cursor).await;
    assert_eq!(reader.next().await.unwrap().data["resume"], "ok");
    let events = reader.until_with("turn_end").await;
    assert_eq!(names(&events), ["decision", "error", "turn_end"]);
    assert_eq!((session.summary().turn, session.summary().turns), ("idle", 1));
}

#[tokio::test]
async fn a_reader_that_is_overtaken_gets_a_gap_and_a_snapshot() {
    let limits = Limits { log: Bounds { events: 6, bytes: usize::MAX }, ..Limits::default() };
    let site = Site::with(limits, |said| Answer::text(&said.text)).await;
    let session = site.session().await;
    let mut slow = Reader::attach(&session, None).await;
    slow.next().await.unwrap();
    let mut reader = Reader::attach(&session, None).await;
    for turn in 0..3 {
        session.prompt(Prompt::new(format!("turn {turn}"), "me")).await.unwrap();
        reader.until("turn_end").await;
    }
    let gap = slow.next().await.unwrap();
    assert_eq!((gap.event.as_str(), gap.id), ("gap", None));
    assert_eq!(gap.data["from"], "0-0");
    let snapshot = slow.next().await.unwrap();
    assert_eq!(snapshot.event, "snapshot");
    assert_eq!(snapshot.id, reader.cursor);
    assert_eq!(snapshot.data["id"], reader.cursor.unwrap().to_string());
    assert_eq!(snapshot.data["trimmed"], true);
    let last = snapshot.data["entries"].as_array().unwrap().last().unwrap();
    assert_eq!(last["event"], "turn_end");
    session.prompt(Prompt::new("after", "me")).await.unwrap();
    assert_eq!(text(&slow.until_with("turn_end").await), "after");
    // A newcomer to a trimmed log gets the snapshot too, and then each event once.
    let mut late = Reader::attach(&session, None).await;
    assert_eq!(late.next().await.unwrap().data["resume"], "start");
    assert_eq!(late.next().await.unwrap().event, "snapshot");
}

#[tokio::test]
async fn s15_an_endless_answer_fills_neither_the_log_nor_a_summary_of_it() {
    const BYTES: usize = 4 * 1024;
    let limits = Limits { log: Bounds { events: 100, bytes: BYTES }, ..Limits::default() };
    let site = Site::with(limits, |said| Answer::text(&said.text.repeat(40))).await;
    let session = site.session().await;
    for turn in 0..5 {
        session.prompt(Prompt::new(format!("turn {turn}, word by word "), "me")).await.unwrap();
        while session.summary().turn != "idle" {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let kept = |window: &Window| window.entries().map(|entry| entry.block().len()).sum::<usize>();
        let kept = session.journal().read(kept);
        assert!(kept <= BYTES, "{kept} bytes");
    }
    let mut late = Reader::attach(&session, None).await;
    let snapshot = late.until("snapshot").await;
    assert!(snapshot.data.to_string().len() < 2 * BYTES, "a summary is no larger than what is kept");
}

#[tokio::test]
async fn c26_a_cursor_is_ours_or_it_is_refused() {
    let site = Site::new(|said| Answer::text(&said.text)).await;
    let (mine, other) = (site.session().await, site.session().await);
    for session in [&mine, &other] {
        let mut reader = Reader::attach(session, None).await;
        session.prompt(Prompt::new("x", "me")).await.unwrap();
        reader.until("turn_end").await;
    }
    let head = other.journal().read(|window| window.head());
    assert_eq!(mine.resume(Some(head)).await.unwrap_err().field(), Some("Last-Event-ID"));
    let ahead = EventId { seq: 9999, ..mine.journal().read(|window| window.head()) };
    assert_eq!(mine.resume(Some(ahead)).await.unwrap(), Resume::Ahead(ahead));
    let mut reader = Reader::attach(&mine, Some(ahead)).await;
    assert_eq!(reader.next().await.unwrap().data["resume"], "ahead");
    assert_eq!(reader.next().await.unwrap().event, "snapshot", "never silently live");
    let unknown = EventId::new(77, 2);
    assert_eq!(mine.resume(Some(unknown)).await.unwrap(), Resume::Reset(unknown));
}

#[tokio::test]
async fn a_closed_session_is_read_to_its_end_and_a_deleted_one_is_gone() {
    let site =
        Site::new(
            |said| if said.text == "wait" { Answer::text("w and more").hang() } else { Answer::text("x") },
        )
        .await;
    let session = site.session().await;
    let mut reader = Reader::attach(&session, None).await;
    session.prompt(Prompt::new("wait", "me")).await.unwrap();
    reader.until("delta").await;
    session.close("me").await.unwrap();
    session.close("me").await.unwrap();
    let events = reader.until_with("end").await;
    assert_eq!(names(&events).last_chunk::<4>().unwrap(), &["cancelled", "turn_end", "closed", "end"]);
    assert!(reader.next().await.is_none());
    assert!(session.prompt(Prompt::new("x", "me")).await.unwrap_err().is_conflict());
    assert!(session.rename("x", "me").await.unwrap_err().is_conflict());
    let again = site.restarted().await;
    assert!(matches!(again.find(session.id()), Found::Session(session) if session.is_closed()));
    again.delete(session.id(), "me").await.unwrap();
    assert!(matches!(again.find(session.id()), Found::Deleted));
    assert!(again.delete(session.id(), "me").await.unwrap_err().is_not_found());
    assert!(matches!(again.find("nobody"), Found::Unknown));
    assert!(matches!(site.restarted().await.find(session.id()), Found::Deleted));
}

#[tokio::test]
async fn sessions_are_named_listed_and_bounded() {
    let site = Site::with(Limits { sessions: 2, ..Limits::default() }, |said| Answer::text(&said.text)).await;
    let first = site.sessions.create(Some(" disk full "), Mode::Ask, Some("haiku".into())).await.unwrap();
    assert_eq!(
        (first.summary().name.as_str(), first.summary().model.as_deref()),
        ("disk full", Some("haiku"))
    );
    let second = site.session().await;
    assert!(site.sessions.create(None, Mode::Ask, None).await.unwrap_err().is_queue_full());
    for name in ["", "  ", "a\nb", &"x".repeat(81)] {
        assert_eq!(first.rename(name, "me").await.unwrap_err().field(), Some("name"), "{name:?}");
    }
    second.rename("second", "me").await.unwrap();
    let mut reader = Reader::attach(&first, None).await;
    first.prompt(Prompt::new("x", "me")).await.unwrap();
    reader.until("turn_end").await;
    first.close("me").await.unwrap();
    // A closed one makes room.
    site.sessions.create(Some("third"), Mode::Ask, None).await.unwrap();
    let names: Vec<_> = site.sessions.list().into_iter().map(|summary| summary.name).collect();
    assert_eq!(names, ["third", "second"]);
    assert!(matches!(site.sessions.find(first.id()), Found::Deleted));
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_and_a_stream_is_cut_in_its_last_tenth() {
    let site = Site::new(|said| Answer::text(&said.text)).await;
    let session = site.session().await;
    let attach = Attach::new(1.0);
    let resume = session.resume(None).await.unwrap();
    let start = tokio::time::Instant::now();
    let blocks: Vec<_> =
        futures::StreamExt::collect(claude_exec_breakglass::attach::follow(&session, resume, attach)).await;
    assert!(blocks[0].starts_with(b"retry: 1000\nevent: hello\ndata: {\"epoch\":0,\"first\":\"0-1\","));
    assert!(blocks[1..blocks.len() - 1].iter().all(|block| &block[..] == b":\n\n"));
    assert_eq!(blocks.last().unwrap(), "event: bye\ndata: {\"reason\":\"cut\"}\n\n");
    assert_eq!((blocks.len(), start.elapsed().as_secs()), (2 + 540 / 15 - 1, 540));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_may_no_longer_is_told_and_a_server_that_drains_says_so() {
    let site = Site::new(|said| Answer::text(&said.text)).await;
    let session = site.session().await;
    let mut reader = Reader::attach_as(&session, None, Attach::new(0.0).may(|| false)).await;
    reader.next().await.unwrap();
    let bye = reader.next().await.unwrap();
    assert_eq!((bye.event.as_str(), &bye.data["reason"], bye.id), ("bye", &json!("auth"), None));
    assert!(reader.next().await.is_none());
    let mut reader = Reader::attach(&session, None).await;
    reader.next().await.unwrap();
    site.sessions.drain();
    assert_eq!(reader.next().await.unwrap().data["reason"], "draining");
    assert!(session.prompt(Prompt::new("x", "me")).await.unwrap_err().is_stopped());
}

#[tokio::test]
async fn ten_thousand_resumes_with_random_cuts_each_event_exactly_once() {
    let site = Site::new(|said| Answer::text(&said.text)).await;
    let session = site.session().await;
    let writer = {
        let session = session.clone();
        tokio::spawn(async move {
            let mut reader = Reader::attach(&session, None).await;
            for turn in 0..200 {
                session.prompt(Prompt::new(format!("turn number {turn} says this"), "me")).await.unwrap();
                reader.until("turn_end").await;
            }
            session.close("me").await.unwrap();
        })
    };
    let clients = (0..10u64).map(|seed| {
        let session = session.clone();
        tokio::spawn(async move {
            let (mut random, mut cursor, mut seen) = (seed + 1, None, Vec::new());
            let mut ended = false;
            for _ in 0..1000 {
                // xorshift: the cuts differ from run to run of the loop, not from run to run of the test.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let mut reader = Reader::attach(&session, cursor).await;
                for _ in 0..random % 7 {
                    match reader.next().await {
                        Some(sse) if sse.id.is_some() => seen.push(sse.id.unwrap().seq),
                        Some(sse) => ended |= sse.event == "end",
                        None => break,
                    }
                    tokio::task::yield_now().await;
                }
                cursor = reader.cursor;
            }
            let mut reader = Reader::attach(&session, cursor).await;
            while let Some(sse) = reader.next().await {
                seen.extend(sse.id.map(|id| id.seq));
                ended |= sse.event == "end";
            }
            assert!(ended);
            seen
        })
    });
    let clients: Vec<_> = clients.collect();
    writer.await.unwrap();
    let head = session.journal().read(|window| window.head().seq);
    assert!(head >= 1000, "{head}");
    for client in clients {
        assert_eq!(client.await.unwrap(), (1..=head).collect::<Vec<_>>());
    }
}
