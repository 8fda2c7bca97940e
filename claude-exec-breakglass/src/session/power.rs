//! What a session needs of the power verbs: to look by itself, and to know which of them a person commits.

use claude_exec::{Error, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::power::{Power, Verb};

/// The power verbs, as far as an agent may ask for them.
pub trait PowerLook: Send + Sync {
    /// All verbs.
    fn verbs(&self) -> &[&'static str];

    /// Whether a verb changes something, so that only a person may commit it.
    fn is_mutating(&self, verb: &str) -> bool;

    /// Runs a verb that only looks, and tells what was seen.
    ///
    /// # Errors
    ///
    /// When it could not look.
    fn look<'a>(&'a self, verb: &'a str, reason: &'a str, session: &'a str) -> BoxFuture<'a, Result<String>>;
}

const VERBS: [&str; 6] = {
    let mut names = [""; 6];
    let mut at = 0;
    while at < names.len() {
        names[at] = Verb::ALL[at].name();
        at += 1;
    }
    names
};

impl PowerLook for Power {
    fn verbs(&self) -> &[&'static str] {
        &VERBS
    }

    fn is_mutating(&self, verb: &str) -> bool {
        // What is not known is a matter for a person.
        verb.parse().map_or(true, Verb::is_mutating)
    }

    fn look<'a>(
        &'a self,
        verb: &'a str,
        _reason: &'a str,
        _session: &'a str,
    ) -> BoxFuture<'a, Result<String>> {
        async move {
            let reading = match verb.parse() {
                Ok(Verb::Status) => self.status().await,
                Ok(Verb::Forensics) => self.forensics().await,
                _ => return Err(Error::unsupported("only `status` and `forensics` look")),
            };
            match &reading.observed {
                Some(observed) => {
                    let observed = serde_json::to_string(observed).unwrap_or_default();
                    Ok(format!("observed: {observed}\n{}", reading.text))
                }
                None => Err(Error::failed("looking from the host", reading.verdict.detail)),
            }
        }
        .boxed()
    }
}
