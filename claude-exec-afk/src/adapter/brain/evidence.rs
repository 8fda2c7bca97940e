//! Which of the agent's commands were test runs, and how they ended: pure.

use std::collections::HashMap;

use claude_exec::protocol::{Event, Tool, ToolResult};
use serde::Deserialize;

use crate::names::Digest;
use crate::run::{Evidence, Proof};

/// Commands that are known to run at the same time.
const RUNNING: usize = 64;
/// The longest command that is kept.
const COMMAND_LIMIT: usize = 500;

/// Watches for test runs.
#[derive(Debug)]
pub(super) struct Proofs {
    pub(super) evidence: Evidence,
    running: HashMap<String, String>,
}

impl Proofs {
    pub(super) fn new(evidence: Evidence) -> Self {
        Self { evidence, running: HashMap::new() }
    }

    /// Notes an event; true when it proved something new.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        match event {
            Event::Tool(tool) => {
                if let Some(command) = bash(tool).as_deref().and_then(test_run)
                    && self.running.len() < RUNNING
                {
                    self.running.insert(tool.id.clone(), command);
                }
                false
            }
            Event::ToolResult(result) => match self.running.remove(&result.tool_use_id) {
                Some(command) => self.ran(command, result),
                None => false,
            },
            _ => false,
        }
    }

    /// The first failure is the red one; green is the same command, later.
    fn ran(&mut self, command: String, result: &ToolResult) -> bool {
        let said = said(result);
        let Some(exit) = exit(result.is_error, &said) else { return false };
        let proof = Proof { command, exit, log: Digest::of("log", &said) };
        match (&self.evidence.red, &self.evidence.green) {
            (None, _) if exit != 0 => self.evidence.red = Some(proof),
            (Some(red), None) if exit == 0 && red.command == proof.command => {
                self.evidence.green = Some(proof);
            }
            _ => return false,
        }
        true
    }
}

fn bash(tool: &Tool) -> Option<String> {
    #[derive(Deserialize)]
    struct Input {
        command: String,
    }
    let input: Input = serde_json::from_str(tool.input.get()).ok().filter(|_| tool.name == "Bash")?;
    Some(input.command)
}

/// The text of a result: a string, or the text blocks of an array.
fn said(result: &ToolResult) -> String {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Content {
        Text(String),
        Blocks(Vec<Block>),
    }
    #[derive(Deserialize)]
    struct Block {
        #[serde(default)]
        text: String,
    }
    match result.content.as_ref().and_then(|content| serde_json::from_str(content.get()).ok()) {
        Some(Content::Text(text)) => text,
        Some(Content::Blocks(blocks)) => blocks.into_iter().map(|block| block.text).collect(),
        None => String::new(),
    }
}

/// The exit code of a command, as the CLI tells it (2.1.330: an error that begins with `Exit code N`); `None` for a
/// command that did not run to its end.
fn exit(is_error: bool, said: &str) -> Option<i32> {
    if !is_error {
        return Some(0);
    }
    let code = said.trim_start().strip_prefix("Exit code ")?;
    code.split_whitespace().next()?.parse().ok()
}

/// The test run that decides a command line's exit code; `None` when no known one does.
///
/// Only the last command decides, and only when nothing before it can fail for a reason of its own, and no pipe hides
/// how it ended.
pub(super) fn test_run(line: &str) -> Option<String> {
    let commands = parted(line)?;
    let ((last, Operator::Then), before) = commands.split_last()? else { return None };
    let prepares = |(words, operator): &(Vec<String>, Operator)| {
        *operator == Operator::Then && words.first().is_none_or(|word| is_preparation(word))
    };
    let words = stripped(last);
    (before.iter().all(prepares) && is_test(words))
        .then(|| words.join(" ").chars().take(COMMAND_LIMIT).collect())
}

/// What parts a command from the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// `&&`, `;`, a new line or the end.
    Then,
    /// A pipe, `||` or `&`: the exit code is not, or not only, this command's.
    Other,
}

/// The commands of a line as words without quotes and redirections; `None` when a quote is not closed.
fn parted(line: &str) -> Option<Vec<(Vec<String>, Operator)>> {
    let mut commands = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (end, operator, next) = operator(rest);
        let words: Vec<String> = shlex::split(&rest[..end])?;
        let mut plain = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let redirected = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
            match redirected.strip_prefix(['>', '<']) {
                // The file is the next word.
                Some("" | ">") => drop(words.next()),
                Some(_) => {}
                None => plain.push(word),
            }
        }
        if !plain.is_empty() {
            commands.push((plain, operator));
        }
        rest = rest[next..].trim_start();
    }
    Some(commands)
}

/// Where the first command of `line` ends, by what, and where the next one begins.
fn operator(line: &str) -> (usize, Operator, usize) {
    let mut quote = None;
    let mut chars = line.char_indices().peekable();
    while let Some((place, c)) = chars.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => drop(chars.next()),
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, ';' | '\n') => return (place, Operator::Then, place + 1),
            (None, '&') if line[place..].starts_with("&&") => return (place, Operator::Then, place + 2),
            // A redirection such as `2>&1` or `&>log`.
            (None, '&') if line[..place].ends_with('>') || line[place..].starts_with("&>") => {}
            (None, '&') => return (place, Operator::Other, place + 1),
            (None, '|') => {
                let length = if line[place..].starts_with("||") { 2 } else { 1 };
                return (place, Operator::Other, place + length);
            }
            _ => {}
        }
    }
    (line.len(), Operator::Then, line.len())
}

/// What only prepares for the command after it.
fn is_preparation(word: &str) -> bool {
    ["cd", "export", "source", ".", "set", "pushd", "unset", "ulimit"].contains(&word) || word.contains('=')
}

/// Without variables and wrappers before it.
fn stripped(words: &[String]) -> &[String] {
    let mut words = words;
    while let Some(first) = words.first() {
        let number =
            |at: usize| words.get(at).is_some_and(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let skip = match first.as_str() {
            "env" | "time" | "nice" | "exec" | "command" => 1,
            "timeout" if number(1) => 2,
            word if word.contains('=') && !word.starts_with('-') => 1,
            _ => break,
        };
        words = &words[skip..];
    }
    words
}

/// True for what runs tests, by the names that projects have for it.
fn is_test(words: &[String]) -> bool {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let has = |wanted: &[&str]| words.iter().skip(1).any(|word| wanted.contains(&word.as_str()));
    let program = word(0).rsplit('/').next().unwrap_or_default();
    let named = |name: &str| {
        let stem = name.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
        stem.split(['-', '_', ':']).any(|part| matches!(part, "test" | "tests" | "check" | "spec"))
    };
    match program {
        "pytest" | "py.test" | "tox" | "nox" | "rspec" | "phpunit" | "ctest" | "jest" | "vitest"
        | "mocha" | "bats" | "ava" | "busted" | "nextest" => true,
        "cargo" => has(&["test", "t", "nextest"]),
        "go" | "swift" | "deno" | "bazel" | "dotnet" | "mix" | "zig" | "dart" | "flutter" | "sbt"
        | "stack" => has(&["test"]),
        "npm" | "yarn" | "pnpm" | "bun" => {
            words.iter().skip(1).take(2).any(|word| word == "t" || named(word))
        }
        "npx" | "bunx" | "bundle" | "poetry" | "uv" | "pipenv" | "hatch" => {
            has(&["jest", "vitest", "mocha", "ava", "playwright", "pytest", "rspec", "test", "unittest"])
        }
        "make" | "just" | "gradle" | "gradlew" | "rake" | "task" | "ninja" | "meson" => {
            words.iter().skip(1).any(|word| named(word))
        }
        "mvn" | "mvnw" => has(&["test", "verify"]),
        "node" => has(&["--test"]) || named(word(1)),
        "python" | "python3" => matches!((word(1), word(2)), ("-m", "pytest" | "unittest")) || named(word(1)),
        "sh" | "bash" | "dash" => named(word(1)),
        _ => word(0).contains('/') && named(program),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_run_is_known_when_it_decides_the_exit_code() {
        let table = [
            ("cargo test total", Some("cargo test total")),
            ("cd crates/a && RUST_BACKTRACE=1 cargo test 2>&1", Some("cargo test")),
            ("cargo test > log.txt 2>&1", Some("cargo test")),
            ("timeout 600 python3 -m pytest -q 'tests/a b.py'", Some("python3 -m pytest -q tests/a b.py")),
            ("export A=1; npm test", Some("npm test")),
            ("npm run test:unit", Some("npm run test:unit")),
            ("npm run unit-test", Some("npm run unit-test")),
            ("sh test.sh", Some("sh test.sh")),
            ("./run_tests.sh --fast", Some("./run_tests.sh --fast")),
            ("make check", Some("make check")),
            ("go test ./...", Some("go test ./...")),
            // How it ended cannot be told.
            ("cargo test | tail -5", None),
            ("cargo test || true", None),
            ("cargo test; echo done", None),
            ("cargo test &", None),
            ("cargo build && cargo test", None),
            // Not a test.
            ("cargo build", None),
            ("echo 'cargo test'", None),
            ("echo \"a && cargo test\"", None),
            ("git commit -m 'run cargo test'", None),
            ("cat tests/a.rs", None),
            ("", None),
            ("echo 'open", None),
        ];
        for (line, expected) in table {
            assert_eq!(test_run(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn an_exit_code_is_what_the_cli_says() {
        let table = [
            (false, "ok", Some(0)),
            (true, "Exit code 101\nthread panicked", Some(101)),
            (true, "Exit code 1", Some(1)),
            (true, "Command timed out after 2m", None),
            (true, "leave was refused", None),
        ];
        for (is_error, said, expected) in table {
            assert_eq!(exit(is_error, said), expected, "{said}");
        }
    }
}
