//! The OpenClaw plugin's generated parts, checked against what they are generated from.
//!
//! 1. Tools, their descriptions and parameters come from `schemas/`; nobody writes them by hand.
//! 2. The plugin's manifest, package and skill say what the crate and the root skill say.
//! 3. The plugin's code stays small and knows none of the cluster's rules.
//!
//! With `UPDATE_SCHEMAS=1` the files are written instead of compared.
//!
//! Not here: the plugin at work in a real gateway (it needs OpenClaw).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const REGENERATE: &str = "regenerate with: UPDATE_SCHEMAS=1 cargo test --test openclaw_plugin";
/// The most lines that the plugin's JavaScript may have in all.
const MOST_LINES: usize = 1_900;
/// The most lines that one of its files may have.
const MOST_LINES_OF_A_FILE: usize = 200;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Compares a committed file with what it should be, or writes it.
fn in_step(path: &str, wanted: &str) {
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        return fs::write(root().join(path), wanted).unwrap();
    }
    assert!(fs::read_to_string(root().join(path)).unwrap_or_default() == wanted, "{path} is out of step; {REGENERATE}");
}

/// The methods that are tools, as the OpenRPC document describes them.
fn methods() -> Vec<Value> {
    let document: Value = serde_json::from_str(&read("schemas/openrpc.json")).unwrap();
    let methods = document["methods"].as_array().unwrap().iter();
    methods.filter(|method| name(method).starts_with("distributed.")).cloned().collect()
}

fn name(method: &Value) -> &str {
    method["name"].as_str().unwrap()
}

/// A schema without what model providers refuse or need not see: null is what an absent parameter means anyway.
fn plain(schema: &Value) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut out = Map::new();
    for (key, value) in fields {
        match (key.as_str(), value) {
            ("$schema" | "title" | "format", Value::String(_)) => {}
            ("type", Value::Array(types)) => {
                let mut types: Vec<_> = types.iter().filter(|name| *name != "null").cloned().collect();
                let one = types.len() == 1;
                out.insert(key.clone(), if one { types.remove(0) } else { types.into() });
            }
            ("properties", Value::Object(properties)) => {
                let properties: Map<_, _> = properties.iter().map(|(name, of)| (name.clone(), plain(of))).collect();
                out.insert(key.clone(), properties.into());
            }
            (_, Value::Object(_)) => {
                out.insert(key.clone(), plain(value));
            }
            (_, Value::Array(values)) => {
                out.insert(key.clone(), values.iter().map(plain).collect());
            }
            _ => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    out.into()
}

fn tools() -> Value {
    let tool = |method: &Value| {
        let path = format!("schemas/methods/{}.params.json", name(method));
        let schema: Value = serde_json::from_str(&read(&path)).unwrap();
        let mut parameters = plain(&schema);
        let fields = parameters.as_object_mut().unwrap();
        fields.remove("description");
        fields.entry("type").or_insert_with(|| "object".into());
        fields.entry("properties").or_insert_with(|| json!({}));
        let text = |key: &str| method[key].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
        let description = format!("{}. {}.", text("summary"), text("description"));
        json!({ "name": name(method), "description": description, "parameters": parameters })
    };
    methods().iter().map(tool).collect()
}

/// `text` with the part between the markers replaced.
fn replaced(text: &str, from: &str, to: &str, with: &str) -> String {
    let start = text.find(from).unwrap_or_else(|| panic!("{from:?} is missing")) + from.len();
    let end = start + text[start..].find(to).unwrap_or_else(|| panic!("{to:?} is missing"));
    format!("{}{with}{}", &text[..start], &text[end..])
}

fn with_version(text: &str) -> String {
    replaced(text, "\n  \"version\": \"", "\"", env!("CARGO_PKG_VERSION"))
}

#[test]
fn the_tools_are_those_of_the_schemas() {
    let text = serde_json::to_string_pretty(&tools()).unwrap() + "\n";
    in_step("openclaw-plugin/tools.json", &text);
    assert!(!text.contains("\"$ref\""), "a schema refers to another one; inline it, tools stand alone");
}

#[test]
fn the_manifest_lists_every_tool_in_both_forms() {
    let names: Vec<String> =
        methods().iter().flat_map(|method| [name(method).to_owned(), name(method).replace('.', "_")]).collect();
    let list: Vec<String> = names.iter().map(|name| format!("\n      \"{name}\"")).collect();
    let path = "openclaw-plugin/openclaw.plugin.json";
    let text = with_version(&read(path));
    in_step(path, &replaced(&text, "\"tools\": [", "\n    ]", &list.join(",")));
    let manifest: Value = serde_json::from_str(&read(path)).unwrap();
    assert_eq!(manifest["contracts"]["tools"], json!(names));
    let package = "openclaw-plugin/package.json";
    in_step(package, &with_version(&read(package)));
    let package: Value = serde_json::from_str(&read(package)).unwrap();
    assert_eq!(package["name"], manifest["id"], "OpenClaw wants the package to be named like the plugin");
}

#[test]
fn every_setting_has_a_label_and_help() {
    let manifest: Value = serde_json::from_str(&read("openclaw-plugin/openclaw.plugin.json")).unwrap();
    let settings = manifest["configSchema"]["properties"].as_object().unwrap();
    let hints = manifest["uiHints"].as_object().unwrap();
    assert_eq!(settings.keys().collect::<Vec<_>>(), hints.keys().collect::<Vec<_>>());
    for (name, hint) in hints {
        assert!(hint["label"].is_string() && hint["help"].is_string(), "{name}");
    }
}

#[test]
fn both_skills_are_one_text() {
    let skill = read("SKILL.md");
    let requires = "\nmetadata: {\"openclaw\":{\"requires\":";
    let alone = "{\"bins\":[\"clawster\"]}";
    assert!(skill.contains(&format!("{requires}{alone}")), "the skill alone needs the program");
    let of_plugin = replaced(&skill, requires, "}}\n", "{\"config\":[\"plugins.entries.clawster.enabled\"]}");
    in_step("openclaw-plugin/skills/clawster/SKILL.md", &of_plugin);
    for method in methods() {
        assert!(skill.contains(&format!("`{}`", name(&method))), "the skill does not teach {}", name(&method));
    }
}

#[test]
fn the_code_of_the_plugin_stays_small() {
    let mut lines = 0;
    for entry in fs::read_dir(root().join("openclaw-plugin")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "js") {
            let own = fs::read_to_string(&path).unwrap().lines().count();
            assert!(own <= MOST_LINES_OF_A_FILE, "{} has {own} lines; split it by subject", path.display());
            lines += own;
        }
    }
    assert!(lines <= MOST_LINES, "{lines} lines of JavaScript; what needs more belongs into the program");
    assert!(!Path::new(&root()).join("openclaw.plugin.json").exists(), "OpenClaw would copy the whole repository");
}
