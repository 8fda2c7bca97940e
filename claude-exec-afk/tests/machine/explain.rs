//! Ten refused issues, ten true reasons.

use claude_exec_afk::issue::{Blocker, IssueState, Permission};
use claude_exec_afk::policy::RepoView;
use claude_exec_afk::run::{Mode, Outcome, State, Verdict, Why};
use claude_exec_afk::{Seen, Usd};

use crate::policy::{Case, ready, view};
use crate::scene::{key, row};

#[test]
fn ten_refused_issues_have_ten_true_reasons() {
    let mut reasons = Vec::new();
    let mut why = |change: fn(&mut Case, &mut claude_exec_afk::issue::Issue), part: &str| {
        let (mut case, mut issue) = (Case::new(), ready(key("octo/site#7")));
        assert_eq!(case.gate(issue.clone()), None, "nothing holds it but what is changed now");
        change(&mut case, &mut issue);
        let reason = case.gate(issue).unwrap().to_string();
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
        reasons.push(reason);
    };
    why(|case, _| case.config.kill_switch = true, "AFK_KILL_SWITCH");
    why(|case, _| case.mode = Mode::Drain, "mode `drain`");
    why(|case, _| case.config.allowlist.clear(), "AFK_ALLOWLIST");
    why(|_, issue| issue.state = IssueState::ClosedByPerson, "closed");
    why(|_, issue| issue.labels.push("ready-for-human".into()), "person");
    why(
        |_, issue| {
            if let Seen::Known(labelling) = &mut issue.labelling {
                labelling.permission = Seen::Known(Permission::Read);
            }
        },
        "octocat, who put the ready label on, may not write",
    );
    why(|case, _| case.runs = vec![row(State::Ended(Outcome::Frozen(Why::NoFix)))], "pushed nothing new");
    why(
        |_, issue| {
            issue.blockers = Seen::Known(vec![Blocker { key: key("octo/api#3"), open: Seen::Known(true) }])
        },
        "octo/api#3",
    );
    why(
        |case, _| {
            let red = Seen::Known(Verdict::Red { failure: None, rerunnable: false });
            case.repos.insert("octo/site".parse().unwrap(), RepoView { trunk: red, ..view() });
        },
        "red",
    );
    why(
        |case, _| {
            let mut poor = view();
            poor.room.repo_day = Usd::ZERO;
            case.repos.insert("octo/site".parse().unwrap(), poor);
        },
        "AFK_BUDGET_REPO_DAY_USD",
    );
    why(|case, _| drop(case.failures.insert(key("octo/site#7"), (3, "panicked".into()))), "3 times in a row");
    for reason in &reasons {
        println!("{reason}");
    }
    let distinct: std::collections::BTreeSet<_> = reasons.iter().collect();
    assert_eq!(distinct.len(), reasons.len());
}
