//! Faults of Redis.

use crate::backing::{put_back, remove_files};
use crate::faults::{Fault, Kind};
use crate::numbers::Numbers;
use crate::world::World;
use rustix::process::Signal;
use std::time::Duration;
use testkit::Proxy;
use testkit::wrapper::send;

/// Redis stands still for a while: stopped, asleep, or not answering its clients.
pub fn stall(world: &World, fault: &Fault, lasts: Duration) -> Result<(), String> {
    match fault.kind {
        Kind::RedisStop => {
            let pids = world.backing.pids();
            for signal in [Signal::STOP, Signal::CONT] {
                for pid in &pids {
                    send(*pid, signal);
                }
                if signal == Signal::STOP {
                    std::thread::sleep(lasts);
                }
            }
        }
        Kind::RedisSleep => {
            let said = world.backing.primary().cli(&["DEBUG", "SLEEP", &lasts.as_secs_f64().to_string()]);
            if said != "OK" {
                return Err(said);
            }
        }
        _ => {
            world.backing.primary().cli(&["CLIENT", "PAUSE", &lasts.as_millis().to_string()]);
            std::thread::sleep(lasts);
        }
    }
    Ok(())
}

/// kill -9 and a start with the data that it had.
pub fn restart(world: &World, down: Duration) -> Result<(), String> {
    world.backing.restart(down, |_| {});
    Ok(())
}

/// kill -9 and a start with the data that it had a while ago.
pub fn lost_tail(world: &World, fault: &Fault, lasts: Duration) -> Result<(), String> {
    let copy = world.dir.join("redis-copy");
    world.backing.copy_files(&copy);
    std::thread::sleep(lasts);
    let down = Duration::from_millis(fault.amount);
    world.backing.restart(down, |dir| put_back(&copy, dir));
    Ok(())
}

/// kill -9 and a start without data.
pub fn empty_restart(world: &World, down: Duration) -> Result<(), String> {
    world.backing.restart(down, remove_files);
    Ok(())
}

/// FLUSHALL.
pub fn flush(world: &World) -> Result<(), String> {
    world.backing.primary().cli(&["FLUSHALL"]);
    Ok(())
}

/// The replica becomes the primary; some nodes go on talking to the old one, which takes no writes, for a while.
pub fn promote(world: &World, fault: &Fault, lasts: Duration) -> Result<(), String> {
    let lag = if fault.kind == Kind::StalePromote { Duration::from_millis(300 + fault.amount) } else { Duration::ZERO };
    world.backing.promote(lag)?;
    let mut numbers = Numbers::new(world.plan.seed, 1_100 + fault.amount);
    let nodes = world.slots.iter().map(|slot| &slot.proxy);
    let all: Vec<&Proxy> = nodes.chain(world.wrappers.iter().map(|wrapper| &wrapper.proxy)).collect();
    let port = world.backing.port();
    let (late, first): (Vec<&Proxy>, Vec<&Proxy>) = all.into_iter().partition(|_| numbers.chance(40));
    let lead = |proxy: &Proxy| {
        proxy.target(port);
        proxy.cut();
    };
    first.into_iter().for_each(lead);
    std::thread::sleep(lasts);
    late.into_iter().for_each(lead);
    Ok(())
}

/// A jump of the wall clock that Redis goes by. It stays there, as a clock that was set does.
pub fn clock(world: &World, fault: &Fault, lasts: Duration) -> Result<(), String> {
    crate::clock::preload().ok_or("no preload")?;
    world.backing.clock().jump(fault.jump_us());
    std::thread::sleep(lasts);
    Ok(())
}

/// Redis has no room left for a while.
pub fn full(world: &World, lasts: Duration) -> Result<(), String> {
    let used: u64 = {
        let primary = world.backing.primary();
        let used: u64 =
            primary.info("memory", "used_memory").and_then(|used| used.parse().ok()).ok_or("no used_memory")?;
        // Below what it uses: whatever wants memory is refused, whoever only frees some is not.
        primary.cli(&["CONFIG", "SET", "maxmemory", &(used / 2).to_string()]);
        used
    };
    std::thread::sleep(lasts);
    world.backing.primary().cli(&["CONFIG", "SET", "maxmemory", "0"]);
    if used == 0 { Err("it used no memory".to_owned()) } else { Ok(()) }
}
