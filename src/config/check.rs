//! Checks each value against the schema of its key.
//!
//! 1. All problems of a file are found, not only the first one.
//! 2. Messages show no value from secrets.json, and no text that looks like an address with credentials.
//! 3. A value that passes the check fits the Rust type of its key.
//!
//! Not here: rules between keys (`validate.rs`).

use super::layer::{Given, Layer, Source};
use super::problem::Findings;
use super::schema::{Index, is_secret};
use serde_json::{Map, Number, Value};

/// Puts the keys of a parsed file into a layer, and reports unknown keys and invalid values.
pub(super) fn file(content: &Value, place: &str, source: &Source, keys: &Index, findings: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    let Some(sections) = content.as_object() else {
        findings.problem(place, "", format!("must be a JSON object, not {}", shape(content)));
        return layer;
    };
    for (section, inner) in sections {
        if section == "$schema" {
            if !inner.is_string() {
                findings.problem(place, section, "must be a string: the address of the schema");
            }
            continue;
        }
        if !keys.has_section(section) {
            findings.problem(place, section, unknown_section(section, keys));
            continue;
        }
        let Some(inner) = inner.as_object() else {
            findings.problem(place, section, format!("must be an object, not {}", shape(inner)));
            continue;
        };
        for (name, value) in inner {
            let key = format!("{section}.{name}");
            let Some(schema) = keys.get(&key) else {
                findings.problem(place, key.clone(), unknown_key(&key, keys));
                continue;
            };
            take(&mut layer, &key, &key, value.clone(), schema, source, findings);
        }
    }
    layer
}

/// Checks one value and puts it into the layer. `shown` is the key as the user wrote it.
pub(super) fn take(
    layer: &mut Layer,
    key: &str,
    shown: &str,
    value: Value,
    schema: &Value,
    source: &Source,
    findings: &mut Findings,
) {
    match fit(&value, schema, is_secret(schema) || matches!(source, Source::Secrets(_))) {
        Ok(Value::Null) => {}
        Ok(value) => {
            layer.insert(key, Given { value, source: source.clone() });
        }
        Err(texts) => {
            findings.bad_keys.insert(key.to_owned());
            for text in texts {
                findings.problem(source.to_string(), shown, text);
            }
        }
    }
}

/// The problem text for an unknown key.
pub(super) fn unknown_key(key: &str, keys: &Index) -> String {
    if keys.get("redis.password").is_none() && Index::secrets().get(key).is_some() {
        return "is a secret and not allowed in this file; move it to secrets.json".to_owned();
    }
    if keys.get("redis.password").is_some() && Index::config().get(key).is_some() {
        return "is not a key of secrets.json; move it to config.json".to_owned();
    }
    match keys.nearest(key) {
        Some(near) => format!("is not a known key; did you mean {near}?"),
        None => {
            let section = key.split('.').next().unwrap_or_default();
            let known: Vec<&str> =
                keys.iter().filter_map(|(k, _)| k.strip_prefix(section)?.strip_prefix('.')).collect();
            format!("is not a known key; the keys of {section} are {}", known.join(", "))
        }
    }
}

fn unknown_section(section: &str, keys: &Index) -> String {
    let mut known: Vec<&str> = keys.iter().filter_map(|(key, _)| key.split('.').next()).collect();
    known.dedup();
    let near = known.iter().map(|name| (super::schema::distance(name, section), *name)).min();
    if let Some((0..=2, near)) = near {
        return format!("is not a known section; did you mean {near}?");
    }
    match keys.nearest(&format!(".{section}")) {
        Some(key) if key.rsplit('.').next() == Some(section) => format!("is not a known section; did you mean {key}?"),
        _ => format!("is not a known section; the sections are {}", known.join(", ")),
    }
}

/// The value in the form of the key's type, or all its problems.
fn fit(value: &Value, schema: &Value, secret: bool) -> Result<Value, Vec<String>> {
    let wrong = || Err(vec![format!("must be {}{}", allowed(schema), instead(value, secret))]);
    if value.is_null() {
        return if types(schema).any(|name| name == "null") { Ok(Value::Null) } else { wrong() };
    }
    let choices = choices(schema);
    if !choices.is_empty() {
        return if choices.iter().any(|choice| Some(*choice) == value.as_str()) { Ok(value.clone()) } else { wrong() };
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let within = |size: f64, least: &str, most: &str| {
        bound(least).is_none_or(|least| size >= least) && bound(most).is_none_or(|most| size <= most)
    };
    #[allow(clippy::cast_precision_loss)] // Lengths are far below 2^53.
    let good = match (types(schema).next(), value) {
        (Some("boolean"), Value::Bool(_)) => true,
        (Some("number"), Value::Number(n)) => n.as_f64().is_some_and(|n| within(n, "minimum", "maximum")),
        (Some("integer"), Value::Number(n)) => match whole(n) {
            Some(n) if within(n as f64, "minimum", "maximum") => return Ok(n.into()),
            _ => false,
        },
        (Some("string"), Value::String(text)) => {
            if text.chars().any(char::is_control) {
                return Err(vec!["must not contain control characters".to_owned()]);
            }
            within(text.chars().count() as f64, "minLength", "maxLength")
        }
        (Some("array"), Value::Array(items)) if within(items.len() as f64, "minItems", "maxItems") => {
            return fit_items(items, schema, secret);
        }
        (Some("object"), Value::Object(entries)) if within(entries.len() as f64, "minProperties", "maxProperties") => {
            return fit_entries(entries, schema, secret);
        }
        _ => false,
    };
    if good { Ok(value.clone()) } else { wrong() }
}

fn fit_items(items: &[Value], schema: &Value, secret: bool) -> Result<Value, Vec<String>> {
    let inner = schema.get("items").unwrap_or(&Value::Null);
    let (mut fitted, mut wrong) = (Vec::new(), Vec::new());
    for (at, item) in items.iter().enumerate() {
        match fit(item, inner, secret) {
            Ok(item) => fitted.push(item),
            Err(texts) => wrong.extend(texts.into_iter().map(|text| format!("entry {} {text}", at + 1))),
        }
    }
    if wrong.is_empty() { Ok(Value::Array(fitted)) } else { Err(wrong) }
}

fn fit_entries(entries: &Map<String, Value>, schema: &Value, secret: bool) -> Result<Value, Vec<String>> {
    let inner = schema.get("additionalProperties").unwrap_or(&Value::Null);
    let (mut fitted, mut wrong) = (Map::new(), Vec::new());
    for (name, value) in entries {
        if name.is_empty() || name.chars().count() > 256 || name.chars().any(char::is_control) {
            wrong.push("must have names of 1 to 256 characters without control characters".to_owned());
            continue;
        }
        match fit(value, inner, secret) {
            Ok(value) => drop(fitted.insert(name.clone(), value)),
            Err(texts) if may_be_shown(name) => {
                wrong.extend(texts.into_iter().map(|text| format!("entry {name:?} {text}")));
            }
            Err(texts) => wrong.extend(texts.into_iter().map(|text| format!("an entry {text}"))),
        }
    }
    if wrong.is_empty() { Ok(Value::Object(fitted)) } else { Err(wrong) }
}

/// A number without a fraction, also if it is written as 3.0.
fn whole(number: &Number) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Checked to be whole, positive and exact.
    let from_float = |n: f64| (n.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&n)).then_some(n as u64);
    number.as_u64().or_else(|| number.as_f64().and_then(from_float))
}

/// Converts a variable's text to a JSON value of the key's type. A text that cannot be converted stays a string, which the check
/// then refuses. Lists are JSON or separated by commas, maps are JSON.
pub(super) fn from_text(text: &str, schema: &Value) -> Value {
    let kept = || Value::String(text.to_owned());
    if !choices(schema).is_empty() {
        return Value::String(text.to_ascii_lowercase());
    }
    match types(schema).next() {
        Some("boolean") => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Value::Bool(true),
            "false" | "0" | "no" | "off" => Value::Bool(false),
            _ => kept(),
        },
        Some("integer" | "number" | "object") => match serde_json::from_str::<Value>(text.trim()) {
            Ok(value @ (Value::Number(_) | Value::Object(_))) => value,
            _ => kept(),
        },
        Some("array") => match serde_json::from_str::<Value>(text.trim()) {
            Ok(value @ Value::Array(_)) => value,
            _ if text.trim_start().starts_with('[') => kept(),
            _ => text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Value::from).collect(),
        },
        _ => kept(),
    }
}

fn types(schema: &Value) -> impl Iterator<Item = &str> {
    let (one, many) = match schema.get("type") {
        Some(Value::String(name)) => (Some(name.as_str()), None),
        Some(Value::Array(names)) => (None, Some(names)),
        _ => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

fn choices(schema: &Value) -> Vec<&str> {
    let list = |name: &str| schema.get(name).and_then(Value::as_array).into_iter().flatten();
    let described = list("oneOf").filter_map(|one| one.get("const"));
    list("enum").chain(described).filter_map(Value::as_str).collect()
}

/// The allowed values of a key, as text.
fn allowed(schema: &Value) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return format!("one of {}", choices.join(", "));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let span = |least: &str, most: &str| match (bound(least), bound(most)) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => String::new(),
    };
    let text = match types(schema).next() {
        Some("boolean") => "true or false".to_owned(),
        Some("integer") => format!("a whole number {}", span("minimum", "maximum")),
        Some("number") => format!("a number {}", span("minimum", "maximum")),
        Some("string") if span("minLength", "maxLength").is_empty() => "a string".to_owned(),
        Some("string") => format!("a string of {} characters", span("minLength", "maxLength")),
        Some("array") => format!("a list of {} strings", span("minItems", "maxItems")),
        Some("object") => format!("an object of {} strings", span("minProperties", "maxProperties")),
        _ => "another type".to_owned(),
    };
    text.trim_end().to_owned()
}

/// Whether a text may be shown: it cannot be an address with credentials under a wrong key.
pub(super) fn may_be_shown(text: &str) -> bool {
    !text.contains('@') && !text.contains("://")
}

/// The value that was found, if it may be shown, else its kind.
fn instead(value: &Value, secret: bool) -> String {
    match value {
        _ if secret => String::new(),
        Value::String(text) if text.chars().count() > 60 || !may_be_shown(text) => {
            format!(", not a string of {} characters", text.chars().count())
        }
        Value::String(_) | Value::Bool(_) | Value::Number(_) => format!(", not {value}"),
        other => format!(", not {}", shape(other)),
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
