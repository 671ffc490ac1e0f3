//! Clusters of real processes under faults, and judges over what they did: `make chaos`, and a minute of it in `cargo test`.
//!
//! 1. A run is a plan drawn from a seed, which is printed; the same seed gives the same plan.
//! 2. A failure is shown with its seed, its shortest known schedule, and the command that repeats it.
//! 3. In `cargo test` nothing is judged that depends on how fast the host is.
//!
//! `docs/chaos.md` says how to use it; `checkers/mod.rs` says what is judged and what is allowed.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod backing;
mod checkers;
mod clock;
mod controls;
mod dump;
mod faults;
mod history;
mod inject;
mod leaderless;
mod load;
mod numbers;
mod options;
mod plan;
mod report;
mod run;
mod shrink;
mod slot;
mod world;

use faults::Kind;
use options::{Options, Task};
use plan::{Plan, Style};
use report::Report;
use run::Make;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The minute in `cargo test`: seeds, and the kinds of faults drawn under each.
const MINUTE: [(u64, &[Kind]); 3] = [
    (11, &[Kind::Kill, Kind::Restart, Kind::Stop, Kind::Handover, Kind::Drain, Kind::Leave]),
    (
        12,
        &[
            Kind::Hole,
            Kind::HoleUp,
            Kind::HoleDown,
            Kind::Cut,
            Kind::Delay,
            Kind::LostReplies,
            Kind::WrapperKill,
            Kind::WrapperStop,
        ],
    ),
    (13, &[Kind::RedisStop, Kind::RedisPause, Kind::RedisRestart, Kind::Kill, Kind::Cut, Kind::RedisClock]),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("stamp") => return load::wrappers::leave_stamps(),
        // In the place of the program, for the control.
        Some("serve") => return controls::elector::serve(),
        _ => {}
    }
    let options = match Options::read(&args) {
        Ok(options) => options,
        Err(why) => {
            println!("chaos: {why}");
            return ExitCode::from(2);
        }
    };
    let good = match &options.task {
        Task::Nothing => return ExitCode::SUCCESS,
        Task::Minute => controls::bugs::all_fit() && checkers::self_check::judges_judge() && minute(&options),
        Task::Long => checkers::self_check::judges_judge() && long(&options),
        Task::Control => controls::plain_election(),
        Task::Bugs(name) => controls::bugs::all_caught(name.as_deref()),
    };
    clock::clean_up();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Short runs with fixed seeds.
fn minute(options: &Options) -> bool {
    let report = Mutex::new(Report::default());
    let work = |(seed, only): (u64, &[Kind])| {
        let wishes = plan::Wishes {
            nodes: Some(3),
            faults: 9,
            style: Some(Style::Storm),
            only: only.to_vec(),
            other: false,
            ..options.wishes.clone()
        };
        let plan = Plan::drawn(seed, &wishes);
        println!("{}", plan.line());
        let outcome = run::run(&plan, &Make::default());
        report.lock().unwrap().add(seed, outcome);
    };
    std::thread::scope(|scope| {
        for part in MINUTE {
            let work = &work;
            scope.spawn(move || work(part));
        }
    });
    let report = report.into_inner().unwrap();
    println!("{}", report.text());
    report.failures.is_empty()
}

/// Runs with seeds that rise from the first one, several beside each other, until there were enough faults.
fn long(options: &Options) -> bool {
    let first = options.seed.unwrap_or_else(|| u64::from(std::process::id()) * 1_000_003 % 1_000_000_007);
    let once = options.seed.is_some() && options.faults == 10_000 || options.schedule.is_some();
    let next = AtomicU64::new(first);
    let (report, enough) = (Mutex::new(Report::default()), AtomicBool::new(false));
    let work = || {
        while !enough.load(Ordering::SeqCst) {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            let mut plan = Plan::drawn(seed, &options.wishes);
            if let Some(faults) = &options.schedule {
                plan.faults.clone_from(faults);
            }
            println!("{}", plan.line());
            let outcome = run::run(&plan, &Make::default());
            let failed = !outcome.problems.is_empty();
            println!(
                "seed {seed}: {} faults, {} violations, {:.0} s",
                run::count(&outcome),
                outcome.problems.len(),
                outcome.took.as_secs_f64()
            );
            report::shown(&outcome.problems).iter().for_each(|problem| println!("  {problem}"));
            {
                let mut report = report.lock().unwrap();
                report.add(seed, outcome);
                enough.store(once || report.faults() >= options.faults, Ordering::SeqCst);
            }
            if failed && options.shrink > 0 && plan.faults.len() > 1 {
                let small = shrink::shrink(&plan, &Make::default(), options.shrink);
                let nodes = plan.nodes.len();
                println!("  to repeat: make chaos SEED={seed} NODES={nodes} SCHEDULE={}", small.faults_text());
            }
        }
    };
    let lanes = if once { 1 } else { options.parallel };
    std::thread::scope(|scope| (0..lanes).for_each(|_| drop(scope.spawn(work))));
    let report = report.into_inner().unwrap();
    println!("{}", report.text());
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", report.json())).expect("the report is written");
    }
    report.failures.is_empty() && report.over() == 0
}
