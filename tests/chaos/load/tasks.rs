//! Tasks and keys: clients that submit tasks and ask for `run_once` keys, and workers that claim and settle.

use crate::history::{OnceOp, TaskOp, TaskStep};
use crate::load::{ask, passing};
use crate::numbers::Numbers;
use crate::slot::{Instance, Slot};
use crate::world::World;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Stamp, stamp};

/// The kind of task that the nodes' clients claim.
pub const KIND: &str = "chaos";
/// A worker that says nothing for so long loses its task.
pub const TIMEOUT_MS: u64 = 5_000;

/// Submits tasks and asks for keys until the run closes.
pub fn submit(world: &World, slot: &Slot) {
    let mut numbers = Numbers::new(world.plan.seed, 500 + u64::try_from(slot.place).unwrap());
    let mut count = 0;
    let began = stamp();
    while !world.closing() && !world.over() {
        let pause = numbers.millis(60, 300);
        world.pause(pause);
        if numbers.chance(50) {
            // Everybody asks for the key of the present half second, so most keys are asked for by several.
            let round = (stamp() - began).as_millis() / 500;
            once(world, slot, &format!("k{round}"));
        } else {
            count += 1;
            task(world, slot, &format!("{}-t{count:05}", slot.id()), &mut numbers);
        }
    }
}

fn once(world: &World, slot: &Slot, key: &str) {
    let params = json!({"key": key, "ttl_ms": 1_800_000, "request_id": format!("{}-{key}", slot.id())});
    for _ in 0..40 {
        let Some(instance) = slot.instance().filter(|_| !world.over()) else { return };
        let sent = stamp();
        let answer = ask(world, &instance, "distributed.run_once", params.clone()).map(|answer| answer.result);
        let granted = match &answer {
            Some(Ok(result)) => result["granted"].as_bool(),
            _ => None,
        };
        world.history.once().push(OnceOp { place: slot.place, key: key.to_owned(), granted, sent, answered: stamp() });
        if granted.is_some() {
            return;
        }
        world.pause(Duration::from_millis(100));
    }
}

fn task(world: &World, slot: &Slot, id: &str, numbers: &mut Numbers) {
    let delay = if numbers.chance(20) { numbers.between(50, 1_500) } else { 0 };
    let params = json!({"id": id, "kind": KIND, "payload": {"of": id}, "delay_ms": delay, "max_attempts": 1000,
        "priority": numbers.below(3), "timeout_ms": TIMEOUT_MS});
    for _ in 0..40 {
        let Some(instance) = slot.instance().filter(|_| !world.over()) else { return };
        let sent = stamp();
        match ask(world, &instance, "distributed.submit_task", params.clone()).map(|answer| answer.result) {
            Some(Ok(_)) => {
                step(world, slot, &instance, id, TaskStep::Submitted, sent);
                if numbers.chance(30) {
                    // A client that did not hear of it: its second submission is a duplicate, and changes nothing.
                    let pause = numbers.millis(20, 400);
                    world.pause(pause);
                    ask(world, &instance, "distributed.submit_task", params);
                }
                return;
            }
            Some(Err(error)) if !passing(&error) => return,
            _ => world.pause(Duration::from_millis(100)),
        }
    }
}

fn step(world: &World, slot: &Slot, instance: &Instance, task: &str, step: TaskStep, sent: Stamp) {
    let op =
        TaskOp { task: task.to_owned(), place: slot.place, instance: instance.number, step, sent, answered: stamp() };
    world.history.tasks().push(op);
}

/// Claims and settles until everything ends.
pub fn work(world: &World, slot: &Slot) {
    let mut numbers = Numbers::new(world.plan.seed, 700 + u64::try_from(slot.place).unwrap());
    // Tasks that this worker forgot, and that it settles when their time is over and another may have them.
    let mut forgotten: Vec<(Stamp, Instance, Value)> = Vec::new();
    while !world.over() {
        let (due, later): (Vec<_>, Vec<_>) = forgotten.into_iter().partition(|(at, _, _)| *at <= stamp());
        forgotten = later;
        for (_, instance, task) in due {
            settle(world, slot, &instance, &task, false);
        }
        let Some(instance) = slot.instance() else {
            world.pause(Duration::from_millis(20));
            continue;
        };
        let sent = stamp();
        let params = json!({"kinds": [KIND], "limit": numbers.between(1, 4), "wait_ms": 300});
        let Some(Ok(claimed)) = ask(world, &instance, "distributed.claim_tasks", params).map(|answer| answer.result)
        else {
            world.pause(Duration::from_millis(50));
            continue;
        };
        let tasks = claimed["tasks"].as_array().cloned().unwrap_or_default();
        for task in &tasks {
            let (token, attempt) = (task["token"].as_u64().unwrap_or(0), task["attempt"].as_u64().unwrap_or(0));
            let id = task["task_id"].as_str().unwrap_or_default();
            step(world, slot, &instance, id, TaskStep::Claimed { token, attempt, timeout_ms: TIMEOUT_MS }, sent);
        }
        for task in &tasks {
            let pause = numbers.millis(0, 120);
            world.pause(pause);
            if !world.closing() && numbers.chance(4) {
                forgotten.push((stamp() + Duration::from_millis(TIMEOUT_MS + 1_500), instance.clone(), task.clone()));
                continue;
            }
            settle(world, slot, &instance, task, !world.closing() && numbers.chance(10));
        }
    }
}

fn settle(world: &World, slot: &Slot, instance: &Instance, task: &Value, fails: bool) {
    let token = task["token"].as_u64().unwrap_or(0);
    let id = task["task_id"].as_str().unwrap_or_default();
    let mut params = json!({"task_id": id, "token": token});
    let method = if fails {
        params["error"] = "no luck".into();
        "distributed.fail_task"
    } else {
        params["result"] = slot.id().into();
        "distributed.complete_task"
    };
    for _ in 0..10 {
        let sent = stamp();
        match ask(world, instance, method, params.clone()).map(|answer| answer.result) {
            Some(Ok(_)) if fails => return step(world, slot, instance, id, TaskStep::Failed { token }, sent),
            Some(Ok(_)) => return step(world, slot, instance, id, TaskStep::Completed { token }, sent),
            Some(Err(error)) if error.data["retryable"] == true => world.pause(Duration::from_millis(100)),
            _ => return,
        }
    }
}

/// Asks at the end what became of a task; `None` while that is not known.
pub fn look(world: &World, slot: &Slot, task: &str) -> Option<TaskStep> {
    let instance = slot.instance()?;
    let sent = stamp();
    let found = match ask(world, &instance, "distributed.get_task", json!([task]))?.result {
        Ok(found) => TaskStep::Found { state: found["state"].as_str().unwrap_or_default().to_owned() },
        Err(error) if error.code == -32009 => TaskStep::Missing,
        Err(_) => return None,
    };
    step(world, slot, &instance, task, found.clone(), sent);
    Some(found)
}
