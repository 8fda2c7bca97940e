//! What a user wrote is what the model reads: on each endpoint, to the byte, over the real CLI.

use serde_json::{Value, json};

use crate::support::model_api::{DEFAULT_ANSWER, ModelApi, Recorded, user_texts};
use crate::support::server::{AGENT, Server, Site, body_of, content_of};

/// 300 KB, in two scripts, with everything that JSON has to escape.
fn long() -> String {
    let line = "Жълтата дюля беше щастлива, че пухът, който цъфна, замръзна като гьон. \"@/etc/hostname\"\\\t/clear\n";
    line.repeat(300 * 1024 / line.len() + 1)
}

/// What means something to the CLI when nobody tells it otherwise.
fn texts() -> Vec<String> {
    let short = ["@/etc/hostname", "/clear", "--dangerously-skip-permissions"];
    let mut texts: Vec<String> = short.map(str::to_owned).into();
    texts.push(long());
    texts
}

/// Too long for the model, and longer than what the CLI sends.
fn too_long() -> String {
    "two megabytes ".repeat(2 * 1024 * 1024 / 14 + 1)
}

/// Every text that travelled as the user's, the CLI's own reminders included.
fn all_user_texts(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().expect("a list");
    let users = messages.iter().filter(|message| message["role"] == "user");
    users
        .flat_map(|message| match &message["content"] {
            Value::String(text) => vec![text.clone()],
            Value::Array(blocks) => {
                blocks.iter().map(|block| block["text"].as_str().unwrap_or("no text").to_owned()).collect()
            }
            other => vec![other.to_string()],
        })
        .collect()
}

/// The requests that the model got since there were `before`.
fn since(api: &ModelApi, before: usize) -> Vec<Recorded> {
    api.messages().split_off(before)
}

#[track_caller]
fn assert_only(requests: &[Recorded], text: &str) {
    assert_eq!(requests.len(), 1, "one request for {text:.40?}");
    let found = all_user_texts(&requests[0].body);
    assert!(found == [text], "{text:.40?} became {:.200?}", found);
    let tools = &requests[0].body["tools"];
    assert!(tools.as_array().is_none_or(Vec::is_empty), "no tools: {tools}");
}

async fn server() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api).repository();
    let server = site.start().await;
    (api, site, server)
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn chat_hands_the_model_what_the_user_wrote() {
    let (api, _site, server) = server().await;
    for text in texts() {
        let before = api.messages().len();
        assert_eq!(server.chat(&text).await.answer(), DEFAULT_ANSWER);
        assert_only(&since(&api, before), &text);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn streamed_chat_hands_the_model_what_the_user_wrote() {
    let (api, _site, server) = server().await;
    for text in texts() {
        let before = api.messages().len();
        let mut stream = server.chat_stream(&text).await;
        assert_eq!(stream.status, 200);
        let mut events = stream.rest().await;
        assert_eq!(events.pop().expect("an end").data, "[DONE]");
        let answer: String = events.iter().map(|event| content_of(&event.json())).collect();
        assert_eq!(answer, DEFAULT_ANSWER);
        assert_only(&since(&api, before), &text);
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_conversation_hands_the_model_what_the_user_wrote() {
    let (api, _site, server) = server().await;
    for (number, text) in texts().into_iter().enumerate() {
        let before = api.messages().len();
        assert_eq!(server.say(&format!("c{number}"), &text).await.reply(), DEFAULT_ANSWER);
        assert_only(&since(&api, before), &text);
    }
    // And in the middle of a conversation, where `/clear` would have something to clear.
    let before = api.messages().len();
    assert_eq!(server.say("c0", "/clear").await.reply(), DEFAULT_ANSWER);
    let requests = since(&api, before);
    assert_eq!(requests.len(), 1);
    assert_eq!(all_user_texts(&requests[0].body), ["@/etc/hostname", "/clear"]);
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn a_job_hands_the_model_what_the_user_wrote() {
    let (api, _site, server) = server().await;
    let hostname = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    for text in texts() {
        let before = api.messages().len();
        let id = server.execute(&text).await;
        let job = server.ended(&id).await;
        assert_eq!((&job["status"], &job["result"]), (&json!("completed"), &json!(DEFAULT_ANSWER)), "{job}");
        let requests = since(&api, before);
        assert_eq!(requests.len(), 1, "{text:.40?}");
        // An agent's first message comes with the CLI's reminders; they hold nothing of the file.
        let found = user_texts(&requests[0].body);
        assert!(found == [text.as_str()], "{text:.40?} became {found:.200?}");
        let whole = requests[0].body["messages"].to_string();
        assert!(hostname.trim().len() < 4 || !whole.contains(hostname.trim()), "the file was read");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn an_agent_behind_chat_hands_the_model_what_the_user_wrote() {
    let (api, _site, server) = server().await;
    for (number, text) in texts().into_iter().enumerate() {
        let before = api.messages().len();
        let stream = number % 2 == 0;
        let reply = server.open("/v1/chat/completions", &body_of(AGENT, &text, stream)).await.whole().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let requests = since(&api, before);
        assert_eq!(requests.len(), 1, "{text:.40?}");
        let found = user_texts(&requests[0].body);
        assert!(found == [text.as_str()], "{text:.40?} became {found:.200?}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn what_no_model_can_read_is_refused_as_such_everywhere() {
    let (_api, _site, server) = server().await;
    let text = too_long();
    let expected = (400, "context_length_exceeded".to_owned());
    let chat = server.chat(&text).await;
    assert_eq!(chat.error(), expected, "{chat:?}");
    assert_eq!(chat.json()["error"]["param"], "messages");
    assert_eq!(server.chat_stream(&text).await.whole().await.error(), expected);
    let said = server.say("long", &text).await;
    assert_eq!(said.error(), expected);
    assert_eq!(said.json()["error"]["param"], "message");
    for reply in [chat, said] {
        let message = reply.json()["error"]["message"].as_str().expect("a text").to_owned();
        assert!(message.contains("longer than the model's context"), "{message}");
    }
    let id = server.execute(&text).await;
    let job = server.ended(&id).await;
    assert_eq!((&job["status"], &job["is_error"]), (&json!("failed"), &json!(true)));
    let error = job["error"].as_str().expect("a reason");
    assert!(error.to_lowercase().contains("prompt is too long"), "{error}");
    assert_eq!(server.chat("and then").await.answer(), DEFAULT_ANSWER, "the server goes on");
}
