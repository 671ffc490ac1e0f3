//! What the command asks for: words, and `key=value` pairs.
//!
//! Not here: what the words do (`main.rs`).

use crate::faults::{Fault, Kind};
use crate::plan::{Style, Wishes};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// A fixed minute, for `cargo test`.
    Minute,
    /// Runs until so many faults were carried out.
    Long,
    /// The plain election that must be caught.
    Control,
    /// Seeded bugs that must be caught: one, or all.
    Bugs(Option<String>),
    /// Nothing: the words were for other tests.
    Nothing,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Options {
    pub task: Task,
    pub seed: Option<u64>,
    /// Faults of all runs together.
    pub faults: usize,
    pub parallel: usize,
    pub json: Option<PathBuf>,
    /// Instead of the faults of the plan.
    pub schedule: Option<Vec<Fault>>,
    /// Runs for a failing schedule while it is made shorter; 0 for none.
    pub shrink: usize,
    pub wishes: Wishes,
}

impl Options {
    /// Reads the arguments.
    pub fn read(args: &[String]) -> Result<Self, String> {
        let mut options = Self {
            task: Task::Minute,
            seed: None,
            faults: 10_000,
            parallel: 2,
            json: None,
            schedule: None,
            shrink: 12,
            wishes: Wishes {
                faults: 40,
                other: crate::inject::process::other_program().is_some(),
                ..Wishes::default()
            },
        };
        for arg in args {
            match arg.as_str() {
                "long" => options.task = Task::Long,
                "control" => options.task = Task::Control,
                "bugs" => options.task = Task::Bugs(None),
                "--nocapture" | "-q" | "--quiet" | "--show-output" | "--include-ignored" => {}
                "--list" | "--ignored" => options.task = Task::Nothing,
                other => match other.split_once('=') {
                    Some((key, value)) if !key.starts_with('-') => options.set(key, value)?,
                    _ if other.starts_with('-') || "chaos::minute".contains(other) => {}
                    // The name of another test.
                    _ => options.task = Task::Nothing,
                },
            }
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number = || value.parse::<usize>().map_err(|_| format!("{key}={value} is no number"));
        let kinds = || -> Result<Vec<Kind>, String> {
            value
                .split(',')
                .map(|name| Kind::named(name).ok_or_else(|| format!("no kind of fault: {name:?}")))
                .collect()
        };
        match key {
            "seed" => self.seed = Some(value.parse().map_err(|_| format!("seed={value} is no number"))?),
            "faults" => self.faults = number()?,
            "per_run" => self.wishes.faults = number()?,
            "nodes" => self.wishes.nodes = Some(number()?).filter(|nodes| (1..=9).contains(nodes)),
            "parallel" => self.parallel = number()?.max(1),
            "shrink" => self.shrink = number()?,
            "json" => self.json = Some(value.into()),
            "schedule" => self.schedule = Some(value.split(',').map(Fault::read).collect::<Result<_, _>>()?),
            "only" => self.wishes.only = kinds()?,
            "without" => self.wishes.without = kinds()?,
            "style" if value == "solo" => self.wishes.style = Some(Style::Solo),
            "style" if value == "storm" => self.wishes.style = Some(Style::Storm),
            "bug" => self.task = Task::Bugs(Some(value.to_owned())),
            _ => return Err(format!("{key}={value} is not known; see docs/chaos.md")),
        }
        Ok(())
    }
}
