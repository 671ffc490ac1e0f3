//! Clients that contend for two leases, write with their tokens to something that fences, renew, check and release.

use crate::history::{FencedWrite, LeaseAnswer, LeaseAsk, LeaseOp};
use crate::load::ask;
use crate::numbers::Numbers;
use crate::slot::{Instance, Slot};
use crate::world::World;
use serde_json::{Value, json};
use testkit::stamp;

/// The names that are fought for.
pub const NAMES: [&str; 2] = ["l0", "l1"];

/// Contends until everything ends.
pub fn contend(world: &World, slot: &Slot) {
    let mut numbers = Numbers::new(world.plan.seed, 300 + u64::try_from(slot.place).unwrap());
    let mut requests = 0;
    while !world.over() {
        let pause = numbers.millis(30, 250);
        world.pause(pause);
        let Some(instance) = slot.instance() else { continue };
        let (name, ttl_ms) = (numbers.pick(&NAMES), numbers.between(1_500, 5_000));
        requests += 1;
        let wait = if numbers.chance(60) { numbers.between(100, 2_500) } else { 0 };
        let mut params = json!({"name": name, "ttl_ms": ttl_ms, "wait_ms": wait});
        if numbers.chance(50) {
            params["request_id"] = format!("{}-{requests}", slot.id()).into();
        }
        if let LeaseAnswer::Granted(token) = call(world, slot, &instance, name, LeaseAsk::Acquire { ttl_ms }, params) {
            hold(world, slot, &instance, name, token, &mut numbers);
        }
    }
}

fn hold(world: &World, slot: &Slot, instance: &Instance, name: &'static str, token: u64, numbers: &mut Numbers) {
    for _ in 0..numbers.below(5) {
        write(world, name, token);
        let pause = numbers.millis(20, 400);
        world.pause(pause);
        let token_of = json!({"name": name, "token": token});
        let answer = if numbers.chance(50) {
            call(world, slot, instance, name, LeaseAsk::Check { token }, token_of)
        } else {
            let ttl_ms = numbers.between(1_500, 5_000);
            let params = json!({"name": name, "token": token, "ttl_ms": ttl_ms});
            call(world, slot, instance, name, LeaseAsk::Renew { token, ttl_ms }, params)
        };
        if answer == LeaseAnswer::No {
            return;
        }
    }
    if numbers.chance(85) {
        call(world, slot, instance, name, LeaseAsk::Release { token }, json!({"name": name, "token": token}));
    }
}

fn call(world: &World, slot: &Slot, instance: &Instance, name: &str, what: LeaseAsk, params: Value) -> LeaseAnswer {
    let method = match what {
        LeaseAsk::Acquire { .. } => "distributed.acquire_lease",
        LeaseAsk::Renew { .. } => "distributed.renew_lease",
        LeaseAsk::Check { .. } => "distributed.check_lease",
        LeaseAsk::Release { .. } => "distributed.release_lease",
    };
    let sent = stamp();
    let answer = match ask(world, instance, method, params).map(|answer| answer.result) {
        Some(Ok(result)) => match what {
            LeaseAsk::Acquire { .. } if result["acquired"] == true => {
                LeaseAnswer::Granted(result["token"].as_u64().unwrap_or_default())
            }
            LeaseAsk::Acquire { .. } => LeaseAnswer::No,
            LeaseAsk::Check { .. } if result["valid"] != true => LeaseAnswer::No,
            _ => LeaseAnswer::Yes,
        },
        Some(Err(error)) if error.code == -32007 => LeaseAnswer::No,
        _ => LeaseAnswer::Unknown,
    };
    let op = LeaseOp {
        place: slot.place,
        instance: instance.number,
        name: name.to_owned(),
        ask: what,
        answer,
        sent,
        answered: stamp(),
    };
    world.history.leases().push(op);
    answer
}

/// Writes to the thing that the lease protects, which refuses a token below the highest that it has seen.
fn write(world: &World, name: &str, token: u64) {
    let mut writes = world.history.writes();
    let highest = writes.iter().rev().filter(|write| write.name == name && write.taken).map(|write| write.token).next();
    let taken = highest.is_none_or(|highest| token >= highest);
    writes.push(FencedWrite { name: name.to_owned(), token, taken, at: stamp() });
}
