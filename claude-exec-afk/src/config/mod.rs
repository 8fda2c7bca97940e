//! Every setting of the loop, with safe defaults.

mod settings;

use std::collections::BTreeSet;
use std::time::Duration;

pub use settings::Settings;

use crate::error::Result;
use crate::money::Usd;
use crate::names::Repo;

/// What the loop may do, and within which bounds.
///
/// The default does nothing at all: the kill switch is on and no repository is allowed. The names are the
/// environment's; those of the original service mean the same here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// `AFK_ALLOWLIST`: the repositories to work in, as `owner/name`, separated by commas. Default: none.
    pub allowlist: BTreeSet<Repo>,
    /// `AFK_KILL_SWITCH`: true stops everything that runs and starts nothing. Default: true.
    pub kill_switch: bool,
    /// `AFK_READY_LABEL`: marks an issue that may be taken. Default: `ready-for-agent`.
    pub ready_label: String,
    /// `AFK_IN_PROGRESS_LABEL`: marks an issue that is being worked on. Default: `agent-in-progress`.
    pub in_progress_label: String,
    /// `AFK_HUMAN_LABEL`: marks an issue that waits for a person; put on by hand, it takes the issue from the
    /// loop. Default: `ready-for-human`.
    pub human_label: String,
    /// `AFK_DEPLOYMENT`: what this deployment is called in locks and run ids; two that share a repository need
    /// two names. Default: `afk`.
    pub deployment: String,
    /// `AFK_MAX_RUNNING`: runs at the same time, all repositories together. Default: 3.
    pub max_running: u32,
    /// What may be spent.
    pub budget: Budget,
    /// How long things may take.
    pub patience: Patience,
    /// How often things may be tried.
    pub attempts: Attempts,
    /// `AFK_CI_RERUN`: a red CI is run again once before an agent is sent to fix it. Default: true.
    pub ci_rerun: bool,
    /// `AFK_DEPLOY`: a run is done when its commit is deployed and healthy, not when CI is green. Default:
    /// false.
    pub deploy: bool,
}

/// What may be spent, in US dollars. Enforced here, whatever the agent does; each may be passed by one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// `AFK_BUDGET_USD`: for one run. Default: 100.
    pub run: Usd,
    /// `AFK_TURN_BUDGET_USD`: for one turn of the agent; also what a turn counts for whose price is not known.
    /// Default: 20.
    pub turn: Usd,
    /// `AFK_BUDGET_REPO_DAY_USD`: for one repository and day. Default: 200.
    pub repo_day: Usd,
    /// `AFK_BUDGET_TOTAL_USD`: for everything, ever; raise it to go on. Default: 1000.
    pub total: Usd,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// `AFK_START_SECONDS`: for a session to appear after it was started. Default: 300.
    pub start: Duration,
    /// `AFK_STALL_SECONDS`: for an agent without any sign of life (no event, no file, no commit, no CPU).
    /// Default: 1800, since healthy test runs of 25 minutes exist.
    pub stall: Duration,
    /// `AFK_RUN_MAX_SECONDS`: from the claim to the push. Default: 14400.
    pub work: Duration,
    /// `AFK_CI_START_SECONDS`: for CI to say anything about a pushed commit. Default: 600.
    pub ci_start: Duration,
    /// `AFK_CI_TOTAL_SECONDS`: for CI to finish. Default: 3600.
    pub ci_total: Duration,
    /// `AFK_DEPLOY_SECONDS`: for a green commit to be deployed. Default: 1800.
    pub deploy: Duration,
    /// `AFK_SOAK_SECONDS`: for a deployed commit to stay healthy. Default: 60.
    pub soak: Duration,
    /// `AFK_FIX_FORWARD_MAX_SECONDS`: from the first red on, in all. Default: 3600.
    pub fix_forward: Duration,
    /// `AFK_LEASE_SECONDS`: how long a lock holds that nobody renews. Default: 900.
    pub lease: Duration,
    /// `AFK_REMIND_SECONDS`: for a bell that nobody acknowledges, before it rings again. Default: 14400.
    pub remind: Duration,
    /// `AFK_TICK_SECONDS`: between two ticks. Default: 30.
    pub tick: Duration,
}

/// How often things may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempts {
    /// `AFK_MAX_STARTS`: to start the session of a run. Default: 3.
    pub starts: u32,
    /// `AFK_MAX_TURNS`: turns of the agent before its first push. Default: 4.
    pub turns: u32,
    /// `AFK_FIX_FORWARD_MAX_ATTEMPTS`: turns to fix a red CI, one for each red commit. Default: 5.
    pub fixes: u32,
    /// `AFK_REMINDERS`: times that an unacknowledged bell rings again. Default: 2.
    pub reminders: u32,
    /// `AFK_QUARANTINE_AFTER`: times in a row that an issue makes the loop fail, before it is set aside.
    /// Default: 3.
    pub poison: u32,
}

impl Config {
    /// Takes the loop's settings out of `settings`; what is not set has its default, and so has what is blank,
    /// but for `AFK_KILL_SWITCH`.
    ///
    /// # Errors
    ///
    /// When a value cannot be used; the message names the setting, the value and what is wanted.
    pub fn take(settings: &mut Settings) -> Result<Self> {
        let mut config = Self::default();
        settings.list("AFK_ALLOWLIST", &mut config.allowlist)?;
        settings.switch("AFK_KILL_SWITCH", &mut config.kill_switch)?;
        settings.label("AFK_READY_LABEL", &mut config.ready_label)?;
        settings.label("AFK_IN_PROGRESS_LABEL", &mut config.in_progress_label)?;
        settings.label("AFK_HUMAN_LABEL", &mut config.human_label)?;
        settings.word("AFK_DEPLOYMENT", &mut config.deployment)?;
        settings.count("AFK_MAX_RUNNING", 1..=1000, &mut config.max_running)?;
        let budget = &mut config.budget;
        settings.amount("AFK_BUDGET_USD", &mut budget.run)?;
        settings.amount("AFK_TURN_BUDGET_USD", &mut budget.turn)?;
        settings.amount("AFK_BUDGET_REPO_DAY_USD", &mut budget.repo_day)?;
        settings.amount("AFK_BUDGET_TOTAL_USD", &mut budget.total)?;
        let patience = &mut config.patience;
        for (name, setting) in [
            ("AFK_START_SECONDS", &mut patience.start),
            ("AFK_STALL_SECONDS", &mut patience.stall),
            ("AFK_RUN_MAX_SECONDS", &mut patience.work),
            ("AFK_CI_START_SECONDS", &mut patience.ci_start),
            ("AFK_CI_TOTAL_SECONDS", &mut patience.ci_total),
            ("AFK_DEPLOY_SECONDS", &mut patience.deploy),
            ("AFK_LEASE_SECONDS", &mut patience.lease),
            ("AFK_REMIND_SECONDS", &mut patience.remind),
            ("AFK_TICK_SECONDS", &mut patience.tick),
        ] {
            settings.seconds(name, 1, setting)?;
        }
        settings.seconds("AFK_SOAK_SECONDS", 0, &mut patience.soak)?;
        settings.seconds("AFK_FIX_FORWARD_MAX_SECONDS", 0, &mut patience.fix_forward)?;
        let attempts = &mut config.attempts;
        settings.count("AFK_MAX_STARTS", 1..=100, &mut attempts.starts)?;
        settings.count("AFK_MAX_TURNS", 1..=100, &mut attempts.turns)?;
        settings.count("AFK_FIX_FORWARD_MAX_ATTEMPTS", 0..=100, &mut attempts.fixes)?;
        settings.count("AFK_REMINDERS", 0..=100, &mut attempts.reminders)?;
        settings.count("AFK_QUARANTINE_AFTER", 1..=100, &mut attempts.poison)?;
        settings.switch("AFK_CI_RERUN", &mut config.ci_rerun)?;
        settings.switch("AFK_DEPLOY", &mut config.deploy)?;
        config.check()
    }

    /// True when the loop may do anything at all: the kill switch is off and there is a repository. Whoever
    /// runs the loop asks this before it opens a socket or a file.
    pub fn is_enabled(&self) -> bool {
        !self.kill_switch && !self.allowlist.is_empty()
    }

    fn check(self) -> Result<Self> {
        let labels = [&self.ready_label, &self.in_progress_label, &self.human_label];
        if labels.iter().collect::<BTreeSet<_>>().len() < labels.len() {
            return Err(settings::refuse("AFK_HUMAN_LABEL", "the three labels must differ"));
        }
        if self.patience.lease < self.patience.tick * LEASE_TICKS {
            let least = self.patience.tick.as_secs() * u64::from(LEASE_TICKS);
            return Err(settings::refuse(
                "AFK_LEASE_SECONDS",
                format!("must be {least} or more: four ticks"),
            ));
        }
        Ok(self)
    }
}

/// A lease is renewed at a third of its length; four ticks leave one to spare.
const LEASE_TICKS: u32 = 4;

impl Default for Config {
    fn default() -> Self {
        const fn seconds(seconds: u64) -> Duration {
            Duration::from_secs(seconds)
        }
        Self {
            allowlist: BTreeSet::new(),
            kill_switch: true,
            ready_label: "ready-for-agent".into(),
            in_progress_label: "agent-in-progress".into(),
            human_label: "ready-for-human".into(),
            deployment: "afk".into(),
            max_running: 3,
            budget: Budget {
                run: Usd::dollars(100),
                turn: Usd::dollars(20),
                repo_day: Usd::dollars(200),
                total: Usd::dollars(1000),
            },
            patience: Patience {
                start: seconds(300),
                stall: seconds(1800),
                work: seconds(14_400),
                ci_start: seconds(600),
                ci_total: seconds(3600),
                deploy: seconds(1800),
                soak: seconds(60),
                fix_forward: seconds(3600),
                lease: seconds(900),
                remind: seconds(14_400),
                tick: seconds(30),
            },
            attempts: Attempts { starts: 3, turns: 4, fixes: 5, reminders: 2, poison: 3 },
            ci_rerun: true,
            deploy: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<Config> {
        let mut settings = Settings::new(entries.iter().copied());
        let config = Config::take(&mut settings)?;
        settings.finish()?;
        Ok(config)
    }

    #[test]
    fn nothing_set_does_nothing() {
        let config = read(&[]).unwrap();
        assert_eq!(config, Config::default());
        assert!(config.kill_switch && config.allowlist.is_empty() && !config.is_enabled());
        assert!(!read(&[("AFK_KILL_SWITCH", "off")]).unwrap().is_enabled());
        assert!(!read(&[("AFK_ALLOWLIST", "a/b")]).unwrap().is_enabled());
        assert!(read(&[("AFK_ALLOWLIST", "a/b"), ("AFK_KILL_SWITCH", "off")]).unwrap().is_enabled());
    }

    #[test]
    fn the_names_of_the_original_mean_the_same() {
        let config = read(&[
            ("AFK_ALLOWLIST", " a/b, ,c/d,"),
            ("AFK_KILL_SWITCH", "No"),
            ("AFK_READY_LABEL", "  "),
            ("AFK_IN_PROGRESS_LABEL", "busy"),
            ("AFK_BUDGET_USD", "12.5"),
            ("AFK_FIX_FORWARD_MAX_ATTEMPTS", "0"),
            ("AFK_FIX_FORWARD_MAX_SECONDS", "60"),
        ])
        .unwrap();
        assert_eq!(config.allowlist.iter().map(Repo::as_str).collect::<Vec<_>>(), ["a/b", "c/d"]);
        assert!(!config.kill_switch);
        assert_eq!(
            (config.ready_label.as_str(), config.in_progress_label.as_str()),
            ("ready-for-agent", "busy")
        );
        assert_eq!(config.budget.run, Usd::from_micros(12_500_000));
        assert_eq!((config.attempts.fixes, config.patience.fix_forward), (0, Duration::from_secs(60)));
    }

    #[test]
    fn a_value_that_cannot_be_used_is_an_error_that_names_its_setting() {
        for (name, value) in [
            ("AFK_ALLOWLIST", "infra"),
            ("AFK_ALLOWLIST", "a/b,a/b/c"),
            ("AFK_KILL_SWITCH", ""),
            ("AFK_KILL_SWITCH", "maybe"),
            ("AFK_READY_LABEL", "a,b"),
            ("AFK_HUMAN_LABEL", "ready-for-agent"),
            ("AFK_DEPLOYMENT", "my home"),
            ("AFK_BUDGET_USD", "NaN"),
            ("AFK_BUDGET_USD", "inf"),
            ("AFK_BUDGET_USD", "-1"),
            ("AFK_FIX_FORWARD_MAX_ATTEMPTS", "-1"),
            ("AFK_FIX_FORWARD_MAX_SECONDS", "-1"),
            ("AFK_FIX_FORWARD_MAX_SECONDS", "1.5"),
            ("AFK_MAX_RUNNING", "0"),
            ("AFK_STALL_SECONDS", "0"),
            ("AFK_LEASE_SECONDS", "60"),
            ("AFK_KILLSWITCH", "off"),
            ("kill_switch", "off"),
        ] {
            let result = read(&[(name, value)]);
            match result {
                Err(error) => assert!(error.to_string().contains("AFK_"), "{name}={value}: {error}"),
                // Only what begins with AFK_ is ours to judge.
                Ok(config) => assert!(!name.starts_with("AFK_") && config.kill_switch, "{name}={value}"),
            }
        }
    }
}
