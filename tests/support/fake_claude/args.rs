//! The command line, read as the real one reads it: what it refuses is refused here, in its words.

use std::collections::HashMap;

/// How an option takes its value.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Flag,
    Value,
    /// A value that may be missing.
    Optional,
    /// Takes every argument that follows and is no option: a positional too.
    Variadic,
}

const FLAGS: &[&str] = &[
    "--print",
    "--verbose",
    "--include-partial-messages",
    "--include-hook-events",
    "--replay-user-messages",
    "--strict-mcp-config",
    "--disable-slash-commands",
    "--dangerously-skip-permissions",
    "--allow-dangerously-skip-permissions",
    "--fork-session",
    "--continue",
    "--no-session-persistence",
    "--bare",
    "--safe-mode",
    "--restricted",
    "--brief",
    "--chrome",
    "--no-chrome",
    "--ide",
    "--exclude-dynamic-system-prompt-sections",
    "--forward-subagent-text",
    "--session-mirror",
    "--await-initialize",
    "--managed-settings-in-initialize",
    "--resume-drops-turn",
];
const VALUES: &[&str] = &[
    "--agent",
    "--agents",
    "--append-system-prompt",
    "--append-system-prompt-file",
    "--autocompact",
    "--debug-file",
    "--effort",
    "--fallback-model",
    "--initialize-fields",
    "--input-format",
    "--json-schema",
    "--max-budget-usd",
    "--max-thinking-tokens",
    "--max-turns",
    "--model",
    "--name",
    "--output-format",
    "--permission-mode",
    "--permission-prompt-tool",
    "--permission-prompts",
    "--plugin-dir",
    "--plugin-url",
    "--resume-session-at",
    "--session-id",
    "--setting-sources",
    "--settings",
    "--system-prompt",
    "--system-prompt-file",
    "--system-prompt-snapshot",
    "--task-budget",
    "--thinking",
    "--thinking-display",
];
const VARIADIC: &[&str] = &[
    "--add-dir",
    "--allowedTools",
    "--allowed-tools",
    "--betas",
    "--disallowedTools",
    "--disallowed-tools",
    "--file",
    "--mcp-config",
    "--tools",
];
const OPTIONAL: &[&str] = &["--debug", "--from-pr", "--prompt-suggestions", "--resume", "--worktree"];
const SHORT: &[(&str, &str)] =
    &[("-p", "--print"), ("-c", "--continue"), ("-r", "--resume"), ("-n", "--name"), ("-d", "--debug")];

/// The accepted command line.
#[derive(Debug, Default)]
pub(crate) struct Args {
    options: HashMap<&'static str, Vec<String>>,
    pub(crate) positional: Vec<String>,
}

impl Args {
    pub(crate) fn parse(argv: &[String]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut rest = argv.iter().peekable();
        while let Some(arg) = rest.next() {
            if !arg.starts_with('-') || arg == "-" {
                args.positional.push(arg.clone());
                continue;
            }
            let (name, inline) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (arg.as_str(), None),
            };
            let Some((name, kind)) = known(name) else {
                return Err(format!("error: unknown option '{arg}'"));
            };
            let values = args.options.entry(name).or_default();
            match (kind, inline) {
                (Kind::Flag, Some(_)) => return Err(format!("error: unknown option '{arg}'")),
                (Kind::Flag, None) => {}
                (_, Some(value)) => values.push(value),
                (Kind::Value, None) => match rest.next() {
                    Some(value) => values.push(value.clone()),
                    None => return Err(format!("error: option '{name}' argument missing")),
                },
                (Kind::Optional, None) => values.extend(rest.next_if(|next| !next.starts_with('-')).cloned()),
                (Kind::Variadic, None) => {
                    while let Some(value) = rest.next_if(|next| !next.starts_with('-')) {
                        values.push(value.clone());
                    }
                }
            }
        }
        args.check()?;
        Ok(args)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.contains_key(name)
    }

    /// The last value, as the real parser has it.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.options.get(name)?.last().map(String::as_str)
    }

    pub(crate) fn values(&self, name: &str) -> Option<&[String]> {
        self.options.get(name).map(Vec::as_slice)
    }

    pub(crate) fn streams_input(&self) -> bool {
        self.value("--input-format") == Some("stream-json")
    }

    pub(crate) fn streams_output(&self) -> bool {
        self.value("--output-format") == Some("stream-json")
    }

    pub(crate) fn permission_mode(&self) -> &str {
        if self.has("--dangerously-skip-permissions") {
            return "bypassPermissions";
        }
        self.value("--permission-mode").unwrap_or("default")
    }

    fn check(&self) -> Result<(), String> {
        self.choice("--output-format", "format", &["text", "json", "stream-json"])?;
        self.choice("--input-format", "format", &["text", "stream-json"])?;
        self.choice("--permission-prompts", "target", &["host", "none"])?;
        self.choice("--system-prompt-snapshot", "on|off", &["on", "off"])?;
        if self.value("--permission-mode") != Some("default") {
            // `default` is in no list, but taken.
            let modes = ["acceptEdits", "auto", "bypassPermissions", "manual", "dontAsk", "plan"];
            self.choice("--permission-mode", "mode", &modes)?;
        }
        self.number("--max-turns", "turns", "must be a number", |_| true)?;
        let positive = "--max-budget-usd must be a number greater than 0";
        self.number("--max-budget-usd", "amount", positive, |amount| amount > 0.0 && amount.is_finite())?;
        if self.streams_input() && !self.streams_output() {
            return Err("Error: --input-format=stream-json requires output-format=stream-json.".to_owned());
        }
        if self.streams_output() && !self.has("--verbose") {
            let needs = "Error: When using --print, --output-format=stream-json requires --verbose";
            return Err(needs.to_owned());
        }
        if self.value("--session-id").is_some_and(|id| !is_uuid(id)) {
            return Err("Error: Invalid session ID. Must be a valid UUID.".to_owned());
        }
        let continues = self.has("--resume") || self.has("--continue");
        if self.has("--session-id") && continues && !self.has("--fork-session") {
            let needs = "Error: --session-id with --continue or --resume also needs --fork-session.";
            return Err(needs.to_owned());
        }
        for source in self.value("--setting-sources").unwrap_or("").split(',').filter(|name| !name.is_empty())
        {
            if !["user", "project", "local"].contains(&source) {
                return Err(format!(
                    "Error processing --setting-sources: Invalid setting source: {source}. Valid options are: \
                     user, project, local"
                ));
            }
        }
        self.json("--json-schema", "--json-schema is not valid JSON")?;
        self.files()?;
        let root = nix_root() && std::env::var("IS_SANDBOX").as_deref() != Ok("1");
        if root && self.permission_mode() == "bypassPermissions" {
            let refusal = "--dangerously-skip-permissions cannot be used with root/sudo privileges for security \
                           reasons";
            return Err(refusal.to_owned());
        }
        Ok(())
    }

    fn choice(&self, name: &str, value: &str, choices: &[&str]) -> Result<(), String> {
        match self.value(name) {
            Some(given) if !choices.contains(&given) => {
                let choices = choices.join(", ");
                let allowed = format!("Allowed choices are {choices}.");
                Err(format!("error: option '{name} <{value}>' argument '{given}' is invalid. {allowed}"))
            }
            _ => Ok(()),
        }
    }

    fn number(&self, name: &str, value: &str, needs: &str, valid: fn(f64) -> bool) -> Result<(), String> {
        match self.value(name) {
            Some(given) if !given.parse::<f64>().is_ok_and(|number| !number.is_nan() && valid(number)) => {
                Err(format!("error: option '{name} <{value}>' argument '{given}' is invalid. {needs}"))
            }
            _ => Ok(()),
        }
    }

    fn json(&self, name: &str, message: &str) -> Result<(), String> {
        match self.value(name).map(serde_json::from_str::<serde_json::Value>) {
            Some(Err(error)) => Err(format!("Error: {message}: {error}")),
            _ => Ok(()),
        }
    }

    fn files(&self) -> Result<(), String> {
        for config in self.values("--mcp-config").unwrap_or_default() {
            let inline = config.trim_start().starts_with('{');
            if !inline && !std::path::Path::new(config).exists() {
                return Err(format!(
                    "Error: Invalid MCP configuration:\nMCP config file not found: {config}"
                ));
            }
        }
        for name in ["--system-prompt-file", "--append-system-prompt-file"] {
            if let Some(path) = self.value(name).filter(|path| !std::path::Path::new(path).exists()) {
                return Err(format!("Error: System prompt file not found: {path}"));
            }
        }
        Ok(())
    }
}

fn known(name: &str) -> Option<(&'static str, Kind)> {
    let long = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    let kinds =
        [(FLAGS, Kind::Flag), (VALUES, Kind::Value), (VARIADIC, Kind::Variadic), (OPTIONAL, Kind::Optional)];
    kinds.iter().find_map(|(names, kind)| Some((*names.iter().find(|known| **known == long)?, *kind)))
}

pub(crate) fn is_uuid(id: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    id.len() == 36
        && id.bytes().enumerate().all(|(at, byte)| match dashes.contains(&at) {
            true => byte == b'-',
            false => byte.is_ascii_hexdigit(),
        })
}

fn nix_root() -> bool {
    // The owner of our own entry is who we run as.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|entry| entry.uid() == 0)
}
