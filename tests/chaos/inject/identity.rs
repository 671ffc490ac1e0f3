//! Faults of who is who: impostors, renames, drains, leaves, forced handovers.

use crate::load::{ask, roles};
use crate::slot::{Instance, Slot};
use crate::world::World;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::{Launch, stamp};

const JOIN: &str = "distributed.join_cluster";

/// A second process with a node's id, from a state directory of its own. Afterwards it is killed, and the node restarted.
pub fn impostor(world: &World, slot: &Slot, forced: bool, lasts: Duration) -> Result<(), String> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1_000);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let launch = Launch::new(&world.dir.join(format!("impostor-{number}")), &slot.id());
    let mut launch = launch.port(slot.proxy.port()).env("CLAWSTER__LOGGING__SYSLOG", "false");
    for (key, value) in slot.launch().environment() {
        if key.starts_with("CLAWSTER__") {
            launch = launch.env(key, value);
        }
    }
    let serve = Arc::new(launch.env("CLAWSTER__NODE__AUTO_JOIN", "false").start());
    let instance = Instance { number, serve };
    let original = slot.instance();
    std::thread::scope(|scope| {
        scope.spawn(|| roles::follow(world, None, &instance));
        let params = if forced { json!({"node_id": slot.id(), "force": true}) } else { json!({"node_id": slot.id()}) };
        let joined = ask(world, &instance, JOIN, params);
        let until = stamp() + lasts;
        if let (Some(Ok(_)), Some(original)) = (joined.map(|answer| answer.result), &original) {
            replaced(world, original);
        }
        while stamp() < until && !world.over() {
            std::thread::sleep(Duration::from_millis(20));
        }
        instance.serve.kill9();
    });
    slot.kill9();
    slot.start();
    Ok(())
}

/// M3: a process whose id another one has joined with gets nothing more out of Redis under that id. Where Redis lost the join, either
/// of both may be first.
fn replaced(world: &World, original: &Instance) {
    let begun = stamp();
    let params = json!({"name": format!("of-{}", original.label()), "ttl_ms": 200});
    let lease = ask(world, original, "distributed.acquire_lease", params);
    if let Some(Ok(result)) = lease.map(|answer| answer.result)
        && result["acquired"] == true
    {
        let label = original.label();
        let text = format!("M3: {label} was granted a lease after another process joined under its id: {result}");
        world.history.seen_unless_lost().push((text, begun, stamp()));
    }
}

/// Asks until it is answered without an error, or the run has waited long enough.
fn insist(world: &World, slot: &Slot, method: &str, params: &Value, within: Duration) -> Result<Value, String> {
    let end = stamp() + within;
    let mut last = "no answer".to_owned();
    while stamp() < end && !world.over() {
        if let Some(instance) = slot.instance() {
            match ask(world, &instance, method, params.clone()).map(|answer| answer.result) {
                Some(Ok(result)) => return Ok(result),
                Some(Err(error)) => last = format!("{} {}", error.code, error.message),
                None => {}
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(format!("{method} of {} was not done within {within:?}: {last}", slot.id()))
}

/// How long a call may be in vain while other faults go on.
const A_WHILE: Duration = Duration::from_secs(30);

/// A rename, and the old name again.
pub fn rename(world: &World, slot: &Slot, lasts: Duration) -> Result<(), String> {
    let other = format!("{}x", slot.id());
    // Only a member is renamed: a process that has not joined yet would join as somebody new.
    insist(world, slot, JOIN, &json!({"node_id": slot.id()}), A_WHILE)?;
    insist(world, slot, JOIN, &json!({"node_id": other}), A_WHILE)?;
    std::thread::sleep(lasts);
    if let Err(why) = insist(world, slot, JOIN, &json!({"node_id": slot.id()}), A_WHILE) {
        world.history.troubles().push(why);
    }
    Ok(())
}

/// A drain, and its end.
pub fn drain(world: &World, slot: &Slot, lasts: Duration) -> Result<(), String> {
    insist(world, slot, "distributed.drain", &json!({"enabled": true}), A_WHILE)?;
    std::thread::sleep(lasts);
    if let Err(why) = insist(world, slot, "distributed.drain", &json!({"enabled": false}), A_WHILE) {
        world.history.troubles().push(why);
    }
    Ok(())
}

/// A leave, and a join.
pub fn leave(world: &World, slot: &Slot, lasts: Duration) -> Result<(), String> {
    let instance = slot.instance().ok_or("no process")?;
    let left = ask(world, &instance, "distributed.leave_cluster", Value::Null).map(|answer| answer.result);
    std::thread::sleep(lasts);
    if let Err(why) = insist(world, slot, JOIN, &json!({}), A_WHILE) {
        world.history.troubles().push(why);
    }
    match left {
        Some(Ok(_)) => Ok(()),
        other => Err(format!("the leave was not answered well: {other:?}")),
    }
}

/// A forced handover to this node.
pub fn hand_over(world: &World, slot: &Slot) -> Result<(), String> {
    let instance = slot.instance().ok_or("no process")?;
    match ask(world, &instance, "distributed.elect_leader", json!({"force": true})).map(|answer| answer.result) {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(format!("{} {}", error.code, error.message)),
        None => Err("no answer".to_owned()),
    }
}
