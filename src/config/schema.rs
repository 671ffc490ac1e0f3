//! The JSON Schemas (draft 2020-12) of the two files, and the same schemas as an index of keys.
//!
//! 1. Editors and the program use the same schemas.
//!
//! Not here: the keys (`keys.rs`), the checks (`check.rs`).

use super::keys::{ConfigFile, SecretsFile};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::collections::BTreeMap;

/// The schema of config.json.
#[must_use]
pub fn config_schema() -> Value {
    generate::<ConfigFile>()
}

/// The schema of secrets.json.
#[must_use]
pub fn secrets_schema() -> Value {
    generate::<SecretsFile>()
}

fn generate<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    // A section's default would repeat its keys' defaults, and editors would insert the whole section.
    if let Some(Value::Object(sections)) = schema.get_mut("properties") {
        for section in sections.values_mut().filter_map(Value::as_object_mut) {
            section.remove("default");
        }
    }
    schema
}

/// The keys of a file by dotted name (`node.id`), each with its schema.
#[derive(Debug)]
pub(super) struct Index(BTreeMap<String, Value>);

impl Index {
    pub(super) fn config() -> Self {
        Self::of(&config_schema())
    }

    pub(super) fn secrets() -> Self {
        Self::of(&secrets_schema())
    }

    /// The keys of both files; a key in both has the schema of config.json.
    pub(super) fn all() -> Self {
        let mut all = Self::secrets().0;
        all.append(&mut Self::config().0);
        Self(all)
    }

    fn of(schema: &Value) -> Self {
        let mut keys = BTreeMap::new();
        for (section, inner) in properties(schema) {
            for (key, schema) in properties(inner) {
                keys.insert(format!("{section}.{key}"), schema.clone());
            }
        }
        Self(keys)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, schema)| (key.as_str(), schema))
    }

    pub(super) fn has_section(&self, section: &str) -> bool {
        self.0.keys().any(|key| key.split('.').next() == Some(section))
    }

    /// The known key that a mistyped key probably means: the same name in another section, or a similar one.
    pub(super) fn nearest(&self, key: &str) -> Option<&str> {
        let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_owned();
        let elsewhere = self.0.keys().find(|known| last(known) == last(key));
        let near = self.0.keys().map(|known| (distance(known, key), known)).min();
        match near {
            Some((steps, known)) if steps <= 3 => Some(known),
            _ => elsewhere.map(String::as_str),
        }
    }
}

/// Whether a key's value must not be shown.
pub(super) fn is_secret(schema: &Value) -> bool {
    schema.get("writeOnly").and_then(Value::as_bool).unwrap_or(false)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The Levenshtein distance of the first 100 characters, which bounds the work.
pub(super) fn distance(a: &str, b: &str) -> usize {
    let head = |text: &str| text.chars().take(100).collect::<String>();
    strsim::levenshtein(&head(a), &head(b))
}
