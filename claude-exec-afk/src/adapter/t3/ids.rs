//! The ids that we choose: pure functions of the run, so that whoever asks again asks for the same.

use crate::names::{Repo, RunId};

/// Which command of a run.
///
/// The server remembers each command id for good: accepted once, it answers the same and does nothing; refused
/// once, it refuses for ever. So the turn, which must not be given twice, is named by its number alone; all else
/// checks itself by the state that it finds, and is named by the state that it answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make the project, on what was read at this sequence.
    Project(u64),
    /// Make the thread.
    Thread(u64),
    /// Give it the turn of this number.
    Turn(u32),
    /// Interrupt what runs.
    Interrupt(u64),
    /// Stop the session.
    Stop(u64),
    /// Put the thread away for good.
    Archive(u64),
    /// Take it out again, to stop what still lives in it.
    Unarchive(u64),
}

/// The thread of a run.
pub(super) fn thread(run: &RunId) -> String {
    format!("afk-{run}")
}

/// The message that is a run's turn of this number.
pub(super) fn message(run: &RunId, turn: u32) -> String {
    format!("afk-{run}-turn-{turn}")
}

/// Which turn of the run a message is; none, when it is somebody else's message.
pub(super) fn turn(run: &RunId, message: &str) -> Option<u32> {
    let number = message.strip_prefix("afk-")?.strip_prefix(run.as_str())?.strip_prefix("-turn-")?;
    number.parse().ok().filter(|number| message == self::message(run, *number))
}

/// The project of a repository.
pub(super) fn project(repo: &Repo) -> String {
    format!("afk-project:{repo}")
}

/// The project of threads that were made only to be put away: of runs that were stopped before they began.
pub(super) const NEVER_BEGUN: &str = "afk-project:never-begun";

/// The id of a deleted project is never given again, so there may have to be another.
pub(super) fn project_again(id: &str, generation: u32) -> String {
    if generation == 0 { id.to_owned() } else { format!("{id}:{generation}") }
}

/// The command id of a step.
pub(super) fn command(run: &RunId, step: Step) -> String {
    let (name, number) = match step {
        Step::Turn(number) => return format!("afk-{run}:turn-{number}"),
        Step::Project(sequence) => ("project", sequence),
        Step::Thread(sequence) => ("thread", sequence),
        Step::Interrupt(sequence) => ("interrupt", sequence),
        Step::Stop(sequence) => ("stop", sequence),
        Step::Archive(sequence) => ("archive", sequence),
        Step::Unarchive(sequence) => ("unarchive", sequence),
    };
    format!("afk-{run}:{name}@{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_named_by_its_run_and_number_alone() {
        let run: RunId = "octo.site.7.home.1".parse().unwrap();
        assert_eq!(command(&run, Step::Turn(2)), "afk-octo.site.7.home.1:turn-2");
        assert_eq!(command(&run, Step::Stop(812)), "afk-octo.site.7.home.1:stop@812");
        assert_eq!(turn(&run, &message(&run, 12)), Some(12));
        for other in ["afk-octo.site.7.home.11-turn-1", "afk-octo.site.7.home.1-turn-01", "m-1", "", "afk-"] {
            assert_eq!(turn(&run, other), None, "{other}");
        }
    }

    #[test]
    fn no_two_repositories_share_a_project() {
        let project = |repo: &str| project(&repo.parse().unwrap());
        assert_ne!(project("a.b/c"), project("a/b.c"));
        assert_ne!(project_again(&project("a/b"), 1), project("a/b"));
    }
}
