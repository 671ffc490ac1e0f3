//! The values of one origin, and how several of them are laid over one another.
//!
//! 1. A value never parts from its source.
//!
//! Not here: reading the values (`sources.rs`, `environment.rs`), Redis addresses (`redis.rs`).

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// Built in.
    Default,
    /// A file.
    File(PathBuf),
    /// secrets.json: whatever stands there, or comes from a variable that it names, is not shown.
    Secrets(PathBuf),
    /// A variable.
    Environment(String),
    /// Given, but raised or lowered to fit.
    Adjusted(Box<Source>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) | Self::Secrets(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Adjusted(inner) => write!(f, "{inner} (adjusted)"),
        }
    }
}

/// A value with its source.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) value: Value,
    pub(super) source: Source,
}

impl fmt::Debug for Given {
    /// Without the value, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Values by dotted key.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer(BTreeMap<String, Given>);

impl Layer {
    pub(super) fn insert(&mut self, key: &str, given: Given) {
        self.0.insert(key.to_owned(), given);
    }

    pub(super) fn get(&self, key: &str) -> Option<&Given> {
        self.0.get(key)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Given> {
        self.0.remove(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Given)> {
        self.0.iter().map(|(key, given)| (key.as_str(), given))
    }

    /// A text value.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.value.as_str()
    }

    /// Where a key's value comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.get(key).map_or(Source::Default, |given| given.source.clone())
    }

    /// Drops texts that are empty: in secrets.json and in the old file they stand for "none".
    pub(super) fn drop_empty_texts(&mut self) {
        self.0.retain(|_, given| given.value.as_str() != Some(""));
    }
}
