//! What nodes and clients do while faults happen. Each worker is one thread for one node through all of its lives.
//!
//! 1. A worker never fails: an error is waited out, a lost answer is written down as unknown.
//!
//! Not here: the verdict (`checkers/`).

pub mod events;
pub mod leases;
pub mod messages;
pub mod roles;
pub mod tasks;
pub mod wrappers;

use crate::slot::Instance;
use crate::world::World;
use serde_json::Value;
use std::thread::Scope;
use std::time::Duration;
use testkit::wire::{Answer, RpcError};

/// How long a worker waits for an answer; a stopped process answers when it wakes, and is not waited for that long.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Starts all workers of all nodes.
pub fn start<'scope>(world: &'scope World, scope: &'scope Scope<'scope, '_>) {
    for slot in &world.slots {
        scope.spawn(move || roles::sample(world, slot));
        scope.spawn(move || messages::send(world, slot));
        scope.spawn(move || messages::receive(world, slot));
        scope.spawn(move || events::collect(world, slot));
        scope.spawn(move || leases::contend(world, slot));
        scope.spawn(move || tasks::submit(world, slot));
        scope.spawn(move || tasks::work(world, slot));
    }
}

/// Asks a node; `None` when no answer came while it lived, and within reason.
pub fn ask(world: &World, instance: &Instance, method: &str, params: Value) -> Option<Answer> {
    let Ok(pending) = instance.serve.request(method, params) else {
        // A process that is gone: its worker goes round until there is the next one.
        std::thread::sleep(Duration::from_millis(20));
        return None;
    };
    let end = testkit::stamp() + PATIENCE;
    loop {
        if let Ok(answer) = pending.wait(Duration::from_millis(100)) {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(1));
        if !instance.serve.runs() || testkit::stamp() > end || world.over() {
            return None;
        }
    }
}

/// Whether it makes sense to ask the same again.
pub fn passing(error: &RpcError) -> bool {
    // Not joined, and an id that another process took: both end when the run brings the node back.
    error.data["retryable"] == true || matches!(error.code, -32003..=-32001)
}
