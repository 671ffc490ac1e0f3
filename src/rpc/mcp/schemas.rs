//! Schemas of tools as a model needs them: short, because a host passes the whole list on with every turn.
//!
//! 1. What is accepted stays accepted: a short schema only says less, and the node checks everything itself.
//! 2. Parameters that many tools share are described once, in the server's instructions.
//!
//! Not here: the full schemas (`crate::rpc::methods`, `schemas/methods`).

use serde_json::{Map, Value, json};

/// The most characters of a parameter's description.
const DESCRIPTION: usize = 56;
/// The most characters of a tool's description.
const TOOL_DESCRIPTION: usize = 180;
/// What is left out: bounds and patterns, which the node checks, and what says the same again.
const LEFT_OUT: [&str; 13] = [
    "$schema",
    "title",
    "default",
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "maxProperties",
    "pattern",
    "maximum",
    "minimum",
    "format",
    "additionalProperties",
];
/// Parameters that mean the same in every tool; [`super::server`]'s instructions describe them.
const SHARED: [&str; 14] = [
    "name",
    "token",
    "task_id",
    "wait_ms",
    "ttl_ms",
    "request_id",
    "force",
    "timeout_ms",
    "payload",
    "node_id",
    "topic",
    "to",
    "id",
    "key",
];

/// The schema of a tool's arguments.
pub(super) fn input(full: &Value) -> Map<String, Value> {
    let mut schema = match short(full, false) {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.insert("type".to_owned(), json!("object"));
    schema
}

/// The schema of a tool's structured content: the fields of its result by name. A failure has others, and no field is required, so
/// that both fit.
pub(super) fn output(full: &Value) -> Map<String, Value> {
    let mut names = Map::new();
    fields(full, &mut names);
    let mut schema = Map::from_iter([("type".to_owned(), json!("object"))]);
    if !names.is_empty() {
        schema.insert("properties".to_owned(), Value::Object(names));
    }
    schema
}

fn fields(schema: &Value, names: &mut Map<String, Value>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        names.extend(properties.keys().map(|name| (name.clone(), json!({}))));
    }
    for branch in branches(schema) {
        fields(branch, names);
    }
}

fn branches(schema: &Value) -> &[Value] {
    let of = |key: &str| schema.get(key).and_then(Value::as_array).map(Vec::as_slice);
    of("anyOf").or_else(|| of("oneOf")).unwrap_or_default()
}

/// A tool's description: its first sentences.
pub(super) fn description(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut kept = String::new();
    for sentence in text.split_inclusive(". ") {
        if !kept.is_empty() && kept.len() + sentence.trim_end().len() > TOOL_DESCRIPTION {
            break;
        }
        kept.push_str(sentence);
    }
    kept.trim_end().to_owned()
}

/// The first sentence of a parameter's description, cut at a comma if it is long.
fn first_words(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let sentence = text.split_once(". ").map_or(text.as_str(), |(first, _)| first).trim_end_matches('.');
    if sentence.len() <= DESCRIPTION {
        return sentence.to_owned();
    }
    let head: String = sentence.chars().take(DESCRIPTION).collect();
    let clause = ["; ", ": ", ", "].into_iter().find_map(|mark| head.rfind(mark).filter(|at| *at > 16));
    let at = clause.or_else(|| head.rfind(' ')).unwrap_or(head.len());
    head[..at].to_owned()
}

/// `described`: whether the schema keeps its own description.
fn short(schema: &Value, described: bool) -> Value {
    let Value::Object(rules) = schema else { return schema.clone() };
    let about = rules.get("description").and_then(Value::as_str).filter(|_| described).map(first_words);
    let with = |mut value: Value| {
        if let (Value::Object(rules), Some(about)) = (&mut value, &about) {
            rules.insert("description".to_owned(), json!(about));
        }
        value
    };
    let is_null = |branch: &&Value| branch.get("type").and_then(Value::as_str) == Some("null");
    let alternatives: Vec<&Value> = branches(schema).iter().filter(|branch| !is_null(branch)).collect();
    if !alternatives.is_empty() && alternatives.iter().all(|branch| branch.get("const").is_some()) {
        let values: Vec<&Value> = alternatives.iter().filter_map(|branch| branch.get("const")).collect();
        return with(json!({ "enum": values }));
    }
    if let [only] = alternatives.as_slice() {
        return with(short(only, described));
    }
    let mut kept = Map::new();
    for (rule, value) in rules {
        let value = match (rule.as_str(), value) {
            (rule, _) if LEFT_OUT.contains(&rule) => continue,
            ("description", _) => continue,
            ("type", Value::Array(types)) => {
                match types.iter().filter(|one| **one != "null").collect::<Vec<_>>().as_slice() {
                    [only] => (*only).clone(),
                    several => json!(several),
                }
            }
            ("properties", Value::Object(properties)) => Value::Object(
                properties
                    .iter()
                    .map(|(name, property)| (name.clone(), short(property, !SHARED.contains(&name.as_str()))))
                    .collect(),
            ),
            ("items", items) => short(items, false),
            ("anyOf" | "oneOf", _) => alternatives.iter().map(|branch| short(branch, true)).collect(),
            (_, other) => other.clone(),
        };
        kept.insert(rule.clone(), value);
    }
    with(Value::Object(kept))
}

/// Turns texts into what the schema asks for, where it leaves no doubt: models send `"5"`, `"true"` and `"[\"a\"]"` where a number, a
/// truth value or an array belongs. `full`: the schema with all its types.
pub(super) fn read_texts(full: &Value, arguments: &mut Value) {
    let (Some(properties), Value::Object(arguments)) = (full.get("properties").and_then(Value::as_object), arguments)
    else {
        return;
    };
    for (name, value) in arguments {
        let Some(property) = properties.get(name) else { continue };
        if let Value::String(text) = value
            && let Some(read) = meant(property, text)
        {
            *value = read;
        }
        let inner = branches(property).iter().find(|branch| branch.get("properties").is_some()).unwrap_or(property);
        read_texts(inner, value);
    }
}

/// The value that a text stands for; `None`: the schema takes texts, or the text is no such value.
fn meant(schema: &Value, text: &str) -> Option<Value> {
    let mut types = Vec::new();
    // A schema without a type takes anything, so also a text.
    all_types(schema, &mut types).filter(|()| !types.contains(&"string"))?;
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    let is = |kind: &str| match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    };
    types.into_iter().any(is).then_some(value)
}

/// Collects the types that a schema takes; `None`: it does not say.
fn all_types<'a>(schema: &'a Value, types: &mut Vec<&'a str>) -> Option<()> {
    let alternatives = branches(schema);
    if !alternatives.is_empty() {
        return alternatives.iter().try_for_each(|branch| all_types(branch, types));
    }
    match schema.get("type")? {
        Value::String(one) => types.push(one),
        Value::Array(several) => types.extend(several.iter().filter_map(Value::as_str)),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Value {
        json!({"$schema": "x", "title": "P", "type": "object", "required": ["limit"], "additionalProperties": false, "properties": {
            "limit": {"type": ["integer", "null"], "minimum": 0, "default": 1, "description": "The maximum number. 0: none."},
            "share": {"type": "number"},
            "force": {"type": ["boolean", "null"], "description": "Do it anyway."},
            "kinds": {"type": ["array", "null"], "items": {"type": "string", "maxLength": 9}},
            "free": {"description": "Any JSON value."},
            "text": {"type": "string"},
            "state": {"anyOf": [{"oneOf": [{"const": "a", "type": "string"}, {"const": "b", "type": "string"}]}, {"type": "null"}]},
            "needs": {"anyOf": [{"type": "object", "properties": {"labels": {"type": "object"}}}, {"type": "null"}]}}})
    }

    #[test]
    fn a_short_schema_keeps_names_types_and_what_is_required() {
        let expected = json!({"type": "object", "required": ["limit"], "properties": {
            "limit": {"type": "integer", "description": "The maximum number"}, "share": {"type": "number"},
            "force": {"type": "boolean"}, "kinds": {"type": "array", "items": {"type": "string"}},
            "free": {"description": "Any JSON value"}, "text": {"type": "string"}, "state": {"enum": ["a", "b"]},
            "needs": {"type": "object", "properties": {"labels": {"type": "object"}}}}});
        assert_eq!(Value::Object(input(&full())), expected);
        let result =
            json!({"anyOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"properties": {"b": {}}}]});
        assert_eq!(Value::Object(output(&result)), json!({"type": "object", "properties": {"a": {}, "b": {}}}));
    }

    #[test]
    fn texts_are_read_where_nothing_else_can_be_meant() {
        let read = |mut arguments: Value| {
            read_texts(&full(), &mut arguments);
            arguments
        };
        assert_eq!(
            read(
                json!({"limit": "5", "share": " 0.5", "force": "true", "kinds": "[\"a\"]", "needs": "{\"labels\": {}}"})
            ),
            json!({"limit": 5, "share": 0.5, "force": true, "kinds": ["a"], "needs": {"labels": {}}})
        );
        assert_eq!(
            read(json!({"needs": {"labels": "{\"zone\": \"eu\"}"}})),
            json!({"needs": {"labels": {"zone": "eu"}}})
        );
        for kept in [
            json!({"limit": "many", "force": "yes", "kinds": "a", "unknown": "5"}),
            json!({"limit": "5.5", "share": "true"}),
            json!({"free": "5", "text": "5", "state": "a"}),
        ] {
            assert_eq!(read(kept.clone()), kept);
        }
    }

    #[test]
    fn descriptions_end_with_a_sentence_or_a_clause() {
        let long =
            "Sends it to all members, or to those in to, and waits until all of them have read it. Else it fails.";
        assert_eq!(first_words(long), "Sends it to all members, or to those in to");
        assert_eq!(description("One. Two."), "One. Two.");
        assert!(description(&"A sentence of some words. ".repeat(20)).len() <= TOOL_DESCRIPTION);
    }
}
