//! Any bytes, cut anywhere: no panic, the same events as uncut, and a good line after them is understood.
//!
//! Run: `cargo +nightly fuzz run translator` in `claude-exec/`. The first byte says how the rest is cut.
#![no_main]

use claude_exec::protocol::{Event, Translator};
use libfuzzer_sys::fuzz_target;

const LAST: &[u8] =
    b"\n{\"type\":\"assistant\",\"message\":{\"id\":\"last\",\"content\":[{\"type\":\"text\",\"text\":\"on\"}]}}\n";

fn events<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut translator = Translator::with_line_limit(4096);
    let mut events = Vec::new();
    let mut drain = |translator: &mut Translator| {
        while let Some(event) = translator.poll_event() {
            if let Event::Text(text) = &event {
                assert!(!text.text.is_empty());
            }
            events.push(format!("{event:?}"));
        }
    };
    for piece in pieces {
        translator.push(piece);
        drain(&mut translator);
    }
    translator.finish();
    drain(&mut translator);
    events
}

fuzz_target!(|data: &[u8]| {
    let Some((cut, data)) = data.split_first() else { return };
    let input = [data, LAST].concat();
    let whole = events(std::iter::once(input.as_slice()));
    assert_eq!(whole, events(input.chunks(usize::from(*cut).max(1))));
    assert!(whole.last().is_some_and(|event| event.contains("\"on\"")));
});
