//! The dispatch policy.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Gate;
use super::trust::trust;
use crate::config::Config;
use crate::issue::Issue;
use crate::names::{IssueKey, Repo, RunId};
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
    let (issues, contradictory) = distinct(world.issues);
    let circles = Circles(&issues);
    let mut plan = Plan::default();
    let mut first: BTreeMap<&Repo, Claim> = BTreeMap::new();
    let mut behind_others = Vec::new();
    for (key, issue) in &issues {
        let passed = if contradictory.contains(key) {
            Err(Gate::Contradiction)
        } else {
            pass(issue, world, config, &runs, &circles)
        };
        let claim = match passed {
            Ok(claimed) => Claim { key: (*key).clone(), priority: issue.priority(), claimed },
            Err(gate) => {
                plan.held.push(Held { key: (*key).clone(), gate });
                continue;
            }
        };
        match first.entry(&key.repo) {
            Entry::Vacant(place) => {
                place.insert(claim);
            }
            Entry::Occupied(mut place) => {
                let behind =
                    if urgency(&claim) < urgency(place.get()) { place.insert(claim).key } else { claim.key };
                behind_others.push(behind);
            }
        }
    }
    for key in behind_others {
        let ahead = first.get(&key.repo).map_or_else(|| key.clone(), |claim| claim.key.clone());
        plan.held.push(Held { key, gate: Gate::Behind(ahead) });
    }
    plan.claims = first.into_values().collect();
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

/// The gates that an issue must pass by itself.
fn pass(
    issue: &Issue,
    world: &World<'_>,
    config: &Config,
    runs: &Runs<'_>,
    circles: &Circles<'_>,
) -> Result<Claimed, Gate> {
    let key = &issue.key;
    if config.kill_switch {
        return Err(Gate::KillSwitch);
    }
    if !world.mode.may_start() {
        return Err(Gate::Mode(world.mode));
    }
    if !config.allowlist.contains(&key.repo) {
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
    let busy = runs.busy.get(&key.repo);
    if let Some(row) = busy.filter(|row| row.issue == *key) {
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
    let view = world.repos.get(&key.repo).ok_or_else(unread)?;
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
    if let Some(row) = busy {
        return Err(Gate::RepoBusy(row.run.clone()));
    }
    match &view.holder {
        Seen::Absent => {}
        // Left behind by a run that is over: whoever claims takes it over.
        Seen::Known(holder) if runs.over.contains(&holder.run) => {}
        Seen::Known(holder) => return Err(Gate::LockedBy(holder.run.clone())),
        Seen::Unknown(reason) => return Err(Gate::LockUnknown(reason.clone())),
    }
    Ok(Claimed {
        title: Arc::from(issue.title.as_str()),
        labeller: Arc::from(labelling.actor.as_str()),
        text: text.clone(),
        labelled: labelling.at,
    })
}

/// The issues by key, each once, the newest reading of it; and those of which two differ at the same time.
fn distinct(issues: &[Issue]) -> (BTreeMap<&IssueKey, &Issue>, HashSet<&IssueKey>) {
    let mut found: BTreeMap<&IssueKey, &Issue> = BTreeMap::new();
    let mut contradictory = HashSet::new();
    for issue in issues {
        match found.entry(&issue.key) {
            Entry::Vacant(place) => {
                place.insert(issue);
            }
            Entry::Occupied(mut place) => {
                let known = *place.get();
                if issue.updated > known.updated {
                    contradictory.remove(&issue.key);
                    place.insert(issue);
                } else if issue.updated == known.updated && issue != known {
                    contradictory.insert(&issue.key);
                }
            }
        }
    }
    (found, contradictory)
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
struct Circles<'a>(&'a BTreeMap<&'a IssueKey, &'a Issue>);

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
        let blockers = self.0.get(key).and_then(|issue| issue.blockers.known());
        let open = |blocker: &&crate::issue::Blocker| blocker.open.known() != Some(&false);
        blockers.into_iter().flatten().filter(open).map(|blocker| &blocker.key)
    }
}
