//! Checks a value against a JSON Schema, as far as the schemas of this project go.
//!
//! 1. A keyword that is not known here is a failure, unless it says nothing about validity.
//!
//! Not here: the schemas.

use serde_json::Value;

/// Keywords that only tell, and bounds that no test here is about.
const TELLING: [&str; 15] = [
    "$schema",
    "title",
    "description",
    "default",
    "format",
    "minimum",
    "maximum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "propertyNames",
    "examples",
];

/// What is wrong with a value, in words.
pub fn problem(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let rules = match schema {
        Value::Bool(true) => return None,
        Value::Object(rules) => rules,
        other => return Some(format!("{at}: no schema: {other}")),
    };
    rules.iter().find_map(|(rule, wanted)| match rule.as_str() {
        "type" => (!is_of(wanted, value)).then(|| format!("{at}: {value} is not {wanted}")),
        "const" => (wanted != value).then(|| format!("{at}: {value} is not {wanted}")),
        "enum" => (!list(wanted).contains(value)).then(|| format!("{at}: {value} is not in {wanted}")),
        "anyOf" | "oneOf" => {
            let problems: Vec<String> = list(wanted).iter().filter_map(|one| problem(one, value, at)).collect();
            (problems.len() == list(wanted).len()).then(|| problems.join("; or "))
        }
        "required" => {
            let missing = list(wanted).iter().find(|name| value.get(name.as_str().unwrap()).is_none());
            missing.filter(|_| value.is_object()).map(|name| format!("{at}: {name} is missing"))
        }
        "properties" => wanted
            .as_object()
            .unwrap()
            .iter()
            .find_map(|(name, rule)| problem(rule, value.get(name)?, &format!("{at}.{name}"))),
        "items" => list(value).iter().find_map(|item| problem(wanted, item, &format!("{at}[]"))),
        "additionalProperties" => {
            let known = rules.get("properties").and_then(Value::as_object);
            let others =
                value.as_object()?.iter().filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            others.into_iter().find_map(|(name, one)| match wanted {
                Value::Bool(false) => Some(format!("{at}: {name} is not known")),
                rule => problem(rule, one, &format!("{at}.{name}")),
            })
        }
        known if TELLING.contains(&known) => None,
        unknown => Some(format!("{at}: the keyword {unknown} is not known to this check")),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn is_of(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => false,
    };
    wanted.as_str().map_or_else(|| list(wanted).iter().any(|name| is(name.as_str().unwrap_or_default())), is)
}

#[test]
fn the_check_sees_what_is_wrong() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": ["integer", "null"]}, "b": {"anyOf": [{"const": 1}, {"enum": ["x"]}]}}});
    let wrong = |value: Value| problem(&schema, &value, "it").is_some();
    assert!(!wrong(serde_json::json!({"a": null, "b": "x"})) && !wrong(serde_json::json!({"a": 3, "b": 1})));
    for bad in [r#"[]"#, r#"{}"#, r#"{"a": "1"}"#, r#"{"a": 1, "b": 2}"#, r#"{"a": 1, "c": 2}"#] {
        assert!(wrong(serde_json::from_str(bad).unwrap()), "{bad}");
    }
}
