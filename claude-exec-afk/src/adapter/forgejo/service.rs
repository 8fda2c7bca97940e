//! The service, as one account sees it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::wire;
use crate::adapter::Token;
use crate::adapter::comment::Known;
use crate::adapter::forge::{self, Forge};
use crate::adapter::http::{Answer, Call, Client, Scheme, segment};
use crate::error::{Error, Result};
use crate::issue::Permission;
use crate::names::{IssueKey, Repo};
use crate::seen::Seen;

/// The most entries of a page that servers give by default, whatever is asked for (T2).
const PAGE: &str = "50";
/// The most pages of one list: ten thousand entries.
const PAGES: usize = 200;
/// How long nothing new must have come before a commit is green of which nobody said what is required.
const SETTLE: Duration = Duration::from_secs(30);

/// Forgejo or Gitea behind the ports [`Tracker`](crate::port::Tracker) and [`Ci`](crate::port::Ci).
///
/// One for an account and address; share it behind an [`Arc`](std::sync::Arc).
pub struct Forgejo {
    pub(super) client: Client,
    pub(super) ready_label: String,
    pub(super) branch: Option<String>,
    pub(super) required: Vec<String>,
    pub(super) settle: Duration,
    login: OnceCell<String>,
    /// Of each repository, a digest of the list that was given last.
    pub(super) given: Mutex<HashMap<Repo, [u8; 32]>>,
    pub(super) comments: Known,
}

/// How a list tells that there is more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paged {
    /// By `Link`, or by the count of all entries in `X-Total-Count`.
    Counted,
    /// Not at all: a timeline's count is that of the page, and entries that this account may not see are missing.
    UntilEmpty,
}

impl Forgejo {
    /// The service at `url`, such as `https://forge.example.org`, without the `/api/v1`. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// When `url`, whose setting is `AFK_TRACKER_URL`, is no address, or has a password in it.
    pub fn new(url: &str, token: Token) -> Result<Self> {
        let client = Client::new("Forgejo", "AFK_TRACKER_URL", url, Some(token), Scheme::Token)?;
        Ok(Self {
            client: client.with(HeaderMap::new(), Duration::ZERO),
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

    /// The account's own login, for tokens that may not ask for it. Default: it is asked for.
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

    /// The statuses that make a commit green, by context, with `*` for any text. Default: those that the branch's
    /// protection requires; with none of these, all that show up, when nothing new has come for half a minute.
    #[must_use]
    pub fn required<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.required = names.into_iter().map(Into::into).collect();
        self
    }

    /// How long nothing new must have come before a commit is green of which nobody said what is required.
    /// Default: 30 seconds.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// Every page of a list, unread: never ended by a short page (T2). An answer to the first page that is not 2xx
    /// is given back alone.
    pub(super) async fn pages(&self, call: Call, paged: Paged) -> Result<Vec<Answer>> {
        let (mut pages, mut read) = (Vec::new(), 0);
        loop {
            if pages.len() == PAGES {
                let reason = format!("a list has more than {PAGES} pages; it was not read whole");
                return Err(Error::unavailable(Self::NAME, reason, None));
            }
            let number = (pages.len() + 1).to_string();
            let page = self.client.send(&call.clone().query("page", number).query("limit", PAGE)).await?;
            if !page.is_success() {
                if pages.is_empty() {
                    return Ok(vec![page]);
                }
                return Err(page.unavailable());
            }
            let entries = entries(&page)?;
            read += entries;
            let total = page.header("x-total-count").and_then(|total| total.parse::<usize>().ok());
            let more = match paged {
                _ if page.has_next() => true,
                Paged::Counted => total.map_or(entries > 0, |total| entries > 0 && read < total),
                Paged::UntilEmpty => entries > 0,
            };
            let short = paged == Paged::Counted && !more && total.is_some_and(|total| read < total);
            if short {
                let reason = format!("a list of {} ended after {read}", total.unwrap_or_default());
                return Err(Error::unavailable(Self::NAME, reason, None));
            }
            pages.push(page);
            if !more {
                return Ok(pages);
            }
        }
    }

    pub(super) async fn one<T: DeserializeOwned>(
        &self,
        path: String,
        what: impl fmt::Display + Send,
    ) -> Result<T> {
        let answer = self.client.send(&api(Call::get(path))).await?;
        if answer.status() == 404 { Err(hidden(what)) } else { answer.ok()?.json() }
    }
}

/// How many entries a page has, without reading them.
fn entries(page: &Answer) -> Result<usize> {
    // Nothing to read, and the most frequent answer.
    if page.bytes().trim_ascii() == b"[]" {
        return Ok(0);
    }
    Ok(page.json::<Vec<serde::de::IgnoredAny>>()?.len())
}

impl Forge for Forgejo {
    const NAME: &'static str = "Forgejo";

    async fn permission(&self, repo: &Repo, login: &str) -> Seen<Permission> {
        let looked = async {
            let path = format!("/repos/{repo}/collaborators/{}/permission", segment(login));
            let answer = self.client.send(&api(Call::get(path))).await?;
            match answer.status() {
                // No such account (any more).
                404 => return Ok(Some(Permission::None)),
                // "Only admins can query all permissions": undetermined, which is not untrusted (T13).
                403 => {
                    let reason =
                        format!("only an administrator of {repo} may ask what {login} may do there (403)");
                    return Err(Error::unavailable(Self::NAME, reason, None));
                }
                _ => {}
            }
            let found: wire::Access = answer.ok()?.json()?;
            Ok(Some(match found.permission.as_str() {
                "owner" | "admin" => Permission::Admin,
                "write" => Permission::Write,
                "read" => Permission::Read,
                "none" | "" => Permission::None,
                other => {
                    let reason = format!("`{}` is a permission that is not known here", other.escape_debug());
                    return Err(Error::unavailable(Self::NAME, reason, None));
                }
            }))
        };
        let looked: Result<Option<Permission>> = looked.await;
        looked.into()
    }

    async fn own_login(&self) -> Result<&str> {
        let login = self.login.get_or_try_init(|| async {
            let answer = self.client.send(&api(Call::get("/user"))).await?;
            if answer.status() == 403 {
                let reason = "this token may not ask for its own login; give it the scope read:user, or set \
                              AFK_TRACKER_LOGIN";
                return Err(Error::unavailable(Self::NAME, reason, None));
            }
            Ok(answer.ok()?.json::<wire::User>()?.login)
        });
        login.await.map(String::as_str)
    }

    async fn is_open(&self, key: &IssueKey) -> Seen<bool> {
        let looked = async {
            let path = format!("/repos/{}/issues/{}", key.repo, key.number);
            let answer = self.client.send(&api(Call::get(path))).await?;
            if answer.status() == 404 {
                return Ok(None);
            }
            Ok(Some(answer.ok()?.json::<wire::Issue>()?.state == "open"))
        };
        let looked: Result<Option<bool>> = looked.await;
        looked.into()
    }
}

/// A request of the API, which has a place of its own below the address.
pub(super) fn api(call: Call) -> Call {
    call.below("/api/v1")
}

/// That something is not there for this token: gone, or not to be seen.
pub(super) fn hidden(what: impl fmt::Display) -> Error {
    forge::hidden(Forgejo::NAME, what)
}

impl fmt::Debug for Forgejo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forgejo").field("client", &self.client).finish_non_exhaustive()
    }
}
