//! A run in the middle of everything, and a world in which nothing is wrong.

use claude_exec_afk::issue::IssueState;
use claude_exec_afk::run::{
    Activity, CiRun, Claimed, Evidence, Head, Holder, IssueView, Mode, Observation, Room, Row, Session,
    State, Verdict,
};
use claude_exec_afk::{Config, Digest, Fence, IssueKey, Now, Seen, Sha, Usd};

pub(crate) const NOW: Now = Now::from_millis(1_000_000_000);

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.allowlist = ["octo/site".parse().unwrap()].into();
    config.kill_switch = false;
    config
}

pub(crate) fn sha(number: u8) -> Sha {
    format!("{number:040x}").parse().unwrap()
}

pub(crate) fn key(text: &str) -> IssueKey {
    text.parse().unwrap()
}

pub(crate) fn text() -> Digest {
    Digest::of("title", "body")
}

/// A run in `state`; where that is past the push, with one commit.
pub(crate) fn row(state: State) -> Row {
    let claimed = Claimed { title: "title".into(), labeller: "octocat".into(), text: text(), labelled: 5 };
    let mut row = Row::claimed("octo.site.7.afk.1".parse().unwrap(), key("octo/site#7"), claimed, NOW);
    row.state = state;
    if state != State::Claimed {
        row.fence = Some(Fence(1));
        row.starts = 1;
        row.turns = 1;
    }
    if !matches!(state, State::Claimed | State::Starting | State::Working) {
        row.pushed = Some(sha(1));
    }
    row
}

/// Nothing is wrong: the agent works, nothing was pushed but what the row knows of, CI is at it.
pub(crate) fn seen(row: &Row) -> Observation {
    Observation {
        mode: Mode::Run,
        pending: false,
        room: Room { repo_day: Usd::ONE, total: Usd::ONE },
        lock: Seen::Known(Holder { run: row.run.clone(), fence: Fence(1) }),
        issue: Seen::Known(IssueView {
            state: IssueState::Open,
            ready: true,
            marked: true,
            human: false,
            text: Seen::Known(text()),
            editor: Seen::Absent,
            labelled: Seen::Known(5),
        }),
        session: session(row.turns, Activity::Busy),
        head: row.pushed.clone().map_or(Seen::Absent, |sha| Seen::Known(Head::Pushed(sha))),
        ci: ci(row, Verdict::Pending),
        deploy: Seen::Absent,
    }
}

pub(crate) fn session(turns: u32, activity: Activity) -> Seen<Session> {
    Seen::Known(Session {
        turns,
        activity,
        quiet_seconds: 0,
        spent: Usd::ZERO,
        unpriced: 0,
        work: Seen::Known(Digest::of("work", &turns.to_string())),
        evidence: Evidence::default(),
    })
}

pub(crate) fn ci(row: &Row, verdict: Verdict) -> Seen<CiRun> {
    match &row.pushed {
        Some(sha) => Seen::Known(CiRun { sha: sha.clone(), attempt: 1, verdict }),
        None => Seen::Absent,
    }
}

pub(crate) fn red(failure: u8) -> Verdict {
    Verdict::Red { failure: Some(Digest::of("failure", &failure.to_string())), rerunnable: false }
}
