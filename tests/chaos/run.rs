//! One run: a plan carried out, from an empty Redis to a verdict.
//!
//! 1. Whatever happens, all processes that it started have ended when it returns.
//!
//! Not here: several runs (`main.rs`), shorter plans for a failure (`shrink.rs`).

use crate::backing::Backing;
use crate::checkers::{self, Case};
use crate::faults::Kind;
use crate::history::{LeaseAnswer, TaskStep};
use crate::leaderless::{self, Row};
use crate::load::wrappers::WrapperSlot;
use crate::load::{self, messages, roles, tasks, wrappers};
use crate::plan::Plan;
use crate::slot::Slot;
use crate::world::World;
use crate::{faults, inject};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::cluster::online;
use testkit::{Launch, Stamp, stamp};

/// How long everything may take to work again after the last fault.
const PROGRESS: Duration = Duration::from_secs(45);

/// What nodes are made of in a run.
#[derive(Debug, Clone, Default)]
pub struct Make {
    /// The program, where it is not the built one.
    pub program: Option<PathBuf>,
    /// More variables of every node.
    pub env: Vec<(String, String)>,
    /// Whether only roles are asked for: for programs that can do nothing else.
    pub roles_only: bool,
    /// How long everything may take to work again, where it is not the usual time.
    pub patience: Option<Duration>,
}

/// What came out of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub problems: Vec<String>,
    /// What the run itself could not do; then the verdict is worth less.
    pub troubles: Vec<String>,
    pub faults: BTreeMap<&'static str, usize>,
    pub skipped: BTreeMap<String, usize>,
    pub leaders: usize,
    pub sent: usize,
    pub delivered: usize,
    pub leases: usize,
    pub keys: usize,
    pub tasks: usize,
    pub commands: usize,
    pub events: usize,
    pub rows: Vec<Row>,
    pub took: Duration,
}

/// Carries out a plan.
pub fn run(plan: &Plan, make: &Make) -> Outcome {
    let began = stamp();
    let dir = tempfile::Builder::new().prefix("clawster-chaos-").tempdir().expect("a directory for the run");
    let replica = plan.has(&[Kind::Promote, Kind::StalePromote]);
    let backing = Backing::start(dir.path(), replica);
    let port = backing.port();
    let slots: Vec<Slot> =
        plan.nodes.iter().enumerate().map(|(place, settings)| Slot::new(dir.path(), place, port, *settings)).collect();
    let mut mounts = Vec::new();
    for slot in &slots {
        slot.relaunch(|mut launch| {
            if plan.other[slot.place] {
                launch.program = inject::process::other_program().unwrap_or(launch.program);
            }
            launch.program = make.program.clone().unwrap_or(launch.program);
            make.env.iter().fold(launch, |launch, (key, value)| launch.env(key, value))
        });
        if plan.has(&[Kind::FullDisk]) {
            mounts.extend(inject::process::mount(slot).ok());
        }
    }
    let wrappers: Vec<WrapperSlot> =
        (0..plan.wrappers).map(|place| WrapperSlot::new(dir.path(), place, port, plan.settings(), &make.env)).collect();
    let mut world = World::new(plan.clone(), dir.path().to_owned(), backing, slots, wrappers);
    world.patience = make.patience.unwrap_or(PROGRESS);
    let calm = live(&world, make);
    let outcome = verdict(&world, calm, began, make);
    if !outcome.problems.is_empty() && make.env.is_empty() && !make.roles_only {
        let place = crate::dump::keep(&world, &outcome.problems);
        println!("seed {}: what is known of it is in {}", plan.seed, place.display());
    }
    drop(world);
    drop(mounts);
    outcome
}

/// Starts everything, lets the faults happen, waits until all works again; returns when the last fault was over.
fn live(world: &World, make: &Make) -> Stamp {
    let one_shot = Launch::new(&world.dir, "cron").port(world.slots[0].proxy.port());
    let one_shot = crate::slot::configured(one_shot, world.plan.settings());
    std::thread::scope(|scope| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scope.spawn(|| roles::watch_host(world));
            bring_up(world)?;
            world.wrappers.iter().for_each(WrapperSlot::start);
            if make.roles_only {
                world.slots.iter().for_each(|slot| drop(scope.spawn(|| roles::sample(world, slot))));
            } else {
                load::start(world, scope);
            }
            if world.plan.extras {
                scope.spawn(|| wrappers::one_shots(world, &one_shot));
            }
            inject::schedule(world);
            let calm = stamp();
            if !make.roles_only {
                recover(world, calm);
            }
            Ok::<Stamp, String>(calm)
        }));
        let calm = match result {
            Ok(Ok(calm)) => calm,
            Ok(Err(why)) => {
                world.history.troubles().push(why);
                stamp()
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                world.history.troubles().push(format!("the run itself failed: {text}"));
                stamp()
            }
        };
        world.over.store(true, Ordering::SeqCst);
        world.slots.iter().for_each(Slot::kill9);
        world.wrappers.iter().for_each(WrapperSlot::end);
        calm
    })
}

/// The first node comes first, so that its settings become the cluster's.
fn bring_up(world: &World) -> Result<(), String> {
    for slot in &world.slots {
        slot.start();
        if slot.place == 0 {
            await_that("the first node leads", world, || {
                let state = state_of(world, slot);
                (state["role"] == "leader").then_some(()).ok_or_else(|| state.to_string())
            })?;
        }
    }
    await_that("all nodes see each other", world, || agreed(world))
}

fn state_of(world: &World, slot: &Slot) -> Value {
    let answer =
        slot.instance().and_then(|instance| load::ask(world, &instance, "distributed.get_cluster_state", Value::Null));
    answer.and_then(|answer| answer.result.ok()).unwrap_or(Value::Null)
}

/// The nodes that must make progress: those that were never of another version, which has faults of its own.
fn judged(world: &World) -> Vec<&Slot> {
    let other = world.history.other_versions(&world.plan);
    world.slots.iter().filter(|slot| !other.contains(&slot.place)).collect()
}

/// Whether every node sees all others online, and one that leads.
fn agreed(world: &World) -> Result<(), String> {
    for slot in judged(world) {
        let state = state_of(world, slot);
        let seen = online(&state);
        let complete = judged(world).iter().all(|other| seen.contains(&other.id()));
        if !complete || !state["leader_id"].is_string() {
            return Err(format!("{} sees {seen:?} and the leader {}", slot.id(), state["leader_id"]));
        }
    }
    Ok(())
}

fn await_that(what: &str, world: &World, mut look: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let end = stamp() + world.patience;
    loop {
        match look() {
            Ok(()) => return Ok(()),
            Err(last) if stamp() > end => return Err(format!("not within {:?}: {what}; last: {last}", world.patience)),
            Err(_) => world.pause(Duration::from_millis(50)),
        }
    }
}

/// Progress: all of it works again.
fn recover(world: &World, calm: Stamp) {
    let mut failed = Vec::new();
    let mut must = |result: Result<(), String>| failed.extend(result.err());
    must(await_that("somebody leads", world, || {
        let (_, seen) = world.leader();
        if seen > calm { Ok(()) } else { Err(format!("last at {seen:?}")) }
    }));
    must(await_that("all nodes see each other", world, || agreed(world)));
    must(await_that("every node gets a lease", world, || {
        let leases = world.history.leases();
        let got = |place| {
            leases.iter().any(|op| op.place == place && op.sent > calm && matches!(op.answer, LeaseAnswer::Granted(_)))
        };
        match judged(world).iter().map(|slot| slot.place).find(|place| !got(*place)) {
            None => Ok(()),
            Some(place) => Err(format!("n{place} got none")),
        }
    }));
    must(await_that("a wrapper runs its command", world, || {
        let last = wrappers::stamps(&world.dir).last().map(|last| last.at);
        if world.wrappers.is_empty() || last.is_some_and(|at| at > calm) {
            Ok(())
        } else {
            Err(format!("last at {last:?}"))
        }
    }));
    world.closing.store(true, Ordering::SeqCst);
    must(await_that("every message arrives or is told as a gap", world, || match messages::missing(world) {
        0 => Ok(()),
        count => Err(format!("{count} messages are missing")),
    }));
    must(await_that("every task is done", world, || settled(world)));
    world.history.seen().extend(failed.into_iter().map(|what| format!("progress: {what}")));
}

/// Asks for every task that was accepted after the last loss of data, until it is done.
fn settled(world: &World) -> Result<(), String> {
    let losses = world.history.losses(Duration::ZERO);
    let (mut accepted, mut done): (BTreeSet<String>, BTreeSet<String>) = Default::default();
    for op in world.history.tasks().iter() {
        match &op.step {
            TaskStep::Submitted if losses.iter().all(|(_, to)| op.sent > *to) => drop(accepted.insert(op.task.clone())),
            TaskStep::Found { state } if state == "done" => drop(done.insert(op.task.clone())),
            TaskStep::Missing => drop(done.insert(op.task.clone())),
            _ => {}
        }
    }
    let slots = judged(world);
    for task in accepted.difference(&done) {
        let Some(slot) = slots.first() else { break };
        match tasks::look(world, slot, task) {
            Some(TaskStep::Found { state }) if state == "done" => {}
            Some(TaskStep::Missing) => {}
            other => return Err(format!("{task}: {other:?}")),
        }
    }
    Ok(())
}

fn verdict(world: &World, calm: Stamp, began: Stamp, make: &Make) -> Outcome {
    let stamps = wrappers::stamps(&world.dir);
    world.history.applied().sort_by_key(|applied| applied.begun);
    let case = Case { plan: &world.plan, history: &world.history, settle: world.settle(), stamps: &stamps };
    let mut outcome = Outcome { problems: checkers::judge(&case), ..Outcome::default() };
    if make.roles_only {
        outcome.problems.retain(|problem| problem.starts_with('E'));
    }
    let history = &world.history;
    outcome.troubles = history.troubles().clone();
    for applied in history.applied().iter() {
        match &applied.skipped {
            None => *outcome.faults.entry(applied.fault.kind.name()).or_default() += 1,
            Some(why) => *outcome.skipped.entry(format!("{}: {why}", applied.fault.kind.name())).or_default() += 1,
        }
    }
    outcome.leaders =
        history.samples().iter().filter(|sample| sample.leads).map(|sample| sample.term).collect::<BTreeSet<_>>().len();
    outcome.sent = history.sent().values().flatten().filter(|sent| sent.accepted.is_some()).count();
    outcome.delivered = history.received().values().map(|mine| mine.deliveries.len()).sum();
    outcome.leases = history.leases().iter().filter(|op| matches!(op.answer, LeaseAnswer::Granted(_))).count();
    outcome.keys = history.once().iter().filter(|op| op.granted == Some(true)).count();
    outcome.tasks = history.tasks().iter().filter(|op| op.step == TaskStep::Submitted).count();
    outcome.commands = stamps.iter().map(|stamp| (stamp.pid, stamp.token)).collect::<BTreeSet<_>>().len();
    outcome.events = history.events().values().map(Vec::len).sum();
    outcome.rows = leaderless::rows(&world.plan, history, calm);
    outcome.took = stamp() - began;
    outcome
}

/// The faults of an outcome, as a number.
pub fn count(outcome: &Outcome) -> usize {
    outcome.faults.values().sum()
}

/// Every kind's name, for the report.
pub fn kinds() -> Vec<&'static str> {
    faults::KINDS.iter().map(|row| row.1).collect()
}
