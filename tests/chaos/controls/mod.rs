//! Controls: what is known to be wrong must be caught, else a run without violations means nothing.
//!
//! Not here: the judges (`checkers/`).

pub mod bug_list;
pub mod bugs;
pub mod elector;

use crate::faults::Kind;
use crate::plan::{Plan, Settings, Style, Wishes};
use crate::run::{Make, run};

/// A plain `SET NX PX` election under the same faults: the judge of E1 must refuse it.
pub fn plain_election() -> bool {
    let make = Make { program: std::env::current_exe().ok(), env: Vec::new(), roles_only: true, patience: None };
    for seed in 1..=5 {
        let wishes = Wishes {
            nodes: Some(3),
            faults: 15,
            style: Some(Style::Storm),
            only: vec![Kind::Stop, Kind::Hole, Kind::Kill, Kind::RedisRestart, Kind::Flush, Kind::EmptyRestart],
            ..Wishes::default()
        };
        let mut plan = Plan { wrappers: 0, extras: false, ..Plan::drawn(seed, &wishes) };
        plan.nodes = vec![Settings::BRISK; 3];
        let outcome = run(&plan, &make);
        println!(
            "SET NX PX, seed {seed}: {} violations in {} faults",
            outcome.problems.len(),
            crate::run::count(&outcome)
        );
        outcome.problems.iter().take(3).for_each(|problem| println!("  {problem}"));
        outcome.troubles.iter().for_each(|trouble| println!("  trouble: {trouble}"));
        if !outcome.problems.is_empty() {
            return true;
        }
    }
    println!("the plain election was not caught");
    false
}
