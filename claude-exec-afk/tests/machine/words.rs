//! What people and agents read.

use claude_exec_afk::Digest;
use claude_exec_afk::port::{IssueText, NoticeKind};
use claude_exec_afk::run::{Outcome, Proof, Ring, State, Why};
use claude_exec_afk::words::{
    checklist, continue_prompt, fix_prompt, marker, notice, preamble, start_prompt,
};

use crate::scene::{config, row, sha};

#[test]
fn c19_the_checklist_ticks_what_there_is_evidence_for() {
    let mut row = row(State::CiWait);
    row.evidence.worktree = true;
    row.evidence.red =
        Some(Proof { command: "cargo test `x` <!-- @all".into(), exit: 101, log: Digest::of("", "") });
    assert_eq!(
        checklist(&row, &config()),
        "\
<!-- afk-run: octo.site.7.afk.1 -->
### octo/site#7: agent run

- [x] Worktree created
- [x] Failing test written (`cargo test x !-- all`, exit 101)
- [ ] Implementation passes it
- [x] Pushed (`0000000000`)
- [ ] CI green on the pushed commit
- [ ] Deployed and healthy (not watched here)
- [ ] Done: issue closed

**Waiting for CI.**

<sub>Run `octo.site.7.afk.1`, for octocat, 0.00 USD so far.</sub>
"
    );
    assert!(checklist(&row, &config()).starts_with(&marker(&row)));
    // Green on an earlier commit is no tick.
    row.green = Some(sha(9));
    assert!(checklist(&row, &config()).contains("- [ ] CI green"));
}

#[test]
fn the_prompts_say_what_an_unattended_agent_must_know() {
    let row = row(State::Starting);
    let rules = preamble(&row);
    for clause in [
        "Test first",
        "Terraform, configuration or documentation",
        "git worktree",
        "by their names",
        "leave the hooks on",
        "what changed and why",
        "merge and try again",
        "no pull request unless",
        "never enter a plan mode",
        "never ask",
        "last message",
        "force-push",
        "persistent volume",
        "Vault",
        "skip CI",
        "outside your worktree",
        "Closes: #7",
        "AFK-Run: octo.site.7.afk.1",
        "octo/site",
    ] {
        assert!(rules.contains(clause), "{clause}");
    }
    assert!(fix_prompt(&row, &sha(1)).contains(sha(1).as_str()));
    assert!(continue_prompt(&row).contains("octo/site#7"));
}

#[test]
fn an_issue_cannot_end_the_fence_around_its_own_text() {
    let row = row(State::Starting);
    let text = |body: &str| IssueText { title: "title".into(), body: body.into() };
    let prompt = start_prompt(&row, &text("body"));
    let fence = prompt.lines().find(|line| line.starts_with("<issue-")).unwrap().to_owned();
    let end = fence.replace('<', "</");
    assert!(prompt.contains(&format!("{fence}\ntitle\n\nbody\n{end}")), "{prompt}");
    // Whoever writes the text does not know the run, and with it the tag.
    let mut other = row.clone();
    other.run = "octo.site.7.afk.2".parse().unwrap();
    assert!(!start_prompt(&other, &text("body")).contains(&fence));
    assert!(start_prompt(&row, &text(&"x".repeat(100_000))).len() < 70_000);
}

#[test]
fn a_notice_is_known_by_its_run_and_outcome() {
    let ended =
        |outcome| notice(&row(State::Ended(outcome)), Ring(0), &config(), Some("http://afk/7".into()));
    let frozen = ended(Outcome::Frozen(Why::CiStuck)).unwrap();
    assert_eq!((frozen.key.as_str(), frozen.kind), ("octo.site.7.afk.1:frozen", NoticeKind::Frozen));
    assert_eq!(frozen.title, "[FROZEN] octo/site#7 is broken and frozen");
    assert!(frozen.body.contains("CI did not start") && frozen.body.contains("ready-for-agent"));
    assert_eq!(ended(Outcome::Done).unwrap().title, "[DONE] octo/site#7 landed");
    let escalated = Outcome::Escalated(Why::Asked);
    assert_eq!(ended(escalated).unwrap().title, "[NEEDS-HUMAN] octo/site#7 needs a human");
    assert_eq!(ended(Outcome::Cancelled(Why::Halted)), None);
    let reminder = notice(&row(State::Ended(escalated)), Ring(1), &config(), None).unwrap();
    assert_eq!(reminder.key, "octo.site.7.afk.1:escalated:1");
}
