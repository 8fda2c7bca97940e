//! Real OpenAI and Anthropic clients, unmodified, against the server over the real CLI.
//!
//! The scripts are in `tests/clients`, a folder for each client; what its users see is asserted there, and here what
//! the model API received.

use serde_json::json;

use crate::support::client::{node, python};
use crate::support::model_api::{ModelApi, tool_results};
use crate::support::server::{Server, Site};

async fn scene() -> (ModelApi, Site, Server) {
    let api = ModelApi::start().await;
    let site = Site::real(&api);
    let server = site.start().await;
    (api, site, server)
}

/// The sampling that the model received with the text `limited`.
fn limits(api: &ModelApi) -> serde_json::Value {
    let request =
        api.messages().into_iter().find(|request| request.body.to_string().contains("[[text limited]]"));
    let body = request.expect("it was asked").body;
    json!([body["temperature"], body["max_tokens"], body["stop_sequences"]])
}

fn all_results(api: &ModelApi) -> Vec<String> {
    let mut results: Vec<_> = api.messages().iter().flat_map(|request| tool_results(&request.body)).collect();
    results.sort();
    results.dedup();
    assert!(results.iter().all(|(_, is_error)| !is_error), "{results:?}");
    results.into_iter().map(|(text, _)| text).collect()
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn langchain() {
    let (api, _site, server) = scene().await;
    assert_eq!(python("langchain/chat.py", &server).await.len(), 11);
    assert_eq!(limits(&api), json!([0.25, 7, ["X"]]));
    let cities = ["Ruse", "Sofia", "Varna"].map(|city| format!(r#"{{"city": "{city}", "degrees": 21}}"#));
    let results = all_results(&api);
    assert!(cities.iter().all(|city| results.contains(city)), "{results:?}");
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn litellm() {
    let (api, _site, server) = scene().await;
    assert_eq!(python("litellm/chat.py", &server).await.len(), 7);
    assert_eq!(limits(&api), json!([0.25, 7, ["X"]]));
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn pipecat() {
    let (api, site, server) = scene().await;
    assert_eq!(python("pipecat/pipeline.py", &server).await.len(), 3);
    server.load_is(0, 0).await; // the interrupted turn gave its slot back
    assert!(all_results(&api).contains(&r#"{"degrees": 21}"#.to_owned()), "{:?}", all_results(&api));
    drop(site);
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn anthropic_python() {
    let (_api, _site, server) = scene().await;
    assert_eq!(python("anthropic_python/messages.py", &server).await.len(), 6);
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn openai_node() {
    let (_api, _site, server) = scene().await;
    assert_eq!(node("openai_node/chat.mjs", &server).await.len(), 10);
    server.load_is(0, 0).await; // the stream that was left gave its slot back
}

#[tokio::test]
#[ignore = "needs the real CLI and the clients: tests/run.sh"]
async fn ai_sdk() {
    let (_api, _site, server) = scene().await;
    assert_eq!(node("ai_sdk/chat.mjs", &server).await.len(), 5);
}
