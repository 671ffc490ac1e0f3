//! Asks each node all the time whether it leads.

use crate::slot::{Instance, Slot};
use crate::world::World;
use serde_json::Value;
use std::time::Duration;
use testkit::sampler::sample_of;
use testkit::{Serve, Stamp, stamp};

/// Samples a node through all of its lives.
pub fn sample(world: &World, slot: &Slot) {
    while !world.over() {
        match slot.instance() {
            Some(instance) => follow(world, Some(slot.place), &instance),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Samples one process until it ends, or is not the node's present one any more.
pub fn follow(world: &World, place: Option<usize>, instance: &Instance) {
    let label = instance.label();
    let pause = Duration::from_millis(10 + 3 * u64::try_from(world.slots.len()).unwrap());
    while !world.over() && is_present(world, place, &instance.serve) {
        let Ok(pending) = instance.serve.request("distributed.get_cluster_state", Value::Null) else { return };
        // What a stopped process answers when it wakes counts, too.
        let answer = loop {
            match pending.wait(Duration::from_millis(200)) {
                Ok(answer) => break Some(answer),
                Err(_) if world.over() || !instance.serve.runs() => break None,
                Err(_) => {}
            }
        };
        if let Some(sample) = answer.and_then(|answer| sample_of(&label, &answer)) {
            if let (true, Some(place)) = (sample.leads, place) {
                world.leads(place, sample.answered);
            }
            world.history.samples().push(sample);
        }
        std::thread::sleep(pause);
    }
}

fn is_present(world: &World, place: Option<usize>, serve: &Serve) -> bool {
    let Some(place) = place else { return serve.runs() };
    world.slots[place].instance().is_some_and(|instance| std::ptr::eq(&raw const *instance.serve, serve))
        && serve.runs()
}

/// Watches this host: a thread that asks for a short sleep and gets a long one says that processes did not run.
pub fn watch_host(world: &World) {
    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_millis(250);
    let mut last: Stamp = stamp();
    while !world.over() {
        std::thread::sleep(SHORT);
        let now = stamp();
        if now - last > SHORT + LONG {
            world.history.stalls().push((last, now));
        }
        last = now;
    }
}
