//! The original's order of effects, from its description: start, then label; decide anew at every tick; keep the
//! ready label. It has to fail, or the checker sees nothing.

use stateright::{Checker, Model, Property};

/// The original loop, two overlapping ticks, one repository with two issues.
struct Original;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    issues: [Issue; 2],
    runs: Vec<Run>,
    ticks: [Tick; 2],
    killed: bool,
    crashes: u8,
    kills: u8,
    broken: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Issue {
    open: bool,
    ready: bool,
    busy: bool,
    escalated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    issue: usize,
    /// Live threads: fix-forward opens a new one.
    threads: u8,
    pushed: bool,
    green: Option<bool>,
    fixes: u8,
    bells: u8,
    over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Tick {
    Idle,
    Dispatch(usize),
    Label(usize),
    Fix(usize),
    /// What is left to do, in the original's order.
    End {
        run: usize,
        green: bool,
        step: u8,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Action {
    Poll(usize, usize),
    Watch(usize, usize),
    Go(usize),
    Crash(usize),
    Kill,
    Push(usize),
    Ends(usize),
    Ci(usize, bool),
}

const TWO_SESSIONS: u8 = 1;
const STARTED_KILLED: u8 = 2;
const TWO_BELLS: u8 = 4;
const FIXED_TWICE: u8 = 8;
const RAN_UNASKED: u8 = 16;

/// The original allows five; two are enough to see the storm, and keep the space small.
const FIXES: u8 = 2;

impl State {
    fn start(&mut self, issue: usize) {
        if self.killed {
            self.broken |= STARTED_KILLED;
        }
        if self.issues[issue].escalated {
            self.broken |= RAN_UNASKED;
        }
        if self.runs.iter().map(|run| run.threads).sum::<u8>() > 0 {
            self.broken |= TWO_SESSIONS;
        }
    }
}

impl Model for Original {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let issue = Issue { open: true, ready: true, busy: false, escalated: false };
        vec![State {
            issues: [issue; 2],
            runs: Vec::new(),
            ticks: [Tick::Idle, Tick::Idle],
            killed: false,
            crashes: 1,
            kills: 1,
            broken: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let locked = state.issues.iter().any(|issue| issue.open && issue.ready && issue.busy);
        for (tick, doing) in state.ticks.iter().enumerate() {
            if *doing != Tick::Idle {
                actions.push(Action::Go(tick));
                if state.crashes > 0 {
                    actions.push(Action::Crash(tick));
                }
                continue;
            }
            let first = state.issues.iter().position(|issue| issue.open && issue.ready);
            if let (false, false, Some(issue)) = (state.killed, locked, first) {
                actions.push(Action::Poll(tick, issue));
            }
            let watched = state.runs.iter().enumerate().filter(|(_, run)| !run.over);
            actions.extend(watched.map(|(run, _)| Action::Watch(tick, run)));
        }
        if state.kills > 0 {
            actions.push(Action::Kill);
        }
        for (number, run) in state.runs.iter().enumerate() {
            if run.threads > 0 {
                actions.push(Action::Ends(number));
                if !run.pushed {
                    actions.push(Action::Push(number));
                }
            }
            if run.pushed && run.green.is_none() {
                actions.extend([Action::Ci(number, true), Action::Ci(number, false)]);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Poll(tick, issue) => state.ticks[tick] = Tick::Dispatch(issue),
            Action::Watch(tick, number) => {
                let run = &state.runs[number];
                state.ticks[tick] = match (run.pushed, run.green) {
                    (true, Some(true)) => Tick::End { run: number, green: true, step: 0 },
                    (true, Some(false)) if run.fixes < FIXES => Tick::Fix(number),
                    (true, Some(false)) => Tick::End { run: number, green: false, step: 0 },
                    (false, _) if run.threads == 0 => Tick::End { run: number, green: false, step: 0 },
                    _ => return None,
                };
            }
            Action::Go(tick) => {
                let doing = std::mem::replace(&mut state.ticks[tick], Tick::Idle);
                match doing {
                    Tick::Idle => return None,
                    Tick::Dispatch(issue) => {
                        state.start(issue);
                        state.runs.push(Run {
                            issue,
                            threads: 1,
                            pushed: false,
                            green: None,
                            fixes: 0,
                            bells: 0,
                            over: false,
                        });
                        state.ticks[tick] = Tick::Label(issue);
                    }
                    Tick::Label(issue) => state.issues[issue].busy = true,
                    Tick::Fix(number) => {
                        state.start(state.runs[number].issue);
                        let run = &mut state.runs[number];
                        run.threads += 1;
                        run.fixes += 1;
                        if run.fixes > 1 {
                            state.broken |= FIXED_TWICE;
                        }
                    }
                    Tick::End { run: number, green, step } => {
                        let issue = state.runs[number].issue;
                        match step {
                            0 => state.issues[issue].busy = false,
                            1 if green => state.issues[issue].open = false,
                            1 => state.issues[issue].escalated = true,
                            2 => {
                                state.runs[number].bells += 1;
                                if state.runs[number].bells > 1 {
                                    state.broken |= TWO_BELLS;
                                }
                            }
                            _ => {
                                state.runs[number].over = true;
                                return Some(state);
                            }
                        }
                        state.ticks[tick] = Tick::End { run: number, green, step: step + 1 };
                    }
                }
            }
            Action::Crash(tick) => {
                state.crashes -= 1;
                state.ticks[tick] = Tick::Idle;
            }
            Action::Kill => {
                state.kills -= 1;
                state.killed = true;
            }
            Action::Push(run) => state.runs[run].pushed = true,
            Action::Ends(run) => state.runs[run].threads -= 1,
            Action::Ci(run, green) => state.runs[run].green = Some(green),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn never<const BIT: u8>(_: &Original, state: &State) -> bool {
            state.broken & BIT == 0
        }
        vec![
            Property::always("P1", never::<TWO_SESSIONS>),
            Property::always("P2", never::<STARTED_KILLED>),
            Property::always("P3", never::<TWO_BELLS>),
            Property::always("P4", never::<FIXED_TWICE>),
            Property::always("P5", never::<RAN_UNASKED>),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        // It starts one thread after another, for ever.
        state.runs.len() <= 3
    }
}

#[test]
fn the_original_order_of_effects_breaks_every_property() {
    let checker = Original.checker().spawn_bfs().join();
    let mut found: Vec<_> = checker.discoveries().into_iter().collect();
    found.sort_by_key(|(name, _)| *name);
    println!("the original: {} states", checker.unique_state_count());
    for (name, path) in &found {
        println!(
            "  {name} fails after {} steps: {:?}",
            path.clone().into_actions().len(),
            path.clone().into_actions()
        );
    }
    let names: Vec<_> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["P1", "P2", "P3", "P4", "P5"]);
}
