//! The tables of `docs/` and `monitoring/` that are made from the code: methods, events, errors, configuration keys, metrics.
//!
//! 1. A table is placed between `<!-- generated: NAME -->` and `<!-- end -->` and is never edited by hand.
//!
//! With `UPDATE_SCHEMAS=1` the blocks are written instead of compared.
//!
//! Not here: the other checks of the documentation (`tests/docs.rs`).

use crate::config::VARIABLES;
use crate::config::schema::{config_schema, secrets_schema};
use crate::engine::metrics::exposition_of_everything;
use crate::rpc::documents::documents;
use crate::rpc::errors::ERROR_KINDS;
use crate::rpc::openrpc;
use crate::rpc::wire::event::EVENTS;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const REGENERATE: &str = "regenerate with: UPDATE_SCHEMAS=1 cargo test --lib committed_schemas";

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Formats a Markdown table. Line breaks become spaces and bars are escaped, because both would end a cell.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| {
        let cells = cells.iter().map(|cell| cell.replace('\n', " ").replace('|', "\\|"));
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line(head.iter().map(|&cell| cell.to_owned()).collect());
    text += &format!("|{}\n", "---|".repeat(head.len()));
    rows.into_iter().for_each(|row| text += &line(row));
    text
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn array<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

fn methods() -> String {
    let document = openrpc::document("");
    let rows = array(&document, "methods").iter().map(|method| {
        let params = array(method, "params").iter().map(|param| {
            let mark = if param["required"] == true { "**" } else { "" };
            format!("{mark}`{}`{mark}", text(param, "name"))
        });
        let errors = array(method, "errors").iter().filter_map(|error| text(error, "$ref").rsplit('/').next());
        let own = errors.filter(|kind| !["invalid_params", "internal_error"].contains(kind));
        vec![
            format!("`{}`", text(method, "name")),
            text(method, "summary").to_owned(),
            params.collect::<Vec<_>>().join(", "),
            own.map(|kind| format!("`{kind}`")).collect::<Vec<_>>().join(", "),
        ]
    });
    table(&["Method", "What it does", "Parameters", "Errors"], rows)
}

fn events() -> String {
    let documents: BTreeMap<String, Value> = documents().into_iter().collect();
    let common = ["id", "seq", "event", "cluster", "at_ms", "node_id"];
    let rows = EVENTS.iter().map(|event| {
        let schema = &documents[&format!("events/{}.json", event.name)];
        let fields = array(schema, "required").iter().filter_map(Value::as_str).filter(|name| !common.contains(name));
        let fields: Vec<String> = fields.map(|name| format!("`{name}`")).collect();
        vec![format!("`{}`", event.name), event.summary.to_owned(), fields.join(", ")]
    });
    table(&["Event", "What happened", "Fields"], rows)
}

fn errors() -> String {
    let rows = ERROR_KINDS.iter().map(|kind| {
        let retryable = if kind.retryable() { "yes" } else { "no" };
        vec![kind.code().to_string(), format!("`{}`", kind.name()), retryable.to_owned(), kind.summary().to_owned()]
    });
    table(&["Code", "`kind`", "Retryable", "Meaning"], rows)
}

/// The keys of a file by their dotted name.
fn keys_of(schema: &Value) -> BTreeMap<String, Value> {
    let properties = |of: &Value| of["properties"].as_object().cloned().unwrap_or_default();
    let sections = properties(schema).into_iter();
    let keys = sections.flat_map(|(section, of)| {
        properties(&of).into_iter().map(move |(key, schema)| (format!("{section}.{key}"), schema))
    });
    keys.collect()
}

fn default_of(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => "none".to_owned(),
        Value::String(text) if text.is_empty() => "none".to_owned(),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Object(map) if map.is_empty() => "none".to_owned(),
        Value::String(text) => format!("`{text}`"),
        // 10.0 is written as 10, as in a file.
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        other => format!("`{other}`"),
    }
}

fn allowed(schema: &Value) -> String {
    let plain = |value: &Value| value.to_string().trim_end_matches(".0").to_owned();
    if let Some(words) = schema["oneOf"].as_array() {
        return words.iter().map(|word| format!("`{}`", text(word, "const"))).collect::<Vec<_>>().join(", ");
    }
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("{} to {}", plain(least), plain(most)),
        _ => String::new(),
    }
}

fn keys() -> String {
    let config = keys_of(&config_schema());
    let mut all = keys_of(&secrets_schema());
    all.extend(config.clone());
    let rows = all.iter().map(|(key, schema)| {
        let variable = VARIABLES.iter().find(|(_, of)| of == key);
        let place = if config.contains_key(key) { "" } else { " Only in `secrets.json`." };
        vec![
            format!("`{key}`"),
            default_of(schema),
            allowed(schema),
            variable.map(|(name, _)| format!("`{name}`")).unwrap_or_default(),
            format!("{}{place}", text(schema, "description")),
        ]
    });
    table(&["Key", "Default", "Allowed", "Variable", "Meaning"], rows)
}

fn metrics() -> String {
    let exposition = exposition_of_everything();
    let mut rows: BTreeMap<String, [String; 3]> = BTreeMap::new();
    for line in exposition.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            rows.entry(name.to_owned()).or_default()[2] = help.to_owned();
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            rows.entry(name.to_owned()).or_default()[0] = kind.to_owned();
        } else if let Some((sample, labels)) = line.split_once('{') {
            let endings = ["", "_bucket"];
            let name = rows.keys().find(|name| endings.iter().any(|end| format!("{name}{end}") == sample)).cloned();
            let Some(row) = name.and_then(|name| rows.get_mut(&name)) else { continue };
            let names = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',', '{']).next());
            let names: Vec<String> = names.filter(|name| is_label(name)).map(|name| format!("`{name}`")).collect();
            row[1] = names.join(", ");
        }
    }
    let rows = rows.into_iter().map(|(name, [kind, labels, help])| vec![format!("`{name}`"), kind, labels, help]);
    table(&["Metric", "Type", "Labels", "Meaning"], rows)
}

/// Whether this is a label that clawster sets; `le`, the bound of a bucket, is part of every histogram.
fn is_label(name: &str) -> bool {
    name != "le" && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

// Named so that one command writes these and the schemas.
#[test]
fn the_tables_of_the_docs_agree_with_the_committed_schemas() {
    let tables = [
        ("docs/rpc.md", "methods", methods()),
        ("docs/rpc.md", "events", events()),
        ("docs/rpc.md", "errors", errors()),
        ("docs/configuration.md", "keys", keys()),
        ("docs/operations.md", "metrics", metrics()),
        ("monitoring/README.md", "metrics", metrics()),
    ];
    for (file, name, wanted) in tables {
        let content = fs::read_to_string(page(file)).expect("the page");
        let (opening, closing) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
        let (before, rest) = content.split_once(&opening).unwrap_or_else(|| panic!("{file} has no block {name}"));
        let (found, after) = rest.split_once(closing).expect("the block ends");
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(page(file), format!("{before}{opening}{wanted}{closing}{after}")).expect("the page is written");
            continue;
        }
        assert!(found == wanted, "{file}: the table of {name} is not what the code says; {REGENERATE}");
    }
}

#[test]
fn every_error_kind_comes_with_advice() {
    let content = fs::read_to_string(page("docs/rpc.md")).expect("the page");
    let (_, advice) = content.split_once("| `kind` | What to do |").expect("the advice");
    for kind in ERROR_KINDS {
        assert!(
            advice.contains(&format!("`{}`", kind.name())),
            "docs/rpc.md does not say what to do about {}",
            kind.name()
        );
    }
}

#[test]
fn labels_are_read_from_samples() {
    let table = metrics();
    let row = |name: &str| table.lines().find(|line| line.starts_with(&format!("| `{name}`"))).map(str::to_owned);
    assert!(row("clawster_requests_total").is_some_and(|row| row.contains("| `method`, `outcome` |")), "{table}");
    assert!(row("clawster_request_seconds").is_some_and(|row| row.contains("| histogram | `method` |")), "{table}");
    assert!(row("clawster_up").is_some_and(|row| row.contains("| gauge |  |")), "{table}");
}
