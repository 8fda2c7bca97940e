//! The one comment of each issue and marker that is kept up to date.

use std::collections::HashMap;
use std::sync::Mutex;

use serde::Deserialize;
use serde_json::json;

use super::forge::{Forge, gone};
use super::held::held;
use super::http::{Answer, Call};
use crate::error::Result;
use crate::names::IssueKey;

/// A comment as GitHub, Forgejo and Gitea say it.
#[derive(Debug, Deserialize)]
pub(super) struct Comment {
    id: u64,
    #[serde(default)]
    body: Option<String>,
    /// Nobody any more, when the account was deleted.
    #[serde(default)]
    user: Option<Author>,
}

#[derive(Debug, Deserialize)]
struct Author {
    login: String,
}

/// The comments that were found or written, by issue and marker, so that they need not be looked for each time.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<(IssueKey, String), u64>>);

/// A service whose issues have comments.
pub(super) trait Comments: Forge {
    /// What is known of them.
    fn known(&self) -> &Known;

    /// All comments of an issue.
    async fn all(&self, key: &IssueKey) -> Result<Vec<Comment>>;

    /// Sends a change.
    async fn change(&self, call: Call) -> Result<Answer>;
}

/// Writes the comment, or edits it where its text is another.
pub(super) async fn keep<C: Comments>(service: &C, key: &IssueKey, marker: &str, body: &str) -> Result<()> {
    let kept = (key.clone(), marker.to_owned());
    let known = || held(&service.known().0);
    let remembered = known().get(&kept).copied();
    let id = match remembered {
        Some(id) => Some(id),
        None => match first(service, key, marker).await? {
            Some(Comment { id, body: Some(text), .. }) if text == body => {
                known().insert(kept, id);
                return Ok(());
            }
            found => found.map(|comment| comment.id),
        },
    };
    let (issues, content) = (format!("/repos/{}/issues", key.repo), json!({ "body": body }));
    if let Some(id) = id {
        known().insert(kept.clone(), id);
        let answer = service.change(Call::patch(format!("{issues}/comments/{id}")).json(&content)?).await?;
        if answer.status() != 404 {
            return answer.ok().map(drop);
        }
        // Someone deleted it.
        known().remove(&kept);
    }
    let write = Call::post(format!("{issues}/{}/comments", key.number)).json(&content)?;
    let written: Comment = gone::<C>(service.change(write).await?, key)?.ok()?.json()?;
    known().insert(kept, written.id);
    Ok(())
}

/// The first comment of our own account with `marker` in it.
async fn first<C: Comments>(service: &C, key: &IssueKey, marker: &str) -> Result<Option<Comment>> {
    let own = service.own_login().await?;
    let ours = service.all(key).await?.into_iter().filter(|comment| {
        let by = comment.user.as_ref().is_some_and(|user| user.login.eq_ignore_ascii_case(own));
        by && comment.body.as_deref().is_some_and(|body| body.contains(marker))
    });
    // Ids increase: of two that were written at the same time, everyone takes the same one.
    Ok(ours.min_by_key(|comment| comment.id))
}
