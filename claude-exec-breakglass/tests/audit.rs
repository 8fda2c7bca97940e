//! The audit on a real disk: what a crash leaves, what tampering shows, and who may write.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use claude_exec_breakglass::audit::{Actor, Audit, AuditConfig, Decision, Event, Fault, verify};
use claude_exec_breakglass::redact::Redactor;

const SECRET: &str = "the-own-key-of-this-server";

fn open(dir: &Path) -> claude_exec::Result<Audit> {
    Audit::open(AuditConfig::new(dir).redactor(Redactor::new().secret(SECRET)))
}

fn file(dir: &Path) -> PathBuf {
    dir.join("audit-000000000001.jsonl")
}

fn prompt(text: &str) -> Event {
    Event::Prompt { session: "s".to_owned(), text: text.to_owned() }
}

async fn filled(dir: &Path) -> String {
    let audit = open(dir).unwrap();
    for text in ["one", "two", "three"] {
        audit.record(Actor::new("phone", "bearer", "10.0.0.9"), prompt(text)).await.unwrap();
    }
    std::fs::read_to_string(file(dir)).unwrap()
}

#[tokio::test]
async fn a_record_is_on_the_disk_without_secrets_when_it_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path()).unwrap();
    let actor = || Actor::new("viktor", "jwt", "10.0.0.5");
    audit.record(actor(), prompt(&format!("use {SECRET} and password=hunter2"))).await.unwrap();
    let approval = Event::Approval {
        session: "s".to_owned(),
        tool: "Bash".to_owned(),
        input: format!("curl -H 'Authorization: Bearer {SECRET}' x"),
        decision: Decision::Refused,
        reason: Some("token=abc is not yours".to_owned()),
    };
    audit.record(actor(), approval).await.unwrap();
    audit.record(actor(), prompt(&"x".repeat(100_000))).await.unwrap();
    audit.refused(Some("10.0.0.66".parse().unwrap()), "Invalid token", "/api/session").await;
    audit.refused(Some("10.0.0.66".parse().unwrap()), "Invalid token", "/api/session").await;
    let text = std::fs::read_to_string(file(dir.path())).unwrap();
    assert_eq!(text.lines().count(), 5, "the second refusal is counted, not written");
    for secret in [SECRET, "hunter2", "abc is"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains(r#""who":"viktor","method":"jwt","peer":"10.0.0.5""#));
    assert!(text.contains("[34464 bytes more]") && text.len() < 80_000);
    assert!(text.contains(r#""kind":"sign_in_refused","reason":"Invalid token","path":"/api/session""#));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.is_intact(), report.records, report.first), (true, 5, 1));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file(dir.path())).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// What `kill -9` and a power cut may leave: the last line at any length. The rest holds, and it goes on after it.
#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let text = filled(dir.path()).await;
    let whole = text.trim_end().rfind('\n').unwrap() + 1;
    for end in (whole..text.len()).step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), &text[..end]).unwrap();
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.is_intact(), report.records, report.torn_bytes), (true, 3, (end - whole) as u64));
        let audit = open(dir.path()).unwrap();
        audit.record(Actor::server(), prompt("after")).await.unwrap();
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.is_intact(), report.records, report.torn_bytes), (true, 5, 0));
        let told = std::fs::read_to_string(file(dir.path())).unwrap().contains("\"cut_bytes\":");
        assert_eq!(told, end > whole, "cut at {end}");
    }
}

#[tokio::test]
async fn what_was_changed_is_found_and_nothing_is_written_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = filled(dir.path()).await;
    let lines: Vec<&str> = text.lines().collect();
    let table = [
        (text.replace("\"two\"", "\"2wo\""), 3, Fault::Hash { seq: 3 }),
        ([lines[0], lines[2], lines[3], ""].join("\n"), 2, Fault::Number { expected: 2, found: 3 }),
        ([lines[0], lines[1], lines[1], ""].join("\n"), 3, Fault::Number { expected: 3, found: 2 }),
        ([lines[0], "", lines[1], ""].join("\n"), 2, Fault::Form),
        (format!("{text}nonsense\n"), 5, Fault::Form),
        (format!("{}\n", lines[1]), 1, Fault::Number { expected: 1, found: 2 }),
    ];
    for (changed, line, fault) in table {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(file(dir.path()), &changed).unwrap();
        assert_eq!(verify(dir.path()).unwrap().broken, Some((file(dir.path()), line, fault.clone())));
        let refused = open(dir.path()).unwrap_err();
        assert!(refused.is_invalid() && refused.to_string().contains("the chain is broken"), "{refused}");
        assert_eq!(std::fs::read_to_string(file(dir.path())).unwrap(), changed, "left as it is");
        // With the flag for emergencies a new chain begins, and the old one is kept beside it.
        let audit = Audit::open(AuditConfig::new(dir.path()).degraded_ok(true)).unwrap();
        audit.record(Actor::server(), prompt("after")).await.unwrap();
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.is_intact(), report.records), (true, 2));
        assert!(std::fs::read_to_string(file(dir.path())).unwrap().contains("\"broken\":"));
        let kept = std::fs::read_dir(dir.path()).unwrap().flatten();
        let kept = kept.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
        assert_eq!(verify(&kept).unwrap().broken.map(|(_, line, fault)| (line, fault)), Some((line, fault)));
    }
}

#[tokio::test]
async fn older_files_may_be_moved_away_and_a_new_server_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let text = filled(dir.path()).await;
    let (old, new) = text.split_at(text.match_indices('\n').nth(1).unwrap().0 + 1);
    std::fs::write(file(dir.path()), old).unwrap();
    std::fs::write(dir.path().join("audit-000000000003.jsonl"), new).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.is_intact(), report.records, report.first), (true, 4, 1));
    std::fs::remove_file(file(dir.path())).unwrap();
    drop(open(dir.path()).unwrap());
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.is_intact(), report.records, report.first), (true, 3, 3));
    std::fs::rename(dir.path().join("audit-000000000003.jsonl"), file(dir.path())).unwrap();
    assert!(!verify(dir.path()).unwrap().is_intact(), "a name that is not its own");
}

#[test]
fn one_server_writes() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap();
    let second = open(dir.path()).unwrap_err();
    assert!(second.is_invalid() && second.to_string().contains("another server"), "{second}");
    drop(first);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(file(dir.path()), vec![b'x'; 3 * 1024 * 1024]).unwrap();
    assert_eq!(verify(dir.path()).unwrap().broken, Some((file(dir.path()), 1, Fault::Form)));
}
