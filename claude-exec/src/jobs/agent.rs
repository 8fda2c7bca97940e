//! The runner of agents: a workspace, a turn in it, and what came of that.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde_json::json;

use super::report::{Ending, JobReport};
use super::request::JobRequest;
use super::runner::{Job, Runner};
use super::workspace::Workspace;
use super::workspaces::Workspaces;
use crate::brain::{self, Turn};
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::invocation::Invocation;
use crate::protocol::{Event, Outcome};
use crate::text;

/// Bytes of the agent's final text that are kept: a report of hundreds of pages.
pub const RESULT_LIMIT: usize = 1024 * 1024;
/// How long preparing a workspace may take in all; each step has a limit of its own.
const PREPARE_LIMIT: Duration = Duration::from_secs(900);
/// How long starting the process may take; on this machine it takes milliseconds.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Where an agent works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A clone of the base repository.
    Checkout,
    /// An empty directory.
    Scratch,
}

/// Runs each job as one turn of the CLI in a workspace of its own.
///
/// The invocation is the template's; the runner sets what the request promises: working directory, budget, time
/// limit, and the model when the request names one. The slot and the workspace are given back when the process and all its descendants are gone.
#[derive(Clone)]
pub struct AgentRunner {
    executor: Arc<dyn Executor>,
    workspaces: Workspaces,
    template: Arc<Template>,
    place: Arc<dyn Fn(&JobRequest) -> Place + Send + Sync>,
}

type Template = dyn Fn(&JobRequest) -> Result<Invocation> + Send + Sync;

impl AgentRunner {
    /// A runner whose jobs get a checkout when `workspaces` has a base, and an empty directory otherwise.
    ///
    /// `template` makes the invocation of a request: prompt, agent, permissions, tools. It is asked at
    /// submission too, so that what it refuses is never queued.
    pub fn new(
        executor: Arc<dyn Executor>,
        workspaces: Workspaces,
        template: impl Fn(&JobRequest) -> Result<Invocation> + Send + Sync + 'static,
    ) -> Self {
        let place = if workspaces.has_base() { Place::Checkout } else { Place::Scratch };
        Self { executor, workspaces, template: Arc::new(template), place: Arc::new(move |_| place) }
    }

    /// Sets where each job works.
    #[must_use]
    pub fn place(mut self, place: impl Fn(&JobRequest) -> Place + Send + Sync + 'static) -> Self {
        self.place = Arc::new(place);
        self
    }

    fn invocation(&self, request: &JobRequest) -> Result<Invocation> {
        let mut invocation = (self.template)(request)?.max_budget_usd(request.max_budget_usd);
        if let Some(model) = &request.model {
            invocation = invocation.model(model);
        }
        let mut deadlines = invocation.get_deadlines();
        // A silence as long as the template's whole turn was no limit of its own.
        if deadlines.idle >= deadlines.total {
            deadlines.idle = request.timeout();
        }
        deadlines.total = request.timeout();
        Ok(invocation.deadlines(deadlines))
    }

    async fn prepare(&self, job: &Job) -> Result<Workspace> {
        let clone = (self.place)(&job.request) == Place::Checkout;
        let late = tokio::time::sleep(PREPARE_LIMIT);
        let wish = async {
            tokio::select! {
                () = job.cancelled.wait() => {}
                () = late => {}
            }
        };
        match self.workspaces.prepare(job.id.as_str(), clone, wish).await {
            Err(error) if error.is_stopped() && !job.cancelled.is_cancelled() => {
                Err(Error::timed_out("all of it", PREPARE_LIMIT))
            }
            prepared => prepared,
        }
    }

    async fn run(self, job: Job) -> Ending {
        let workspace = match self.prepare(&job).await {
            Ok(workspace) => workspace,
            Err(error) if error.is_stopped() => return Ending::cancelled(),
            Err(error) => return Ending::error(format!("preparing the workspace: {error}")),
        };
        let stale = workspace.stale().map(str::to_owned);
        let invocation = match self.invocation(&job.request) {
            Ok(invocation) => invocation.cwd(workspace.path()),
            Err(error) => return Ending::error(error.to_string()),
        };
        let Job { slot, events, cancelled, .. } = job;
        // The slot goes last: whoever gets it next finds the workspace gone.
        let start = brain::run_holding(&*self.executor, &invocation, (workspace, slot));
        // Not left alone on a cancel: what has been started must be stopped and awaited, which takes a turn.
        let turn = match tokio::time::timeout(START_LIMIT, start).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(error)) => return Ending::error(error.to_string()),
            Err(_) => return Ending::error(Error::timed_out("starting the agent", START_LIMIT).to_string()),
        };
        let handle = turn.handle();
        let stop = async {
            cancelled.wait().await;
            handle.stop();
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = read(turn, |event| events.tell(event)) => outcome,
            () = stop => return Ending::cancelled(),
        };
        let mut ending = ending(outcome);
        ending.report.stale_workspace = stale;
        ending
    }
}

impl Runner for AgentRunner {
    fn check(&self, request: &JobRequest) -> Result<()> {
        self.invocation(request)?.to_command().map(drop)
    }

    fn run(&self, job: Job) -> BoxFuture<'static, Ending> {
        self.clone().run(job).boxed()
    }
}

impl fmt::Debug for AgentRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentRunner").field("workspaces", &self.workspaces).finish_non_exhaustive()
    }
}

/// Reads a turn to its end, which is when nothing of it runs any more.
async fn read(mut turn: Turn, tell: impl Fn(&Event)) -> Result<Outcome> {
    let mut outcome = Err(Error::stopped());
    while let Some(event) = turn.next().await {
        tell(&event);
        match event {
            Event::Finished(finished) => outcome = Ok(*finished),
            Event::Error(error) => outcome = Err(error),
            _ => {}
        }
    }
    outcome
}

/// What a turn's outcome makes of its job.
fn ending(outcome: Result<Outcome>) -> Ending {
    match outcome {
        Ok(outcome) if outcome.is_success() => Ending::completed(report(&outcome, 0)),
        Ok(outcome) => Ending::failed(report(&outcome, 1), outcome.error_message()),
        Err(error) if error.is_stopped() => Ending::cancelled(),
        Err(error) if error.is_timeout() => Ending::timed_out(error.to_string()),
        Err(error) => match error.exit() {
            Some(exit) => {
                let report = JobReport {
                    exit_code: exit.code.or(exit.signal.map(|signal| -signal)),
                    output: Some(Vec::new()),
                    stderr: Some(error.stderr_tail().to_owned()),
                    ..JobReport::default()
                };
                Ending::failed(report, error.to_string())
            }
            None => Ending::error(error.to_string()),
        },
    }
}

fn report(outcome: &Outcome, exit_code: i32) -> JobReport {
    let text = text::start(&outcome.text, RESULT_LIMIT);
    JobReport {
        exit_code: Some(exit_code),
        output: Some(vec![result_line(outcome, text)]),
        stderr: Some(String::new()),
        result: Some(text.to_owned()),
        output_truncated: text.len() < outcome.text.len(),
        is_error: Some(!outcome.is_success()),
        session_id: outcome.session_id.clone(),
        num_turns: Some(outcome.num_turns),
        duration_ms: outcome.duration_ms,
        usage: Some(outcome.usage),
        total_cost_usd: outcome.total_cost_usd,
        stale_workspace: None,
    }
}

/// The line that `claude -p --output-format json` prints, as far as callers of the original service read it.
fn result_line(outcome: &Outcome, text: &str) -> String {
    let mut line = json!({
        "type": "result",
        "subtype": outcome.subtype,
        "is_error": outcome.is_error,
        "result": text,
        "session_id": outcome.session_id,
        "total_cost_usd": outcome.total_cost_usd,
        "usage": outcome.usage,
        "num_turns": outcome.num_turns,
        "duration_ms": outcome.duration_ms,
    });
    let structured = outcome.structured_output.as_ref().filter(|json| json.get().len() <= RESULT_LIMIT);
    if let Some(structured) = structured {
        line["structured_output"] = json!(structured);
    }
    if !outcome.errors.is_empty() {
        line["errors"] = json!(outcome.errors);
    }
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::executor::Exit;
    use crate::jobs::record::JobStatus;

    fn outcome(text: &str, is_error: bool) -> Outcome {
        let (subtype, text) = ("success".to_owned(), text.to_owned());
        Outcome { subtype, text, is_error, num_turns: 2, total_cost_usd: Some(0.5), ..Outcome::default() }
    }

    #[test]
    fn every_end_of_a_turn_is_a_state() {
        let signal = Exit { signal: Some(9), ..Exit::default() };
        let limit = Duration::from_secs(5);
        let table = [
            (Ok(outcome("well", false)), JobStatus::Completed, Some(0), None),
            (Ok(outcome("API Error: 529", true)), JobStatus::Failed, Some(1), Some("API Error: 529")),
            (
                Err(Error::timed_out("the turn", limit)),
                JobStatus::Timeout,
                None,
                Some("the turn took longer than 5s"),
            ),
            (Err(Error::stopped()), JobStatus::Cancelled, None, None),
            (
                Err(Error::exited(Exit::from_code(3), "why\n")),
                JobStatus::Failed,
                Some(3),
                Some("ended without a result (exit code 3): why"),
            ),
            (
                Err(Error::exited(signal, "")),
                JobStatus::Failed,
                Some(-9),
                Some("ended without a result (signal 9)"),
            ),
            (Err(Error::failed("x", "y")), JobStatus::Error, None, Some("x failed: y")),
        ];
        for (outcome, status, exit_code, error) in table {
            let ending = ending(outcome);
            let found = (ending.status, ending.report.exit_code, ending.error.as_deref());
            assert_eq!(found, (status, exit_code, error));
        }
    }

    #[test]
    fn the_output_is_the_result_line_of_the_json_format() {
        let report = report(&outcome("well", false), 0);
        let lines = report.output.unwrap();
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(lines.len() == 1 && lines[0].ends_with("}\n"));
        let expected = json!({
            "type": "result", "subtype": "success", "is_error": false, "result": "well", "session_id": null,
            "total_cost_usd": 0.5, "num_turns": 2, "duration_ms": null,
            "usage": {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "thinking_tokens": 0},
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_long_result_is_cut_and_says_so() {
        let long = "é".repeat(RESULT_LIMIT / 2 + 1);
        let report = report(&outcome(&format!("x{long}"), false), 0);
        assert!(report.output_truncated);
        assert_eq!(report.result.as_ref().map(String::len), Some(RESULT_LIMIT - 1));
        let line: Value = serde_json::from_str(&report.output.unwrap()[0]).unwrap();
        assert_eq!(line["result"].as_str(), report.result.as_deref());
    }
}
