//! The dispatch policy.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Gate;
use super::trust::trust;
use crate::config::Config;
use crate::issue::{Issue, Labelling};
use crate::names::{Digest, IssueKey, Repo, RunId};
use crate::run::{Claimed, Holder, Mode, Room, Row, Verdict};
use crate::seen::Seen;

/// Everything that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// What the operator allows.
    pub mode: Mode,
    /// The issues that were read, in any order; a repository whose list could not be read whole has none here.
    pub issues: &'a [Issue],
    /// The runs that the ledger knows: every busy one, and of each issue the last one. In any order.
    pub runs: &'a [Row],
    /// What is known of the repositories; one that is missing is unknown.
    pub repos: &'a BTreeMap<Repo, RepoView>,
    /// Issues that made the loop fail: how often in a row, and how.
    pub failures: &'a BTreeMap<IssueKey, (u32, String)>,
}

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepoView {
    /// What CI says about the branch that runs push to; absent when there is no CI on its tip.
    pub trunk: Seen<Verdict>,
    /// What the budgets leave.
    pub room: Room,
    /// Who holds its lock: nobody, a run of this ledger, or someone else.
    pub holder: Seen<Holder>,
}

/// What to start, and why nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The issues to claim: at most one of each repository, the most urgent first.
    pub claims: Vec<Claim>,
    /// All others, each with the first gate that holds it, in order of their keys.
    pub held: Vec<Held>,
}

/// An issue to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which one.
    pub key: IssueKey,
    /// Its urgency; the least number goes first.
    pub priority: u32,
    /// What is true of it.
    pub claimed: Claimed,
}

/// An issue that is not to be claimed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub key: IssueKey,
    /// What holds it.
    pub gate: Gate,
}

/// Decides which issues to claim. Pure and total; the order of what it is given does not matter, nor do
/// repetitions.
///
/// 1. Every gate that an issue must pass by itself is tried, in the order of [`Gate`]; what is unknown holds.
/// 2. Of each repository without a busy run, the most urgent issue that passed goes first: by `priority:N`
///    label, then by number. One that is held does not use up the place.
/// 3. Of those, as many are claimed as there are places.
pub fn plan(world: &World<'_>, config: &Config) -> Plan {
    let runs = Runs::new(world.runs);
    let readings = readings(world.issues);
    let circles = Circles { readings: &readings, by_key: OnceCell::new() };
    let mut plan = Plan::default();
    for (repo, readings) in &readings {
        let place = Place::new(repo, world, config, &runs);
        let (from, mut passed) = (plan.held.len(), Vec::new());
        for (issue, contradictory) in readings {
            let gates = if *contradictory {
                Err(Gate::Contradiction)
            } else {
                pass(issue, &place, world, config, &runs, &circles)
            };
            match gates {
                Ok((labelling, text)) => passed.push((issue.priority(), *issue, labelling, text)),
                Err(gate) => plan.held.push(Held { key: issue.key.clone(), gate }),
            }
        }
        let first = passed.iter().min_by_key(|(priority, issue, ..)| (*priority, issue.key.number));
        let Some(&(priority, first, labelling, text)) = first else { continue };
        let behind = passed.iter().filter(|(_, issue, ..)| issue.key != first.key);
        plan.held.extend(
            behind
                .map(|(_, issue, ..)| Held { key: issue.key.clone(), gate: Gate::Behind(first.key.clone()) }),
        );
        plan.held[from..].sort_by_key(|held| held.key.number);
        let claimed = Claimed {
            title: Arc::from(first.title.as_str()),
            labeller: Arc::from(labelling.actor.as_str()),
            text: text.clone(),
            labelled: labelling.at,
        };
        plan.claims.push(Claim { key: first.key.clone(), priority, claimed });
    }
    plan.claims.sort_by(|a, b| urgency(a).cmp(&urgency(b)));
    let places = (config.max_running as usize).saturating_sub(runs.busy.len());
    for claim in plan.claims.split_off(places.min(plan.claims.len())) {
        plan.held.push(Held { key: claim.key, gate: Gate::Full(config.max_running) });
    }
    plan.held.sort_by(|a, b| a.key.cmp(&b.key));
    plan
}

fn urgency(claim: &Claim) -> (u32, u64, &Repo) {
    (claim.priority, claim.key.number, &claim.key.repo)
}

/// What holds for all issues of a repository, found out once.
struct Place<'a> {
    allowed: bool,
    busy: Option<&'a Row>,
    view: Option<&'a RepoView>,
}

impl<'a> Place<'a> {
    fn new(repo: &Repo, world: &World<'a>, config: &Config, runs: &Runs<'a>) -> Self {
        let (allowed, busy) = (config.allowlist.contains(repo), runs.busy.get(repo).copied());
        Self { allowed, busy, view: world.repos.get(repo) }
    }
}

/// The gates that an issue must pass by itself.
fn pass<'a>(
    issue: &'a Issue,
    place: &Place<'_>,
    world: &World<'_>,
    config: &Config,
    runs: &Runs<'_>,
    circles: &Circles<'_>,
) -> Result<(&'a Labelling, &'a Digest), Gate> {
    let key = &issue.key;
    if config.kill_switch {
        return Err(Gate::KillSwitch);
    }
    if !world.mode.may_start() {
        return Err(Gate::Mode(world.mode));
    }
    if !place.allowed {
        return Err(Gate::NotAllowed);
    }
    if !issue.is_open() {
        return Err(Gate::Closed);
    }
    // An escalated issue has lost its ready label too; what it waits for is the better answer.
    if issue.has(&config.human_label) {
        return Err(Gate::WaitsForPerson);
    }
    if !issue.has(&config.ready_label) {
        return Err(Gate::NotReady);
    }
    if let Some((failures, error)) = world.failures.get(key)
        && *failures >= config.attempts.poison
    {
        return Err(Gate::Quarantined { failures: *failures, error: error.clone() });
    }
    if let Some(row) = place.busy.filter(|row| row.issue == *key) {
        return Err(Gate::Running(row.run.clone()));
    }
    let (labelling, text) = trust(issue)?;
    if let Some(row) = runs.last.get(key)
        && let Some(outcome) = row.state.outcome()
        && !outcome.may_start_again()
        && labelling.at <= row.labelled
    {
        return Err(Gate::Judged(outcome));
    }
    match &issue.blockers {
        Seen::Absent => {}
        Seen::Unknown(reason) => return Err(Gate::BlockersUnknown(reason.clone())),
        Seen::Known(blockers) => {
            let open = blockers.iter().filter(|blocker| blocker.open.known() != Some(&false));
            if let Some(blocker) = open.map(|blocker| &blocker.key).min() {
                return Err(match circles.through(key) {
                    Some(other) => Gate::BlockedInCircle(other),
                    None => Gate::BlockedBy(blocker.clone()),
                });
            }
        }
    }
    let unread = || Gate::TrunkUnknown("not read".into());
    let view = place.view.ok_or_else(unread)?;
    match &view.trunk {
        Seen::Unknown(reason) => return Err(Gate::TrunkUnknown(reason.clone())),
        Seen::Known(Verdict::Red { .. }) => return Err(Gate::TrunkRed),
        Seen::Known(_) | Seen::Absent => {}
    }
    if view.room.total == crate::Usd::ZERO {
        return Err(Gate::TotalBudget);
    }
    if view.room.repo_day == crate::Usd::ZERO {
        return Err(Gate::DayBudget);
    }
    if let Some(row) = place.busy {
        return Err(Gate::RepoBusy(row.run.clone()));
    }
    match &view.holder {
        Seen::Absent => {}
        // Left behind by a run that is over: whoever claims takes it over.
        Seen::Known(holder) if runs.over.contains(&holder.run) => {}
        Seen::Known(holder) => return Err(Gate::LockedBy(holder.run.clone())),
        Seen::Unknown(reason) => return Err(Gate::LockUnknown(reason.clone())),
    }
    Ok((labelling, text))
}

/// The issues of each repository in order of their numbers, each once, the newest reading of it; and whether two
/// readings of it differ at the same time.
type Readings<'a> = BTreeMap<&'a Repo, Vec<(&'a Issue, bool)>>;

fn readings(issues: &[Issue]) -> Readings<'_> {
    // By repository first: numbers compare much faster than names.
    let mut found: HashMap<&Repo, Vec<(&Issue, bool)>> = HashMap::new();
    for issue in issues {
        found.entry(&issue.key.repo).or_default().push((issue, false));
    }
    for readings in found.values_mut() {
        readings.sort_by_key(|(issue, _)| (issue.key.number, Reverse(issue.updated)));
        readings.dedup_by(|(next, _), (kept, contradictory)| {
            let same = next.key.number == kept.key.number;
            *contradictory |= same && next.updated == kept.updated && next != kept;
            same
        });
    }
    found.into_iter().collect()
}

/// The runs, by what they are asked for.
struct Runs<'a> {
    busy: HashMap<&'a Repo, &'a Row>,
    last: HashMap<&'a IssueKey, &'a Row>,
    over: HashSet<&'a RunId>,
}

impl<'a> Runs<'a> {
    fn new(rows: &'a [Row]) -> Self {
        let mut runs = Self { busy: HashMap::new(), last: HashMap::new(), over: HashSet::new() };
        for row in rows {
            if row.state.is_busy() {
                runs.busy.insert(&row.issue.repo, row);
            } else {
                runs.over.insert(&row.run);
            }
            let last = runs.last.entry(&row.issue).or_insert(row);
            if (row.claimed, &row.run) > (last.claimed, &last.run) {
                *last = row;
            }
        }
        runs
    }
}

/// Who blocks whom, as far as it was read.
struct Circles<'a> {
    readings: &'a Readings<'a>,
    by_key: OnceCell<HashMap<&'a IssueKey, &'a Issue>>,
}

impl Circles<'_> {
    /// An issue that blocks `key`, directly, and is itself blocked by it, over however many others.
    fn through(&self, key: &IssueKey) -> Option<IssueKey> {
        self.blockers(key).find(|first| self.reaches(first, key)).cloned()
    }

    fn reaches(&self, from: &IssueKey, to: &IssueKey) -> bool {
        let (mut seen, mut open) = (HashSet::new(), vec![from]);
        while let Some(key) = open.pop() {
            if key == to {
                return true;
            }
            if seen.insert(key) {
                open.extend(self.blockers(key));
            }
        }
        false
    }

    fn blockers<'b>(&'b self, key: &IssueKey) -> impl Iterator<Item = &'b IssueKey> {
        // Most plans hold no issue that is blocked, and need no such map.
        let by_key = self.by_key.get_or_init(|| {
            self.readings.values().flatten().map(|(issue, _)| (&issue.key, *issue)).collect()
        });
        let blockers = by_key.get(key).and_then(|issue| issue.blockers.known());
        let open = |blocker: &&crate::issue::Blocker| blocker.open.known() != Some(&false);
        blockers.into_iter().flatten().filter(open).map(|blocker| &blocker.key)
    }
}
