//! A layer: the values from one origin, by key.
//!
//! 1. A value always stays with its source.
//!
//! Not here: reading the values (`sources.rs`, `environment.rs`), merging layers (`redis.rs`).

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The built-in default.
    Default,
    /// A file.
    File(PathBuf),
    /// secrets.json: its values, and those of variables it refers to, are never shown.
    Secrets(PathBuf),
    /// The environment variable with this name.
    Environment(String),
    /// The default that `redis.frugal` gives.
    Frugal,
    /// A configured value that was raised or lowered to fit other values.
    Adjusted(Box<Source>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) | Self::Secrets(path) => path.display().fmt(f),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Frugal => f.write_str("default with redis.frugal"),
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

    /// The value of a key, if it is a string.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.value.as_str()
    }

    /// Where a key's value comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.get(key).map_or(Source::Default, |given| given.source.clone())
    }

    /// Removes empty strings: in secrets.json and in the old format they mean "not set".
    pub(super) fn drop_empty_texts(&mut self) {
        self.0.retain(|_, given| given.value.as_str() != Some(""));
    }
}
