//! The policy: what is claimed, and the gate that holds everything else.

use std::collections::BTreeMap;

use claude_exec_afk::issue::{Blocker, Issue, IssueState, Labelling, Permission};
use claude_exec_afk::policy::{Gate, Plan, RepoView, World, plan};
use claude_exec_afk::run::{Holder, Mode, Outcome, Room, Row, State, Verdict, Why};
use claude_exec_afk::{Config, Digest, Fence, IssueKey, Repo, Seen, Usd};
use proptest::prelude::*;

use crate::scene::{config, key, row, text};

/// A ready issue that nothing holds.
pub(crate) fn ready(key: IssueKey) -> Issue {
    Issue {
        key,
        title: "title".into(),
        state: IssueState::Open,
        labels: vec!["ready-for-agent".into()],
        text: Seen::Known(text()),
        editor: Seen::Absent,
        labelling: Seen::Known(Labelling {
            actor: "octocat".into(),
            at: 5,
            permission: Seen::Known(Permission::Write),
            text: Seen::Known(text()),
        }),
        blockers: Seen::Known(vec![]),
        updated: 1,
    }
}

pub(crate) fn view() -> RepoView {
    RepoView {
        trunk: Seen::Known(Verdict::Green),
        room: Room { repo_day: Usd::ONE, total: Usd::ONE },
        holder: Seen::Absent,
    }
}

pub(crate) struct Case {
    pub(crate) mode: Mode,
    pub(crate) config: Config,
    pub(crate) runs: Vec<Row>,
    pub(crate) repos: BTreeMap<Repo, RepoView>,
    pub(crate) failures: BTreeMap<IssueKey, (u32, String)>,
}

impl Case {
    pub(crate) fn new() -> Self {
        let mut config = config();
        config.allowlist = ["octo/site", "octo/api"].map(|repo| repo.parse().unwrap()).into();
        let repos = config.allowlist.iter().map(|repo| (repo.clone(), view())).collect();
        Self { mode: Mode::Run, config, runs: vec![], repos, failures: BTreeMap::new() }
    }

    pub(crate) fn plan(&self, issues: &[Issue]) -> Plan {
        let (mode, runs, repos, failures) = (self.mode, &self.runs[..], &self.repos, &self.failures);
        plan(&World { mode, issues, runs, repos, failures }, &self.config)
    }

    pub(crate) fn gate(&self, issue: Issue) -> Option<Gate> {
        self.plan(&[issue]).held.pop().map(|held| held.gate)
    }
}

fn claims(plan: &Plan) -> Vec<String> {
    plan.claims.iter().map(|claim| claim.key.to_string()).collect()
}

fn issue(change: impl FnOnce(&mut Issue)) -> Issue {
    let mut issue = ready(key("octo/site#7"));
    change(&mut issue);
    issue
}

fn by(permission: Seen<Permission>) -> Issue {
    issue(|issue| {
        if let Seen::Known(labelling) = &mut issue.labelling {
            labelling.permission = permission;
        }
    })
}

#[test]
fn c09_b05_t05_t06_t13_f18_the_labeller_must_be_able_to_write() {
    let case = Case::new();
    assert_eq!(case.gate(by(Seen::Known(Permission::Admin))), None);
    assert_eq!(case.gate(by(Seen::Known(Permission::Write))), None);
    for permission in [Permission::Read, Permission::None] {
        let untrusted = Gate::Untrusted { actor: "octocat".into(), permission };
        assert_eq!(case.gate(by(Seen::Known(permission))), Some(untrusted));
    }
    // Not to know is not "untrusted", and refuses too.
    let unknown = Gate::PermissionUnknown { actor: "octocat".into(), reason: "403".into() };
    assert_eq!(case.gate(by(Seen::unknown("403"))), Some(unknown));
    let unread = issue(|issue| issue.labelling = Seen::unknown("timeout"));
    assert_eq!(case.gate(unread), Some(Gate::LabellerUnknown("timeout".into())));
}

#[test]
fn c11_b06_f26_blockers_hold_while_they_are_open() {
    let case = Case::new();
    let blocked = |open: Seen<bool>| {
        issue(|issue| issue.blockers = Seen::Known(vec![Blocker { key: key("octo/api#5"), open }]))
    };
    assert_eq!(case.gate(blocked(Seen::Known(false))), None, "closed");
    let held = Some(Gate::BlockedBy(key("octo/api#5")));
    assert_eq!(case.gate(blocked(Seen::Known(true))), held, "open, or open again");
    assert_eq!(case.gate(blocked(Seen::unknown("404"))), held);
    assert_eq!(case.gate(blocked(Seen::Absent)), held, "it may be one that we cannot see");
    let unread = issue(|issue| issue.blockers = Seen::unknown("timeout"));
    assert_eq!(case.gate(unread), Some(Gate::BlockersUnknown("timeout".into())));
    // Each waits for the other.
    let circle = |this: &str, other: &str| {
        let mut issue = ready(key(this));
        issue.blockers = Seen::Known(vec![Blocker { key: key(other), open: Seen::Known(true) }]);
        issue
    };
    let plan = case.plan(&[circle("octo/site#7", "octo/site#8"), circle("octo/site#8", "octo/site#7")]);
    let gates: Vec<_> = plan.held.into_iter().map(|held| held.gate).collect();
    let in_circle = |text| Gate::BlockedInCircle(key(text));
    assert_eq!(gates, [in_circle("octo/site#8"), in_circle("octo/site#7")]);
}

#[test]
fn c12_b02_p5_what_was_judged_waits_for_a_newer_label() {
    let mut case = Case::new();
    for (outcome, free) in [
        (Outcome::Escalated(Why::NoPush), false),
        (Outcome::Frozen(Why::NoFix), false),
        (Outcome::Done, false),
        (Outcome::Cancelled(Why::HandedOver), false),
        (Outcome::Cancelled(Why::Halted), true),
        (Outcome::Cancelled(Why::LostRace), true),
    ] {
        case.runs = vec![row(State::Ended(outcome))];
        let gate = case.gate(issue(|_| {}));
        assert_eq!(gate, (!free).then_some(Gate::Judged(outcome)), "{outcome}");
        let newer = issue(|issue| {
            if let Seen::Known(labelling) = &mut issue.labelling {
                labelling.at = 6;
            }
        });
        assert_eq!(case.gate(newer), None, "{outcome}");
    }
    let human = issue(|issue| issue.labels.push("ready-for-human".into()));
    assert_eq!(case.gate(human), Some(Gate::WaitsForPerson));
}

#[test]
fn c22_the_most_urgent_first_and_the_unlabelled_last() {
    let case = Case::new();
    let with = |number: u64, labels: &[&str]| {
        let mut issue = ready(IssueKey::new("octo/site".parse().unwrap(), number));
        issue.labels.extend(labels.iter().map(|label| (*label).to_owned()));
        issue
    };
    let issues = [
        with(1, &[]),
        with(2, &["priority:2"]),
        with(3, &["priority:1"]),
        with(4, &["priority:1", "priority:9"]),
    ];
    let plan = case.plan(&issues);
    assert_eq!(claims(&plan), ["octo/site#3"]);
    assert!(plan.held.iter().all(|held| held.gate == Gate::Behind(key("octo/site#3"))), "{:?}", plan.held);
    // An ineligible more urgent one does not use up the place.
    let mut held = with(5, &["priority:0"]);
    held.state = IssueState::ClosedByPerson;
    assert_eq!(claims(&case.plan(&[with(2, &["priority:2"]), held])), ["octo/site#2"]);
}

#[test]
fn one_run_in_a_repository_and_so_many_in_all() {
    let mut case = Case::new();
    let issues = [ready(key("octo/site#8")), ready(key("octo/api#1")), ready(key("octo/api#2"))];
    assert_eq!(claims(&case.plan(&issues)), ["octo/api#1", "octo/site#8"]);
    case.runs = vec![row(State::Working)];
    let plan = case.plan(&issues);
    assert_eq!(claims(&plan), ["octo/api#1"]);
    assert_eq!(plan.held[1].gate, Gate::RepoBusy("octo.site.7.afk.1".parse().unwrap()));
    case.config.max_running = 1;
    assert_eq!(claims(&case.plan(&issues)), Vec::<String>::new());
    assert_eq!(case.gate(ready(key("octo/api#1"))), Some(Gate::Full(1)));
}

#[test]
fn what_one_repository_reads_twice_and_differently_is_not_believed() {
    let case = Case::new();
    let other = issue(|issue| issue.labels.push("x".into()));
    let plan = case.plan(&[issue(|_| {}), other]);
    assert_eq!((plan.claims.len(), &plan.held[0].gate), (0, &Gate::Contradiction));
    let newer = issue(|issue| {
        issue.updated = 2;
        issue.state = IssueState::ClosedByPerson;
    });
    assert_eq!(case.plan(&[issue(|_| {}), newer]).held[0].gate, Gate::Closed);
}

#[test]
fn f17_the_text_must_be_the_one_that_was_labelled() {
    let case = Case::new();
    let edited = |editor| {
        issue(|issue| {
            issue.text = Seen::Known(Digest::of("title", "other"));
            issue.editor = editor;
        })
    };
    assert_eq!(case.gate(edited(Seen::Known(Permission::Read))), Some(Gate::Edited));
    assert_eq!(case.gate(edited(Seen::unknown("403"))), Some(Gate::Edited));
    assert_eq!(case.gate(edited(Seen::Known(Permission::Write))), None);
}

proptest! {
    /// P14.
    #[test]
    fn p14_the_order_repetitions_and_pages_do_not_matter(
        numbers in prop::collection::vec((0..2_usize, 1..6_u64, 0..4_u32, any::<bool>()), 0..12),
        seed in any::<u64>(),
    ) {
        let case = Case::new();
        let repos = ["octo/site", "octo/api"];
        let mut issues: Vec<Issue> = numbers
            .iter()
            .map(|(repo, number, priority, open)| {
                let mut issue = ready(key(&format!("{}#{number}", repos[*repo])));
                issue.labels.push(format!("priority:{priority}"));
                if !open {
                    issue.state = IssueState::ClosedByPerson;
                }
                issue
            })
            .collect();
        let first = case.plan(&issues);
        issues.extend(issues.clone());
        let mut order = seed;
        issues.sort_by_cached_key(|_| {
            order = order.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            order
        });
        prop_assert_eq!(case.plan(&issues), first);
    }
}

#[test]
fn a_lock_that_a_run_of_ours_left_behind_is_free_and_any_other_is_not() {
    let mut case = Case::new();
    let holder = |run: &str| Seen::Known(Holder { run: run.parse().unwrap(), fence: Fence(1) });
    case.repos.insert("octo/site".parse().unwrap(), RepoView { holder: holder("theirs"), ..view() });
    assert_eq!(case.gate(issue(|_| {})), Some(Gate::LockedBy("theirs".parse().unwrap())));
    let ended = row(State::Ended(Outcome::Cancelled(Why::LostRace)));
    case.repos
        .insert("octo/site".parse().unwrap(), RepoView { holder: holder(ended.run.as_str()), ..view() });
    case.runs = vec![ended];
    assert_eq!(case.gate(issue(|_| {})), None);
}
