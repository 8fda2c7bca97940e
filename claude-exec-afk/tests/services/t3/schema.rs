//! The contract as JSON Schemas: what each release takes, what a client should send, and what it answers.
//!
//! `schemas/` was written down from T3's own decoder and held against live servers of both releases: `accept` is what
//! the server decodes, `strict` what a client should send, `model` what it answers, `examples` real traffic.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::Value;

/// A release of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Release {
    V27,
    V33,
}

impl Release {
    pub(crate) const ALL: [Self; 2] = [Self::V27, Self::V33];

    fn folder(self) -> &'static str {
        match self {
            Self::V27 => "v0.0.27",
            Self::V33 => "v0.0.33",
        }
    }

    /// Why a value is not what this schema describes; nothing when it is. `None` when there is no such schema.
    pub(crate) fn faults(self, kind: &str, name: &str, value: &Value) -> Option<Vec<String>> {
        let validator = self.validator(kind, name)?;
        let faults = validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path()));
        Some(faults.take(5).collect())
    }

    fn validator(self, kind: &str, name: &str) -> Option<&'static Validator> {
        static READ: OnceLock<Mutex<HashMap<PathBuf, Option<&'static Validator>>>> = OnceLock::new();
        let file = format!("{}/{kind}/{name}.schema.json", self.folder());
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services/t3/schemas").join(file);
        let mut read = READ.get_or_init(Mutex::default).lock().unwrap();
        *read.entry(path.clone()).or_insert_with(|| {
            let schema: Value = serde_json::from_str(&std::fs::read_to_string(&path).ok()?).unwrap();
            // For the whole test process, once for each file.
            Some(Box::leak(Box::new(jsonschema::options().offline().build(&schema).unwrap())))
        })
    }
}

/// The examples are what the schemas describe, so the schemas are read as they are meant.
#[test]
fn the_examples_pass_the_schemas() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/services/t3/schemas/examples");
    let mut commands = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let (release, kind, name) = match name.as_str() {
            "_snapshot-v0.0.27.real" => (Release::V27, "model", "read-model"),
            "_shell-v0.0.33.real" => (Release::V33, "model", "shell-snapshot"),
            "_thread-detail-v0.0.33.real" => (Release::V33, "model", "thread-detail-snapshot"),
            name => (Release::V33, "strict", name),
        };
        assert_eq!(release.faults(kind, name, &value), Some(vec![]), "{name}");
        if kind == "strict" {
            commands += 1;
            assert_eq!(release.faults("accept", name, &value), Some(vec![]), "{name}");
            let mut wrong = value.clone();
            wrong.as_object_mut().unwrap().remove("commandId");
            assert_ne!(release.faults("accept", name, &wrong), Some(vec![]), "{name}: a key is missing");
        }
    }
    assert_eq!(commands, 23);
}
