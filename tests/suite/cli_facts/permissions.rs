//! Who may run what.

use serde_json::{Value, json};

use super::common::{result, spawn};
use crate::support::cli::{Home, Pipe, user};
use crate::support::model_api::{ModelApi, tool_results};

/// Needs leave in the default mode: it writes.
const WRITE: &str = r#"[[tool Bash {"command":"echo made > made.txt"}]]"#;

async fn answer(pipe: &mut Pipe, asked: &Value, response: Value) {
    let response = json!({"subtype": "success", "request_id": asked["request_id"], "response": response});
    pipe.send(&json!({"type": "control_response", "response": response})).await;
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_denied_tool_is_an_error_for_the_model_and_told_in_the_result() {
    let api = ModelApi::start().await;
    for extra in [&[][..], &["--permission-prompts=none"], &["--permission-mode=dontAsk"]] {
        let home = Home::new(&api);
        let mut pipe = spawn(&home, &[&["--setting-sources="], extra].concat());
        pipe.send(&user(WRITE)).await;
        let done = pipe.finish().await;
        assert_eq!(result(&done)["is_error"], false);
        assert_eq!(result(&done)["permission_denials"][0]["tool_name"], "Bash");
        let results = tool_results(&api.messages().pop().expect("a second request").body);
        assert_eq!(results.iter().map(|(_, is_error)| *is_error).collect::<Vec<_>>(), [true]);
        assert!(!home.work().join("made.txt").exists());
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn the_host_is_asked_and_its_answer_counts() {
    let api = ModelApi::start().await;
    let ran = json!({"command": "echo changed > made.txt"});
    for (reply, made) in [
        (json!({"behavior": "allow", "updatedInput": ran}), Some("changed\n")),
        (json!({"behavior": "deny", "message": "not today"}), None),
    ] {
        let home = Home::new(&api);
        let mut pipe = spawn(&home, &["--setting-sources=", "--permission-prompt-tool=stdio"]);
        pipe.send(&user(WRITE)).await;
        let asked = pipe.until(|line| line["type"] == "control_request").await;
        let request = &asked["request"];
        assert_eq!((&request["subtype"], &request["tool_name"]), (&json!("can_use_tool"), &json!("Bash")));
        assert_eq!(request["input"]["command"], "echo made > made.txt");
        assert!(request["tool_use_id"].is_string());
        answer(&mut pipe, &asked, reply).await;
        assert_eq!(pipe.result().await["is_error"], false);
        assert_eq!(std::fs::read_to_string(home.work().join("made.txt")).ok().as_deref(), made);
        let (text, is_error) =
            tool_results(&api.messages().pop().expect("a turn").body).pop().expect("a result");
        assert_eq!((is_error, text.contains("not today")), (made.is_none(), made.is_none()));
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_question_that_is_open_is_taken_back_by_an_interrupt() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = spawn(&home, &["--setting-sources=", "--permission-prompt-tool=stdio"]);
    pipe.send(&user(WRITE)).await;
    let asked = pipe.until(|line| line["type"] == "control_request").await;
    pipe.send(&crate::support::cli::control("stop", json!({"subtype": "interrupt"}))).await;
    let taken = pipe.until(|line| line["type"] == "control_cancel_request").await;
    assert_eq!(taken["request_id"], asked["request_id"]);
    assert_eq!(pipe.result().await["subtype"], "error_during_execution");
    assert_eq!(pipe.turn("go on").await["is_error"], false);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn allowed_tools_run_without_a_question_and_disallowed_ones_are_gone() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let flags = ["--setting-sources=", "--permission-prompt-tool=stdio", "--allowedTools=Bash(echo *)"];
    let mut pipe = spawn(&home, &flags);
    assert_eq!(pipe.turn(r#"[[tool Bash {"command":"echo hi"}]]"#).await["is_error"], false);
    assert!(!pipe.seen.iter().any(|line| line["type"] == "control_request"));

    let mut pipe = spawn(&home, &["--setting-sources=", "--disallowedTools=Bash,Write"]);
    pipe.turn("hi").await;
    let init = pipe.seen.iter().find(|line| line["subtype"] == "init").expect("a turn begins with it");
    let tools = init["tools"].as_array().cloned().unwrap_or_default();
    assert!(
        !tools.contains(&"Bash".into()) && !tools.contains(&"Write".into()) && tools.contains(&"Read".into())
    );
}

/// No tools in argv means none, whatever the model says.
#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_tool_that_is_not_there_does_not_run() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let mut pipe = super::common::lean(&home, &["--permission-mode=bypassPermissions"]);
    pipe.turn(WRITE).await;
    let (text, is_error) = tool_results(&api.messages().pop().expect("a turn").body).pop().expect("a result");
    assert!(is_error && text.contains("No such tool available"), "{text}");
    assert!(!home.work().join("made.txt").exists());
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn root_may_bypass_permissions_only_in_a_sandbox() {
    if !rustix::process::geteuid().is_root() {
        crate::support::left_out("root may bypass permissions only in a sandbox: not run as root");
        return;
    }
    let home = Home::with_base_url("http://127.0.0.1:9").env_var("IS_SANDBOX", "0");
    for flag in ["--dangerously-skip-permissions", "--permission-mode=bypassPermissions"] {
        let argv = [&super::common::STREAM[..], &[flag]].concat();
        let (code, stderr) = super::common::refused(&home, &argv).await;
        assert_eq!((code, stderr.contains("root/sudo")), (Some(1), true), "{stderr}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_tool_of_the_host_is_called_over_the_control_protocol() {
    let api = ModelApi::start().await;
    let home = Home::new(&api);
    let servers = json!({"mcpServers": {"client": {"type": "sdk", "name": "client"}}});
    let config = format!("--mcp-config={servers}");
    let mut pipe = super::common::lean(&home, &[&config, "--allowedTools=mcp__client__add"]);
    pipe.send(&crate::support::cli::initialize("i", json!({"sdkMcpServers": ["client"]}))).await;
    pipe.send(&user(r#"[[tool mcp__client__add {"a":1}]] [[next]] [[text sum]]"#)).await;
    let mut methods = Vec::new();
    loop {
        let line = pipe.next().await.expect("the turn goes on");
        if line["type"] == "result" {
            assert_eq!(line["result"], "sum", "{line}");
            break;
        }
        if line["request"]["subtype"] != "mcp_message" {
            continue;
        }
        let message = &line["request"]["message"];
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let result = match method.as_str() {
            "initialize" => json!({
                "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "client", "version": "1"},
            }),
            "tools/list" => {
                json!({"tools": [{"name": "add", "description": "d", "inputSchema": {"type": "object"}}]})
            }
            "tools/call" => {
                assert_eq!(message["params"]["arguments"], json!({"a": 1}));
                assert!(message["params"]["_meta"]["claudecode/toolUseId"].is_string());
                json!({"content": [{"type": "text", "text": "three"}]})
            }
            _ => json!({}),
        };
        methods.push(method);
        // A notification must be answered too, or the handshake stalls.
        let reply =
            json!({"jsonrpc": "2.0", "id": message.get("id").cloned().unwrap_or(0.into()), "result": result});
        answer(&mut pipe, &line, json!({"mcp_response": reply})).await;
    }
    let order = ["initialize", "notifications/initialized", "tools/list", "tools/call"];
    assert_eq!(methods, order);
    assert_eq!(tool_results(&api.messages().pop().expect("a turn").body), [("three".to_owned(), false)]);
}
