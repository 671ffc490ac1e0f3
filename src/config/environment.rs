//! Environment variables: the well-known names, `CLAWSTER__<SECTION>__<KEY>`, and `${NAME}` inside secrets.json.
//!
//! 1. An empty variable counts as unset.
//! 2. `CLAWSTER__…` overrides the well-known names, because other programs may use those, too.
//!
//! Not here: `CLAWSTER_CONFIG_DIR`, `CLAWSTER_STATE_DIR`, `CLAWSTER_REDIS_SERVER` (`sources.rs`).

use super::check;
use super::layer::{Layer, Source};
use super::problem::Findings;
use super::redis as addresses;
use super::schema::{Index, is_secret};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The well-known variables and their keys.
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

/// Variables that name a file with the value, as containers mount secrets, and the variable in whose place each stands.
const FILES: [(&str, &str); 4] = [
    ("REDIS_URL_FILE", "REDIS_URL"),
    ("REDIS_USERNAME_FILE", "REDIS_USERNAME"),
    ("REDIS_PASSWORD_FILE", "REDIS_PASSWORD"),
    ("MONGODB_URI_FILE", "MONGODB_URI"),
];
/// The largest such file, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 10;

const PREFIX: &str = "CLAWSTER__";

/// Two layers: the well-known names, and above them `CLAWSTER__…`.
pub(super) fn layers(env: &BTreeMap<String, String>, keys: &Index, findings: &mut Findings) -> [Layer; 2] {
    let (mut known, mut named) = (Layer::default(), Layer::default());
    for (name, key) in NAMES {
        let Some(text) = get(env, name, findings) else { continue };
        match text.strip_prefix("tcp://").filter(|_| name == "REDIS_PORT") {
            Some(link) => service_link(env, link, &mut known, keys, findings),
            None => take(&mut known, name, key, text, keys, findings),
        }
    }
    for (file, name) in FILES {
        let Some(path) = get(env, file, findings) else { continue };
        let Some((_, key)) = NAMES.iter().find(|(known, _)| *known == name) else { continue };
        if env.get(name).is_some_and(|text| !text.is_empty()) {
            findings.problem(format!("environment {file}"), *key, format!("is also set by {name}; unset one of them"));
            continue;
        }
        match read_value(path) {
            Ok(text) => take(&mut known, file, key, &text, keys, findings),
            Err(why) => findings.problem(format!("environment {file}"), *key, format!("the file {path} {why}")),
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
                "does not name a setting; use CLAWSTER__<SECTION>__<KEY>, for example CLAWSTER__NODE__NAME",
            );
            continue;
        };
        let key = format!("{section}.{word}").to_lowercase();
        if keys.get(&key).is_none() {
            let near = keys.nearest(&key).unwrap_or("node.name");
            let near = format!("{PREFIX}{}", near.to_uppercase().replace('.', "__"));
            findings.problem(place, "", format!("does not name a known key; did you mean {near}?"));
            continue;
        }
        take(&mut named, name, &key, text, keys, findings);
    }
    [known, named]
}

/// `REDIS_PORT` as Kubernetes and Docker inject it for a service named `redis`: an address, `tcp://10.0.0.1:6379`. Beside
/// `REDIS_HOST` its port counts; alone it may belong to another Redis than the configured one, and is left out.
fn service_link(env: &BTreeMap<String, String>, link: &str, known: &mut Layer, keys: &Index, findings: &mut Findings) {
    let host_is_set = env.get("REDIS_HOST").is_some_and(|text| !text.is_empty());
    match link.rsplit_once(':').map(|(_, port)| port.trim_end_matches('/')) {
        Some(port) if host_is_set => take(known, "REDIS_PORT", "redis.port", port, keys, findings),
        _ => findings.warn(
            "environment REDIS_PORT: contains an address, as Kubernetes sets it for a service named redis, and is ignored; to use that \
             service, set REDIS_HOST as well (REDIS_HOST=redis); to silence this, set enableServiceLinks: false in the pod",
        ),
    }
}

/// The value in a file, without the line break at its end. The error continues "the file …".
fn read_value(path: &str) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("is larger than {} KiB", MAX_FILE_BYTES >> 10));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn take(layer: &mut Layer, name: &str, key: &str, text: &str, keys: &Index, findings: &mut Findings) {
    if let Some(schema) = keys.get(key) {
        let source = Source::Environment(name.to_owned());
        check::take(layer, key, key, check::from_text(text, schema), schema, &source, findings);
    }
}

/// A variable's text; `None` if it is unset or empty. Invalid UTF-8 is reported as a problem.
pub(super) fn get<'a>(env: &'a BTreeMap<String, String>, name: &str, findings: &mut Findings) -> Option<&'a str> {
    let text = env.get(name).map(String::as_str).filter(|text| !text.is_empty())?;
    if text.contains('\u{fffd}') {
        findings.problem(format!("environment {name}"), "", "is not valid UTF-8");
        return None;
    }
    Some(text)
}

/// Replaces `${NAME}` in all strings of a parsed secrets.json, and returns the names. A string with a replacement is then
/// converted like a variable's text, so that a port may come from a variable, too.
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
                    let text =
                        format!("refers to the variable {missing}, which is not set; set it, or write the value here");
                    findings.problem(place, key, text);
                    *value = Value::Null;
                }
            }
        }
    }
    named
}

/// The names of variables that hold secrets: those that secrets.json refers to, those of a secret key, and URLs with a password.
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

/// Replaces every `${NAME}`; the error is the first variable that is not set. Other dollar signs stay unchanged.
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
