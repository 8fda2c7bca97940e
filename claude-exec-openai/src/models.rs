//! The models that callers may name: an allowlist, and names that stand for agents.

use std::time::Duration;

use claude_exec::invocation::{Effort, PermissionMode};
use serde::Serialize;

use crate::error::ApiError;

/// The model of a request that names none, as the original service chose.
const DEFAULT: &str = "sonnet";

/// The longest name; names are echoed in every chunk.
const MAX_NAME: usize = 128;

/// Which model names are served.
///
/// A name outside the list is refused before anything is started: the CLI would pass it on to the model API.
///
/// ```
/// use claude_exec_openai::{AgentModel, Models};
/// let models = Models::default().agent(AgentModel::new("triage").agent_name("issue-triage"))?;
/// assert!(models.resolve(Some("gpt-4")).is_err());
/// assert_eq!(models.resolve(None)?.name(), "sonnet");
/// # Ok::<(), claude_exec_openai::ApiError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    list: Vec<Model>,
    default: String,
}

/// A model that callers may name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Model {
    /// A model of the CLI's. It never has tools.
    Plain {
        /// What callers say.
        name: String,
        /// What the CLI is told.
        cli_name: String,
    },
    /// An agent under a model's name.
    Agent(AgentModel),
}

/// An agent that callers address as a model: it has tools, so it is slotted and isolated like a job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct AgentModel {
    /// What callers say.
    pub name: String,
    /// The CLI's agent (`--agent`); `None` is the CLI's own.
    pub agent: Option<String>,
    /// The model that it runs on; `None` is the CLI's default or the agent's own.
    pub model: Option<String>,
    /// How hard it thinks.
    pub effort: Option<Effort>,
    /// The tools it is offered; `None` is the agent's own list.
    pub tools: Option<Vec<String>>,
    /// US dollars for one request.
    pub max_budget_usd: Option<f64>,
    /// Requests to the model in one turn.
    pub max_turns: Option<std::num::NonZeroU32>,
    /// Time for one request; `None` is the agent preset's.
    pub time_limit: Option<Duration>,
    /// Where it works.
    pub workspace: Workspace,
    /// What it may do without asking; nobody is there to ask, so the rest is refused.
    pub permission_mode: PermissionMode,
}

/// Where an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Workspace {
    /// In the directory that the server gives every turn.
    None,
    /// In a checkout of its own, prepared for this request and gone after it.
    Job,
}

impl AgentModel {
    /// An agent under this name: the CLI's own agent in a checkout of its own, permissions at the CLI's
    /// default, no budget of its own.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            agent: None,
            model: None,
            effort: None,
            tools: None,
            max_budget_usd: None,
            max_turns: None,
            time_limit: None,
            workspace: Workspace::Job,
            permission_mode: PermissionMode::Default,
        }
    }

    /// Sets the CLI's agent.
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.agent = Some(name.into());
        self
    }

    /// Sets the model that it runs on.
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = Some(name.into());
        self
    }

    /// Sets how hard it thinks.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Sets the tools it is offered; an empty list means none.
    pub fn tools<I>(mut self, tools: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Bounds the cost of one request in US dollars. Must be finite and above 0.
    pub fn max_budget_usd(mut self, dollars: f64) -> Self {
        self.max_budget_usd = Some(dollars);
        self
    }

    /// Bounds the requests to the model; an answer that meets the bound ends with `length`.
    pub fn max_turns(mut self, turns: std::num::NonZeroU32) -> Self {
        self.max_turns = Some(turns);
        self
    }

    /// Bounds the time of one request.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = Some(limit);
        self
    }

    /// Sets where it works.
    pub fn workspace(mut self, workspace: Workspace) -> Self {
        self.workspace = workspace;
        self
    }

    /// Sets what it may do without asking.
    pub fn permission_mode(mut self, mode: PermissionMode) -> Self {
        self.permission_mode = mode;
        self
    }
}

impl Model {
    /// What callers say.
    pub fn name(&self) -> &str {
        match self {
            Self::Plain { name, .. } => name,
            Self::Agent(agent) => &agent.name,
        }
    }

    /// Where its turns run.
    pub fn workspace(&self) -> Workspace {
        match self {
            Self::Plain { .. } => Workspace::None,
            Self::Agent(agent) => agent.workspace,
        }
    }

    /// True for an agent: its turns have side effects, and are not to be retried blindly.
    pub fn is_agent(&self) -> bool {
        matches!(self, Self::Agent(_))
    }
}

/// The CLI's aliases, and the dated names that the original service took.
impl Default for Models {
    fn default() -> Self {
        let names = ["haiku", "sonnet", "opus", "fable"];
        let dated = ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7"];
        let plain = |name: &str| Model::Plain { name: name.to_owned(), cli_name: name.to_owned() };
        Self { list: names.into_iter().chain(dated).map(plain).collect(), default: DEFAULT.to_owned() }
    }
}

impl Models {
    /// A list with this one model, which is also the default.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn only(name: &str) -> Result<Self, ApiError> {
        Self { list: Vec::new(), default: name.to_owned() }.allow(name)
    }

    /// Adds a model that the CLI knows by the same name.
    ///
    /// # Errors
    ///
    /// [`ApiError::param`] `model` for a name that is taken, empty, longer than 128 bytes, or holds anything
    /// but letters, digits and `-_.:@[]`.
    pub fn allow(self, name: &str) -> Result<Self, ApiError> {
        self.alias(name, name)
    }

    /// Adds a name for a model that the CLI knows by another one.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn alias(self, name: &str, cli_name: &str) -> Result<Self, ApiError> {
        check_name(cli_name)?;
        self.add(Model::Plain { name: name.to_owned(), cli_name: cli_name.to_owned() })
    }

    /// Adds an agent.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn agent(self, agent: AgentModel) -> Result<Self, ApiError> {
        self.add(Model::Agent(agent))
    }

    /// Sets the model of a request that names none.
    ///
    /// # Errors
    ///
    /// When the name is not in the list.
    pub fn default_model(mut self, name: &str) -> Result<Self, ApiError> {
        self.default = self.resolve(Some(name))?.name().to_owned();
        Ok(self)
    }

    fn add(mut self, model: Model) -> Result<Self, ApiError> {
        check_name(model.name())?;
        if self.list.iter().any(|known| known.name() == model.name()) {
            return Err(ApiError::invalid("model", format!("{} is in the list already", model.name())));
        }
        self.list.push(model);
        Ok(self)
    }

    /// Every model, in the order of adding.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.list.iter()
    }

    /// The models of this list whose names `keep` takes. The default stays what it is, in the list or not.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Self {
        let list = self.list.iter().filter(|model| keep(model.name())).cloned().collect();
        Self { list, default: self.default.clone() }
    }

    /// Finds the model of a request.
    ///
    /// # Errors
    ///
    /// 400 `model_not_found` with the list, for a name outside it.
    pub fn resolve(&self, name: Option<&str>) -> Result<&Model, ApiError> {
        let name = name.unwrap_or(&self.default);
        self.list.iter().find(|model| model.name() == name).ok_or_else(|| {
            let names: Vec<&str> = self.list.iter().map(Model::name).collect();
            let shown: String = name.chars().take(64).collect();
            let message = format!("the model `{shown}` does not exist here; available: {}", names.join(", "));
            ApiError::invalid("model", message).code("model_not_found")
        })
    }

    /// The body of `GET /v1/models`; `created` is a Unix time, such as the server's start.
    pub fn list_json(&self, created: u64) -> Vec<u8> {
        let data = self.list.iter().map(|model| Object::new(model, created)).collect();
        serde_json::to_vec(&List { object: "list", data }).expect("strings and numbers always serialize")
    }

    /// The body of `GET /v1/models/{name}`.
    ///
    /// # Errors
    ///
    /// 404 `model_not_found`, as OpenAI answers here.
    pub fn one_json(&self, name: &str, created: u64) -> Result<Vec<u8>, ApiError> {
        let model = self.resolve(Some(name)).map_err(|error| ApiError { status: 404, ..error })?;
        Ok(serde_json::to_vec(&Object::new(model, created)).expect("strings and numbers always serialize"))
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@[]".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('-') || !name.bytes().all(plain) {
        let message = format!("{name:?} is no name for a model: letters, digits and -_.:@[] only");
        return Err(ApiError::invalid("model", message));
    }
    Ok(())
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Object<'a>>,
}

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    /// Not OpenAI's: whether the name stands for an agent with tools.
    claude_exec_agent: bool,
}

impl<'a> Object<'a> {
    fn new(model: &'a Model, created: u64) -> Self {
        let owned_by = if model.is_agent() { "claude-exec-agent" } else { "anthropic" };
        Self { id: model.name(), object: "model", created, owned_by, claude_exec_agent: model.is_agent() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_name_is_the_default_and_a_foreign_one_gets_the_list() {
        let models = Models::default();
        assert_eq!(models.resolve(None).unwrap().name(), "sonnet");
        for name in
            ["haiku", "sonnet", "opus", "fable", "claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7"]
        {
            assert_eq!(models.resolve(Some(name)).unwrap().name(), name);
        }
        for name in ["gpt-4", "", "Sonnet", "sonnet ", "--dangerously-skip-permissions", "sonnet\0"] {
            let error = models.resolve(Some(name)).unwrap_err();
            let found = (error.status, error.code, error.param.as_deref());
            assert_eq!(found, (400, Some("model_not_found"), Some("model")), "{name}");
            assert!(error.message.contains("haiku, sonnet, opus, fable, claude-haiku-4-5"), "{error}");
        }
    }

    #[test]
    fn names_are_unique_and_fit_argv() {
        let models = Models::only("sonnet").unwrap();
        for name in ["sonnet", "", "-x", "a b", "a/b", "ж", "a\0b", &"x".repeat(129)] {
            assert!(models.clone().allow(name).is_err(), "{name}");
        }
        assert!(models.clone().alias("x", "--y").is_err());
        assert!(models.clone().default_model("gone").is_err());
        let models = models.alias("gpt-4o", "sonnet").unwrap().default_model("gpt-4o").unwrap();
        assert_eq!(models.resolve(None).unwrap().name(), "gpt-4o");
    }

    #[test]
    fn the_list_says_which_are_agents() {
        let models = Models::only("haiku").unwrap().agent(AgentModel::new("triage")).unwrap();
        let expected = concat!(
            r#"{"object":"list","data":[{"id":"haiku","object":"model","created":7,"owned_by":"anthropic","claude_exec_agent":false},"#,
            r#"{"id":"triage","object":"model","created":7,"owned_by":"claude-exec-agent","claude_exec_agent":true}]}"#,
        );
        assert_eq!(String::from_utf8(models.list_json(7)).unwrap(), expected);
        let one =
            r#"{"id":"haiku","object":"model","created":7,"owned_by":"anthropic","claude_exec_agent":false}"#;
        assert_eq!(String::from_utf8(models.one_json("haiku", 7).unwrap()).unwrap(), one);
        assert_eq!(models.one_json("gpt-4", 7).unwrap_err().status, 404);
    }
}
