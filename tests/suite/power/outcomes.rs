//! What comes of the verbs, with every way of `qm` to end.

use std::time::Duration;

use claude_exec_breakglass::power::{Outcome, Power, Verb};

use super::{PATIENCE, Server, actor, outcome, power};

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_works_and_proves_what_can_be_proved() {
    let Some(server) = Server::start() else { return };
    let table = [
        (Verb::Reset, Outcome::Refused, "start it instead", None),
        (Verb::Start, Outcome::Verified, "running", Some(true)),
        (Verb::Start, Outcome::Refused, "already running", Some(true)),
        (Verb::Reset, Outcome::SentNotVerified, "accepted", Some(true)),
        (Verb::Cycle, Outcome::Verified, "running", Some(true)),
        (Verb::Stop, Outcome::Verified, "stopped", Some(false)),
        // As qm: a stop of what is stopped is no failure.
        (Verb::Stop, Outcome::Verified, "stopped", Some(false)),
    ];
    let mut before = None;
    for (verb, expected, detail, runs) in table {
        // One more than the most verbs in five minutes would be refused; this is fewer.
        let operation = server.verb(verb).await;
        assert_eq!(outcome(&operation), expected, "{operation:?}");
        assert!(operation.detail.as_ref().is_some_and(|text| text.contains(detail)), "{operation:?}");
        assert_eq!(operation.rc, Some(if expected == Outcome::Refused { 255 } else { 0 }), "{operation:?}");
        assert!(operation.recorded);
        assert_eq!(server.host.vm().is_some(), runs.unwrap_or(false), "after {verb}");
        if verb == Verb::Cycle {
            assert_ne!(server.host.vm(), before, "a cycle makes a new process");
        }
        before = server.host.vm();
    }
    let stops = ["stop 102", "stopping"];
    let expected =
        [&["reset 102", "start 102", "start 102", "reset 102"][..], &stops, &["start 102"], &stops, &stops];
    assert_eq!(server.host.calls(), expected.concat());
    // What the host knew before each of them was changed.
    let captures = std::fs::read_dir(server.host.path("log")).expect("it was made").flatten();
    let captures: Vec<String> =
        captures.map(|entry| std::fs::read_to_string(entry.path()).expect("it can be read")).collect();
    assert_eq!(captures.len(), table.len());
    assert!(captures.iter().all(|text| text.contains("BG1 section qm config") && !text.contains("hunter2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_forensics_read_and_tell_no_secret() {
    let Some(server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    let calls = server.host.calls();
    let reading = server.power.status().await;
    let seen = reading.observed.expect("the host answers");
    assert_eq!((seen.status.as_str(), seen.pid.map(u32::cast_signed)), ("running", server.host.vm()));
    assert_eq!((seen.uptime_s, seen.lock, seen.ha), (Some(4242), None, None));
    let forensics = server.power.forensics().await;
    for section in ["== qm status", "== qm config", "== process", "== load and memory", "== disks"] {
        assert!(forensics.text.contains(section), "{section} is not in:\n{}", forensics.text);
    }
    assert!(
        forensics.text.contains("memory: 8192") && !forensics.text.contains("hunter2"),
        "{}",
        forensics.text
    );
    assert_eq!(server.host.calls(), calls, "nothing was changed");
}

/// C-level truths of `qm`: every failure is 255, which is also ssh's own; the words tell which it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_qm_refuses_is_refused_and_what_it_fails_at_has_failed() {
    let Some(server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    let table = [
        ("lock-timeout", Verb::Stop, Outcome::Refused, "another task works on this VM"),
        ("backup", Verb::Reset, Outcome::Refused, "VM is locked (backup)"),
        ("wedged", Verb::Reset, Outcome::Refused, "a cycle ends it"),
        ("start-fails", Verb::Cycle, Outcome::Failed, "stopped, and not started: start failed"),
        ("start-fails", Verb::Start, Outcome::Failed, "start failed: QEMU exited with code 1"),
        ("warn", Verb::Start, Outcome::Verified, "running"),
    ];
    for (mode, verb, expected, detail) in table {
        server.host.mode(mode);
        let operation = server.verb(verb).await;
        assert_eq!(outcome(&operation), expected, "{mode}: {operation:?}");
        assert!(operation.detail.as_ref().is_some_and(|text| text.contains(detail)), "{mode}: {operation:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_ha_manager_keeps_is_requested_and_not_claimed() {
    let Some(server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    server.host.mode("ha");
    for verb in [Verb::Stop, Verb::Start] {
        let operation = server.verb(verb).await;
        assert_eq!(outcome(&operation), Outcome::Requested, "{operation:?}");
    }
    assert_eq!(server.power.status().await.observed.and_then(|seen| seen.ha).as_deref(), Some("started"));
    assert!(server.host.vm().is_some(), "the stand-in for the HA manager does nothing");
}

/// A QEMU that waits for storage outlives a stop that exits 0. Two of them on one disk are worse than none.
#[tokio::test(flavor = "multi_thread")]
async fn a_qemu_that_survives_is_told_and_not_started_beside() {
    let Some(server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    server.host.mode("survive");
    for verb in [Verb::Stop, Verb::Cycle] {
        let operation = server.verb(verb).await;
        assert_eq!(outcome(&operation), Outcome::SentNotVerified, "{operation:?}");
        let detail = operation.detail.clone().unwrap_or_default();
        assert!(detail.contains("its QEMU process is still there"), "{operation:?}");
    }
    let starts = server.host.calls().iter().filter(|call| *call == "start 102").count();
    assert_eq!(starts, 1, "the one at the beginning: {:?}", server.host.calls());
}

/// X11: the time runs out on this side only. The verb goes on, is not sent again, and is settled by the host's word.
#[tokio::test(flavor = "multi_thread")]
async fn x11_a_client_that_is_gone_stops_nothing_and_nothing_is_done_twice() {
    let Some(mut server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    server.host.mode("slow-stop");
    let mut ssh = server.host.ssh();
    ssh.limit = Duration::from_secs(3);
    let other = tempfile::tempdir().expect("a directory");
    let hasty = power(ssh, other.path());
    let begun = hasty.begin(&actor(), Verb::Cycle, "a test").await.expect("nothing else runs");
    let operation = hasty.wait(&begun.id, PATIENCE).await.expect("it is remembered");
    assert_eq!(outcome(&operation), Outcome::Unknown, "{operation:?}");
    // Another server does not get in beside it: the lock is the host's.
    let busy = server.verb(Verb::Start).await;
    assert!(
        outcome(&busy) == Outcome::Refused && busy.detail.as_deref() == Some("another verb runs on the host")
    );
    let before = server.host.vm();
    std::fs::write(server.host.path("go"), "").expect("it is writable");
    server.host.until("started again", |host| host.vm().is_some() && host.vm() != before).await;
    let settled = until_settled(&hasty, &begun.id).await;
    assert_eq!(settled, Outcome::Verified);
    let calls = server.host.calls();
    assert_eq!(calls, ["start 102", "stop 102", "stopping", "start 102"], "each once");
    server.host.mode("");
    // The same after `kill -9` of the server: what it left is in the audit.
    drop(hasty);
    server.audit = other;
}

async fn until_settled(power: &Power, id: &str) -> Outcome {
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        power.status().await;
        if let Some(found) = power.operation(id).and_then(|operation| operation.outcome)
            && found != Outcome::Unknown
        {
            return found;
        }
    }
    Outcome::Unknown
}

/// Whatever the programs on the host print: the outcome is right, and the text is bounded and plain.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_and_huge_output_changes_no_outcome() {
    let Some(server) = Server::start() else { return };
    server.verb(Verb::Start).await;
    for mode in ["huge", "ugly", "huge ugly"] {
        server.host.mode(mode);
        let operation = server.verb(Verb::Reset).await;
        assert_eq!(outcome(&operation), Outcome::SentNotVerified, "{mode}: {operation:?}");
        assert!(operation.stdout.len() <= 16 * 1024, "{mode}: {} bytes", operation.stdout.len());
        let odd =
            |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!operation.stdout.contains(odd), "{mode}: {:?}", operation.stdout);
    }
    server.host.mode("ugly wedged");
    let operation = server.verb(Verb::Reset).await;
    assert_eq!(outcome(&operation), Outcome::Refused, "a forged end is no end: {operation:?}");
    assert_eq!(server.status().await, "running");
}
