//! The settings of the agent on T3.

use std::fmt;
use std::time::Duration;

use super::T3Agent;
use super::access::Access;
use super::command::{Model, RuntimeMode};
use super::server::Server;
use crate::config::Settings;
use crate::error::{Error, Result};

/// How often a thread is looked at while it is waited for.
const POLL: Duration = Duration::from_millis(500);

/// A T3 server, and what threads on it are made of. See [`take`](Self::take) for the names and defaults.
#[derive(Clone)]
pub struct T3Settings {
    pub(super) url: String,
    pub(super) access: Access,
    /// Where checkouts are on the T3 machine; `{}` stands for the repository as `owner__name`.
    pub(super) root: String,
    pub(super) model: Model,
    pub(super) runtime_mode: RuntimeMode,
    pub(super) poll: Duration,
}

impl T3Settings {
    /// Takes the settings that begin with `AFK_T3_`; none when `AFK_T3_URL` is not set.
    ///
    /// | setting | what it is | default |
    /// |---|---|---|
    /// | `AFK_T3_URL` | the root of the server | |
    /// | `AFK_T3_TOKEN` or `AFK_T3_TOKEN_FILE` | an issued token; the file is read again for every request | |
    /// | `AFK_T3_CREDENTIAL_FILE` | a pairing credential, to be exchanged for a token that goes into `AFK_T3_TOKEN_FILE` | |
    /// | `AFK_T3_ROOT` | where a repository's checkout is on the T3 machine; `{}` stands for `owner__name` | |
    /// | `AFK_T3_INSTANCE` | the provider instance there | `claudeAgent` |
    /// | `AFK_T3_MODEL` | the model there | `claude-sonnet-4-6` |
    /// | `AFK_T3_RUNTIME_MODE` | `full-access` or `auto-accept-edits`; an agent that asks ends its run | `full-access` |
    ///
    /// # Errors
    ///
    /// When one of them cannot be used, or one is missing.
    pub fn take(settings: &mut Settings) -> Result<Option<Self>> {
        let Some(url) = settings.text("AFK_T3_URL") else { return Ok(None) };
        let access = Access::take(settings)?;
        let unset = || {
            Error::invalid("AFK_T3_ROOT", "must be set: where checkouts are on the T3 machine, as /srv/{}")
        };
        let root = settings.text("AFK_T3_ROOT").ok_or_else(unset)?;
        let mut this = Self::new(&url, access, &root)?;
        if let Some(instance) = settings.text("AFK_T3_INSTANCE") {
            this.model.instance_id = instance;
        }
        if let Some(model) = settings.text("AFK_T3_MODEL") {
            this.model.model = model;
        }
        this.runtime_mode = match settings.text("AFK_T3_RUNTIME_MODE").as_deref() {
            None | Some("full-access") => RuntimeMode::FullAccess,
            Some("auto-accept-edits") => RuntimeMode::AutoAcceptEdits,
            Some(_) => {
                return Err(Error::invalid(
                    "AFK_T3_RUNTIME_MODE",
                    "must be full-access or auto-accept-edits",
                ));
            }
        };
        this.check()?;
        Ok(Some(this))
    }

    /// The server at `url`, with this token, for checkouts at `root`.
    ///
    /// # Errors
    ///
    /// As for [`take`](Self::take).
    pub fn with_token(url: &str, token: &str, root: &str) -> Result<Self> {
        let this = Self::new(url, Access::token(token.parse()?), root)?;
        this.check()?;
        Ok(this)
    }

    fn new(url: &str, access: Access, root: &str) -> Result<Self> {
        // The server cuts a slash at the end, and projects are found by their directory.
        let root = root.trim_end_matches('/');
        if !root.starts_with('/') {
            return Err(Error::invalid("AFK_T3_ROOT", "must be an absolute path on the T3 machine"));
        }
        let model = Model { instance_id: "claudeAgent".into(), model: "claude-sonnet-4-6".into() };
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self {
            url,
            access,
            root: root.to_owned(),
            model,
            runtime_mode: RuntimeMode::default(),
            poll: POLL,
        })
    }

    fn check(&self) -> Result<()> {
        let instance = &self.model.instance_id;
        let fits = instance.len() <= 64
            && instance.starts_with(|first: char| first.is_ascii_alphabetic())
            && instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !fits {
            return Err(Error::invalid("AFK_T3_INSTANCE", "must be a provider instance such as claudeAgent"));
        }
        Server::new(&self.url, self.access.clone()).map(drop)
    }

    /// Looks so often while it waits for a turn to end or a session to stop; 500 ms by default.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// The agent of this server.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn open(self) -> Result<T3Agent> {
        T3Agent::new(self)
    }

    /// Where the checkout of this name is.
    pub(super) fn root(&self, directory: &str) -> String {
        self.root.replace("{}", directory)
    }
}

/// Shows no credential, and of the address no more than it is.
impl fmt::Debug for T3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("T3Settings")
            .field("url", &self.url)
            .field("access", &self.access)
            .field("root", &self.root)
            .field("model", &self.model)
            .field("runtime_mode", &self.runtime_mode)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [(&str, &str); 3] =
        [("AFK_T3_URL", "http://t3:3773/"), ("AFK_T3_TOKEN", "hush.hush"), ("AFK_T3_ROOT", "/srv/{}/")];

    fn take(more: &[(&str, &str)]) -> Result<Option<T3Settings>> {
        let mut settings = Settings::new(SET.iter().chain(more).copied());
        let taken = T3Settings::take(&mut settings)?;
        settings.finish()?;
        Ok(taken)
    }

    #[test]
    fn what_is_set_is_what_is_used_and_no_secret_is_shown() {
        assert!(T3Settings::take(&mut Settings::new([("AFK_X", "1")])).unwrap().is_none());
        let settings = take(&[("AFK_T3_MODEL", "claude-opus-4-8")]).unwrap().unwrap();
        assert_eq!(settings.url, "http://t3:3773");
        assert_eq!(settings.root("octo__site"), "/srv/octo__site");
        assert_eq!(settings.model.model, "claude-opus-4-8");
        assert!(!format!("{settings:?} {:?}", settings.clone().open().unwrap()).contains("hush"));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_an_error_that_names_its_setting() {
        for (name, value) in [
            ("AFK_T3_ROOT", "srv/{}"),
            ("AFK_T3_INSTANCE", "claude agent"),
            ("AFK_T3_RUNTIME_MODE", "approval-required"),
            ("AFK_T3_URL", "t3:3773"),
            ("AFK_T3_URL", "http://user:hush@t3"),
            ("AFK_T3_TOKEN", "hush hush"),
            ("AFK_T3_CREDENTIAL_FILE", "/run/credential"),
        ] {
            let error = take(&[(name, value)]).unwrap_err();
            assert_eq!(error.field(), Some(name), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let mut none = Settings::new([("AFK_T3_URL", "http://t3")]);
        assert_eq!(T3Settings::take(&mut none).unwrap_err().field(), Some("AFK_T3_TOKEN"));
    }
}
