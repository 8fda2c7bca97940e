//! The body of a chat request, read leniently and never silently.

use super::fields::FIELDS;
use super::message;
use crate::error::ApiError;
use crate::fields::{self, IgnoredFields};
use crate::json::Json;
use crate::read::{self, wrong_type};
use crate::request::Request;
use crate::sampling::{self, Reasoning, Sampling};
use crate::schema::{OutputFormat, Schema};
use crate::tool::{self, ToolChoice, ToolDefinition};

/// Stop sequences in one request, as OpenAI's reference has it.
const MAX_STOPS: usize = 4;

/// A request to `POST /v1/chat/completions`.
///
/// ```
/// use claude_exec_openai::chat::ChatRequest;
/// let body = br#"{"model":"haiku","seed":1,"messages":[{"role":"user","content":"Hi"}]}"#;
/// let ChatRequest { request, .. } = ChatRequest::parse(body)?;
/// assert_eq!(request.model.as_deref(), Some("haiku"));
/// assert_eq!(request.ignored.names(), ["seed"]);
/// # Ok::<(), claude_exec_openai::ApiError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ChatRequest {
    /// What is asked for.
    pub request: Request,
    /// With `stream`: a last chunk that carries the usage (`stream_options.include_usage`).
    pub include_usage: bool,
}

impl ChatRequest {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// 400 with the field in `param`, for anything that is malformed, contradictory, or that would have to be
    /// dropped although the answer depends on it. Never panics, whatever the bytes.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body = &read::body(body)?;
        let mut ignored = fields::sorted(FIELDS, body)?;
        let conversation = message::parse(body, &mut ignored)?;
        let include_usage = include_usage(body, &mut ignored)?;
        let request = Request {
            model: read::model(body)?,
            system: conversation.system,
            messages: conversation.messages,
            tools: tools(body)?,
            tool_choice: tool_choice(body)?,
            parallel_tool_calls: read::optional_boolean(body, "parallel_tool_calls", "parallel_tool_calls")?
                .unwrap_or(true),
            sampling: Sampling {
                max_tokens: max_tokens(body)?,
                temperature: sampling::temperature(body, &mut ignored)?,
                top_p: sampling::top_p(body)?,
                top_k: read::whole(body, "top_k", "top_k", 1)?,
                stop: sampling::stop(body, "stop", MAX_STOPS, &mut ignored)?,
            },
            reasoning: reasoning(body)?,
            show_reasoning: true,
            output: output(body)?,
            stream: read::boolean(body, "stream", "stream")?,
            ignored,
        };
        request.check("messages", &conversation.last)?;
        Ok(Self { request, include_usage })
    }
}

fn include_usage(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<bool, ApiError> {
    let Some(options) = body.get("stream_options") else { return Ok(false) };
    // Obfuscation pads chunks against guessing by their size; without it nothing is missing.
    let known = ["include_usage", "include_obfuscation"];
    for (name, value) in read::object("stream_options", options)? {
        if *value != Json::Null && !known.contains(&&**name) {
            ignored.add(&format!("stream_options.{name}"));
        }
    }
    read::boolean(options, "include_usage", "stream_options.include_usage")
}

fn max_tokens(body: &Json<'_>) -> Result<Option<u32>, ApiError> {
    let old = read::whole(body, "max_tokens", "max_tokens", 1)?;
    let new = read::whole(body, "max_completion_tokens", "max_completion_tokens", 1)?;
    if old.is_some() && new.is_some() && old != new {
        return Err(ApiError::invalid("max_tokens", "differs from max_completion_tokens, its newer name"));
    }
    Ok(new.or(old))
}

fn reasoning(body: &Json<'_>) -> Result<Reasoning, ApiError> {
    Ok(match body.get("reasoning_effort") {
        None => Reasoning::default(),
        Some(value) => Reasoning::of_effort("reasoning_effort", value)?,
    })
}

/// `response_format`.
fn output(body: &Json<'_>) -> Result<OutputFormat, ApiError> {
    const AT: &str = "response_format";
    let Some(format) = body.get(AT) else { return Ok(OutputFormat::Text) };
    read::object(AT, format)?;
    match read::required_str(format, "type", "response_format.type")? {
        "text" => Ok(OutputFormat::Text),
        "json_object" => Ok(OutputFormat::JsonObject),
        "json_schema" => {
            let Some(wrapped) = format.get("json_schema") else {
                return Err(read::missing("response_format.json_schema", "required"));
            };
            read::object("response_format.json_schema", wrapped)?;
            read::required_str(wrapped, "name", "response_format.json_schema.name")?;
            // Strict or not, the answer is held to the schema.
            read::boolean(wrapped, "strict", "response_format.json_schema.strict")?;
            let param = "response_format.json_schema.schema";
            let schema = wrapped.get("schema").ok_or_else(|| read::missing(param, "required"))?;
            Schema::checked(param, schema).map(OutputFormat::JsonSchema)
        }
        _ => Err(ApiError::invalid("response_format.type", "must be text, json_object or json_schema")),
    }
}

fn tools(body: &Json<'_>) -> Result<Vec<ToolDefinition>, ApiError> {
    let items = match body.get("tools") {
        None => return Ok(Vec::new()),
        Some(Json::Array(items)) => items,
        Some(other) => return Err(wrong_type("tools", "an array", other)),
    };
    let read = |(n, item): (usize, &Json<'_>)| {
        let at = format!("tools[{n}]");
        read::object(&at, item)?;
        match read::required_str(item, "type", format!("{at}.type"))? {
            "function" => {}
            _ => return Err(ApiError::unsupported(format!("{at}.type"), "only functions are supported")),
        }
        let at = format!("{at}.function");
        let function = item.get("function").ok_or_else(|| read::missing(&*at, "required"))?;
        read::object(&at, function)?;
        ToolDefinition::checked(
            &at,
            read::required_str(function, "name", format!("{at}.name"))?,
            read::optional_str(function, "description", format!("{at}.description"))?,
            function.get("parameters").map(Json::to_value),
        )
    };
    let tools = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    tool::check_names(&tools)?;
    Ok(tools)
}

fn tool_choice(body: &Json<'_>) -> Result<ToolChoice, ApiError> {
    const AT: &str = "tool_choice";
    match body.get(AT) {
        None => Ok(ToolChoice::Auto),
        Some(Json::String(word)) => match &**word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(ApiError::invalid(AT, "must be auto, none, required or a function")),
        },
        Some(choice @ Json::Object(_)) => {
            let function = choice
                .get("function")
                .filter(|_| choice.get("type").is_none_or(|kind| kind.as_str() == Some("function")));
            let Some(function) = function else {
                return Err(ApiError::unsupported(AT, "only a choice of one function is supported"));
            };
            let name = read::required_str(function, "name", "tool_choice.function.name")?;
            Ok(ToolChoice::Function(name.to_owned()))
        }
        Some(other) => Err(wrong_type(AT, "a string or an object", other)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HI: &str = r#""messages":[{"role":"user","content":"Hi"}]"#;

    fn read(fields: &str) -> Result<ChatRequest, ApiError> {
        ChatRequest::parse(format!("{{{HI}{fields}}}").as_bytes())
    }

    fn sampled(fields: &str) -> (Sampling, Vec<String>) {
        let request = read(fields).unwrap().request;
        (request.sampling, request.ignored.names().to_vec())
    }

    #[test]
    fn a_bare_request_has_every_default() {
        let ChatRequest { request, include_usage } = read("").unwrap();
        let expected = Request {
            messages: request.messages.clone(),
            parallel_tool_calls: true,
            show_reasoning: true,
            ..Request::default()
        };
        assert_eq!((request, include_usage), (expected, false));
    }

    #[test]
    fn what_librechat_always_sends_is_accepted_silently() {
        let sent = r#","model":"sonnet","temperature":1,"top_p":1,"presence_penalty":0,"frequency_penalty":0,
            "user":"65a","stream":true,"n":1,"logit_bias":null,"stop":null,"max_tokens":null,
            "reasoning_effort":null,"response_format":{"type":"text"},"tools":[],"tool_choice":"auto""#;
        let request = read(sent).unwrap().request;
        assert!(request.ignored.is_empty() && request.stream);
        assert_eq!((request.sampling, request.output), (Sampling::default(), OutputFormat::Text));
        assert_eq!((request.reasoning, request.tools), (Reasoning::default(), vec![]));
    }

    #[test]
    fn what_is_not_honoured_is_named_in_order() {
        let sent = r#","seed":1,"logit_bias":{"1":2},"x_new":{"deep":[1]},"stream":true,
            "stream_options":{"include_usage":true,"include_obfuscation":false,"more":1}"#;
        let ChatRequest { request, include_usage } = read(sent).unwrap();
        assert_eq!(request.ignored.header().as_deref(), Some("seed,logit_bias,x_new,stream_options.more"));
        assert!(include_usage);
    }

    #[test]
    fn limits_and_sampling_are_read() {
        let sent = r#","temperature":0.2,"top_p":0.5,"top_k":3,"max_tokens":7.0,"max_completion_tokens":7,
            "stop":["X","\n","Y"]"#;
        let expected = Sampling {
            max_tokens: Some(7),
            temperature: Some(0.2),
            top_p: Some(0.5),
            top_k: Some(3),
            stop: vec!["X".into(), "Y".into()],
        };
        assert_eq!(sampled(sent), (expected, vec!["stop".into()]));
        // A temperature that only OpenAI knows.
        assert_eq!(sampled(r#","temperature":1.5"#), (Sampling::default(), vec!["temperature".into()]));
    }

    #[test]
    fn tools_and_their_choice_are_read() {
        let tool = r#"{"type":"function","function":{"name":"f","description":"d","strict":true,
            "parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}"#;
        for (choice, expected) in [
            ("null", ToolChoice::Auto),
            (r#""none""#, ToolChoice::None),
            (r#""required""#, ToolChoice::Required),
            (r#"{"type":"function","function":{"name":"f"}}"#, ToolChoice::Function("f".into())),
        ] {
            let sent = format!(r#","tools":[{tool}],"tool_choice":{choice},"parallel_tool_calls":false"#);
            let request = read(&sent).unwrap().request;
            assert_eq!((request.tool_choice.clone(), request.parallel_tool_calls), (expected, false));
            assert_eq!(request.offers_tools(), request.tool_choice != ToolChoice::None);
            let [tool] = request.tools.as_slice() else { panic!("one tool") };
            assert_eq!((tool.name.as_str(), tool.description.as_deref()), ("f", Some("d")));
            let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
            assert_eq!(tool.input_schema, schema);
        }
    }

    #[test]
    fn the_form_of_the_answer_is_read() {
        let read = |format: &str| read(&format!(r#","response_format":{format}"#)).unwrap().request.output;
        assert_eq!(read(r#"{"type":"json_object"}"#), OutputFormat::JsonObject);
        let schema =
            r#"{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"type":"object"}}}"#;
        let OutputFormat::JsonSchema(schema) = read(schema) else { panic!("a schema") };
        assert_eq!(schema.value(), &json!({"type": "object"}));
    }

    #[test]
    fn a_refusal_names_its_field() {
        for (fields, param) in [
            (r#","model":5"#, "model"),
            (r#","stream":"true""#, "stream"),
            (r#","stream_options":[]"#, "stream_options"),
            (r#","stream_options":{"include_usage":1}"#, "stream_options.include_usage"),
            (r#","n":2"#, "n"),
            (r#","max_tokens":0"#, "max_tokens"),
            (r#","max_tokens":-1"#, "max_tokens"),
            (r#","max_tokens":1.5"#, "max_tokens"),
            (r#","max_tokens":"5""#, "max_tokens"),
            (r#","max_tokens":1e300"#, "max_tokens"),
            (r#","max_completion_tokens":true"#, "max_completion_tokens"),
            (r#","max_tokens":1,"max_completion_tokens":2"#, "max_tokens"),
            (r#","temperature":-0.1"#, "temperature"),
            (r#","temperature":2.1"#, "temperature"),
            (r#","temperature":"0.5""#, "temperature"),
            (r#","top_p":[]"#, "top_p"),
            (r#","top_p":7"#, "top_p"),
            (r#","top_k":0"#, "top_k"),
            (r#","stop":"""#, "stop"),
            (r#","stop":[1]"#, "stop"),
            (r#","stop":"a\u0000""#, "stop"),
            (r#","stop":["a","b","c","d","e"]"#, "stop"),
            (r#","stop":{}"#, "stop"),
            (r#","reasoning_effort":"lots""#, "reasoning_effort"),
            (r#","reasoning_effort":3"#, "reasoning_effort"),
            (r#","response_format":"text""#, "response_format"),
            (r#","response_format":{}"#, "response_format.type"),
            (r#","response_format":{"type":"xml"}"#, "response_format.type"),
            (r#","response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
            (
                r#","response_format":{"type":"json_schema","json_schema":{}}"#,
                "response_format.json_schema.name",
            ),
            (
                r#","response_format":{"type":"json_schema","json_schema":{"name":"x"}}"#,
                "response_format.json_schema.schema",
            ),
            (
                r#","response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"array"}}}"#,
                "response_format.json_schema.schema",
            ),
            (r#","tools":{}"#, "tools"),
            (r#","tools":[7]"#, "tools[0]"),
            (r#","tools":[{}]"#, "tools[0].type"),
            (r#","tools":[{"type":"web_search"}]"#, "tools[0].type"),
            (r#","tools":[{"type":"function"}]"#, "tools[0].function"),
            (r#","tools":[{"type":"function","function":{"name":"a b"}}]"#, "tools[0].function.name"),
            (
                r#","tools":[{"type":"function","function":{"name":"f","parameters":[]}}]"#,
                "tools[0].function.parameters",
            ),
            (r#","tool_choice":"sometimes""#, "tool_choice"),
            (r#","tool_choice":"required""#, "tool_choice"),
            (r#","tool_choice":{"type":"function","function":{"name":"f"}}"#, "tool_choice"),
            (r#","tool_choice":{"type":"allowed_tools"}"#, "tool_choice"),
            (r#","parallel_tool_calls":1"#, "parallel_tool_calls"),
            (r#","functions":[{}]"#, "functions"),
        ] {
            let error = read(fields).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{fields}");
        }
    }

    #[test]
    fn what_is_no_object_is_an_error_without_a_field() {
        for body in ["", "[]", "null", "{", "\u{feff}{}", r#"{"model":NaN}"#, r#"{"model":"a","model":"b"}"#]
        {
            let error = ChatRequest::parse(body.as_bytes()).unwrap_err();
            assert_eq!((error.status, error.code, error.param), (400, Some("invalid_json"), None), "{body}");
        }
    }
}
