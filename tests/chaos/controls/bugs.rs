//! Seeded bugs: one rule at a time is taken out of the scripts, and the judges must notice under a short schedule.
//!
//! 1. A bug's text stands in the scripts as they are; when a script changed, the bug is adapted, never dropped silently.
//! 2. Only debug builds of the program look for a seeded bug (`src/store/redis/scripts.rs`).
//!
//! Not here: the list of them (`bug_list.rs`), the judges (`checkers/`).

use super::bug_list::{BUGS, Bug};
use crate::faults::Fault;
use crate::plan::{Plan, Settings, Style};
use crate::report::shown;
use crate::run::{Make, run};
use std::path::Path;
use std::time::Duration;

/// How often a bug is tried before it counts as missed.
const TRIES: u64 = 3;

/// All scripts, one after the other.
fn scripts() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/redis/scripts");
    let subjects = std::fs::read_dir(folder).expect("the scripts");
    let files = subjects.flat_map(|subject| std::fs::read_dir(subject.unwrap().path()).expect("its scripts"));
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).expect("a script")).collect::<Vec<_>>().join("\n")
}

/// Whether every bug still fits the scripts; says which does not.
pub fn all_fit() -> bool {
    let scripts = scripts();
    let misfits = BUGS.iter().flat_map(|bug| bug.swaps.iter().map(move |(old, _)| (bug, old)));
    let misfits: Vec<_> = misfits.filter(|(_, old)| !scripts.contains(**old)).collect();
    for (bug, old) in &misfits {
        println!(
            "the seeded bug {} fits no script any more; adapt it in tests/chaos/controls/bug_list.rs: {old:?}",
            bug.name
        );
    }
    misfits.is_empty()
}

/// Seeds one bug, or all in turn; whether each was caught.
pub fn all_caught(name: Option<&str>) -> bool {
    if !all_fit() {
        return false;
    }
    let chosen: Vec<&Bug> = BUGS.iter().filter(|bug| name.is_none_or(|name| name == bug.name)).collect();
    if chosen.is_empty() {
        println!("there is no seeded bug {name:?}; there are: {}", BUGS.map(|bug| bug.name).join(", "));
        return false;
    }
    let mut missed = Vec::new();
    for bug in &chosen {
        if !caught(bug) {
            missed.push(bug.name);
        }
    }
    println!(
        "{} of {} seeded bugs were caught{}",
        chosen.len() - missed.len(),
        chosen.len(),
        if missed.is_empty() { String::new() } else { format!("; missed: {missed:?}") }
    );
    missed.is_empty()
}

fn caught(bug: &Bug) -> bool {
    let text: Vec<String> = bug.swaps.iter().map(|(old, new)| format!("{old}\u{1f}{new}")).collect();
    let make = Make {
        env: vec![("CLAWSTER_SEEDED_BUG".to_owned(), text.join("\u{1e}"))],
        patience: Some(Duration::from_secs(10)),
        ..Make::default()
    };
    for seed in 1..=TRIES {
        let faults =
            bug.schedule.split(',').filter(|text| !text.is_empty()).map(|text| Fault::read(text).expect("a fault"));
        let plan = Plan {
            seed,
            style: Style::Storm,
            nodes: vec![Settings::BRISK; 3],
            other: vec![false; 3],
            wrappers: bug.wrappers,
            extras: false,
            faults: faults.collect(),
        };
        let outcome = run(&plan, &make);
        let found: Vec<String> =
            outcome.problems.iter().filter(|problem| problem.starts_with(bug.breaks)).cloned().collect();
        if !found.is_empty() {
            println!(
                "{:<26} caught after {:.0} s: {} (of {} problems): {}",
                bug.name,
                outcome.took.as_secs_f64(),
                bug.breaks,
                outcome.problems.len(),
                found[0]
            );
            return true;
        }
        println!(
            "{:<26} not caught with seed {seed}; problems: {:?}; troubles: {:?}",
            bug.name,
            shown(&outcome.problems),
            outcome.troubles
        );
    }
    false
}
