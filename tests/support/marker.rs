//! Markers in double brackets inside ordinary text: the scripts of the model stand-in and of the fake CLI.

/// The markers of `text` in order: the name and what follows it, trimmed. The rest of the text is skipped.
///
/// Arguments that are a JSON object may hold brackets of their own.
pub(crate) fn markers(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("[[") {
        rest = &rest[start + 2..];
        let Some((marker, after)) = split(rest) else { continue };
        rest = after;
        let marker = marker.trim();
        let (name, args) = marker.split_once(char::is_whitespace).unwrap_or((marker, ""));
        found.push((name, args.trim_start()));
    }
    found
}

/// The inside of a marker, and what follows its `]]`.
fn split(rest: &str) -> Option<(&str, &str)> {
    let end = rest.find("]]")?;
    let Some(open) = rest[..end].find('{') else { return Some((&rest[..end], &rest[end + 2..])) };
    let mut values = serde_json::Deserializer::from_str(&rest[open..]).into_iter::<serde_json::Value>();
    if !matches!(values.next(), Some(Ok(_))) {
        return Some((&rest[..end], &rest[end + 2..]));
    }
    let end = open + values.byte_offset();
    let close = end + rest[end..].find("]]")?;
    Some((&rest[..close], &rest[close + 2..]))
}

/// The first argument that is no `name=value`.
pub(crate) fn plain(args: &str) -> Option<&str> {
    args.split_whitespace().find(|arg| !arg.contains('='))
}

/// The first argument, as a number.
pub(crate) fn number(args: &str) -> Option<usize> {
    plain(args)?.parse().ok()
}

/// The value of `name=value`, as a number.
pub(crate) fn named(args: &str, name: &str) -> Option<u64> {
    let mut pairs = args.split_whitespace().filter_map(|arg| arg.split_once('='));
    pairs.find(|(key, _)| *key == name)?.1.parse().ok()
}

/// `word0 `, `word1 ` …
pub(crate) fn words(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("word{n} ")).collect()
}

/// A piece per word, each with the space that follows it.
pub(crate) fn pieces(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}
