//! Variables: the well-known names, `CLAWSTER__<SECTION>__<KEY>`, and `${NAME}` inside secrets.json.
//!
//! 1. An empty variable counts as unset.
//! 2. `CLAWSTER__…` stands above the well-known names, which other programs may share.
//!
//! Not here: `CLAWSTER_CONFIG_DIR`, `CLAWSTER_STATE_DIR`, `CLAWSTER_REDIS_SERVER` (`sources.rs`).

use super::check;
use super::layer::{Layer, Source};
use super::problem::Findings;
use super::redis as addresses;
use super::schema::{Index, is_secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The variables that stand for a key.
pub(crate) const NAMES: [(&str, &str); 8] = [
    ("OPENCLAW_NODE_ID", "node.id"),
    ("REDIS_URL", "redis.url"),
    ("REDIS_HOST", "redis.host"),
    ("REDIS_PORT", "redis.port"),
    ("REDIS_DB", "redis.db"),
    ("REDIS_USERNAME", "redis.username"),
    ("REDIS_PASSWORD", "redis.password"),
    ("MONGODB_URI", "mongodb.uri"),
];

const PREFIX: &str = "CLAWSTER__";

/// The layer of the well-known names, and above it the one of `CLAWSTER__…`.
pub(super) fn layers(env: &BTreeMap<String, String>, keys: &Index, findings: &mut Findings) -> [Layer; 2] {
    let (mut known, mut named) = (Layer::default(), Layer::default());
    for (name, key) in NAMES {
        if let Some(text) = get(env, name, findings) {
            take(&mut known, name, key, text, keys, findings);
        }
    }
    for (name, text) in env.iter().filter(|(name, text)| name.starts_with(PREFIX) && !text.is_empty()) {
        let place = format!("environment {name}");
        if text.contains('\u{fffd}') {
            findings.problem(place, "", "is not valid UTF-8");
            continue;
        }
        let words: Vec<&str> = name.split("__").skip(1).collect();
        let [section, word] = words.as_slice() else {
            findings.problem(
                place,
                "",
                "is no setting; use CLAWSTER__<SECTION>__<KEY>, for example CLAWSTER__NODE__NAME",
            );
            continue;
        };
        let key = format!("{section}.{word}").to_lowercase();
        if keys.get(&key).is_none() {
            let near = keys.nearest(&key).unwrap_or("node.name");
            let near = format!("{PREFIX}{}", near.to_uppercase().replace('.', "__"));
            findings.problem(place, "", format!("names no known key; did you mean {near}?"));
            continue;
        }
        take(&mut named, name, &key, text, keys, findings);
    }
    [known, named]
}

fn take(layer: &mut Layer, name: &str, key: &str, text: &str, keys: &Index, findings: &mut Findings) {
    if let Some(schema) = keys.get(key) {
        let source = Source::Environment(name.to_owned());
        check::take(layer, key, key, check::from_text(text, schema), schema, &source, findings);
    }
}

/// A variable's text; nothing when it is unset or empty, and a problem when it was no UTF-8.
pub(super) fn get<'a>(env: &'a BTreeMap<String, String>, name: &str, findings: &mut Findings) -> Option<&'a str> {
    let text = env.get(name).map(String::as_str).filter(|text| !text.is_empty())?;
    if text.contains('\u{fffd}') {
        findings.problem(format!("environment {name}"), "", "is not valid UTF-8");
        return None;
    }
    Some(text)
}

/// Replaces `${NAME}` in all texts of a parsed secrets.json, and answers the names. A text that held one is then read like a
/// variable's, so that a port may come from one too.
pub(super) fn fill_in(
    content: &mut Value,
    env: &BTreeMap<String, String>,
    place: &str,
    keys: &Index,
    findings: &mut Findings,
) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (section, inner) in content.as_object_mut().into_iter().flatten() {
        for (name, value) in inner.as_object_mut().into_iter().flatten() {
            let key = format!("{section}.{name}");
            let Some(text) = value.as_str().filter(|text| text.contains("${")) else { continue };
            match substitute(text, env, &mut named) {
                Ok(filled) if filled == text => {}
                Ok(filled) => {
                    *value = keys.get(&key).map_or(Value::Null, |schema| check::from_text(&filled, schema));
                }
                Err(missing) => {
                    let text = format!("needs the variable {missing}, which is not set; set it or put the value here");
                    findings.problem(place, key, text);
                    *value = Value::Null;
                }
            }
        }
    }
    named
}

/// The variables that hold secrets: those that secrets.json names, those that stand for a secret key, and URLs with a password.
pub(super) fn secret_names(
    env: &BTreeMap<String, String>,
    named_in_secrets: BTreeSet<String>,
    keys: &Index,
) -> Vec<String> {
    let key_of = |name: &str| match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, key)) => Some((*key).to_owned()),
        None => Some(name.strip_prefix(PREFIX)?.to_lowercase().replacen("__", ".", 1)),
    };
    let is_secret = |(name, text): &(&String, &String)| match key_of(name).as_deref() {
        Some("redis.url") => addresses::parse(text).map_or_else(|_| text.contains('@'), |url| url.password.is_some()),
        Some(key) => keys.get(key).is_some_and(is_secret),
        None => false,
    };
    let set = env.iter().filter(is_secret).map(|(name, _)| name.clone());
    named_in_secrets.into_iter().chain(set).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The text with every `${NAME}` replaced, or the first name that is missing. Other dollar signs stay as they are.
fn substitute(text: &str, env: &BTreeMap<String, String>, named: &mut BTreeSet<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, behind)) if is_name(name) => {
                let value = env.get(name).filter(|value| !value.is_empty()).ok_or_else(|| name.to_owned())?;
                out.push_str(value);
                named.insert(name.to_owned());
                rest = behind;
            }
            _ => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
