//! `config check`: the effective configuration, or all its problems.
//!
//! 1. `crate::config` masks secrets before it hands values out, so this file never sees one.
//!
//! Not here: the rules (`crate::config`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Tint, clean};
use super::{Session, settings};
use serde_json::{Value, json};

/// Runs `config check`.
///
/// # Errors
/// [`Failure`] with code 1 when the configuration cannot be used.
pub(super) fn run(session: &mut Session<'_>, form: Form) -> Outcome {
    let loaded = match settings::load_all(session.global, session.environment) {
        Ok(loaded) => loaded,
        Err(problems) if form.json => {
            let list: Vec<Value> = problems
                .0
                .iter()
                .map(|problem| json!({"place": problem.place, "key": problem.key, "problem": problem.text}))
                .collect();
            session.output.json(&json!({"ok": false, "problems": list, "warnings": [], "values": []}))?;
            return Err(Failure::Reported(1));
        }
        Err(problems) => return Err(Failure::Failed(problems.to_string())),
    };
    let output = &mut session.output;
    if form.json {
        let values: Vec<Value> = loaded
            .effective()
            .iter()
            .map(|entry| json!({"key": entry.key, "value": entry.value, "source": entry.source}))
            .collect();
        return Ok(output.json(&json!({"ok": true, "problems": [], "warnings": loaded.warnings, "values": values}))?);
    }
    let rows: Vec<Vec<(Tint, String)>> = loaded
        .effective()
        .iter()
        .map(|entry| {
            let value = match &entry.value {
                Value::Null => "-".to_owned(),
                Value::String(text) => clean(text, 80),
                other => clean(&other.to_string(), 80),
            };
            let tint = if entry.source == "default" { Tint::Dim } else { Tint::Plain };
            vec![(tint, entry.key.clone()), (tint, value), (tint, clean(&entry.source, 120))]
        })
        .collect();
    output.table(&["KEY", "VALUE", "SOURCE"], &rows)?;
    for warning in &loaded.warnings {
        let text = output.paint(Tint::Yellow, &format!("Warning: {warning}"));
        output.line(text)?;
    }
    Ok(output.line("The configuration is valid.")?)
}
