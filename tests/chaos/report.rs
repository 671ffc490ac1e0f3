//! What all runs together came to, for people and as JSON.
//!
//! Not here: one run (`run.rs`).

use crate::leaderless::Table;
use crate::run::{Outcome, count};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A few problems of each invariant.
pub fn shown(problems: &[String]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut few = Vec::new();
    for problem in problems {
        let count = counts.entry(problem.split(':').next().unwrap_or_default()).or_default();
        *count += 1;
        if *count <= 4 {
            few.push(problem.clone());
        }
    }
    few
}

/// Sums over runs.
#[derive(Debug, Default)]
pub struct Report {
    runs: usize,
    faults: BTreeMap<&'static str, usize>,
    skipped: BTreeMap<String, usize>,
    numbers: BTreeMap<&'static str, usize>,
    table: Table,
    /// Per failed run: its seed, and what was wrong.
    pub failures: Vec<(u64, Vec<String>)>,
    troubles: Vec<(u64, String)>,
    seconds: f64,
}

impl Report {
    /// Adds a run.
    pub fn add(&mut self, seed: u64, outcome: Outcome) {
        self.runs += 1;
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (why, count) in &outcome.skipped {
            *self.skipped.entry(why.clone()).or_default() += count;
        }
        let numbers = [
            ("terms that were led", outcome.leaders),
            ("messages accepted", outcome.sent),
            ("messages delivered", outcome.delivered),
            ("events read", outcome.events),
            ("leases granted", outcome.leases),
            ("keys granted", outcome.keys),
            ("tasks accepted", outcome.tasks),
            ("commands run under a lease", outcome.commands),
            ("faults", count(&outcome)),
            ("violations", outcome.problems.len()),
        ];
        for (what, count) in numbers {
            *self.numbers.entry(what).or_default() += count;
        }
        self.seconds += outcome.took.as_secs_f64();
        self.table.add(outcome.rows);
        self.troubles.extend(outcome.troubles.into_iter().map(|trouble| (seed, trouble)));
        if !outcome.problems.is_empty() {
            self.failures.push((seed, outcome.problems));
        }
    }

    /// How many faults so far.
    pub fn faults(&self) -> usize {
        self.faults.values().sum()
    }

    /// How many times without a leader were over their bound.
    pub fn over(&self) -> usize {
        self.table.lines().iter().map(|line| line.6).sum()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("\n{} runs, {:.0} s of cluster time\n", self.runs, self.seconds);
        for (what, count) in &self.numbers {
            writeln!(text, "  {count:>9} {what}").unwrap();
        }
        text.push_str("\nfaults by kind\n");
        for kind in crate::run::kinds() {
            writeln!(text, "  {:>6} {kind}", self.faults.get(kind).copied().unwrap_or_default()).unwrap();
        }
        for (why, count) in &self.skipped {
            writeln!(text, "  {count:>6} skipped: {why}").unwrap();
        }
        text.push_str("\ntime without a leader, in seconds\n");
        writeln!(
            text,
            "  {:<34} {:>6} {:>7} {:>7} {:>7} {:>7} {:>5}",
            "fault", "times", "min", "median", "max", "bound", "over"
        )
        .unwrap();
        for (what, times, min, median, max, bound, over) in self.table.lines() {
            writeln!(text, "  {what:<34} {times:>6} {min:>7.2} {median:>7.2} {max:>7.2} {bound:>7.2} {over:>5}")
                .unwrap();
        }
        for (seed, trouble) in &self.troubles {
            writeln!(text, "trouble in seed {seed}: {trouble}").unwrap();
        }
        for (seed, problems) in &self.failures {
            writeln!(text, "\nVIOLATIONS in seed {seed}: {}", problems.len()).unwrap();
            shown(problems).iter().for_each(|problem| writeln!(text, "  {problem}").unwrap());
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let table: Vec<Value> = self
            .table
            .lines()
            .into_iter()
            .map(|(what, times, min, median, max, bound, over)| {
                json!({"fault": what, "times": times, "min_s": min, "median_s": median, "max_s": max, "bound_s": bound, "over": over})
            })
            .collect();
        let failures: Vec<Value> =
            self.failures.iter().map(|(seed, problems)| json!({"seed": seed, "problems": problems})).collect();
        json!({"runs": self.runs, "seconds": self.seconds, "numbers": self.numbers, "faults": self.faults, "skipped": self.skipped,
            "leaderless": table, "troubles": self.troubles, "failures": failures})
    }
}
