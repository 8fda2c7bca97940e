//! Conversations on disk, one file each below the folder of the working directory they began in.

use std::fs::OpenOptions;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::args::{Args, is_uuid};
use crate::input::text_of;

const BUILT_IN: [&str; 5] = ["claude", "Explore", "general-purpose", "Plan", "statusline-setup"];

pub(crate) struct Session {
    pub(crate) id: String,
    /// Role and text of every message so far.
    pub(crate) history: Vec<(String, String)>,
    /// `None`: not kept.
    file: Option<PathBuf>,
}

/// Why no session could be opened, and the `result` line that says so where there is one.
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) line: Option<String>,
}

impl Session {
    pub(crate) fn append(&mut self, role: &str, text: &str) {
        self.history.push((role.to_owned(), text.to_owned()));
        if let Some(path) = &self.file {
            write(path, &self.id, role, text);
        }
    }
}

pub(crate) fn open(args: &Args) -> Result<Session, Refusal> {
    let refuse = |message: String| Refusal { message, line: None };
    let keep = !args.has("--no-session-persistence");
    let folder = folder();
    let path = |id: &str| folder.join(format!("{id}.jsonl"));
    let file = |id: &str| keep.then(|| path(id));
    if args.has("--resume") {
        let id = args.value("--resume").unwrap_or_default().to_owned();
        if !is_uuid(&id) {
            let message = format!(
                "Error: --resume requires a valid session ID or session title when used with --print. Usage: claude \
                 -p --resume <session-id|title>. Provided value \"{id}\" is not a UUID and does not match any \
                 session title."
            );
            return Err(Refusal { line: Some(not_found(&id, &message)), message });
        }
        let Some((stored, path)) = find(&id) else {
            let message = format!("No conversation found with session ID: {id}");
            return Err(Refusal { line: Some(not_found(&id, &message)), message });
        };
        let history: Vec<(String, String)> = stored.lines().filter_map(read).collect();
        if !args.has("--fork-session") {
            // It goes on where it began, in another working directory too.
            return Ok(Session { file: keep.then_some(path), id, history });
        }
        let id = args.value("--session-id").map_or_else(new_id, str::to_owned);
        let fork = Session { file: file(&id), id, history };
        if let Some(path) = &fork.file {
            fork.history.iter().for_each(|(role, text)| write(path, &fork.id, role, text));
        }
        return Ok(fork);
    }
    let id = args.value("--session-id").map_or_else(new_id, str::to_owned);
    if path(&id).exists() {
        return Err(refuse(format!("Error: Session ID {id} is already in use.")));
    }
    Ok(Session { file: file(&id), id, history: Vec::new() })
}

/// The agents that `--agent` may name: built in, from the sources that are switched on, and `extra`.
pub(crate) fn agents(args: &Args, extra: &Value) -> Vec<String> {
    let mut names: Vec<String> = BUILT_IN.iter().map(|&name| name.to_owned()).collect();
    let sources = args.value("--setting-sources").unwrap_or("user,project,local");
    for (source, folder) in [("user", config().join("agents")), ("project", PathBuf::from(".claude/agents"))]
    {
        if sources.split(',').any(|name| name == source) {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            names.extend(files.filter_map(|file| name_of(&file.path())));
        }
    }
    let inline: Value =
        args.value("--agents").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    for source in [&inline, extra] {
        names.extend(source.as_object().into_iter().flat_map(|agents| agents.keys().cloned()));
    }
    names.sort_by_key(|name| name.to_lowercase());
    names.dedup();
    names
}

/// The name in an agent file's front matter.
fn name_of(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("name:"))?;
    Some(name.trim().to_owned())
}

fn config() -> PathBuf {
    match std::env::var_os("CLAUDE_CONFIG_DIR") {
        Some(path) => path.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".claude"),
    }
}

/// Sessions belong to the working directory: its path with every other character made a dash.
fn folder() -> PathBuf {
    let cwd = std::env::current_dir().unwrap_or_default().display().to_string();
    let slug: String = cwd.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    config().join("projects").join(slug)
}

/// The conversation, whatever working directory it belongs to.
fn find(id: &str) -> Option<(String, PathBuf)> {
    let folders = std::fs::read_dir(config().join("projects")).ok()?.flatten();
    folders.map(|folder| folder.path().join(format!("{id}.jsonl"))).find_map(|path| {
        let stored = std::fs::read_to_string(&path).ok()?;
        Some((stored, path))
    })
}

fn read(line: &str) -> Option<(String, String)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let role = value["message"]["role"].as_str()?.to_owned();
    Some((role, text_of(&value["message"]["content"])))
}

/// A file that cannot be written is a conversation that is not kept.
fn write(path: &Path, id: &str, role: &str, text: &str) {
    let _ = std::fs::create_dir_all(path.parent().unwrap_or(path));
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(path) {
        let line = json!({"type": role, "sessionId": id, "message": {"role": role, "content": text}});
        let _ = writeln!(file, "{line}");
    }
}

fn not_found(id: &str, message: &str) -> String {
    format!(
        "{{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"duration_ms\":0,\"duration_api_ms\":0,\
         \"is_error\":true,\"num_turns\":0,\"stop_reason\":null,\"session_id\":{},\"total_cost_usd\":0,\"usage\":\
         {{\"input_tokens\":0,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":0}},\
         \"modelUsage\":{{}},\"permission_denials\":[],\"uuid\":\"{}\",\"errors\":[{}],\"result_index\":0}}\n",
        json!(id),
        new_id(),
        json!(message),
    )
}

/// A random version 4 UUID, from the keys that the standard library draws for its hash maps.
pub(crate) fn new_id() -> String {
    let (high, low) = (RandomState::new().hash_one(1), RandomState::new().hash_one(std::process::id()));
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
