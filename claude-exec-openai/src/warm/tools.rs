//! The client's tools as the CLI is told of them, and what the client gives back.

use claude_exec::Invocation;
use claude_exec::brain::live::TurnOptions;
use claude_exec::protocol::{McpServer, McpTool};
use serde_json::{Value, json};

use crate::content::{Block, Message};
use crate::request::Request;
use crate::tool::{SERVER, ToolChoice, ToolDefinition, cli_name};

/// The longest description that the CLI passes on; it cuts a longer one (2.1.330).
const MAX_DESCRIPTION: usize = 4096;

/// The longest result that the CLI passes on, in characters, with a margin; a longer one it puts into a file (2.1.330).
const MAX_RESULT: usize = 40_000;

/// The invocation with these tools. All of them may run without asking: they run at the client.
///
/// Each says that it changes nothing (`readOnlyHint`), so that the CLI makes all calls of a message at once.
pub(crate) fn offered(invocation: Invocation, tools: &[ToolDefinition]) -> Invocation {
    if tools.is_empty() {
        return invocation;
    }
    let server = McpServer::new(SERVER, tools.iter().map(to_mcp));
    invocation
        .mcp_server(server)
        .allowed_tools([format!("mcp__{SERVER}")])
        // With it the CLI adds a tool of its own, and may hold others back.
        .env("ENABLE_TOOL_SEARCH", "false")
}

fn to_mcp(tool: &ToolDefinition) -> McpTool {
    let mut schema = tool.input_schema.clone();
    let description = match tool.description.as_deref().unwrap_or_default() {
        long if long.chars().count() > MAX_DESCRIPTION => {
            schema["description"] = long.into();
            "The description is in the schema of the input."
        }
        description => description,
    };
    McpTool::new(tool.name.clone(), description, schema).read_only(true)
}

/// The options with what the request says about calls, for the model API's `tool_choice`.
pub(crate) fn chosen(options: TurnOptions, request: &Request) -> TurnOptions {
    if request.tools.is_empty() {
        return options;
    }
    let mut choice = match &request.tool_choice {
        ToolChoice::None => return options.extra_body("tool_choice", json!({"type": "none"})),
        ToolChoice::Auto if request.parallel_tool_calls => return options,
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Function(name) => json!({"type": "tool", "name": cli_name(name)}),
    };
    if !request.parallel_tool_calls {
        choice["disable_parallel_tool_use"] = true.into();
    }
    options.extra_body("tool_choice", choice)
}

/// The turn as the CLI knows it: calls by its own names.
pub(crate) fn for_cli(turn: &Message) -> Message {
    let own = |block: &Block| match block {
        Block::ToolUse { id, name, input } => {
            Block::ToolUse { id: id.clone(), name: cli_name(name), input: input.clone() }
        }
        block => block.clone(),
    };
    Message::new(turn.role, turn.content.iter().map(own).collect())
}

/// What a tool gave, as an MCP result.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Given {
    /// The blocks.
    pub(crate) content: Vec<Value>,
    /// The tool failed.
    pub(crate) is_error: bool,
}

/// The answers to the calls with these ids, in their order; `None` where `turn` says anything else too, or something
/// that would not reach the model as it is: then the conversation is replayed.
pub(crate) fn results(turn: &Message, ids: &[String]) -> Option<Vec<Given>> {
    if turn.content.len() != ids.len() {
        return None;
    }
    let of = |id: &String| {
        turn.content.iter().find_map(|block| match block {
            Block::ToolResult { tool_use_id, content, is_error } if tool_use_id == id => {
                Some(Given { content: as_mcp(content)?, is_error: *is_error })
            }
            _ => None,
        })
    };
    ids.iter().map(of).collect()
}

/// Texts only: the CLI may make pictures smaller, and says something of its own for nothing at all.
fn as_mcp(content: &[Block]) -> Option<Vec<Value>> {
    let texts: Option<Vec<&str>> = content
        .iter()
        .map(|block| match block {
            Block::Text { text } if !text.trim().is_empty() => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let texts = texts.filter(|texts| !texts.is_empty())?;
    let length: usize = texts.iter().map(|text| text.chars().count()).sum();
    (length <= MAX_RESULT)
        .then(|| texts.into_iter().map(|text| json!({"type": "text", "text": text})).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Role;

    fn tool(description: &str) -> ToolDefinition {
        ToolDefinition {
            name: "look".into(),
            description: Some(description.into()),
            input_schema: json!({"type": "object"}),
        }
    }

    fn result(id: &str, content: Vec<Block>) -> Block {
        Block::ToolResult { tool_use_id: id.into(), content, is_error: id == "bad" }
    }

    #[test]
    fn a_description_that_the_cli_would_cut_moves_to_where_it_is_kept() {
        let short = "é".repeat(MAX_DESCRIPTION);
        assert_eq!(to_mcp(&tool(&short)).description, short);
        let long = "x".repeat(MAX_DESCRIPTION + 1);
        let moved = to_mcp(&tool(&long));
        assert_eq!(moved.input_schema["description"], long);
        assert!(moved.description.len() < 100);
    }

    #[test]
    fn every_choice_has_its_word() {
        let of = |tool_choice: ToolChoice, parallel_tool_calls: bool| {
            let request =
                Request { tools: vec![tool("")], tool_choice, parallel_tool_calls, ..Request::default() };
            chosen(TurnOptions::new(), &request)
        };
        let body = |choice: Value| TurnOptions::new().extra_body("tool_choice", choice);
        assert_eq!(of(ToolChoice::Auto, true), TurnOptions::new());
        let single = json!({"type": "auto", "disable_parallel_tool_use": true});
        assert_eq!(of(ToolChoice::Auto, false), body(single));
        assert_eq!(of(ToolChoice::None, false), body(json!({"type": "none"})));
        assert_eq!(of(ToolChoice::Required, true), body(json!({"type": "any"})));
        let named = json!({"type": "tool", "name": "mcp__client__look", "disable_parallel_tool_use": true});
        assert_eq!(of(ToolChoice::Function("look".into()), false), body(named));
        assert_eq!(chosen(TurnOptions::new(), &Request::default()), TurnOptions::new());
    }

    #[test]
    fn results_answer_their_calls_in_the_order_of_the_calls() {
        let ids = ["a".to_owned(), "bad".to_owned()];
        let given = |blocks: Vec<Block>| results(&Message::new(Role::User, blocks), &ids);
        let [a, bad] =
            [result("a", vec![Block::text("1"), Block::text("2")]), result("bad", vec![Block::text("3")])];
        let text = |text: &str| json!({"type": "text", "text": text});
        let expected = vec![
            Given { content: vec![text("1"), text("2")], is_error: false },
            Given { content: vec![text("3")], is_error: true },
        ];
        assert_eq!(given(vec![bad.clone(), a.clone()]), Some(expected));
        for other in [
            vec![a.clone()],
            vec![a.clone(), a.clone()],
            vec![a.clone(), result("c", vec![Block::text("3")])],
            vec![a.clone(), bad.clone(), Block::text("and hurry")],
            vec![a.clone(), result("bad", vec![])],
            vec![a.clone(), result("bad", vec![Block::text("x".repeat(MAX_RESULT + 1))])],
        ] {
            assert_eq!(given(other.clone()), None, "{other:?}");
        }
    }
}
