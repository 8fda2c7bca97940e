//! The adapters that the settings name. The crate's README has the names in a table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use claude_exec::executor::LocalExecutor;
use claude_exec_afk::adapter::brain::Sandbox;
use claude_exec_afk::adapter::{
    CommandDeploy, Forgejo, GitHub, GitHubDeployments, LogBell, Ntfy, Secret, Slack, T3Settings, Token,
    Webhook, Woodpecker,
};
use claude_exec_afk::config::Settings;
use claude_exec_afk::engine::SystemClock;
use claude_exec_afk::git::{GitRemote, Mirrors};
use claude_exec_afk::port::{Bell, Ci, Deploy, Tracker};
use claude_exec_afk::{Error, Result};

/// What was named; nothing is asked of it yet.
#[derive(Default)]
pub struct Adapters {
    pub tracker: Option<Arc<dyn Tracker>>,
    pub ci: Option<Arc<dyn Ci>>,
    pub agent: Option<AgentChoice>,
    pub bell: Option<Arc<dyn Bell>>,
    pub deploy: Option<DeployChoice>,
    /// Where repositories are: `{}` stands for `owner/name`.
    pub git_url: Option<String>,
    /// The branch that runs push to, when it is not the default branch.
    pub branch: Option<String>,
    /// Where a person finds a run: `{}` stands for its id.
    pub link: Option<String>,
}

/// Who does the work.
pub enum AgentChoice {
    /// The CLI on this machine, in this sandbox.
    Claude { sandbox: Sandbox, model: Option<String> },
    /// A T3 server.
    T3(T3Settings),
}

/// Who says what is deployed.
pub enum DeployChoice {
    GitHub(Arc<GitHubDeployments>),
    Commands { begin: Option<String>, deployed: Option<String> },
}

impl Adapters {
    /// Takes the settings of all adapters; with none of them set, there are none.
    ///
    /// # Errors
    ///
    /// When one cannot be used, or one that another needs is missing.
    pub fn take(settings: &mut Settings, policy: &claude_exec_afk::Config) -> Result<Self> {
        let branch = settings.text("AFK_BRANCH");
        let (mut git_url, link) = (settings.text("AFK_GIT_URL"), settings.text("AFK_LINK"));
        let named = settings.text("AFK_TRACKER");
        let (mut hub, mut forge) = (None, None);
        match named.as_deref() {
            None => {}
            Some("github") => {
                hub = Some(Arc::new(github(settings, policy, branch.as_deref(), &mut git_url)?));
            }
            Some("forgejo" | "gitea") => {
                forge = Some(Arc::new(forgejo(settings, policy, branch.as_deref(), &mut git_url)?));
            }
            Some(_) => return Err(Error::invalid("AFK_TRACKER", "must be github, forgejo or gitea")),
        }
        let own = hub.clone().map(|hub| hub as Arc<dyn Ci>);
        let own = own.or_else(|| forge.clone().map(|forge| forge as Arc<dyn Ci>));
        let agent = match settings.text("AFK_AGENT").as_deref() {
            None => None,
            Some("claude") => Some(claude(settings)?),
            Some("t3") => {
                let unset = || Error::invalid("AFK_T3_URL", "must be set, as AFK_AGENT is t3");
                Some(AgentChoice::T3(T3Settings::take(settings)?.ok_or_else(unset)?))
            }
            Some(_) => return Err(Error::invalid("AFK_AGENT", "must be claude or t3")),
        };
        let ci: Option<Arc<dyn Ci>> = match settings.text("AFK_CI").as_deref() {
            // The tracker's own checks and statuses.
            None => own,
            Some("woodpecker") => Some(Arc::new(woodpecker(settings, branch.as_deref())?)),
            same if same == named.as_deref() => own,
            Some(_) => {
                return Err(Error::invalid("AFK_CI", "must be the same as AFK_TRACKER, or woodpecker"));
            }
        };
        let bell = bell(settings)?;
        let deploy = deploy(settings, policy.deploy, hub.as_ref())?;
        let tracker = hub.map(|hub| hub as Arc<dyn Tracker>);
        let tracker = tracker.or_else(|| forge.map(|forge| forge as Arc<dyn Tracker>));
        Ok(Self { tracker, ci, agent, bell, deploy, git_url, branch, link })
    }

    /// What says whether something is deployed; asked only where the policy wants it.
    pub fn deploy(&self, limit: Duration, remote: GitRemote) -> Result<Option<Arc<dyn Deploy>>> {
        Ok(match &self.deploy {
            None => None,
            Some(DeployChoice::GitHub(deployments)) => Some(deployments.clone()),
            Some(DeployChoice::Commands { begin, deployed }) => {
                Some(Arc::new(commands(begin.as_deref(), deployed.as_deref(), limit)?.history(remote)))
            }
        })
    }
}

fn github(
    settings: &mut Settings,
    policy: &claude_exec_afk::Config,
    branch: Option<&str>,
    git_url: &mut Option<String>,
) -> Result<GitHub> {
    let url = settings.text("AFK_TRACKER_URL");
    let token =
        required(Token::take(settings, "AFK_TRACKER_TOKEN", "AFK_TRACKER_TOKEN_FILE")?, "AFK_TRACKER_TOKEN")?;
    if url.is_none() {
        git_url.get_or_insert_with(|| "https://github.com/{}.git".into());
    }
    let mut github =
        GitHub::new(url.as_deref().unwrap_or(GitHub::URL), token)?.ready_label(&*policy.ready_label);
    if let Some(login) = settings.text("AFK_TRACKER_LOGIN") {
        github = github.login(login);
    }
    if let Some(branch) = branch {
        github = github.branch(branch);
    }
    if let Some(names) = settings.text("AFK_CI_REQUIRED") {
        github = github.required(names.split(',').map(str::trim).filter(|name| !name.is_empty()));
    }
    Ok(github)
}

fn forgejo(
    settings: &mut Settings,
    policy: &claude_exec_afk::Config,
    branch: Option<&str>,
    git_url: &mut Option<String>,
) -> Result<Forgejo> {
    let url = required(settings.text("AFK_TRACKER_URL"), "AFK_TRACKER_URL")?;
    let token =
        required(Token::take(settings, "AFK_TRACKER_TOKEN", "AFK_TRACKER_TOKEN_FILE")?, "AFK_TRACKER_TOKEN")?;
    git_url.get_or_insert_with(|| format!("{}/{{}}.git", url.trim_end_matches('/')));
    let mut forgejo = Forgejo::new(&url, token)?.ready_label(&*policy.ready_label);
    if let Some(login) = settings.text("AFK_TRACKER_LOGIN") {
        forgejo = forgejo.login(login);
    }
    if let Some(branch) = branch {
        forgejo = forgejo.branch(branch);
    }
    if let Some(names) = settings.text("AFK_CI_REQUIRED") {
        forgejo = forgejo.required(names.split(',').map(str::trim).filter(|name| !name.is_empty()));
    }
    Ok(forgejo)
}

fn claude(settings: &mut Settings) -> Result<AgentChoice> {
    let sandbox =
        settings.text("AFK_SANDBOX").ok_or_else(|| Error::invalid("AFK_SANDBOX", Sandbox::UNSET))?;
    Ok(AgentChoice::Claude { sandbox: sandbox.parse()?, model: settings.text("AFK_AGENT_MODEL") })
}

fn woodpecker(settings: &mut Settings, branch: Option<&str>) -> Result<Woodpecker> {
    let url = required(settings.text("AFK_WOODPECKER_URL"), "AFK_WOODPECKER_URL")?;
    let token = Token::take(settings, "AFK_WOODPECKER_TOKEN", "AFK_WOODPECKER_TOKEN_FILE")?;
    let woodpecker = Woodpecker::new(&url, required(token, "AFK_WOODPECKER_TOKEN")?)?;
    Ok(match branch {
        Some(branch) => woodpecker.branch(branch),
        None => woodpecker,
    })
}

fn bell(settings: &mut Settings) -> Result<Option<Arc<dyn Bell>>> {
    Ok(Some(match settings.text("AFK_BELL").as_deref() {
        None => return Ok(None),
        Some("log") => Arc::new(LogBell::new()),
        Some("slack") => {
            let token = required(
                Token::take(settings, "AFK_SLACK_TOKEN", "AFK_SLACK_TOKEN_FILE")?,
                "AFK_SLACK_TOKEN",
            )?;
            let channel = required(settings.text("AFK_SLACK_CHANNEL"), "AFK_SLACK_CHANNEL")?;
            let url = settings.text("AFK_SLACK_URL");
            Arc::new(Slack::new(url.as_deref().unwrap_or(Slack::URL), token, &channel)?)
        }
        Some("ntfy") => {
            let token = Token::take(settings, "AFK_NTFY_TOKEN", "AFK_NTFY_TOKEN_FILE")?;
            let url = required(settings.text("AFK_NTFY_URL"), "AFK_NTFY_URL")?;
            Arc::new(Ntfy::new(&url, token, &required(settings.text("AFK_NTFY_TOPIC"), "AFK_NTFY_TOPIC")?)?)
        }
        Some("webhook") => {
            let url = required(settings.text("AFK_WEBHOOK_BELL_URL"), "AFK_WEBHOOK_BELL_URL")?;
            let secret = required(settings.text("AFK_WEBHOOK_BELL_SECRET"), "AFK_WEBHOOK_BELL_SECRET")?;
            let unusable = |_| Error::invalid("AFK_WEBHOOK_BELL_SECRET", "must be visible ASCII characters");
            let secret: Secret = secret.parse().map_err(unusable)?;
            Arc::new(Webhook::new(&url, &secret, Arc::new(SystemClock::new()))?)
        }
        Some(_) => return Err(Error::invalid("AFK_BELL", "must be slack, ntfy, webhook or log")),
    }))
}

fn deploy(
    settings: &mut Settings,
    wanted: bool,
    github: Option<&Arc<GitHub>>,
) -> Result<Option<DeployChoice>> {
    let (begin, deployed) = (settings.text("AFK_DEPLOY_COMMAND"), settings.text("AFK_DEPLOYED_COMMAND"));
    let environment = settings.text("AFK_DEPLOY_ENVIRONMENT");
    let mut create = false;
    settings.switch("AFK_DEPLOY_CREATE", &mut create)?;
    let choice = match (begin.is_some() || deployed.is_some(), environment, github) {
        (false, None, _) => None,
        (true, None, _) => {
            // Checked now, and made when there is something to check history with.
            commands(begin.as_deref(), deployed.as_deref(), Duration::ZERO)?;
            Some(DeployChoice::Commands { begin, deployed })
        }
        (false, Some(environment), Some(github)) => {
            let deployments = GitHubDeployments::new(github.clone(), environment).create(create);
            Some(DeployChoice::GitHub(Arc::new(deployments)))
        }
        (false, Some(_), None) => {
            return Err(Error::invalid(
                "AFK_DEPLOY_ENVIRONMENT",
                "is one of GitHub's, and AFK_TRACKER is not github",
            ));
        }
        (true, Some(_), _) => {
            return Err(Error::invalid(
                "AFK_DEPLOY_ENVIRONMENT",
                "cannot be set together with a deployment's command",
            ));
        }
    };
    match (wanted, &choice) {
        (true, None) => Err(Error::invalid(
            "AFK_DEPLOY",
            "is on: set AFK_DEPLOY_ENVIRONMENT for GitHub's deployments, or AFK_DEPLOYED_COMMAND",
        )),
        (false, Some(_)) => Err(Error::invalid("AFK_DEPLOY", "is off, and who deploys is set: turn it on")),
        _ => Ok(choice),
    }
}

fn commands(begin: Option<&str>, deployed: Option<&str>, limit: Duration) -> Result<CommandDeploy> {
    CommandDeploy::new(LocalExecutor::new(), begin, deployed, limit)
}

fn required<T>(value: Option<T>, name: &'static str) -> Result<T> {
    value.ok_or_else(|| Error::invalid(name, "must be set"))
}

/// The mirrors of repositories, from which the lock and the pushes are read.
pub fn mirrors(adapters: &Adapters, dir: std::path::PathBuf, executor: LocalExecutor) -> Result<Mirrors> {
    let url = required(adapters.git_url.clone(), "AFK_GIT_URL")?;
    Mirrors::new(dir, url, executor)
}

/// Names alone: what the adapters hold are credentials.
impl fmt::Debug for Adapters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapters")
            .field("tracker", &self.tracker.is_some())
            .field("agent", &self.agent.is_some())
            .field("bell", &self.bell.is_some())
            .field("deploy", &self.deploy.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GITHUB: [(&str, &str); 2] = [("AFK_TRACKER", "github"), ("AFK_TRACKER_TOKEN", "ghp_hush")];

    fn take(entries: &[(&str, &str)], deploy: bool) -> Result<Adapters> {
        let mut policy = claude_exec_afk::Config::default();
        policy.deploy = deploy;
        let mut settings = Settings::new(entries.iter().copied());
        let adapters = Adapters::take(&mut settings, &policy)?;
        settings.finish()?;
        Ok(adapters)
    }

    #[test]
    fn nothing_set_is_nothing_there() {
        let none = take(&[], false).unwrap();
        assert!(
            none.tracker.is_none() && none.agent.is_none() && none.bell.is_none() && none.deploy.is_none()
        );
    }

    #[test]
    fn what_is_named_is_there() {
        let t3 = [
            ("AFK_AGENT", "t3"),
            ("AFK_T3_URL", "http://t3:3773"),
            ("AFK_T3_TOKEN", "a.b"),
            ("AFK_T3_ROOT", "/srv/{}"),
        ];
        let ci =
            [("AFK_CI", "woodpecker"), ("AFK_WOODPECKER_URL", "https://ci"), ("AFK_WOODPECKER_TOKEN", "w")];
        let deploy = [("AFK_DEPLOYED_COMMAND", "/opt/deployed {repo}")];
        for bell in [
            &[("AFK_BELL", "slack"), ("AFK_SLACK_TOKEN", "xoxb-hush"), ("AFK_SLACK_CHANNEL", "C0123456789")]
                [..],
            &[("AFK_BELL", "ntfy"), ("AFK_NTFY_URL", "https://ntfy"), ("AFK_NTFY_TOPIC", "afk")],
            &[
                ("AFK_BELL", "webhook"),
                ("AFK_WEBHOOK_BELL_URL", "https://me/hook"),
                ("AFK_WEBHOOK_BELL_SECRET", "0123456789abcdef"),
            ],
            &[("AFK_BELL", "log")],
        ] {
            let all = [&GITHUB[..], &t3, &ci, &deploy, bell].concat();
            let adapters = take(&all, true).unwrap();
            assert!(adapters.tracker.is_some() && adapters.ci.is_some() && adapters.bell.is_some());
            assert!(matches!(adapters.agent, Some(AgentChoice::T3(_))));
            assert!(matches!(adapters.deploy, Some(DeployChoice::Commands { .. })));
            assert_eq!(adapters.git_url.as_deref(), Some("https://github.com/{}.git"));
            assert!(!format!("{adapters:?}").contains("hush"));
        }
    }

    #[test]
    fn a_forgejo_brings_its_own_ci_and_its_own_git() {
        for name in ["forgejo", "gitea"] {
            let all =
                [("AFK_TRACKER", name), ("AFK_TRACKER_URL", "https://forge/"), ("AFK_TRACKER_TOKEN", "hush")];
            let adapters = take(&all, false).unwrap();
            assert!(adapters.tracker.is_some() && adapters.ci.is_some());
            assert_eq!(adapters.git_url.as_deref(), Some("https://forge/{}.git"));
            assert_eq!(take(&all[..1], false).unwrap_err().field(), Some("AFK_TRACKER_URL"));
            let other = [&all[..], &[("AFK_CI", "github")]].concat();
            assert_eq!(take(&other, false).unwrap_err().field(), Some("AFK_CI"));
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_names_its_setting() {
        for (entries, deploy, field) in [
            (&[("AFK_TRACKER", "jira")][..], false, "AFK_TRACKER"),
            (&[("AFK_TRACKER", "github")], false, "AFK_TRACKER_TOKEN"),
            (&[("AFK_AGENT", "codex")], false, "AFK_AGENT"),
            (&[("AFK_AGENT", "claude")], false, "AFK_SANDBOX"),
            (&[("AFK_AGENT", "t3")], false, "AFK_T3_URL"),
            (&[("AFK_CI", "jenkins")], false, "AFK_CI"),
            (&[("AFK_CI", "github")], false, "AFK_CI"),
            (&[("AFK_CI", "woodpecker")], false, "AFK_WOODPECKER_URL"),
            (&[("AFK_BELL", "phone")], false, "AFK_BELL"),
            (&[("AFK_BELL", "slack")], false, "AFK_SLACK_TOKEN"),
            (
                &[("AFK_BELL", "slack"), ("AFK_SLACK_TOKEN", "x"), ("AFK_SLACK_CHANNEL", "#alerts")],
                false,
                "AFK_SLACK_CHANNEL",
            ),
            (
                &[("AFK_BELL", "ntfy"), ("AFK_NTFY_URL", "https://n"), ("AFK_NTFY_TOPIC", "a b")],
                false,
                "AFK_NTFY_TOPIC",
            ),
            (
                &[
                    ("AFK_BELL", "webhook"),
                    ("AFK_WEBHOOK_BELL_URL", "https://h"),
                    ("AFK_WEBHOOK_BELL_SECRET", "short"),
                ],
                false,
                "AFK_WEBHOOK_BELL_SECRET",
            ),
            (&[], true, "AFK_DEPLOY"),
            (&[("AFK_DEPLOY_COMMAND", "x")], false, "AFK_DEPLOY"),
            (&[("AFK_DEPLOY_COMMAND", "x 'y")], true, "AFK_DEPLOY_COMMAND"),
            (&[("AFK_DEPLOY_ENVIRONMENT", "production")], true, "AFK_DEPLOY_ENVIRONMENT"),
            (&[("AFK_SLACK_TOKEN", "x")], false, "AFK_*"),
        ] {
            let error = take(entries, deploy).unwrap_err();
            assert_eq!(error.field(), Some(field), "{error}");
        }
    }
}
