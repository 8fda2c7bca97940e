//! The live test, on request, against a real T3 server of 0.0.27 or later. See the crate's README for the command.
//!
//! | variable | what it is |
//! |---|---|
//! | `T3_AFK_BASE_URL` | the root of the server; without it nothing is tried |
//! | `T3_AFK_TOKEN` | an issued token, or a pairing credential, which is then spent |
//! | `T3_AFK_SMOKE_DISPATCH` | `1`: also make a project and a thread, and have an agent take two turns |
//! | `T3_AFK_SMOKE_ROOT` | a directory on the server's machine for the project; default: a new one in `/tmp` |
//! | `T3_AFK_SMOKE_INSTANCE`, `T3_AFK_SMOKE_MODEL` | default: as for the loop |
//! | `T3_AFK_SMOKE_SECONDS` | how long a turn may take before it is interrupted; default 120 |

use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use claude_exec_afk::adapter::{T3Agent, T3Settings};
use claude_exec_afk::config::Settings;
use claude_exec_afk::port::{Accepted, Agent, Permit, Start, Task, Turn};
use claude_exec_afk::run::{Activity, Session};
use claude_exec_afk::{RunId, Seen, Usd};
use serde_json::json;

use crate::t3::fake::{Fake, TOKEN};
use crate::t3::schema::Release;

const PROMPT: &str = "This is a test of the connection. Do none of the above, use no tool and change no file: answer \
with the single word ok, and end your turn.";
const LOOK: Duration = Duration::from_millis(500);

#[tokio::test]
async fn smoke_against_a_live_server() {
    let (Some(url), Some(token)) = (set("T3_AFK_BASE_URL"), set("T3_AFK_TOKEN")) else {
        return left_out(
            "T3: never tried live here: set T3_AFK_BASE_URL and T3_AFK_TOKEN (claude-exec-afk/README.md, \"Live T3\")",
        );
    };
    smoke(url, token, set("T3_AFK_SMOKE_DISPATCH").as_deref() == Some("1")).await;
}

/// What is run against a live server holds on the fake of each release, and leaves nothing there.
#[tokio::test]
async fn the_smoke_test_passes_on_the_fake_of_each_release() {
    for release in Release::ALL {
        let fake = Fake::start(release, true).await;
        smoke(fake.url().to_owned(), TOKEN.to_owned(), true).await;
        assert!(
            !fake.world().begun.is_empty(),
            "the first turn; the second is interrupted, perhaps before it begins"
        );
        fake.judge();
    }
}

async fn smoke(url: String, token: String, dispatches: bool) {
    let id = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let root = set("T3_AFK_SMOKE_ROOT").unwrap_or_else(|| format!("/tmp/claude-exec-afk-smoke-{id}"));
    let kept = tempfile::tempdir().unwrap();
    let file = |name: &str| kept.path().join(name).display().to_string();
    let mut entries = vec![
        ("AFK_T3_URL", url.clone()),
        ("AFK_T3_ROOT", root.clone()),
        ("AFK_T3_TOKEN_FILE", file("token")),
    ];
    if is_credential(&token) {
        std::fs::write(file("credential"), &token).unwrap();
        entries.push(("AFK_T3_CREDENTIAL_FILE", file("credential")));
    } else {
        std::fs::write(file("token"), &token).unwrap();
    }
    for (name, setting) in
        [("T3_AFK_SMOKE_INSTANCE", "AFK_T3_INSTANCE"), ("T3_AFK_SMOKE_MODEL", "AFK_T3_MODEL")]
    {
        entries.extend(set(name).map(|value| (setting, value)));
    }
    let agent = T3Settings::take(&mut Settings::new(entries)).unwrap().unwrap().open().unwrap();

    let probe = agent.probe().await.unwrap_or_else(|error| panic!("reading the server: {error}"));
    say(&format!("T3 {}, protocol {}, {} projects", probe.version, probe.protocol, probe.projects.len()));
    let run: RunId = format!("smoke.{id}").parse().unwrap();
    assert_eq!(agent.look(&run).await, Seen::Absent, "a run that never was");
    if !dispatches {
        return left_out(&format!(
            "T3 {}: read, and nothing sent: set T3_AFK_SMOKE_DISPATCH=1 to have an agent take two turns",
            probe.version
        ));
    }
    let told = dispatch(&agent, &run).await;
    // Whatever happened, nothing is left behind.
    let stopped = agent.stop(&run).await;
    let token = std::fs::read_to_string(file("token")).unwrap();
    let cleaned = clean(&agent, &url, token.trim(), &root, id).await;
    let told = told.unwrap_or_else(|what| panic!("T3 {}: {what}", probe.version));
    stopped.unwrap_or_else(|error| panic!("T3 {}: stopping: {error}", probe.version));
    cleaned.unwrap_or_else(|what| panic!("T3 {}: cleaning up: {what}", probe.version));
    say(&format!("T3 {}: {told}", probe.version));
}

/// Two turns, the second one interrupted, and the end; what came of it in a line, or what is wrong.
async fn dispatch(agent: &T3Agent, run: &RunId) -> Result<String, String> {
    let task = Task {
        run: run.clone(),
        issue: "claude-exec/smoke#1".parse().unwrap(),
        branch: "afk/smoke".into(),
        budget: Usd::dollars(1),
    };
    let start = Start { task: task.clone(), preamble: String::new(), prompt: PROMPT.into() };
    for _ in 0..2 {
        // The second time it is there already.
        expect("start", agent.start(&start, Permit::fixed(true)).await, Accepted::Begun)?;
    }
    let first = over(agent, run, 1).await?;
    let turn = Turn { task: task.clone(), number: 2, preamble: String::new(), prompt: PROMPT.into() };
    expect("refused turn", agent.turn(&turn, Permit::fixed(false)).await, Accepted::Refused)?;
    expect("turn 2", agent.turn(&turn, Permit::fixed(true)).await, Accepted::Begun)?;
    agent.interrupt(run, 2).await.map_err(|error| format!("interrupt: {error}"))?;
    let second = over(agent, run, 2).await?;
    agent.stop(run).await.map_err(|error| format!("stop: {error}"))?;
    expect("start after the stop", agent.start(&start, Permit::fixed(true)).await, Accepted::Refused)?;
    expect("turn after the stop", agent.turn(&turn, Permit::fixed(true)).await, Accepted::Refused)?;
    if first.activity != Activity::Idle {
        // Ours to see, not ours to mend: which provider is installed there, and whether it is signed in.
        left_out("T3: the server's agent did not complete a turn; see the thread's last words in T3");
    }
    Ok(format!(
        "turn 1 ended {:?}, turn 2 was interrupted and ended {:?}, the session was stopped and refuses turns",
        first.activity, second.activity
    ))
}

/// Waits for the end of a turn, and interrupts it when it takes too long.
async fn over(agent: &T3Agent, run: &RunId, number: u32) -> Result<Session, String> {
    let seconds =
        set("T3_AFK_SMOKE_SECONDS").map_or(120, |text| text.parse().expect("T3_AFK_SMOKE_SECONDS: seconds"));
    let began = Instant::now();
    let mut interrupted = false;
    loop {
        let seen = agent.look(run).await;
        let Seen::Known(session) = &seen else { return Err(format!("turn {number}: {seen:?}")) };
        if session.turns != number {
            return Err(format!("turn {number} was given, and {} are seen", session.turns));
        }
        if session.activity != Activity::Busy {
            say(&format!("turn {number}: {:?}", session.activity));
            return Ok(session.clone());
        }
        if began.elapsed() > Duration::from_secs(seconds) {
            if interrupted {
                return Err(format!("turn {number} was interrupted and still runs"));
            }
            say(&format!("turn {number} took more than {seconds} s: interrupted"));
            agent.interrupt(run, number).await.map_err(|error| format!("turn {number}: {error}"))?;
            interrupted = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Deletes the projects that were made, with their threads; never one that a person has for the same directory.
async fn clean(agent: &T3Agent, url: &str, token: &str, root: &str, id: u128) -> Result<(), String> {
    let probe = agent.probe().await.map_err(|error| error.to_string())?;
    let client = reqwest::Client::new();
    let ours = |(project, place): &&(String, String)| project.starts_with("afk-project:") && place == root;
    for (number, (project, _)) in probe.projects.iter().filter(ours).enumerate() {
        let command = json!({"type": "project.delete", "commandId": format!("smoke-{id}-clean-{number}"),
            "projectId": project, "force": true});
        let address = format!("{}/api/orchestration/dispatch", url.trim_end_matches('/'));
        let request = client.post(address).bearer_auth(token).header("content-type", "application/json");
        let answer = request
            .body(command.to_string())
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        if !answer.status().is_success() {
            return Err(format!("{project}: {}", answer.status()));
        }
    }
    let left = agent.probe().await.map_err(|error| error.to_string())?;
    match left.projects.iter().find(ours) {
        None => Ok(()),
        Some((project, _)) => Err(format!("{project} is still there")),
    }
}

fn expect(what: &str, got: claude_exec_afk::Result<Accepted>, want: Accepted) -> Result<(), String> {
    match got {
        Ok(got) if got == want => Ok(()),
        Ok(got) => Err(format!("{what}: {got:?}")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

/// The one-time credential that `t3 serve` prints: twelve letters and digits. A token has a dot.
fn is_credential(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn say(what: &str) {
    eprintln!("smoke: {what}");
}

/// Says what was not tried, here and in the report of `tests/run.sh`.
fn left_out(what: &str) {
    say(&format!("LEFT OUT: {what}"));
    let Some(path) = std::env::var_os("CLAUDE_EXEC_TEST_LEFT_OUT") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    writeln!(file.expect("the report can be written"), "{what}").expect("the report can be written");
}
