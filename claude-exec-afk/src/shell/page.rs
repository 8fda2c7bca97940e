//! The status page: written on the server, no script, light and dark, for a phone and for a desk.

use std::fmt::{self, Write as _};

use crate::config::Config;
use crate::engine::{RunStatus, Status};
use crate::run::{Mode, Outcome, Row, State};
use crate::words::phases;

/// The page's style, at `/afk/style.css`.
pub(super) const STYLE: &str = include_str!("style.css");

/// How many ended runs are listed.
const ENDED: usize = 50;
/// How many runs that wait for a person are shown whole; a line each for the others, so that what runs is not far.
const WHOLE: usize = 4;

/// The page, under a line that says what it is when that must not be taken for something else.
pub(super) fn render(status: &Status, config: &Config, banner: Option<&str>) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut page, status, config, banner);
    page
}

fn write(page: &mut String, status: &Status, config: &Config, banner: Option<&str>) -> fmt::Result {
    let busy: Vec<_> = status.runs.iter().filter(|run| run.record.row.state.is_busy()).collect();
    let ended: Vec<_> = status.runs.iter().filter(|run| !run.record.row.state.is_busy()).collect();
    let waiting: Vec<_> = ended.iter().copied().filter(|run| waits(run, status)).collect();
    let refresh = if busy.is_empty() { 15 } else { 3 };
    write!(
        page,
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=refresh content={refresh}><meta name=color-scheme content=\"light dark\">\
         <title>{}AFK</title><link rel=stylesheet href=\"/afk/style.css\">",
        if waiting.is_empty() { String::new() } else { format!("({}) ", waiting.len()) }
    )?;
    if let Some(banner) = banner {
        write!(page, "<p class=banner>{}</p>", Text(banner))?;
    }
    header(page, status, config, busy.len(), waiting.len())?;
    page.push_str("<main>");
    if !waiting.is_empty() {
        person(page, &waiting, config)?;
    }
    section(page, "running", "Running", busy.len())?;
    if busy.is_empty() {
        page.push_str("<p class=empty>Nothing is running.</p>");
    }
    for run in &busy {
        card(page, run, config)?;
    }
    page.push_str("</section>");
    if !status.failing.is_empty() {
        section(page, "failing", "Made the loop fail", status.failing.len())?;
        page.push_str("<ul class=held>");
        for (issue, times, error) in &status.failing {
            let aside = if *times >= config.attempts.poison { ", set aside" } else { "" };
            write!(page, "<li><b>{}</b><span>{times}×{aside}: {}</span>", Text(issue), Text(error))?;
        }
        page.push_str("</ul></section>");
    }
    if !status.held.is_empty() {
        section(page, "held", "Ready, and held", status.held.len())?;
        page.push_str("<ul class=held>");
        for (issue, why) in &status.held {
            write!(page, "<li><b>{}</b><span>{}</span>", Text(issue), Text(why))?;
        }
        page.push_str("</ul></section>");
    }
    let over: Vec<_> = ended.into_iter().filter(|run| !waits(run, status)).collect();
    section(page, "ended", "Ended", over.len())?;
    if over.is_empty() {
        page.push_str("<p class=empty>Nothing has ended yet.</p>");
    }
    lines(page, over.iter().take(ENDED))?;
    write!(
        page,
        "</section></main><footer>Deployment <b>{}</b>. Read anew every {refresh} s. \
         <code>server afk pause</code>, <code>drain</code>, <code>halt</code> and <code>resume</code> say what it \
         may do; <code>server afk explain owner/name#7</code> says why an issue is not taken.</footer>\n</html>\n",
        Text(&config.deployment)
    )
}

/// What a person has to look at: the newest whole, and how to answer.
fn person(page: &mut String, waiting: &[&RunStatus], config: &Config) -> fmt::Result {
    section(page, "person", "Waits for a person", waiting.len())?;
    write!(
        page,
        "<p class=hint>To have one tried again, take <code>{}</code> off its issue and put <code>{}</code> on. To say \
         that you have seen it: <code>server afk ack owner/name#7</code>.</p>",
        Text(&config.human_label),
        Text(&config.ready_label)
    )?;
    for run in waiting.iter().take(WHOLE) {
        card(page, run, config)?;
    }
    lines(page, waiting.iter().skip(WHOLE))?;
    page.push_str("</section>");
    Ok(())
}

fn lines<'a>(page: &mut String, runs: impl Iterator<Item = &'a &'a RunStatus>) -> fmt::Result {
    page.push_str("<ul class=ended>");
    for run in runs {
        line(page, run)?;
    }
    page.push_str("</ul>");
    Ok(())
}

fn header(page: &mut String, status: &Status, config: &Config, busy: usize, waiting: usize) -> fmt::Result {
    let (mode, meaning) = match status.mode {
        _ if status.kill_switch => ("off", "the kill switch is on: nothing runs"),
        Mode::Run => ("run", "issues are taken as they become ready"),
        Mode::Drain => ("drain", "what runs is finished; nothing new is taken"),
        Mode::Pause => ("pause", "what runs is watched; no turn is begun"),
        Mode::Halt => ("halt", "every session is stopped; nothing is begun"),
    };
    let share = if status.budget == crate::Usd::ZERO {
        100
    } else {
        (status.spent.micros().saturating_mul(100) / status.budget.micros()).min(100)
    };
    write!(
        page,
        "<header><h1>AFK</h1><p class=\"mode {mode}\"><b>{mode}</b> <span>{meaning}</span></p>\
         <dl><div><dt>Running<dd><a href=#running>{busy}</a> <small>of {}</small></div>\
         <div class={}><dt>Waits for you<dd><a href=#person>{waiting}</a></div>\
         <div><dt>Spent<dd>${} <small>of ${}</small>\
         <meter max=100 low=75 high=90 optimum=0 value={share} title=\"{share} % of the budget\"></meter></div></dl></header>",
        config.max_running,
        if waiting > 0 { "calls" } else { "calm" },
        Money(status.spent),
        Money(status.budget)
    )
}

/// True for a run that a person has to look at, unless its issue has been taken up again since.
fn waits(run: &RunStatus, status: &Status) -> bool {
    let row = &run.record.row;
    let later = status
        .runs
        .iter()
        .any(|other| other.record.row.issue == row.issue && other.record.row.claimed > row.claimed);
    let seen = row.bell.as_ref().is_some_and(|bell| bell.acknowledged);
    row.state.outcome().is_some_and(|outcome| outcome.needs_person()) && !later && !seen
}

fn section(page: &mut String, class: &str, title: &str, count: usize) -> fmt::Result {
    write!(page, "<section class={class} id={class}><h2>{title} <span>{count}</span></h2>")
}

fn card(page: &mut String, run: &RunStatus, config: &Config) -> fmt::Result {
    let row = &run.record.row;
    write!(
        page,
        "<article class={}><h3><span>{}</span>{}</h3><ol class=phases>",
        kind(row.state),
        Text(&row.issue.to_string()),
        Text(&row.title)
    )?;
    let phases = phases(row, config);
    let next = phases.iter().position(|(done, _)| !done);
    for (place, ((done, _), name)) in phases.iter().zip(PHASES).enumerate() {
        let class = match done {
            true => "done",
            false if Some(place) == next && row.state.is_active() => "now",
            false => "open",
        };
        // Colours say nothing to who cannot see them.
        write!(page, "<li class={class}><span>{name}<i>: {class}</i></span>")?;
    }
    write!(page, "</ol><p class=state><b>{}</b> {}", row.state.name(), Text(&why(row)))?;
    write!(page, " <time>for {}</time></p><p class=facts>", Age(run.seconds))?;
    write!(page, "<span>${}</span>", Money(row.spent))?;
    if row.turns > 0 {
        write!(page, "<span>{} turn{}</span>", row.turns, if row.turns == 1 { "" } else { "s" })?;
    }
    if row.fixes() > 0 {
        write!(page, "<span>fixed forward {}×</span>", row.fixes())?;
    }
    if row.flakes > 0 {
        write!(page, "<span>flaky CI {}×</span>", row.flakes)?;
    }
    if row.unproven {
        page.push_str("<span class=warn>no red-then-green test</span>");
    }
    if let Some(sha) = &row.pushed {
        write!(page, "<span><code>{}</code></span>", &sha.as_str()[..10])?;
    }
    for (effect, delivery) in run.record.outbox.iter().filter(|(_, delivery)| delivery.attempts > 0) {
        write!(
            page,
            "<span class=warn>{effect} failed {}×: {}</span>",
            delivery.attempts,
            Text(&delivery.error)
        )?;
    }
    page.push_str("</p></article>");
    Ok(())
}

const PHASES: [&str; 7] = ["tree", "red", "green", "push", "CI", "deploy", "done"];

fn line(page: &mut String, run: &RunStatus) -> fmt::Result {
    let row = &run.record.row;
    write!(
        page,
        "<li class={}><b>{}</b><span><i>{}</i> {}</span><span>{}</span><small>${} · {} ago</small>",
        kind(row.state),
        row.state.name(),
        Text(&row.issue.to_string()),
        Text(&row.title),
        Text(&why(row)),
        Money(row.spent),
        Age(run.seconds)
    )
}

fn why(row: &Row) -> String {
    row.state.outcome().and_then(|outcome| outcome.why()).map(|why| why.to_string()).unwrap_or_default()
}

fn kind(state: State) -> &'static str {
    match state.outcome() {
        None if state == State::FixForward => "fixing",
        None => "active",
        Some(Outcome::Done | Outcome::Superseded) => "good",
        Some(Outcome::Escalated(_) | Outcome::Frozen(_)) => "bad",
        Some(Outcome::Cancelled(_)) => "gone",
    }
}

/// Text of others, as text.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Dollars and cents; whole dollars where there are no cents and the sum is large.
struct Money(crate::Usd);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.micros().div_ceil(10_000);
        match (cents / 100, cents % 100) {
            (dollars @ 100.., 0) => write!(f, "{dollars}"),
            (dollars, cents) => write!(f, "{dollars}.{cents:02}"),
        }
    }
}

/// Seconds as a person says them.
struct Age(u64);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            seconds @ 0..60 => write!(f, "{seconds} s"),
            seconds @ 60..3600 => write!(f, "{} min", seconds / 60),
            seconds @ 3600..86_400 => write!(f, "{} h {} min", seconds / 3600, seconds % 3600 / 60),
            seconds => write!(f, "{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
        }
    }
}
