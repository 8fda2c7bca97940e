//! Which message is under way, for the main agent and each sub-agent: what was said of it as deltas, and what
//! becomes void when the CLI starts it over.

use std::collections::HashMap;

use super::event::Restarted;
use super::outcome::Usage;
use crate::text;

/// Sub-agents remembered at a time: more than any CLI runs beside each other; a forgotten one could at worst
/// repeat a text of its own.
const MAX_SUB_AGENTS: usize = 256;

/// How much of the answer is kept for an empty `result`: no model writes more in one message.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Text,
    Thinking,
    Tool,
    Other,
}

impl BlockKind {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "thinking" => Self::Thinking,
            "tool_use" => Self::Tool,
            _ => Self::Other,
        }
    }
}

/// All messages under way.
#[derive(Debug, Default)]
pub(super) struct Messages {
    main: Message,
    sub_agents: HashMap<String, Message>,
    /// The main agent's text of its last message that had any.
    answer: String,
}

#[derive(Debug, Default)]
struct Message {
    id: String,
    /// It began with `message_start` and has not seen `message_stop`: were it replaced, it would be void. A
    /// message that came only whole is complete as it is.
    streaming: bool,
    /// What each of its blocks said so far, the latest last.
    said: Vec<Said>,
    open: Option<OpenBlock>,
    /// Closed blocks that came as deltas and whose `assistant` line has not come yet.
    unmatched: Vec<BlockKind>,
    stop: Stop,
    usage: Option<Usage>,
}

/// Why a message ended, in the API's words.
#[derive(Debug, Default)]
pub(super) struct Stop {
    pub(super) reason: Option<String>,
    pub(super) sequence: Option<String>,
}

/// What one block said, in bytes.
#[derive(Debug)]
struct Said {
    index: u32,
    text: usize,
    thinking: usize,
}

#[derive(Debug)]
struct OpenBlock {
    kind: BlockKind,
    tool_id: String,
    has_deltas: bool,
    matched: bool,
}

impl Messages {
    /// A turn begins: nothing before it can be continued.
    pub(super) fn begin_turn(&mut self) {
        self.main = Message::default();
        self.sub_agents.clear();
        self.answer.clear();
    }

    fn of(&mut self, parent: Option<&str>) -> &mut Message {
        let Some(parent) = parent else { return &mut self.main };
        if self.sub_agents.len() >= MAX_SUB_AGENTS && !self.sub_agents.contains_key(parent) {
            self.sub_agents.clear();
        }
        self.sub_agents.entry(parent.to_owned()).or_default()
    }

    /// `message_start`: says what became void, when the message before it was not finished.
    pub(super) fn start(
        &mut self,
        id: String,
        usage: Option<Usage>,
        parent: Option<&str>,
    ) -> Option<Restarted> {
        let void = self.replace(id, parent);
        let message = self.of(parent);
        (message.streaming, message.usage) = (true, usage);
        void
    }

    /// An `assistant` line: the same, when it is of another message than the one under way.
    pub(super) fn whole(&mut self, id: String, parent: Option<&str>) -> Option<Restarted> {
        if self.of(parent).id == id { None } else { self.replace(id, parent) }
    }

    fn replace(&mut self, id: String, parent: Option<&str>) -> Option<Restarted> {
        let next = Message { id, ..Message::default() };
        let before = std::mem::replace(self.of(parent), next);
        if before.streaming { self.void(&before.said, parent) } else { None }
    }

    /// `message_stop` of a message that was cut off: its blocks from `index` on are void.
    pub(super) fn abandon(&mut self, index: u32, parent: Option<&str>) -> Option<Restarted> {
        let message = self.of(parent);
        message.streaming = false;
        message.open = None;
        let (kept, void) = std::mem::take(&mut message.said).into_iter().partition(|said| said.index < index);
        message.said = kept;
        self.void(&void, parent)
    }

    fn void(&mut self, said: &[Said], parent: Option<&str>) -> Option<Restarted> {
        if said.is_empty() {
            return None;
        }
        let text_bytes = said.iter().map(|said| said.text).sum();
        let thinking_bytes = said.iter().map(|said| said.thinking).sum();
        if parent.is_none() {
            // Past its limit the answer misses bytes, so the count may end inside a character.
            let kept = self.answer.len().saturating_sub(text_bytes);
            self.answer.truncate(text::start(&self.answer, kept).len());
        }
        Some(Restarted { text_bytes, thinking_bytes, parent: parent.map(str::to_owned) })
    }

    pub(super) fn open_block(&mut self, index: u32, kind: BlockKind, tool_id: &str, parent: Option<&str>) {
        let block = OpenBlock { kind, tool_id: tool_id.to_owned(), has_deltas: false, matched: false };
        let message = self.of(parent);
        message.open = Some(block);
        message.said.push(Said { index, text: 0, thinking: 0 });
    }

    pub(super) fn close_block(&mut self, parent: Option<&str>) {
        let message = self.of(parent);
        if let Some(block) = message.open.take()
            && block.has_deltas
            && !block.matched
        {
            message.unmatched.push(block.kind);
        }
    }

    pub(super) fn open_tool(&mut self, parent: Option<&str>) -> Option<String> {
        let block = self.of(parent).open.as_ref()?;
        (block.kind == BlockKind::Tool).then(|| block.tool_id.clone())
    }

    /// Takes note of a delta of the block that is open.
    pub(super) fn delta(&mut self, parent: Option<&str>) {
        if let Some(block) = &mut self.of(parent).open {
            block.has_deltas = true;
        }
    }

    /// Takes note of a text, delta or whole.
    pub(super) fn said(&mut self, kind: BlockKind, text: &str, parent: Option<&str>) {
        let message = self.of(parent);
        let first = message.said.iter().all(|said| said.text == 0);
        if message.said.is_empty() {
            message.said.push(Said { index: 0, text: 0, thinking: 0 });
        }
        let Some(said) = message.said.last_mut() else { return };
        if kind == BlockKind::Thinking {
            said.thinking += text.len();
            return;
        }
        said.text += text.len();
        if parent.is_none() {
            if first {
                self.answer.clear();
            }
            if self.answer.len() + text.len() <= MAX_ANSWER_BYTES {
                self.answer.push_str(text);
            }
        }
    }

    /// True when the block that an `assistant` line brings whole was said as deltas already. The line comes
    /// before `content_block_stop` in every CLI seen; after it would be understood too.
    pub(super) fn came_as_deltas(&mut self, kind: BlockKind, parent: Option<&str>) -> bool {
        let message = self.of(parent);
        if let Some(block) = &mut message.open
            && block.kind == kind
            && block.has_deltas
            && !block.matched
        {
            block.matched = true;
            return true;
        }
        let found = message.unmatched.iter().position(|unmatched| *unmatched == kind);
        found.map(|at| message.unmatched.remove(at)).is_some()
    }

    /// `message_delta`: the end is near, and this is what it came to.
    pub(super) fn end(&mut self, stop: Stop, usage: Option<Usage>, parent: Option<&str>) {
        let message = self.of(parent);
        message.stop = stop;
        let Some(told) = usage else { return };
        let usage = message.usage.get_or_insert_default();
        usage.output_tokens = told.output_tokens;
        usage.thinking_tokens = told.thinking_tokens;
        for (known, told) in [
            (&mut usage.input_tokens, told.input_tokens),
            (&mut usage.cache_creation_input_tokens, told.cache_creation_input_tokens),
            (&mut usage.cache_read_input_tokens, told.cache_read_input_tokens),
        ] {
            *known = told.max(*known);
        }
    }

    /// `message_stop`: gives the stop reason and the tokens told before it.
    pub(super) fn stop(&mut self, parent: Option<&str>) -> (Stop, Option<Usage>) {
        let message = self.of(parent);
        message.streaming = false;
        (std::mem::take(&mut message.stop), message.usage.take())
    }

    pub(super) fn take_answer(&mut self) -> String {
        std::mem::take(&mut self.answer)
    }
}
