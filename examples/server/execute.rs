//! What `/execute` runs: an agent as the original ran it, and what it cost.

use std::sync::Arc;

use claude_exec::jobs::{AgentRunner, Ending, Job, JobRequest, Runner, Workspaces};
use claude_exec::{Invocation, Result};
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::config::Config;
use crate::fleet::Fleet;
use crate::metrics::Metrics;

/// The runner of all jobs.
pub fn runner(
    config: &Config,
    fleet: Fleet,
    workspaces: Workspaces,
    metrics: Arc<Metrics>,
) -> impl Runner + use<> {
    let (program, mode) = (config.claude.clone(), config.execute_permission_mode);
    let template = move |request: &JobRequest| {
        let agent = Invocation::agent(request.prompt.as_str())
            .program(program.clone())
            .agent_name(&request.agent)
            .permission_mode(mode);
        Ok(agent)
    };
    Metered { runner: AgentRunner::new(Arc::new(fleet), workspaces, template), metrics }
}

/// Counts what each job has cost.
struct Metered<R> {
    runner: R,
    metrics: Arc<Metrics>,
}

impl<R: Runner> Runner for Metered<R> {
    fn check(&self, request: &JobRequest) -> Result<()> {
        self.runner.check(request)
    }

    fn run(&self, job: Job) -> BoxFuture<'static, Ending> {
        let (run, metrics) = (self.runner.run(job), self.metrics.clone());
        async move {
            let ending = run.await;
            metrics.spent(ending.report.total_cost_usd.unwrap_or_default());
            ending
        }
        .boxed()
    }
}
