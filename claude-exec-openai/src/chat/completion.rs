//! The `chat.completion` object.

use serde::Serialize;

use crate::collected::Whole;
use crate::stamp::Stamp;
use crate::usage::TokenUsage;

/// The body of a non-streaming answer, compact. Without `usage` the member is `null`, as OpenAI's types allow.
pub fn completion(stamp: &Stamp, answer: &Whole) -> Vec<u8> {
    let calls = answer.calls.iter().map(|call| ToolCall {
        id: &call.id,
        kind: "function",
        function: Function { name: &call.name, arguments: &call.arguments },
    });
    let calls: Vec<ToolCall<'_>> = calls.collect();
    let message = Message {
        role: "assistant",
        // An answer of nothing but calls has no content.
        content: Some(answer.text.as_str()).filter(|text| calls.is_empty() || !text.is_empty()),
        refusal: None,
        reasoning_content: Some(answer.reasoning.as_str()).filter(|text| !text.is_empty()),
        tool_calls: calls,
    };
    let finish_reason = answer.done.finish_reason.as_str();
    let choice = Choice { index: 0, message, logprobs: None, finish_reason };
    let body = Completion {
        id: &stamp.id,
        object: "chat.completion",
        created: stamp.created,
        model: &stamp.model,
        choices: [choice],
        usage: answer.done.usage.map(Into::into),
    };
    serde_json::to_vec(&body).expect("strings and numbers always serialize")
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    usage: Option<TokenUsage>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    /// Not OpenAI's, which shows no reasoning here: the field that clients of other servers read.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[cfg(test)]
mod tests {
    use claude_exec::protocol::Usage;

    use super::*;
    use crate::answer::Done;
    use crate::collected::Call;
    use crate::finish::FinishReason;

    #[test]
    fn the_object_is_openais_to_the_byte() {
        let usage: Usage = serde_json::from_str(
            r#"{"input_tokens":10,"output_tokens":5,"cache_creation_input_tokens":200,
                "cache_read_input_tokens":3000,"thinking_tokens":2}"#,
        )
        .unwrap();
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 7, model: "sonnet".into() };
        let done = Done::new(FinishReason::Length, Some(usage));
        let body = completion(&stamp, &Whole::of_text("Здравей \"ти\"\n", done));
        let expected = concat!(
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"sonnet","choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":"Здравей \"ти\"\n","refusal":null},"logprobs":null,"#,
            r#""finish_reason":"length"}],"usage":{"prompt_tokens":3210,"completion_tokens":5,"total_tokens":3215,"#,
            r#""prompt_tokens_details":{"cached_tokens":3000},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }

    #[test]
    fn reasoning_and_calls_stand_beside_the_text() {
        let stamp = Stamp { id: "chatcmpl-1".into(), created: 7, model: "sonnet".into() };
        let call = |n: u32| Call { id: format!("c{n}"), name: "f".into(), arguments: "{\"a\":1}".into() };
        let mut answer = Whole::of_text("", Done::new(FinishReason::ToolCalls, None));
        answer.reasoning = "hm".into();
        answer.calls = vec![call(1), call(2)];
        let expected = concat!(
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"sonnet","choices":[{"index":0,"#,
            r#""message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":["#,
            r#"{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},"#,
            r#"{"id":"c2","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"logprobs":null,"#,
            r#""finish_reason":"tool_calls"}],"usage":null}"#,
        );
        assert_eq!(String::from_utf8(completion(&stamp, &answer)).unwrap(), expected);
    }
}
