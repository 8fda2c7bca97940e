//! From every state that can be reached, the loop can come to rest: the graph is built whole and walked
//! backwards, which no property of the checker can say of a graph with cycles.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;
use stateright::Model;

use super::model::{Action, Afk};
use super::world::HASHER;

/// What came of walking the whole graph.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) at_rest: usize,
    /// How many states there is no way to rest from.
    pub(crate) stuck: usize,
    /// The shortest way to one of them.
    pub(crate) example: Vec<Action>,
    /// The shortest way to a broken property, and its bits.
    pub(crate) broken: Option<(u16, Vec<Action>)>,
}

/// Walks every state of `model`, or stops at the first broken property when `stop` is set.
pub(crate) fn drain(model: &Afk, stop: bool) -> Drained {
    let mut ids: HashMap<u64, u32, RandomState> = HashMap::default();
    let mut parents: Vec<(u32, u16)> = Vec::new();
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut rest = Vec::new();
    let mut queue = VecDeque::new();
    let mut drained = Drained::default();
    for state in model.init_states() {
        ids.insert(HASHER.hash_one(&state), 0_u32);
        parents.push((u32::MAX, 0));
        rest.push(state.is_drained());
        queue.push_back((0_u32, state));
    }
    let mut actions = Vec::new();
    while let Some((from, state)) = queue.pop_front() {
        actions.clear();
        model.actions(&state, &mut actions);
        for (number, action) in actions.drain(..).enumerate() {
            let Some(next) = model.next_state(&state, action) else { continue };
            let fresh = u32::try_from(parents.len()).expect("the space fits in 32 bits");
            let to = *ids.entry(HASHER.hash_one(&next)).or_insert(fresh);
            edges.push((to, from));
            if to == fresh {
                parents.push((from, u16::try_from(number).expect("few actions")));
                rest.push(next.is_drained());
                if next.broken != 0 && drained.broken.is_none() {
                    drained.broken = Some((next.broken, path(model, &parents, to)));
                    if stop {
                        drained.states = parents.len();
                        return drained;
                    }
                }
                queue.push_back((to, next));
            }
        }
    }
    drained.states = parents.len();
    drained.steps = edges.len();
    drained.at_rest = rest.iter().filter(|rest| **rest).count();
    edges.sort_unstable();
    let mut open: Vec<u32> = (0..).zip(&rest).filter(|(_, rest)| **rest).map(|(id, _)| id).collect();
    while let Some(id) = open.pop() {
        let first = edges.partition_point(|(to, _)| *to < id);
        for (_, from) in edges[first..].iter().take_while(|(to, _)| *to == id) {
            if !std::mem::replace(&mut rest[*from as usize], true) {
                open.push(*from);
            }
        }
    }
    drained.stuck = rest.iter().filter(|rest| !**rest).count();
    if let Some(stuck) = rest.iter().position(|rest| !*rest) {
        drained.example = path(model, &parents, u32::try_from(stuck).expect("it was counted in 32 bits"));
    }
    drained
}

fn path(model: &Afk, parents: &[(u32, u16)], to: u32) -> Vec<Action> {
    let mut numbers = Vec::new();
    let mut at = to;
    while parents[at as usize].0 != u32::MAX {
        numbers.push(parents[at as usize].1);
        at = parents[at as usize].0;
    }
    let mut state = model.init_states().remove(0);
    let mut taken = Vec::new();
    for number in numbers.into_iter().rev() {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let action = actions.swap_remove(usize::from(number));
        taken.push(action.clone());
        state = model.next_state(&state, action).expect("it was taken before");
    }
    taken
}
