//! Which project a run's thread goes into.

use super::ids;
use super::wire::Project;

/// What to do for a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// This one is there.
    Use(String),
    /// None is there: make one with this id.
    Make(String),
}

/// The project for the directory `root`: ours, whose id is `id`, or else one that somebody has for the same directory,
/// since from 0.0.29 on there can be no second one. `projects` may hold the deleted ones.
pub(super) fn choose(projects: &[Project], id: &str, root: &str) -> Choice {
    let there = |project: &&Project| project.deleted_at.is_none() && project.workspace_root == root;
    let mut there: Vec<_> = projects.iter().filter(there).collect();
    there.sort_by_key(|project| !project.id.starts_with(id));
    if let Some(project) = there.first() {
        return Choice::Use(project.id.clone());
    }
    let free = |id: &String| projects.iter().all(|project| project.id != *id);
    // There are fewer projects than numbers, so one is free.
    let free = (0..).map(|generation| ids::project_again(id, generation)).find(free);
    Choice::Make(free.unwrap_or_else(|| id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(id: &str, root: &str, deleted: bool) -> Project {
        let deleted_at = deleted.then(|| "2026-11-24T09:00:00.000Z".into());
        Project { id: id.into(), workspace_root: root.into(), deleted_at }
    }

    #[test]
    fn a_project_is_found_by_its_directory_and_ids_are_never_used_twice() {
        let (id, root) = ("afk-project:octo/site", "/srv/octo__site");
        let ours = project("afk-project:octo/site", root, false);
        let theirs = project("p-1", root, false);
        let moved = project("afk-project:octo/site", "/elsewhere", false);
        let gone = project("afk-project:octo/site", root, true);
        let gone_too = project("afk-project:octo/site:1", root, true);
        for (projects, want) in [
            (vec![], Choice::Make("afk-project:octo/site".into())),
            (vec![theirs.clone(), ours], Choice::Use("afk-project:octo/site".into())),
            (vec![theirs.clone(), gone.clone()], Choice::Use("p-1".into())),
            (vec![moved], Choice::Make("afk-project:octo/site:1".into())),
            (vec![gone, gone_too], Choice::Make("afk-project:octo/site:2".into())),
            (vec![project("p-2", "/srv", false)], Choice::Make("afk-project:octo/site".into())),
        ] {
            assert_eq!(choose(&projects, id, root), want, "{projects:?}");
        }
    }
}
