//! Keys with their limits, from a file.

use std::collections::BTreeMap;

use claude_exec::http::{KeyName, Keyring, read_key_file};
use claude_exec::{Error, Result};

use super::KeyLimits;

const FIELDS: &[&str] = &["models", "concurrent", "requests_per_day", "usd_per_day"];

/// The keys of a server, and what each may use.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyTable {
    /// What opens it.
    pub keyring: Keyring,
    /// The limits of every name in it.
    pub limits: BTreeMap<String, KeyLimits>,
}

/// Reads the keys that open a server.
///
/// `text` is that of a file with one key a line, as [`read_key_file`] takes it, with these fields, all of which may be
/// left out:
///
/// ```text
/// # printf %s "$KEY" | sha256sum
/// n8n    models=haiku,sonnet concurrent=2 requests_per_day=1000 usd_per_day=5.00 sha256=9f86d0…
/// admin  expires=2027-01-01 sha256=60303a…
/// ```
///
/// `variable` is text as [`Keyring::parse`] takes it, whose keys have no limits, unless the file has some for the
/// same name. `names` are what the two are called in errors, the file first.
///
/// # Errors
///
/// [`is_invalid`](Error::is_invalid) for what cannot be read, for lines of one name with different limits, and for what
/// a [`Keyring`] refuses.
pub fn parse_keys(names: [&'static str; 2], text: &str, variable: &str) -> Result<KeyTable> {
    let [file, of_variable] = names;
    let mut builder = Keyring::builder();
    let mut limits = BTreeMap::new();
    let lines = read_key_file(file, text, FIELDS)?;
    let has_lines = !lines.is_empty();
    for line in lines {
        let read = read(|name| line.field(name)).map_err(|why| line.error(&why))?;
        let name = line.key().name().as_str().to_owned();
        if limits.insert(name, read.clone()).is_some_and(|other| other != read) {
            return Err(line.error("the lines of one name have different limits"));
        }
        builder = builder.key(line.key().clone());
    }
    let builder = builder.tokens(variable);
    let in_file = |error: Error| match error.field() {
        Some(_) if has_lines && variable.trim().is_empty() => Error::invalid(file, reason(&error)),
        Some(_) => Error::invalid(of_variable, reason(&error)),
        None => error,
    };
    let keyring = builder.build().map_err(in_file)?;
    for name in keyring.names().map(KeyName::as_str) {
        limits.entry(name.to_owned()).or_default();
    }
    Ok(KeyTable { keyring, limits })
}

fn reason(error: &Error) -> String {
    let shown = error.to_string();
    let name = error.field().unwrap_or_default();
    shown.strip_prefix(&format!("{name}: ")).unwrap_or(&shown).to_owned()
}

fn read<'t>(field: impl Fn(&str) -> Option<&'t str>) -> Result<KeyLimits, String> {
    let mut limits = KeyLimits::default();
    if let Some(text) = field("models") {
        let names: Vec<&str> = text.split(',').filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err("models is a list such as haiku,sonnet".to_owned());
        }
        limits = limits.models(names);
    }
    if let Some(text) = field("concurrent") {
        limits = limits.concurrent(text.parse().map_err(|_| "concurrent is a whole number from 1")?);
    }
    if let Some(text) = field("requests_per_day") {
        limits = limits.requests_per_day(text.parse().map_err(|_| "requests_per_day is a whole number")?);
    }
    if let Some(text) = field("usd_per_day") {
        limits =
            limits.usd_per_day(text.parse().map_err(|_| "usd_per_day is US dollars, such as 5 or 0.50")?);
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    const TWO: &str = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn parse(file: &str, variable: &str) -> Result<KeyTable> {
        parse_keys(["API_KEYS_FILE", "API_BEARER_TOKEN"], file, variable)
    }

    #[test]
    fn a_line_says_what_its_key_may() {
        let file = format!(
            "n8n models=haiku,sonnet concurrent=2 requests_per_day=1000 usd_per_day=5.50 sha256={ONE}\n\
             admin sha256={TWO}\n"
        );
        let table = parse(&file, &format!("n8n:{SECRET},plain:{SECRET}9")).unwrap();
        let names: Vec<&str> = table.keyring.names().map(KeyName::as_str).collect();
        assert_eq!(names, ["n8n", "plain", "n8n", "admin"]);
        let limits = KeyLimits::default()
            .models(["haiku", "sonnet"])
            .concurrent(2.try_into().unwrap())
            .requests_per_day(1000)
            .usd_per_day("5.5".parse().unwrap());
        let none = KeyLimits::default;
        let expected = [("admin", none()), ("n8n", limits), ("plain", none())];
        assert_eq!(table.limits, expected.map(|(name, limits)| (name.to_owned(), limits)).into());
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_its_name() {
        let line = |fields: &str| format!("a {fields} sha256={ONE}");
        let table = [
            (line("models="), "", "API_KEYS_FILE: line 1: models is a list"),
            (line("concurrent=0"), "", "API_KEYS_FILE: line 1: concurrent is a whole number from 1"),
            (line("requests_per_day=-1"), "", "API_KEYS_FILE: line 1: requests_per_day is a whole number"),
            (line("usd_per_day=1e3"), "", "API_KEYS_FILE: line 1: usd_per_day is US dollars"),
            (line("usd=1"), "", "line 1: the fields are models, concurrent"),
            (
                format!("a sha256={ONE}\na usd_per_day=1 sha256={TWO}"),
                "",
                "line 2: the lines of one name have different limits",
            ),
            (format!("a! sha256={ONE}"), "", "API_KEYS_FILE: a token's name is"),
            (String::new(), "", "API_BEARER_TOKEN: no token given"),
            (line(""), "short", "API_BEARER_TOKEN: the token `default` has 5 bytes"),
        ];
        for (file, variable, expected) in table {
            let shown = parse(&file, variable).unwrap_err().to_string();
            assert!(shown.contains(expected), "{file:?} {variable}: {shown}");
            assert!(!shown.contains(&ONE[..8]), "{shown}");
        }
    }
}
