//! Transcripts of the real CLI in `tests/data`, for tests that have no CLI: each is compared with what the CLI says
//! today, so that none grows stale. `CLAUDE_EXEC_RECORD=1 tests/run.sh -E 'test(recordings)'` writes them anew.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::cli::{self, Home, Pipe, control, user};
use crate::support::model_api::ModelApi;

const STREAM: [&str; 7] = [
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
    "--setting-sources=",
    "--strict-mcp-config",
];
const LEAN: &[&str] = &["--tools=", "--disable-slash-commands"];
const ARMED: &[&str] =
    &["--tools=Bash,Task", "--disable-slash-commands", "--permission-mode=bypassPermissions"];
const NO_RETRIES: &[(&str, &str)] = &[("CLAUDE_CODE_MAX_RETRIES", "0")];
const TOOL: &str = r#"[[tool Bash {"command":"echo hi"}]] [[next]] [[text so it is]]"#;
const SUBAGENT: &str = r#"[[words 2]] [[tool Task {"description":"d","prompt":"[[words 3]] [[tool Bash {\"command\":\"echo sub\"}]]","subagent_type":"general-purpose","run_in_background":false}]] [[next]] [[text the answer]]"#;
const ARMED_FORWARDING: &[&str] =
    &["--tools=Bash,Task", "--permission-mode=bypassPermissions", "--forward-subagent-text"];

/// One run to be recorded.
struct Scene {
    flags: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    say: &'static [&'static str],
    /// An interrupt follows this delta.
    interrupt_at: Option<&'static str>,
    /// The answer to a permission prompt.
    permit: Option<&'static str>,
}

const LEAN_SCENE: Scene = Scene { flags: LEAN, env: &[], say: &[], interrupt_at: None, permit: None };

macro_rules! recordings {
    ($($name:ident: $scene:expr;)*) => {
        $(
            #[tokio::test]
            #[ignore = "needs the real CLI: tests/run.sh"]
            async fn $name() {
                check(stringify!($name), $scene).await;
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

recordings! {
    plain_turn: Scene { say: &["[[words 5]]"], ..LEAN_SCENE };
    two_turns: Scene { say: &["[[words 2]]", "[[recall]]"], ..LEAN_SCENE };
    thinking_and_two_blocks: Scene { say: &["[[thinking 3]] [[text one]] [[block]] [[text two]]"], ..LEAN_SCENE };
    tool_turn: Scene { flags: ARMED, say: &[TOOL], ..LEAN_SCENE };
    subagent: Scene { flags: ARMED, say: &[SUBAGENT], ..LEAN_SCENE };
    subagent_forwarded: Scene { flags: ARMED_FORWARDING, say: &[SUBAGENT], ..LEAN_SCENE };
    denied_tool: Scene { flags: &["--tools=Bash", "--permission-mode=dontAsk"], say: &[r#"[[tool Bash {"command":"touch x"}]]"#], ..LEAN_SCENE };
    permission_prompt: Scene {
        flags: &["--tools=Bash", "--permission-prompt-tool=stdio"],
        say: &[r#"[[tool Bash {"command":"touch x"}]]"#],
        permit: Some("touch y"),
        ..LEAN_SCENE
    };
    api_error_401: Scene { env: NO_RETRIES, say: &["[[status 401]]"], ..LEAN_SCENE };
    retries_529: Scene { say: &["[[status 529 times=2]] [[text healed]]"], ..LEAN_SCENE };
    restart_whole: Scene { say: &["[[error_event]]"], ..LEAN_SCENE };
    restart_streamed: Scene { say: &["[[text void]] [[cut times=1]] [[text the answer]]"], ..LEAN_SCENE };
    continued_after_cut: Scene { env: NO_RETRIES, say: &["[[text first.]] [[block]] [[text void]] [[cut]]"], ..LEAN_SCENE };
    continued_after_max_tokens: Scene { say: &["[[text part]] [[stop max_tokens]]"], ..LEAN_SCENE };
    interrupt: Scene { say: &["[[words 2]] [[silence]]"], interrupt_at: Some("word1 "), ..LEAN_SCENE };
    resume_unknown: Scene {
        flags: &["--tools=", "--resume=11111111-1111-4111-8111-111111111111"],
        say: &["never read"],
        ..LEAN_SCENE
    };
    structured_output: Scene {
        flags: &["--tools=", r#"--json-schema={"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#],
        say: &[r#"[[tool StructuredOutput {"n":7}]]"#],
        ..LEAN_SCENE
    };
    max_turns: Scene { flags: &["--tools=Bash", "--max-turns=1"], say: &[r#"[[tool Bash {"command":"true"}]]"#], ..LEAN_SCENE };
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}-{}.jsonl", cli::VERSION))
}

async fn check(name: &str, scene: Scene) {
    let now = record(&scene).await;
    let path = path(name);
    if std::env::var_os("CLAUDE_EXEC_RECORD").is_some() {
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("the repository is writable");
        std::fs::write(&path, now.join("\n") + "\n").expect("the repository is writable");
    }
    let then = std::fs::read_to_string(&path).expect("recorded with CLAUDE_EXEC_RECORD=1");
    let then: Vec<String> = then.lines().map(str::to_owned).collect();
    let (mut now, mut then) = (shape(&now), shape(&then));
    if name.starts_with("subagent") {
        // Two run at once there, so the order is not the same every time.
        now.sort();
        then.sort();
    }
    assert_eq!(now, then);
}

async fn record(scene: &Scene) -> Vec<String> {
    let api = ModelApi::start().await;
    let home = scene.env.iter().fold(Home::new(&api), |home, (name, value)| home.env_var(name, value));
    let mut pipe = Pipe::spawn(home.command().args(STREAM).args(scene.flags));
    for text in scene.say {
        pipe.send(&user(text)).await;
        if let Some(delta) = scene.interrupt_at {
            pipe.until(|line| line["event"]["delta"]["text"] == delta).await;
            pipe.send(&control("stop", json!({"subtype": "interrupt"}))).await;
        }
        if let Some(command) = scene.permit {
            let asked = pipe.until(|line| line["type"] == "control_request").await;
            let answer = json!({"behavior": "allow", "updatedInput": {"command": command}});
            let response =
                json!({"subtype": "success", "request_id": asked["request_id"], "response": answer});
            pipe.send(&json!({"type": "control_response", "response": response})).await;
        }
        pipe.result().await;
    }
    let done = pipe.finish().await;
    let mut scrub = Scrub { home: home.path().display().to_string(), uuids: Vec::new() };
    done.raw.iter().map(|line| scrub.line(line)).collect()
}

/// What each line is, and the words in it.
fn shape(lines: &[String]) -> Vec<String> {
    let parts = |line: &String| {
        let line: Value = serde_json::from_str(line).expect("a recording is JSON");
        let paths = [
            "/type",
            "/subtype",
            "/event/type",
            "/event/delta/type",
            "/event/delta/text",
            "/message/content/0/text",
            "/parent_tool_use_id",
            "/is_error",
            "/result",
            "/error",
        ];
        paths.iter().filter_map(|path| line.pointer(path).map(Value::to_string)).collect::<Vec<_>>().join(" ")
    };
    lines.iter().map(parts).collect()
}

/// Takes out of a line what belongs to the run and the machine.
struct Scrub {
    home: String,
    uuids: Vec<String>,
}

impl Scrub {
    fn line(&mut self, line: &str) -> String {
        let mut line =
            line.replace(&self.home, "/home/user").replace(&self.home.replace(['/', '.'], "-"), "-home-user");
        for key in ["_ms\":", "\"pid\":", "cc-socks/", "127.0.0.1:"] {
            line = number_after(&line, key);
        }
        self.uuids(&time(&line))
    }

    /// Ids in the order in which they come.
    fn uuids(&mut self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            match rest.get(..36).filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
                Some(id) => {
                    let at = self.uuids.iter().position(|known| known == id).unwrap_or_else(|| {
                        self.uuids.push(id.to_owned());
                        self.uuids.len() - 1
                    });
                    out.push_str(&format!("00000000-0000-4000-8000-{:012x}", at + 1));
                    rest = &rest[36..];
                }
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }
}

fn number_after(line: &str, key: &str) -> String {
    let mut parts = line.split(key);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        out.push_str(key);
        // `null` and words stay as they are.
        out.push_str(if rest.len() < part.len() { "1" } else { "" });
        if key == "cc-socks/" && rest.len() < part.len() {
            out.push('.');
        }
        out.push_str(rest);
    }
    out
}

fn time(line: &str) -> String {
    let key = "\"timestamp\":\"";
    let mut parts = line.split(key);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(key);
        out.push_str("2026-01-01T00:00:00.000Z");
        out.push_str(part.find('"').map_or("", |end| &part[end..]));
    }
    out
}

#[tokio::test]
async fn the_fake_plays_them_turn_by_turn() {
    for name in NAMES.iter().filter(|name| **name != "resume_unknown") {
        let recording = std::fs::read_to_string(path(name)).expect("it is in the repository");
        let lines: Vec<Value> =
            recording.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let turns = lines.iter().filter(|line| line["type"] == "result").count();
        let file = path(name).display().to_string();
        let home = Home::with_base_url("http://127.0.0.1:9").env_var("FAKE_CLAUDE", &file);
        let mut pipe = Pipe::spawn(home.command_of(env!("CARGO_BIN_EXE_fake-claude")).args(STREAM));
        for _ in 0..turns {
            pipe.turn("whatever").await;
        }
        let done = pipe.finish().await;
        let expected: Vec<Value> =
            lines.into_iter().filter(|line| line["type"] != "control_response").collect();
        assert_eq!(done.lines, expected, "{name}");
        let failed =
            done.lines.iter().rfind(|line| line["type"] == "result").is_some_and(|l| l["is_error"] == true);
        assert_eq!(done.status.code(), Some(i32::from(failed)), "{name}");
    }
}
