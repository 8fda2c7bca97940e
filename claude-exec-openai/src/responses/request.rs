//! The body of a request to `/v1/responses`.

use serde_json::{Value, json};

use super::context::{Context, Instruction};
use super::fields::FIELDS;
use super::input::Input;
use super::object::Echo;
use crate::error::ApiError;
use crate::fields::{self, IgnoredFields};
use crate::json::Json;
use crate::read::{self, missing, wrong_type};
use crate::request::{Request, joined};
use crate::sampling::{self, Reasoning, Sampling};
use crate::schema::{OutputFormat, Schema};
use crate::tool::{ToolChoice, ToolDefinition, check_calls, check_names};

/// The longest id of a response; ours have 37 characters.
const MAX_ID: usize = 64;

/// A request to `POST /v1/responses`, whose conversation may begin with that of an earlier response.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ResponsesRequest {
    /// Without its messages; its system prompt is the `instructions` alone.
    request: Request,
    new: Context,
    places: Vec<String>,
    /// The response that it goes on from.
    pub previous_response_id: Option<String>,
    /// Whether the response is kept, so that a later request can go on from it.
    pub store: bool,
    /// What the response says again of its request.
    pub echo: Echo,
}

impl ResponsesRequest {
    /// Reads a request body.
    ///
    /// # Errors
    ///
    /// 400 with the field in `param`, for anything that is malformed, contradictory, or that would have to be
    /// dropped although the answer depends on it. Never panics, whatever the bytes.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let body = &read::body(body)?;
        let mut ignored = fields::sorted(FIELDS, body)?;
        let Input { context: new, places } = Input::parse(body, &mut ignored)?;
        let instructions = read::optional_str(body, "instructions", "instructions")?;
        let (reasoning, show_reasoning) = reasoning(body)?;
        let tools = tools(body)?;
        let request = Request {
            model: read::model(body)?,
            system: instructions.map(|text| read::text("instructions", text)).transpose()?,
            messages: Vec::new(),
            tool_choice: tool_choice(body)?,
            tools,
            parallel_tool_calls: read::optional_boolean(body, "parallel_tool_calls", "parallel_tool_calls")?
                .unwrap_or(true),
            sampling: Sampling {
                max_tokens: read::whole(body, "max_output_tokens", "max_output_tokens", 1)?,
                temperature: sampling::temperature(body, &mut ignored)?,
                top_p: sampling::top_p(body)?,
                ..Sampling::default()
            },
            reasoning,
            show_reasoning,
            output: output(body, &mut ignored)?,
            stream: read::boolean(body, "stream", "stream")?,
            ignored,
        };
        let previous_response_id = previous(body)?;
        let store = read::optional_boolean(body, "store", "store")?.unwrap_or(true);
        Ok(Self { request, new, places, previous_response_id, store, echo: echo(body) })
    }

    /// The request as the core has it, after the conversation that it goes on from, and the instructions that stand in
    /// both.
    ///
    /// # Errors
    ///
    /// 400 for a conversation in which no user says anything, and for calls without results or results without
    /// calls.
    pub fn after(self, earlier: Context) -> Result<(Request, Vec<Instruction>), ApiError> {
        let Self { mut request, new, places, .. } = self;
        let known = earlier.messages.iter().map(|message| ("previous_response_id", message));
        let all = known.chain(places.iter().map(String::as_str).zip(&new.messages));
        check_calls(all, "input")?;
        let Context { messages, instructions } = earlier.then(new);
        let texts = instructions.iter().map(|instruction| instruction.text.clone());
        request.system = joined(request.system.take().into_iter().chain(texts));
        request.messages = messages;
        request.check("input", places.last().map_or("input", String::as_str))?;
        Ok((request, instructions))
    }
}

fn previous(body: &Json<'_>) -> Result<Option<String>, ApiError> {
    const AT: &str = "previous_response_id";
    match read::optional_str(body, AT, AT)? {
        None => Ok(None),
        Some(id) if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(ApiError::invalid(AT, "is no id of a response"))
        }
        Some(id) => Ok(Some(id.to_owned())),
    }
}

/// How much the model thinks, and whether that is shown: OpenAI shows it to those who ask for a summary.
fn reasoning(body: &Json<'_>) -> Result<(Reasoning, bool), ApiError> {
    let Some(value) = body.get("reasoning") else { return Ok((Reasoning::default(), false)) };
    read::object("reasoning", value)?;
    let mut shown = false;
    for name in ["summary", "generate_summary"] {
        match value.get(name).map(Json::as_str) {
            None => {}
            Some(Some("auto" | "concise" | "detailed")) => shown = true,
            Some(_) => {
                return Err(ApiError::invalid(
                    format!("reasoning.{name}"),
                    "must be auto, concise or detailed",
                ));
            }
        }
    }
    let reasoning = match value.get("effort") {
        Some(word) => Reasoning::of_effort("reasoning.effort", word)?,
        // Who wants to see it wants it.
        None => Reasoning { asked: true, thinking: shown, ..Reasoning::default() },
    };
    Ok((reasoning, shown))
}

/// `text`.
fn output(body: &Json<'_>, ignored: &mut IgnoredFields) -> Result<OutputFormat, ApiError> {
    let Some(text) = body.get("text") else { return Ok(OutputFormat::Text) };
    read::object("text", text)?;
    if text.get("verbosity").is_some_and(|word| word.as_str() != Some("medium")) {
        ignored.add("text.verbosity");
    }
    let Some(format) = text.get("format") else { return Ok(OutputFormat::Text) };
    read::object("text.format", format)?;
    match read::required_str(format, "type", "text.format.type")? {
        "text" => Ok(OutputFormat::Text),
        "json_object" => Ok(OutputFormat::JsonObject),
        "json_schema" => {
            read::required_str(format, "name", "text.format.name")?;
            read::boolean(format, "strict", "text.format.strict")?;
            let param = "text.format.schema";
            let schema = format.get("schema").ok_or_else(|| missing(param, "required"))?;
            Schema::checked(param, schema).map(OutputFormat::JsonSchema)
        }
        _ => Err(ApiError::invalid("text.format.type", "must be text, json_object or json_schema")),
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
        ToolDefinition::checked(
            &at,
            read::required_str(item, "name", format!("{at}.name"))?,
            read::optional_str(item, "description", format!("{at}.description"))?,
            item.get("parameters").map(Json::to_value),
        )
    };
    let tools = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    check_names(&tools)?;
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
            if choice.get("type").and_then(Json::as_str) != Some("function") {
                return Err(ApiError::unsupported(AT, "only a choice of one function is supported"));
            }
            Ok(ToolChoice::Function(read::required_str(choice, "name", "tool_choice.name")?.to_owned()))
        }
        Some(other) => Err(wrong_type(AT, "a string or an object", other)),
    }
}

/// What the response says again: the caller's values, and OpenAI's defaults where there are none.
fn echo(body: &Json<'_>) -> Echo {
    let given = |name: &str, default: Value| body.get(name).map_or(default, Json::to_value);
    let text = match body.get("text").map(Json::to_value) {
        Some(Value::Object(mut text)) => {
            text.entry("format").or_insert_with(|| json!({"type": "text"}));
            Value::Object(text)
        }
        _ => json!({"format": {"type": "text"}}),
    };
    Echo::new([
        ("instructions", given("instructions", Value::Null)),
        ("max_output_tokens", given("max_output_tokens", Value::Null)),
        ("metadata", given("metadata", json!({}))),
        ("parallel_tool_calls", given("parallel_tool_calls", json!(true))),
        ("previous_response_id", given("previous_response_id", Value::Null)),
        ("reasoning", given("reasoning", json!({"effort": null, "summary": null}))),
        ("temperature", given("temperature", json!(1.0))),
        ("text", text),
        ("tool_choice", given("tool_choice", json!("auto"))),
        ("tools", given("tools", json!([]))),
        ("top_p", given("top_p", json!(1.0))),
        ("user", given("user", Value::Null)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Block, Message, Role, Source};

    fn read(fields: &str) -> Result<Request, Option<String>> {
        let body = if fields.contains("\"input\"") {
            format!("{{{fields}}}")
        } else {
            format!("{{\"input\":\"hi\",{fields}}}")
        };
        ResponsesRequest::parse(body.as_bytes())
            .and_then(|request| request.after(Context::default()))
            .map(|(request, _)| request)
            .map_err(|error| error.param)
    }

    fn user(text: &str) -> Message {
        Message::new(Role::User, vec![Block::text(text)])
    }

    #[test]
    fn a_bare_request_has_every_default() {
        let asked = ResponsesRequest::parse(br#"{"input":"hi"}"#).unwrap();
        assert_eq!((asked.store, &asked.previous_response_id), (true, &None));
        let expected =
            Request { messages: vec![user("hi")], parallel_tool_calls: true, ..Request::default() };
        assert_eq!(asked.after(Context::default()), Ok((expected, vec![])));
    }

    #[test]
    fn items_become_messages() {
        let fields = r#""instructions":"be kind","input":[
            {"role":"developer","content":"and terse"},
            {"type":"message","role":"user","content":[{"type":"input_text","text":"look"},
                {"type":"input_image","image_url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA=","detail":"auto"},
                {"type":"input_file","file_data":"data:application/pdf;base64,JVBERi0x","filename":"a.pdf"}]},
            {"type":"reasoning","id":"rs_1","summary":[]},
            {"type":"message","role":"assistant","id":"msg_1","content":[{"type":"output_text","text":"I see"}]},
            {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
            {"type":"function_call","call_id":"c2","name":"g","arguments":"{\"a\":1}"},
            {"type":"function_call_output","call_id":"c1","output":"one"},
            {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"two"}]},
            {"role":"user","content":"so?"}]"#;
        let request = read(fields).unwrap();
        let base64 = |media_type: &str, data: &str| Source::Base64 {
            media_type: media_type.into(),
            data: data.into(),
        };
        let call = |id: &str, name: &str, input| Block::ToolUse { id: id.into(), name: name.into(), input };
        let result = |id: &str, text: &str| Block::ToolResult {
            tool_use_id: id.into(),
            content: vec![Block::text(text)],
            is_error: false,
        };
        let looked = vec![
            Block::text("look"),
            Block::Image { source: base64("image/png", "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAA=") },
            Block::Document { source: base64("application/pdf", "JVBERi0x"), title: Some("a.pdf".into()) },
        ];
        let called = vec![Block::text("I see"), call("c1", "f", json!({})), call("c2", "g", json!({"a": 1}))];
        let expected = [
            Message::new(Role::User, looked),
            Message::new(Role::Assistant, called),
            Message::new(Role::User, vec![result("c1", "one"), result("c2", "two")]),
            user("so?"),
        ];
        assert_eq!(request.messages, expected);
        assert_eq!(request.system.as_deref(), Some("be kind\n\nand terse"));
        assert!(request.ignored.is_empty());
    }

    #[test]
    fn a_conversation_goes_on_from_the_one_before() {
        let call = Block::ToolUse { id: "c1".into(), name: "f".into(), input: json!({}) };
        let earlier = vec![user("hi"), Message::new(Role::Assistant, vec![call])];
        let body = br#"{"previous_response_id":"resp_1","input":[{"type":"function_call_output","call_id":"c1","output":"x"}]}"#;
        let asked = ResponsesRequest::parse(body).unwrap();
        assert_eq!(asked.previous_response_id.as_deref(), Some("resp_1"));
        let told = Instruction { at: 0, role: "system".into(), text: "be kind".into() };
        let earlier = Context { messages: earlier, instructions: vec![told.clone()] };
        let (request, instructions) = asked.clone().after(earlier).unwrap();
        assert_eq!((request.messages.len(), request.system.as_deref()), (3, Some("be kind")));
        assert_eq!(instructions, [told]);
        let other = Context { messages: vec![user("hi")], ..Context::default() };
        assert_eq!(asked.after(other).unwrap_err().param.as_deref(), Some("input[0]"));
    }

    #[test]
    fn limits_reasoning_and_form_are_read() {
        let fields = r#""max_output_tokens":9,"temperature":0.5,"store":false,"stream":true,
            "reasoning":{"effort":"high","summary":"auto"},
            "text":{"verbosity":"low","format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object"}}},
            "tools":[{"type":"function","name":"f","strict":true,"parameters":{"type":"object"}}],
            "tool_choice":{"type":"function","name":"f"},"include":["reasoning.encrypted_content"],"truncation":"disabled""#;
        let request = read(fields).unwrap();
        assert_eq!((request.sampling.max_tokens, request.sampling.temperature), (Some(9), Some(0.5)));
        assert!(request.stream && request.reasoning.thinking && request.show_reasoning);
        assert_eq!(request.tool_choice, ToolChoice::Function("f".into()));
        assert_eq!(request.tools.len(), 1);
        assert!(matches!(request.output, OutputFormat::JsonSchema(_)));
        assert_eq!(request.ignored.names(), ["include", "text.verbosity"]);
        // OpenAI shows it to those who ask.
        let quiet = read(r#""reasoning":{"effort":"high"}"#).unwrap();
        assert!(quiet.reasoning.thinking && !quiet.show_reasoning);
        let shown = read(r#""reasoning":{"summary":"concise"}"#).unwrap();
        assert!(shown.reasoning.thinking && shown.show_reasoning);
    }

    #[test]
    fn a_refusal_names_its_field() {
        for (fields, param) in [
            (r#""input":null"#, "input"),
            (r#""input":7"#, "input"),
            (r#""input":[]"#, "input"),
            (r#""input":" ""#, "input"),
            (r#""input":"a\u0000""#, "input"),
            (r#""input":[7]"#, "input[0]"),
            (r#""input":[{"role":"king","content":"x"}]"#, "input[0].role"),
            (r#""input":[{"role":"user"}]"#, "input[0].content"),
            (
                r#""input":[{"role":"user","content":[{"type":"input_audio"}]}]"#,
                "input[0].content[0].input_audio",
            ),
            (
                r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]"#,
                "input[0].content[0].file_id",
            ),
            (
                r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"file:///etc/passwd"}]}]"#,
                "input[0].content[0].file_url",
            ),
            (
                r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x/y","file_data":"JVBERi0x"}]}]"#,
                "input[0].content[0].file_url",
            ),
            (r#""input":[{"type":"item_reference","id":"x"}]"#, "input[0].type"),
            (r#""input":[{"type":"web_search_call"}]"#, "input[0].type"),
            (
                r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":"["}]"#,
                "input[0].arguments",
            ),
            (r#""input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}]"#, "input"),
            (r#""input":[{"type":"function_call_output","call_id":"c","output":"x"}]"#, "input[0]"),
            (r#""instructions":7"#, "instructions"),
            (r#""previous_response_id":"a b""#, "previous_response_id"),
            (r#""previous_response_id":"""#, "previous_response_id"),
            (r#""store":"yes""#, "store"),
            (r#""background":true"#, "background"),
            (r#""conversation":"conv_1""#, "conversation"),
            (r#""prompt":{"id":"p"}"#, "prompt"),
            (r#""reasoning":"high""#, "reasoning"),
            (r#""reasoning":{"effort":"lots"}"#, "reasoning.effort"),
            (r#""reasoning":{"summary":"all"}"#, "reasoning.summary"),
            (r#""reasoning":{"summary":"auto","generate_summary":{}}"#, "reasoning.generate_summary"),
            (r#""text":{"format":{"type":"xml"}}"#, "text.format.type"),
            (r#""text":{"format":{"type":"json_schema","name":"x","schema":{}}}"#, "text.format.schema"),
            (r#""tools":[{"type":"web_search"}]"#, "tools[0].type"),
            (r#""tools":[{"type":"function"}]"#, "tools[0].name"),
            (r#""tool_choice":{"type":"file_search"}"#, "tool_choice"),
            (r#""max_output_tokens":0"#, "max_output_tokens"),
        ] {
            assert_eq!(read(fields).err(), Some(Some(param.into())), "{fields}");
        }
    }
}
