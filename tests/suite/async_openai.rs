//! async-openai, unmodified, against the server over the real CLI: what a Rust program's user sees, and what the model
//! received.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessageArgs, ChatCompletionRequestMessage,
    ChatCompletionRequestToolMessage, ChatCompletionRequestUserMessage, ChatCompletionStreamOptions,
    ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
    FinishReason, FunctionObject,
};
use async_openai::types::responses::{CreateResponseArgs, ResponseStreamEvent};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::client::matrix;
use crate::support::model_api::{ModelApi, tool_results};
use crate::support::server::{Server, Site, TOKEN};

type Api = Client<OpenAIConfig>;

fn client(server: &Server, token: &str) -> Api {
    let config = OpenAIConfig::new().with_api_base(format!("{}/v1", server.url())).with_api_key(token);
    Client::with_config(config)
}

fn asking(messages: &[ChatCompletionRequestMessage]) -> CreateChatCompletionRequestArgs {
    let mut request = CreateChatCompletionRequestArgs::default();
    request.model("sonnet").messages(messages);
    request
}

fn user(text: &str) -> ChatCompletionRequestMessage {
    ChatCompletionRequestUserMessage::from(text).into()
}

fn weather() -> ChatCompletionTools {
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: "get_weather".to_owned(),
            description: Some("The weather in a city.".to_owned()),
            parameters: Some(parameters),
            strict: None,
        },
    })
}

async fn create(api: &Api, request: CreateChatCompletionRequest) -> (Option<String>, Value) {
    let answer = api.chat().create(request).await.expect("an answer");
    let choice = &answer.choices[0];
    let usage = answer.usage.expect("a usage");
    let told =
        json!([choice.finish_reason, usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]);
    (choice.message.content.clone(), told)
}

async fn a_whole_answer(api: &Api) {
    let request = asking(&[user("[[words 3]] [[usage input_tokens=7]]")]).build().expect("a request");
    let expected = (Some("word0 word1 word2 ".to_owned()), json!(["stop", 7, 3, 10]));
    assert_eq!(create(api, request).await, expected);
    let request = asking(&[user("[[words 4]] [[stop max_tokens]]")])
        .max_completion_tokens(4u32)
        .temperature(0.25)
        .build();
    let (text, told) = create(api, request.expect("a request")).await;
    assert_eq!((text.as_deref(), &told[0]), (Some("word0 word1 word2 word3 "), &json!("length")));
}

async fn a_stream(api: &Api) {
    let options = ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None };
    let request = asking(&[user("[[words 4]]")]).stream_options(options).build().expect("a request");
    let mut stream = api.chat().create_stream(request).await.expect("a stream");
    let (mut pieces, mut reason, mut usage) = (Vec::new(), None, None);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.expect("a chunk");
        usage = chunk.usage.or(usage);
        for choice in chunk.choices {
            pieces.extend(choice.delta.content.filter(|text| !text.is_empty()));
            reason = choice.finish_reason.or(reason);
        }
    }
    assert_eq!(pieces, ["word0 ", "word1 ", "word2 ", "word3 "]);
    assert_eq!((reason, usage.map(|usage| usage.completion_tokens)), (Some(FinishReason::Stop), Some(4)));
}

/// Two rounds, the first with two calls at once.
async fn a_tools_loop(api: &Api) {
    let mut messages = vec![user(
        r#"[[tool mcp__client__get_weather {"city":"Sofia"}]] [[tool mcp__client__get_weather {"city":"Varna"}]]
           [[next]] [[tool mcp__client__get_weather {"city":"Ruse"}]] [[next]] [[text 21 everywhere]]"#,
    )];
    let mut asked = Vec::new();
    let text = loop {
        let request = asking(&messages).tools(vec![weather()]).build().expect("a request");
        let answer = api.chat().create(request).await.expect("an answer").choices.remove(0).message;
        let Some(calls) = answer.tool_calls.filter(|calls| !calls.is_empty()) else { break answer.content };
        let said = ChatCompletionRequestAssistantMessageArgs::default().tool_calls(calls.clone()).build();
        messages.push(said.expect("a message").into());
        for call in calls {
            let ChatCompletionMessageToolCalls::Function(call) = call else { panic!("{call:?}") };
            let city: Value = serde_json::from_str(&call.function.arguments).expect("JSON");
            let city = city["city"].as_str().expect("a city").to_owned();
            let content = format!("21 in {city}").into();
            messages.push(ChatCompletionRequestToolMessage { content, tool_call_id: call.id }.into());
            asked.push(city);
        }
        assert!(messages.len() < 9, "it ends");
    };
    assert_eq!(
        (text.as_deref(), asked),
        (Some("21 everywhere"), vec!["Sofia".into(), "Varna".into(), "Ruse".into()])
    );
}

async fn responses(api: &Api) {
    let request = CreateResponseArgs::default().model("sonnet").input("[[text one]]").build();
    let first = api.responses().create(request.expect("a request")).await.expect("a response");
    assert_eq!(first.output_text().as_deref(), Some("one"));
    let request = CreateResponseArgs::default()
        .model("sonnet")
        .input("[[recall]]")
        .previous_response_id(first.id)
        .build();
    let second = api.responses().create(request.expect("a request")).await.expect("a response");
    assert!(second.output_text().is_some_and(|text| text.contains("[[text one]]")), "{second:?}");

    let request = CreateResponseArgs::default().model("sonnet").input("[[words 3]]").build();
    let mut stream = api.responses().create_stream(request.expect("a request")).await.expect("a stream");
    let (mut text, mut last) = (String::new(), None);
    while let Some(event) = stream.next().await {
        let event = event.expect("an event that it knows");
        if let ResponseStreamEvent::ResponseOutputTextDelta(delta) = &event {
            text += &delta.delta;
        }
        last = Some(event);
    }
    assert_eq!(text, "word0 word1 word2 ");
    assert!(matches!(last, Some(ResponseStreamEvent::ResponseCompleted(_))), "{last:?}");
}

async fn errors(api: &Api, server: &Server) {
    let request = || asking(&[user("hi")]).build().expect("a request");
    let unknown = asking(&[user("hi")]).model("gpt-none").build().expect("a request");
    for (error, code) in [
        (api.chat().create(unknown).await.expect_err("an error"), "model_not_found"),
        (client(server, "wrong").chat().create(request()).await.expect_err("an error"), "invalid_api_key"),
    ] {
        let OpenAIError::ApiError(error) = error else { panic!("{error}") };
        assert_eq!(error.api_error.code.as_deref(), Some(code), "{error:?}");
    }
}

#[tokio::test]
#[ignore = "needs the real CLI: tests/run.sh"]
async fn every_case() {
    let model = ModelApi::start().await;
    let site = Site::real(&model);
    let server = site.start().await;
    let api = client(&server, TOKEN);
    a_whole_answer(&api).await;
    a_stream(&api).await;
    a_tools_loop(&api).await;
    responses(&api).await;
    errors(&api, &server).await;
    matrix("async-openai", &version(), "5 of 5");

    let limited =
        model.messages().into_iter().find(|request| request.body.to_string().contains("[[stop max_tokens]]"));
    let limited = limited.expect("it was asked").body;
    assert_eq!((&limited["max_tokens"], &limited["temperature"]), (&json!(4), &json!(0.25)));
    let mut results: Vec<_> =
        model.messages().iter().flat_map(|request| tool_results(&request.body)).collect();
    results.sort();
    results.dedup();
    let expected = ["Ruse", "Sofia", "Varna"].map(|city| (format!("21 in {city}"), false));
    assert_eq!(results, expected);
}

/// The version that is locked.
fn version() -> String {
    let lock = include_str!("../../Cargo.lock");
    let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"async-openai\"\n"));
    let version = package.and_then(|package| package.split("version = \"").nth(1)?.split('"').next());
    version.expect("it is locked").to_owned()
}
