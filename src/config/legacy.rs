//! The old format: a single config.json with all settings under `cluster`.
//!
//! 1. Every old key gives one warning that names its replacement.
//! 2. A file with the old defaults still works: times that are too short by today's rules are raised.
//!
//! Not here: the rule itself (`validate.rs`).

use super::check;
use super::layer::{Layer, Source};
use super::problem::Findings;
use super::schema::Index;
use serde_json::Value;

/// What replaces an old key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    /// The new key, with the same value.
    Same(&'static str),
    /// The new key, in seconds instead of milliseconds.
    Seconds(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

/// The old keys below `cluster`, and their replacements.
const KEYS: [(&str, Becomes); 13] = [
    ("enabled", Becomes::Same("node.auto_join")),
    ("node_id", Becomes::Same("node.id")),
    ("node_name", Becomes::Same("node.name")),
    ("redis.host", Becomes::Same("redis.host")),
    ("redis.port", Becomes::Same("redis.port")),
    ("redis.db", Becomes::Same("redis.db")),
    ("redis.password", Becomes::Same("redis.password")),
    ("heartbeat.interval_ms", Becomes::Seconds("node.heartbeat_interval")),
    ("heartbeat.timeout_ms", Becomes::Seconds("node.heartbeat_ttl")),
    ("election.timeout_ms", Becomes::Seconds("leader.lease_ttl")),
    ("election.renewal_interval_ms", Becomes::Nothing("the lease is renewed at node.heartbeat_interval")),
    ("sync.batch_size", Becomes::Same("sync.batch_size")),
    ("sync.max_stream_length", Becomes::Same("sync.max_stream_length")),
];

/// Moves the old keys from a parsed config.json to a layer; the rest is in today's format. `None`: there are no old keys.
pub(super) fn take(content: &mut Value, place: &str, source: &Source, findings: &mut Findings) -> Option<Layer> {
    let cluster = content.get_mut("cluster")?.as_object_mut()?;
    let mut old: Vec<(String, Value)> = Vec::new();
    for name in ["enabled", "node_id", "node_name"] {
        old.extend(cluster.remove(name).map(|value| (name.to_owned(), value)));
    }
    for group in ["redis", "heartbeat", "election", "sync"] {
        match cluster.remove(group) {
            None => {}
            Some(Value::Object(inner)) => {
                old.extend(inner.into_iter().map(|(name, value)| (format!("{group}.{name}"), value)));
            }
            Some(_) => findings.problem(place, format!("cluster.{group}"), "must be an object"),
        }
    }
    if old.is_empty() {
        return None;
    }
    let index = Index::all();
    let mut layer = Layer::default();
    for (name, value) in old {
        let shown = format!("cluster.{name}");
        let Some((_, becomes)) = KEYS.iter().find(|(key, _)| *key == name) else {
            let known: Vec<String> = KEYS.iter().map(|(key, _)| format!("cluster.{key}")).collect();
            let text = format!("is not a known key; the keys of the old format are {}", known.join(", "));
            findings.problem(place, shown, text);
            continue;
        };
        let (key, value) = match *becomes {
            Becomes::Nothing(why) => {
                findings.warn(format!("{place}: {shown} is deprecated and has no effect: {why}; remove it"));
                continue;
            }
            Becomes::Same(key) => (key, value),
            Becomes::Seconds(key) => (key, seconds(value)),
        };
        let file = if key == "redis.password" { "secrets.json" } else { "config.json" };
        let unit = if matches!(becomes, Becomes::Seconds(_)) { ", in seconds," } else { "" };
        findings.warn(format!("{place}: {shown} is deprecated; use {key}{unit} in {file}"));
        let new = key.split_once('.').and_then(|(section, name)| content.get(section)?.get(name));
        if new.is_some() {
            findings.warn(format!("{place}: {shown} has no effect, because {key} is also set; remove {shown}"));
            continue;
        }
        // null and an empty string meant "not set".
        if value.is_null() || value.as_str() == Some("") {
            continue;
        }
        if let Some(schema) = index.get(key) {
            let shown = if unit.is_empty() { shown } else { format!("{shown} (in seconds)") };
            check::take(&mut layer, key, &shown, value, schema, source, findings);
        }
    }
    Some(layer)
}

fn seconds(value: Value) -> Value {
    value.as_f64().map_or(value, |ms| Value::from(ms / 1000.0))
}
