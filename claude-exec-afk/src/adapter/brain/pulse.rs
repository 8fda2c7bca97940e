//! Signs of life of a running turn, and how long there has been none: pure, time is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use claude_exec::protocol::Event;

use crate::names::Digest;
use crate::seen::Seen;

/// How long one tool may run before only what is said counts: twice a long test run. One that spins, or touches
/// files, for longer than this is taken to do so for ever.
pub const TOOL_LIMIT: Duration = Duration::from_secs(2 * 3600);
/// Tools of one turn that are known to run at the same time.
const TOOLS: usize = 64;
/// The share of one processor that counts as work. A CLI that waits wakes up now and then for its own timers.
const WORK_PERCENT: u32 = 2;

/// What a running turn has shown, each as the time since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signs {
    /// Since the model, the CLI or a tool last said something.
    pub said: Duration,
    /// Since a file or the commit of the worktree was last seen to change; `None` when that cannot be told.
    pub changed: Option<Duration>,
    /// Since its processes were last seen to use processor time; `None` when that cannot be told.
    pub computed: Option<Duration>,
    /// How long the tool has run that has run for the longest; `None` when none runs.
    pub tool: Option<Duration>,
}

/// How long there has been no sign of life.
///
/// While no tool runs, the model owes the next word, and what the processes do meanwhile does not count. A tool may
/// be silent as long as it works, up to [`TOOL_LIMIT`].
pub fn quiet(signs: &Signs) -> Duration {
    match signs.tool {
        Some(tool) if tool < TOOL_LIMIT => [Some(signs.said), signs.changed, signs.computed]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(signs.said),
        _ => signs.said,
    }
}

/// What is remembered to tell the signs. Times are since the turn began.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    said: Duration,
    changed: Option<Duration>,
    computed: Option<Duration>,
    /// The work as it was last seen.
    work: Option<Seen<Digest>>,
    /// The processor time as it was last seen, and when.
    cpu: Option<(Duration, Duration)>,
    tools: BTreeMap<String, Duration>,
}

impl Pulse {
    /// Notes an event.
    pub(super) fn hear(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Tool(tool) if self.tools.len() < TOOLS => {
                self.tools.insert(tool.id.clone(), at);
            }
            Event::ToolResult(result) => {
                self.tools.remove(&result.tool_use_id);
            }
            // The CLI's own heartbeat says nothing of a tool.
            Event::Other(_) | Event::Noise(_) if !self.tools.is_empty() => return,
            _ => {}
        }
        self.said = at;
    }

    /// Notes a look from outside.
    pub(super) fn look(&mut self, work: &Seen<Digest>, cpu: Option<Duration>, at: Duration) {
        if !work.is_unknown() {
            if self.work.as_ref().is_none_or(|before| before != work) {
                self.changed = Some(at);
            }
            self.work = Some(work.clone());
        }
        let Some(cpu) = cpu else { return };
        match self.cpu {
            Some((before, since)) if cpu.saturating_sub(before) * 100 <= (at - since) * WORK_PERCENT => {}
            _ => self.computed = Some(at),
        }
        self.cpu = Some((cpu, at));
    }

    /// The signs as of now.
    pub(super) fn signs(&self, at: Duration) -> Signs {
        let since = |then: Duration| at.saturating_sub(then);
        Signs {
            said: since(self.said),
            changed: self.changed.map(since),
            computed: self.computed.map(since),
            tool: self.tools.values().min().copied().map(since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    /// F11.
    #[test]
    fn f11_what_counts_as_a_sign_of_life() {
        let some = |time| Some(minutes(time));
        let table = [
            ("it just spoke", 0, some(40), some(40), None, 0),
            ("silent, no tool: files and processors do not count", 40, some(0), some(0), None, 40),
            ("a silent tool that computes", 25, some(25), some(0), some(25), 0),
            ("a silent tool that writes", 25, some(1), some(25), some(25), 1),
            ("a tool that hangs", 40, some(40), some(40), some(40), 40),
            ("a tool of which nothing can be told", 40, None, None, some(40), 40),
            ("a tool that spins for ever", 125, some(125), some(0), some(125), 125),
            ("one tool spins for ever, another one just spoke", 1, some(60), some(0), some(125), 1),
            ("it never said anything", 31, None, some(31), None, 31),
        ];
        for (what, said, changed, computed, tool, expected) in table {
            let signs = Signs { said: minutes(said), changed, computed, tool };
            assert_eq!(quiet(&signs), minutes(expected), "{what}");
        }
    }

    #[test]
    fn looks_tell_work_from_waiting() {
        let mut pulse = Pulse::default();
        let work = |text: &str| Seen::Known(Digest::of("", text));
        let second = Duration::from_secs;
        pulse.look(&Seen::Absent, Some(second(1)), second(30));
        assert_eq!((pulse.changed, pulse.computed), (Some(second(30)), Some(second(30))), "the first look");
        // A timer of its own now and then: 10 ms in 30 s.
        pulse.look(&Seen::Absent, Some(second(1) + Duration::from_millis(10)), second(60));
        assert_eq!((pulse.changed, pulse.computed), (Some(second(30)), Some(second(30))));
        pulse.look(&work("a"), Some(second(5)), second(90));
        assert_eq!((pulse.changed, pulse.computed), (Some(second(90)), Some(second(90))));
        // What cannot be looked at has not changed.
        pulse.look(&Seen::unknown("busy"), None, second(120));
        pulse.look(&work("a"), None, second(150));
        assert_eq!((pulse.changed, pulse.computed), (Some(second(90)), Some(second(90))));
    }
}
