//! The command line.

use super::common::{ARMED, LEAN, STREAM, lean, once, refused, result, spawn};
use crate::support::cli::{Home, Pipe, user};
use crate::support::model_api::ModelApi;

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_prompt_in_argv_is_read_as_a_flag_when_it_begins_with_a_dash() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let output = home.command().args(["-p", "--tools=", "--version"]).output().await.expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("2.1.330"));
    assert!(api.messages().is_empty());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn variadic_flags_swallow_the_prompt_that_follows() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (code, stderr) = refused(&home, &["-p", "--allowedTools", "Read", "my prompt"]).await;
    assert_eq!(code, Some(1));
    assert!(stderr.contains("Input must be provided"), "{stderr}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_empty_value_in_the_equals_form_means_none() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    std::fs::write(home.config().join("CLAUDE.md"), "USER MEMORY").expect("fresh");
    std::fs::write(home.work().join("CLAUDE.md"), "PROJECT MEMORY").expect("fresh");

    let mut all = spawn(&home, &[]);
    let mut none = lean(&home, &[]);
    for pipe in [&mut all, &mut none] {
        assert_eq!(pipe.turn("hi").await["is_error"], false);
    }
    let [all, none] = &api.messages()[..] else { panic!("two turns") };
    let (all, none) = (all.body.to_string(), none.body.to_string());
    assert!(
        all.contains("USER MEMORY") && all.contains("PROJECT MEMORY") && all.contains("\"name\":\"Bash\"")
    );
    for word in ["USER MEMORY", "PROJECT MEMORY", "\"name\":\"Bash\""] {
        assert!(!none.contains(word), "{word}: {none}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_argument_of_131_072_bytes_does_not_fit() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let prompt = |bytes: usize| format!("--system-prompt={}", "x".repeat(bytes - "--system-prompt=".len()));
    assert_eq!(result(&once(&home, &[&prompt(131_071)], "hi").await)["is_error"], false);
    let error = home.command().args(STREAM).arg(prompt(131_072)).spawn().expect_err("too long");
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::TOOBIG.raw_os_error()));
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn stream_json_output_needs_verbose_and_stream_json_input_needs_stream_json_output() {
    let home = Home::with_base_url("http://127.0.0.1:9");
    let (code, stderr) = refused(&home, &["-p", "--output-format=stream-json", "hi"]).await;
    assert_eq!((code, stderr.contains("requires --verbose")), (Some(1), true), "{stderr}");
    let (code, stderr) = refused(&home, &["-p", "--input-format=stream-json", "--output-format=json"]).await;
    assert_eq!((code, stderr.contains("requires output-format=stream-json")), (Some(1), true), "{stderr}");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn values_it_refuses_end_it_before_anything_is_asked() {
    let home = Home::with_base_url("http://127.0.0.1:9");
    for (flag, says) in [
        ("--nope", "unknown option '--nope'"),
        ("--session-id=abc", "Must be a valid UUID"),
        ("--permission-mode=nope", "Allowed choices are"),
        ("--max-turns=x", "must be a number"),
        ("--max-budget-usd=NaN", "greater than 0"),
        ("--max-budget-usd=0", "greater than 0"),
        ("--max-budget-usd=-1", "greater than 0"),
        ("--setting-sources=nope", "Invalid setting source"),
        ("--mcp-config=/nonexistent", "MCP config file not found"),
        ("--json-schema={", "not valid JSON"),
        ("--system-prompt-file=/nonexistent", "not found"),
    ] {
        let (code, stderr) = refused(&home, &[&STREAM[..], &[flag]].concat()).await;
        assert_eq!((code, stderr.contains(says)), (Some(1), true), "{flag}: {stderr}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_unknown_effort_is_a_warning_and_an_unknown_model_goes_to_the_api() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let done = once(&home, &["--effort=nope", "--model=no-such-model"], "hi").await;
    assert!(done.status.success());
    assert!(done.stderr.contains("Unknown --effort value 'nope'"), "{}", done.stderr);
    assert_eq!(api.messages()[0].body["model"], "no-such-model");
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn aliases_of_models_are_resolved() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    for (alias, family) in [
        ("haiku", "claude-haiku"),
        ("sonnet", "claude-sonnet"),
        ("opus", "claude-opus"),
        ("fable", "claude-fable"),
    ] {
        once(&home, &[&format!("--model={alias}")], "hi").await;
        let model = api.messages().last().expect("a turn").body["model"].clone();
        assert!(model.as_str().is_some_and(|name| name.starts_with(family)), "{alias}: {model}");
    }
}

/// The one that must not be trusted: with text input the same flag is refused.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_unknown_agent_is_silently_the_default_one_with_every_tool() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let (code, stderr) = refused(&home, &["-p", "--agent=nope", "hi"]).await;
    assert_eq!((code, stderr.contains("--agent 'nope' not found")), (Some(1), true), "{stderr}");
    assert!(api.messages().is_empty());

    let mut pipe = spawn(&home, &[ARMED[0], "--agent=nope"]);
    assert_eq!(pipe.turn("hi").await["is_error"], false);
    let init = pipe.seen.iter().find(|line| line["subtype"] == "init").expect("a turn begins with it");
    let names = |key: &str| init[key].as_array().cloned().unwrap_or_default();
    assert!(names("tools").contains(&"Bash".into()));
    // What tells: the agents that exist.
    assert!(!names("agents").contains(&"nope".into()));
    assert_eq!(api.messages().len(), 1);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_file_counts_only_when_its_source_is_switched_on() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let agents = home.work().join(".claude/agents");
    std::fs::create_dir_all(&agents).expect("fresh");
    let file = "---\nname: critic\ndescription: d\ntools: Read\n---\nYOU ARE THE CRITIC\n";
    std::fs::write(agents.join("critic.md"), file).expect("fresh");
    for (sources, counts) in [("--setting-sources=project", true), ("--setting-sources=", false)] {
        let mut pipe = spawn(&home, &["--agent=critic", sources]);
        pipe.turn("hi").await;
        let body = api.messages().pop().expect("a turn").body.to_string();
        assert_eq!(body.contains("YOU ARE THE CRITIC"), counts, "{sources}");
        assert_eq!(!body.contains("\"name\":\"Bash\""), counts, "{sources}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn text_input_waits_for_the_end_of_stdin() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe =
        Pipe::spawn(home.command().args(["-p", "--output-format=stream-json", "--verbose"]).args(LEAN));
    pipe.send_raw(b"half a ").await;
    pipe.send_raw(b"prompt").await;
    let done = pipe.finish().await;
    assert!(done.status.success(), "{}", done.stderr);
    assert_eq!(api.messages()[0].user_texts(), ["half a prompt"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn with_stream_json_input_a_positional_prompt_is_dropped() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = Pipe::spawn(home.command().args(STREAM).arg("positional").args(LEAN));
    pipe.send(&user("on stdin")).await;
    assert!(pipe.finish().await.status.success());
    assert_eq!(api.messages().iter().map(|turn| turn.user_texts()).collect::<Vec<_>>(), [["on stdin"]]);
}
