//! From a request and its model to the invocation: the whole decision, before anything is started.

use claude_exec::Invocation;
use claude_exec::invocation::Deadlines;
use claude_exec::protocol::Content;

use crate::answer::Answer;
use crate::error::ApiError;
use crate::fields::IgnoredFields;
use crate::models::{AgentModel, Model};
use crate::prompt::carried;
use crate::request::Request;
use crate::sampling::Sampling;
use crate::schema::Schema;
use crate::tool::cli_name;

/// A turn that is ready to run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// What to ask of the CLI.
    pub invocation: Invocation,
    /// What was asked for in vain: for the header, the log, and `strict`.
    pub ignored: IgnoredFields,
    /// What the answer must fit.
    pub schema: Option<Schema>,
    /// The answer is one message of the API, as that of a model without tools is.
    pub one_message: bool,
    /// What the model thinks is shown.
    pub show_reasoning: bool,
    /// The client's tools, by its own names. They need a process that keeps its session, so the invocation has none.
    pub tools: Vec<String>,
}

impl Plan {
    /// What follows the turn's events.
    pub fn answer(&self) -> Answer {
        let tools = self.tools.iter().map(|name| (cli_name(name), name.clone())).collect();
        Answer::new(self.one_message)
            .expecting(self.schema.clone())
            .showing_reasoning(self.show_reasoning)
            .offering(tools)
    }
}

/// Plans the turn of a request to a model.
///
/// A plain model name gives the conversational preset: no tools, whatever the request says. Its system prompt
/// gives way to the client's, when there is one. An agent keeps its own, and the client's is added to it.
///
/// # Errors
///
/// 400 for tools of the client's that an agent is to call.
pub fn plan(request: &Request, model: &Model) -> Result<Plan, ApiError> {
    if request.offers_tools() && model.is_agent() {
        return Err(ApiError::unsupported(
            "tools",
            "an agent has tools of its own, and takes none of the client's",
        ));
    }
    let content = carried(&request.messages);
    let mut ignored = request.ignored.clone();
    let invocation = match model {
        Model::Plain { cli_name, .. } => {
            let invocation = opened(content, request, cli_name);
            if request.reasoning.budget_tokens.is_some() {
                // The newest models think as they see fit: only older ones keep to it.
                ignored.add("thinking.budget_tokens");
            }
            if request.reasoning.thinking {
                sampled(invocation, &request.sampling.beside_thinking(&mut ignored))
            } else {
                sampled(invocation, &request.sampling)
            }
        }
        Model::Agent(agent) => {
            request.sampling.ignore_all(&mut ignored);
            if request.reasoning.asked {
                ignored.add("reasoning_effort");
            }
            let invocation = of_agent(Invocation::agent(content), agent);
            let invocation = match &request.system {
                Some(system) => invocation.append_system_prompt(system),
                None => invocation,
            };
            shaped(invocation, request)
        }
    };
    let schema = request.output.schema();
    let (one_message, show_reasoning) = (!model.is_agent(), request.show_reasoning);
    let tools = request.tools.iter().map(|tool| tool.name.clone()).collect();
    Ok(Plan { invocation, ignored, schema, one_message, show_reasoning, tools })
}

/// A turn of talk that is one message of the API, as a chat completion is: after a refusal the CLI would ask the
/// model again, in words that no caller wrote, or ask another model (both variables tried on 2.1.330).
pub(crate) fn plain(content: Content, model: &str) -> Invocation {
    Invocation::conversational(content)
        .model(model)
        .env("CLAUDE_CODE_DISABLE_REFUSAL_RETRY", "1")
        .env("CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK", "1")
}

/// A turn of a plain model with all that may not change from turn to turn of its conversation.
pub(crate) fn opened(content: Content, request: &Request, model: &str) -> Invocation {
    let invocation = plain(content, model);
    let invocation = match &request.system {
        Some(system) => invocation.system_prompt(system),
        None => invocation,
    };
    shaped(thinking(invocation, request), request)
}

/// Asks for an answer of the form that the request wants.
fn shaped(invocation: Invocation, request: &Request) -> Invocation {
    match request.output.schema() {
        Some(schema) => invocation.json_schema(schema.for_cli()),
        None => invocation,
    }
}

/// Hands limits and sampling to the CLI, in the two variables it has for them.
fn sampled(mut invocation: Invocation, sampling: &Sampling) -> Invocation {
    if let Some(tokens) = sampling.max_tokens {
        invocation = invocation.env("CLAUDE_CODE_MAX_OUTPUT_TOKENS", tokens.to_string());
    }
    match sampling.extra_body() {
        Some(body) => invocation.env("CLAUDE_CODE_EXTRA_BODY", body),
        None => invocation,
    }
}

/// Switches thinking on where it is asked for; the preset has it off.
fn thinking(mut invocation: Invocation, request: &Request) -> Invocation {
    let reasoning = request.reasoning;
    if reasoning.thinking {
        invocation =
            invocation.env("CLAUDE_CODE_DISABLE_THINKING", "0").show_thinking(request.show_reasoning);
    }
    if let Some(tokens) = reasoning.budget_tokens {
        invocation = invocation.env("MAX_THINKING_TOKENS", tokens.to_string());
    }
    match reasoning.effort {
        Some(effort) => invocation.effort(effort),
        None => invocation,
    }
}

pub(crate) fn of_agent(mut invocation: Invocation, agent: &AgentModel) -> Invocation {
    invocation = invocation.permission_mode(agent.permission_mode);
    if let Some(name) = &agent.agent {
        invocation = invocation.agent_name(name);
    }
    if let Some(model) = &agent.model {
        invocation = invocation.model(model);
    }
    if let Some(effort) = agent.effort {
        invocation = invocation.effort(effort);
    }
    if let Some(tools) = &agent.tools {
        invocation = invocation.tools(tools.iter().cloned());
    }
    if let Some(dollars) = agent.max_budget_usd {
        invocation = invocation.max_budget_usd(dollars);
    }
    if let Some(turns) = agent.max_turns {
        invocation = invocation.max_turns(turns);
    }
    if let Some(limit) = agent.time_limit {
        invocation = invocation.deadlines(Deadlines::within(limit));
    }
    invocation
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use claude_exec::invocation::{Effort, PermissionMode};

    use super::*;
    use crate::chat::ChatRequest;
    use crate::models::Models;

    fn planned(fields: &str, models: &Models) -> Result<Plan, ApiError> {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{fields}}}"#);
        let ChatRequest { request, .. } = ChatRequest::parse(body.as_bytes())?;
        plan(&request, models.resolve(request.model.as_deref())?)
    }

    #[test]
    fn a_plain_model_is_the_conversational_preset() {
        let plan = planned(r#","model":"haiku","seed":1"#, &Models::default()).unwrap();
        assert_eq!(plan.invocation, plain("hi".into(), "haiku"));
        assert_eq!(plan.ignored.names(), ["seed"]);
    }

    #[test]
    fn an_alias_tells_the_cli_its_own_name() {
        let models = Models::only("sonnet").unwrap().alias("gpt-4o", "claude-sonnet-4-6").unwrap();
        let plan = planned(r#","model":"gpt-4o""#, &models).unwrap();
        assert_eq!(plan.invocation, plain("hi".into(), "claude-sonnet-4-6"));
    }

    #[test]
    fn limits_and_sampling_reach_the_cli() {
        let fields = r#","max_tokens":7,"temperature":0.2,"stop":"X","reasoning_effort":"minimal""#;
        let plan = planned(fields, &Models::default()).unwrap();
        let expected = plain("hi".into(), "sonnet")
            .env("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "7")
            .env("CLAUDE_CODE_EXTRA_BODY", r#"{"temperature":0.2,"stop_sequences":["X"]}"#)
            .effort(Effort::Low);
        assert_eq!(plan.invocation, expected);
        assert!(plan.ignored.is_empty());
    }

    #[test]
    fn thinking_is_on_where_it_is_asked_for() {
        for (word, expected) in [
            ("none", plain("hi".into(), "sonnet")),
            ("minimal", plain("hi".into(), "sonnet").effort(Effort::Low)),
            (
                "high",
                plain("hi".into(), "sonnet")
                    .env("CLAUDE_CODE_DISABLE_THINKING", "0")
                    .show_thinking(true)
                    .effort(Effort::High),
            ),
        ] {
            let plan = planned(&format!(r#","reasoning_effort":"{word}""#), &Models::default()).unwrap();
            assert_eq!(plan.invocation, expected);
        }
        let fields = r#","reasoning_effort":"low","temperature":0.5,"max_tokens":9"#;
        let plan = planned(fields, &Models::default()).unwrap();
        assert_eq!(plan.ignored.names(), ["temperature"]);
    }

    #[test]
    fn a_schema_reaches_the_cli_and_the_answer() {
        let plan = planned(r#","response_format":{"type":"json_object"}"#, &Models::default()).unwrap();
        let schema = plan.schema.clone().unwrap();
        assert_eq!(plan.invocation, plain("hi".into(), "sonnet").json_schema(schema.for_cli()));
    }

    #[test]
    fn an_agent_takes_no_tools_of_the_clients() {
        let tools = r#","tools":[{"type":"function","function":{"name":"f"}}]"#;
        let models = Models::default().agent(AgentModel::new("triage")).unwrap();
        assert_eq!(planned(tools, &models).unwrap().tools, ["f"]);
        let agent = format!(r#"{tools},"model":"triage""#);
        assert_eq!(planned(&agent, &models).unwrap_err().param.as_deref(), Some("tools"));
        assert!(planned(&format!(r#"{agent},"tool_choice":"none""#), &models).is_ok());
    }

    #[test]
    fn the_clients_instructions_replace_the_presets() {
        let body = br#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"hi"}]}"#;
        let models = Models::default();
        let request = ChatRequest::parse(body).unwrap().request;
        let plan = plan(&request, models.resolve(None).unwrap()).unwrap();
        assert_eq!(plan.invocation, plain("hi".into(), "sonnet").system_prompt("S"));
    }

    #[test]
    fn an_agent_is_what_its_operator_says() {
        let turns = NonZeroU32::new(9).unwrap();
        let agent = AgentModel::new("triage")
            .agent_name("issue-triage")
            .model("opus")
            .effort(Effort::High)
            .tools(["Read", "Grep"])
            .max_budget_usd(5.0)
            .max_turns(turns)
            .time_limit(Duration::from_secs(60))
            .permission_mode(PermissionMode::BypassPermissions);
        let models = Models::default().agent(agent).unwrap();
        let plan = planned(r#","model":"triage","max_tokens":7,"temperature":0.2"#, &models).unwrap();
        let expected = Invocation::agent("hi")
            .permission_mode(PermissionMode::BypassPermissions)
            .agent_name("issue-triage")
            .model("opus")
            .effort(Effort::High)
            .tools(["Read", "Grep"])
            .max_budget_usd(5.0)
            .max_turns(turns)
            .deadlines(Deadlines::within(Duration::from_secs(60)));
        assert_eq!(plan.invocation, expected);
        assert_eq!(plan.ignored.names(), ["max_tokens", "temperature"]);
    }
}
