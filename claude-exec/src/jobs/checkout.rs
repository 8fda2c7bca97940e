//! One clone of the base with the remote's default branch checked out, step by step.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::base::{Base, LOCAL_LIMIT};
use super::cancel::Cancelled;
use super::git::{Git, quiet, refused};
use crate::error::{Error, Result};
use crate::executor::Command;

/// Copying all objects of a large repository from a slow disk.
const CLONE_LIMIT: Duration = Duration::from_secs(300);
/// Writing all files of one commit.
const CHECKOUT_LIMIT: Duration = Duration::from_secs(120);
/// Decrypting the files that are encrypted: it checks them out again.
const UNLOCK_LIMIT: Duration = Duration::from_secs(120);

/// How to make a clone.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    /// Link objects to the base's instead of copying them.
    pub(super) hardlinks: bool,
    /// The git-crypt program and its key file.
    pub(super) unlock: Option<(OsString, PathBuf)>,
}

/// Clones `base` into the empty directory `tree`; the branch that is checked out, for a base with an origin.
pub(super) async fn clone(
    git: &Git,
    base: &Base,
    recipe: &Recipe,
    tree: &Path,
    cancelled: &Cancelled,
) -> Result<Option<String>> {
    let origin = base.origin(cancelled).await?;
    let branch = match &origin {
        Some(_) => Some(base.default_branch(cancelled).await?),
        None => None,
    };
    let links = if recipe.hardlinks { "--local" } else { "--no-hardlinks" };
    // No templates: they are where hooks would come from. The user's own remote name does not count.
    let args =
        ["clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template=", "--origin=origin"];
    let args = args.into_iter().chain([links, "--"]).map(OsString::from);
    let command = git.command(tree, args.chain([base.path.clone().into(), tree.as_os_str().to_owned()]));
    git.run("git clone", command, CLONE_LIMIT, cancelled).await?;

    match (&origin, &branch) {
        (Some(origin), Some(branch)) => point_at(git, tree, origin, branch, cancelled).await?,
        _ => {
            let command = git.command(tree, ["checkout", "--quiet"]);
            git.run("git checkout", command, CHECKOUT_LIMIT, cancelled).await?;
        }
    }
    if let Some((program, key)) = &recipe.unlock {
        unlock(git, tree, program, key, cancelled).await?;
    }
    Ok(branch)
}

/// Gives the clone the base's view of the remote, and its address, and checks the branch out.
///
/// A clone of the base takes the base's own branches for the remote's; those may be old.
async fn point_at(git: &Git, tree: &Path, origin: &str, branch: &str, cancelled: &Cancelled) -> Result<()> {
    let remote = format!("refs/remotes/origin/{branch}");
    let refs = ["+refs/remotes/origin/*:refs/remotes/origin/*", "^refs/remotes/origin/HEAD"];
    let steps: [(&'static str, Vec<&str>, Duration); 5] = [
        // HEAD of the remote may name a branch that the next step prunes.
        ("git remote set-head", vec!["remote", "set-head", "origin", "--delete"], LOCAL_LIMIT),
        (
            "git fetch from the base",
            ["fetch", "--quiet", "--prune", "--no-tags", "--no-auto-maintenance", "origin"]
                .into_iter()
                .chain(refs)
                .collect(),
            CLONE_LIMIT,
        ),
        ("git symbolic-ref", vec!["symbolic-ref", "refs/remotes/origin/HEAD", &remote], LOCAL_LIMIT),
        ("git config", vec!["config", "--replace-all", "remote.origin.url", origin], LOCAL_LIMIT),
        ("git checkout", vec!["checkout", "--quiet", "-B", branch, "--track", &remote], CHECKOUT_LIMIT),
    ];
    for (step, args, limit) in steps {
        let output = git.ask(step, git.command(tree, args), limit, cancelled).await?;
        // A base with a detached HEAD gives the clone no remote HEAD to delete.
        if !output.success() && step != "git remote set-head" {
            return Err(refused(step, &output));
        }
    }
    Ok(())
}

async fn unlock(git: &Git, tree: &Path, program: &OsString, key: &Path, cancelled: &Cancelled) -> Result<()> {
    match tokio::fs::metadata(key).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            tracing::debug!(key = %key.display(), "no git-crypt key, so the checkout stays as it is");
            return Ok(());
        }
        Err(error) => return Err(Error::io("reading the git-crypt key", error)),
    }
    let command = quiet(Command::new(program).cwd(tree)).arg("unlock").arg(key);
    git.run("git-crypt unlock", command, UNLOCK_LIMIT, cancelled).await.map(drop)
}
