//! What a process that keeps its session needs of a request.

use claude_exec::Invocation;
use claude_exec::brain::live::TurnOptions;
use claude_exec::protocol::Content;
use serde::Serialize;

use super::tools;
use super::transcript::Transcript;
use super::turns::turns;
use crate::content::Message;
use crate::fields::IgnoredFields;
use crate::models::Model;
use crate::plan::opened;
use crate::request::Request;
use crate::sampling::Sampling;
use crate::tool::ToolDefinition;

/// A caller's conversation with a plain model.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    /// What its process is started and opened with: the same for each of its turns.
    pub(crate) invocation: Invocation,
    /// What this turn sets.
    pub(crate) options: TurnOptions,
    /// What was said, in the form that is compared.
    pub(crate) turns: Vec<Message>,
    /// The transcript before the first turn.
    pub(crate) opening: Transcript,
    /// The client's tools, by its own names.
    pub(crate) tools: Vec<String>,
    /// The answer that the client is given is what the session has of it.
    pub(crate) is_echoed: bool,
}

/// All that must be equal for a turn to go on in another's process.
#[derive(Serialize)]
struct Opening<'r> {
    caller: Option<&'r str>,
    model: &'r str,
    system: Option<&'r str>,
    tools: &'r [ToolDefinition],
    schema: Option<&'r serde_json::Value>,
    thinking: bool,
    show_reasoning: bool,
    budget_tokens: Option<u32>,
    effort: Option<&'r str>,
}

impl Conversation {
    /// The conversation that `request` continues, of the caller with this name; `None` for an agent's: what it has done
    /// cannot be compared.
    pub(crate) fn of(request: &Request, model: &Model, caller: Option<&str>) -> Option<Self> {
        let Model::Plain { cli_name, .. } = model else { return None };
        let (reasoning, schema) = (request.reasoning, request.output.schema());
        let opening = Transcript::open(&Opening {
            caller,
            model: cli_name,
            system: request.system.as_deref(),
            tools: &request.tools,
            schema: schema.as_ref().map(|schema| schema.value()),
            thinking: reasoning.thinking,
            show_reasoning: request.show_reasoning,
            budget_tokens: reasoning.budget_tokens,
            effort: reasoning.effort.map(|effort| effort.as_str()),
        });
        let sampling = match reasoning.thinking {
            true => request.sampling.beside_thinking(&mut IgnoredFields::default()), // the plan names them
            false => request.sampling.clone(),
        };
        let mut options = options(&sampling);
        if let Some(tokens) = sampling.max_tokens.filter(|_| !request.tools.is_empty()) {
            // In this form it may change in the middle of a turn.
            options = options.extra_body("max_tokens", tokens.into());
        }
        let invocation = opened(Content::Text(String::new()), request, cli_name);
        Some(Self {
            invocation: tools::offered(invocation, &request.tools),
            options: tools::chosen(options, request),
            turns: turns(request.messages.clone()),
            opening,
            tools: request.tools.iter().map(|tool| tool.name.clone()).collect(),
            // The model gives JSON by a call of the CLI's own, which the client never sees.
            is_echoed: schema.is_none(),
        })
    }
}

fn options(sampling: &Sampling) -> TurnOptions {
    let Sampling { max_tokens, temperature, top_p, top_k, stop } = sampling;
    let mut options = TurnOptions::new().stop(stop.iter().cloned());
    if let Some(tokens) = *max_tokens {
        options = options.max_tokens(tokens);
    }
    if let Some(temperature) = *temperature {
        options = options.temperature(temperature);
    }
    if let Some(top_p) = *top_p {
        options = options.top_p(top_p);
    }
    match *top_k {
        Some(top_k) => options.extra_body("top_k", top_k.into()),
        None => options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::ChatRequest;
    use crate::models::Models;

    fn of(fields: &str, caller: &str) -> Conversation {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        let request = ChatRequest::parse(body.as_bytes()).unwrap().request;
        let models = Models::default();
        Conversation::of(&request, models.resolve(request.model.as_deref()).unwrap(), Some(caller)).unwrap()
    }

    #[test]
    fn whatever_its_process_was_opened_with_makes_it_another_conversation() {
        let openings = [
            of("", "ana"),
            of("", "bo"),
            of(r#","model":"haiku""#, "ana"),
            of(r#","reasoning_effort":"low""#, "ana"),
            of(r#","response_format":{"type":"json_object"}"#, "ana"),
            of(r#","tools":[{"type":"function","function":{"name":"f"}}]"#, "ana"),
            of(r#","tools":[{"type":"function","function":{"name":"g"}}]"#, "ana"),
        ]
        .map(|conversation| conversation.opening);
        for (at, one) in openings.iter().enumerate() {
            assert!(openings[..at].iter().all(|other| other != one), "{at}");
        }
    }

    #[test]
    fn what_changes_from_turn_to_turn_changes_no_process() {
        let (plain, sampled) = (of("", "ana"), of(r#","temperature":0.2,"max_tokens":7,"stop":"X""#, "ana"));
        assert_eq!((plain.opening, &plain.invocation), (sampled.opening, &sampled.invocation));
        let expected = TurnOptions::new().temperature(0.2).max_tokens(7).stop(["X"]);
        assert_eq!(sampled.options, expected);
    }

    #[test]
    fn an_agent_has_none() {
        let request =
            ChatRequest::parse(br#"{"messages":[{"role":"user","content":"hi"}]}"#).unwrap().request;
        let agent = Model::Agent(crate::models::AgentModel::new("triage"));
        assert!(Conversation::of(&request, &agent, None).is_none());
    }
}
