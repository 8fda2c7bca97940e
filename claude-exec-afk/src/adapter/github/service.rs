//! The service, as one account sees it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::OnceCell;

use super::wire;
use crate::adapter::Token;
use crate::adapter::comment::Known;
use crate::adapter::forge::{self, Forge};
use crate::adapter::http::{Call, Client, Scheme, segment};
use crate::error::{Error, Result};
use crate::issue::Permission;
use crate::names::{IssueKey, Repo};
use crate::seen::Seen;

/// The version of the REST API that this is written for.
const VERSION: &str = "2022-11-28";
/// "Best practices for using the REST API" asks for a second between two changes.
const PACE: Duration = Duration::from_secs(1);
/// How long nothing new must have come before a commit is green of which nobody said what is required.
const SETTLE: Duration = Duration::from_secs(30);

/// GitHub behind the ports [`Tracker`](crate::port::Tracker) and [`Ci`](crate::port::Ci).
///
/// One for an account and address; share it behind an [`Arc`](std::sync::Arc), its limits are the account's.
pub struct GitHub {
    pub(super) client: Client,
    pub(super) ready_label: String,
    pub(super) branch: Option<String>,
    pub(super) required: Vec<String>,
    pub(super) settle: Duration,
    login: OnceCell<String>,
    /// Of each repository, the etags of the list that was given last.
    pub(super) given: Mutex<HashMap<Repo, Vec<String>>>,
    pub(super) comments: Known,
}

impl GitHub {
    /// The address of github.com's API. Enterprise Server's is `https://<host>/api/v3`.
    pub const URL: &str = "https://api.github.com";

    /// The service at `url`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When `url`, whose setting is `AFK_TRACKER_URL`, is no address, or has a password in it.
    pub fn new(url: &str, token: Token) -> Result<Self> {
        let client = Client::new("GitHub", "AFK_TRACKER_URL", url, Some(token), Scheme::Bearer)?;
        Ok(Self {
            client: client.with(headers(), PACE),
            ready_label: crate::Config::default().ready_label,
            branch: None,
            required: Vec::new(),
            settle: SETTLE,
            login: OnceCell::new(),
            given: Mutex::default(),
            comments: Known::default(),
        })
    }

    /// The label that marks an issue that may be taken. Default: that of [`Config`](crate::Config).
    #[must_use]
    pub fn ready_label(mut self, label: impl Into<String>) -> Self {
        self.ready_label = label.into();
        self
    }

    /// The account's own login, for tokens that cannot ask for it: a GitHub App's, `<app>[bot]`. Default: it is
    /// asked for.
    #[must_use]
    pub fn login(mut self, login: impl Into<String>) -> Self {
        self.login = OnceCell::new_with(Some(login.into()));
        self
    }

    /// The branch that runs push to. Default: the repository's own default branch.
    #[must_use]
    pub fn branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = Some(branch.into());
        self
    }

    /// The checks and statuses that make a commit green, by name, with `*` for any text. Default: those that the
    /// branch's protection requires; with none of these, all that show up, when nothing new has come for half a
    /// minute.
    #[must_use]
    pub fn required<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.required = names.into_iter().map(Into::into).collect();
        self
    }

    /// The least time between two changes. Default: a second, as GitHub asks for; an Enterprise Server of one's own may
    /// be content with less.
    #[must_use]
    pub fn pace(mut self, time: Duration) -> Self {
        self.client = self.client.with(headers(), time);
        self
    }

    /// How long nothing new must have come before a commit is green of which nobody said what is required.
    /// Default: 30 seconds.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }
}

impl Forge for GitHub {
    const NAME: &'static str = "GitHub";

    async fn permission(&self, repo: &Repo, login: &str) -> Seen<Permission> {
        let looked = async {
            let path = format!("/repos/{repo}/collaborators/{}/permission", segment(login));
            let answer = self.client.send(&call(Call::get(path)).conditional()).await?;
            // No such account (any more), or nothing to do with the repository.
            if answer.status() == 404 {
                return Ok(Some(Permission::None));
            }
            let found: wire::Access = answer.ok()?.json()?;
            // Role names are free text; `permission` says triage as "read" and maintain as "write".
            Ok(Some(match found.permission.as_str() {
                "admin" => Permission::Admin,
                "write" | "maintain" => Permission::Write,
                "read" | "triage" => Permission::Read,
                "none" => Permission::None,
                other => {
                    let reason = format!("`{}` is a permission that is not known here", other.escape_debug());
                    return Err(Error::unavailable("GitHub", reason, None));
                }
            }))
        };
        let looked: Result<Option<Permission>> = looked.await;
        looked.into()
    }

    async fn own_login(&self) -> Result<&str> {
        let login = self.login.get_or_try_init(|| async {
            let answer = self.client.send(&call(Call::get("/user"))).await?;
            if answer.status() == 403 {
                let reason = "this token cannot ask for its own login; set AFK_TRACKER_LOGIN (an app's is `<app>[bot]`)";
                return Err(Error::unavailable("GitHub", reason, None));
            }
            Ok(answer.ok()?.json::<wire::User>()?.login)
        });
        login.await.map(String::as_str)
    }

    async fn is_open(&self, key: &IssueKey) -> Seen<bool> {
        let looked = async {
            let path = format!("/repos/{}/issues/{}", key.repo, key.number);
            let answer = self.client.send(&call(Call::get(path)).conditional()).await?;
            if matches!(answer.status(), 404 | 410) {
                return Ok(None);
            }
            Ok(Some(answer.ok()?.json::<wire::Issue>()?.state == "open"))
        };
        let looked: Result<Option<bool>> = looked.await;
        looked.into()
    }
}

fn headers() -> HeaderMap {
    let version = (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static(VERSION));
    [version].into_iter().collect()
}

/// A request with GitHub's own media type.
pub(super) fn call(call: Call) -> Call {
    call.header(header::ACCEPT, HeaderValue::from_static("application/vnd.github+json"))
}

/// That something is not there for this token: gone, or not to be seen.
pub(super) fn hidden(what: impl fmt::Display) -> Error {
    forge::hidden(GitHub::NAME, what)
}

impl fmt::Debug for GitHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHub").field("client", &self.client).finish_non_exhaustive()
    }
}
