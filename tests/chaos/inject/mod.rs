//! Carries out a schedule: each fault on a thread of its own, at its time, with what it takes hold of.
//!
//! 1. A fault that cannot be done is written down as skipped, with the reason.
//! 2. When a fault has ended, what it changed is as before: the process runs, the network passes, Redis serves.
//!
//! Not here: what must hold meanwhile (`checkers/`).

pub mod identity;
pub mod network;
pub mod process;
pub mod redis;
pub mod wrapper;

use crate::faults::{Fault, Hold, Kind, Who};
use crate::history::Applied;
use crate::slot::Slot;
use crate::world::World;
use std::sync::PoisonError;
use std::time::Duration;
use testkit::stamp;

/// Carries out all faults; returns when the last one has ended.
pub fn schedule(world: &World) {
    let began = stamp();
    std::thread::scope(|scope| {
        for fault in &world.plan.faults {
            let due = began + Duration::from_millis(fault.at);
            while stamp() < due {
                std::thread::sleep(Duration::from_millis(5).min(due.saturating_sub(stamp())));
            }
            if world.plan.style == crate::plan::Style::Solo {
                carry_out(world, *fault);
            } else {
                scope.spawn(move || carry_out(world, *fault));
            }
        }
    });
}

fn carry_out(world: &World, fault: Fault) {
    let place = target(world, &fault);
    let hold = match (fault.kind.hold(), place) {
        (Hold::Process, Some(place)) => Some(&world.slots[place].process),
        (Hold::Network, Some(place)) => Some(&world.slots[place].network),
        (Hold::Redis, _) => Some(&world.redis),
        (Hold::Wrapper, Some(place)) => Some(&world.wrappers[place].busy),
        _ => None,
    };
    let _held = hold.map(|hold| hold.lock().unwrap_or_else(PoisonError::into_inner));
    // Whom it hits is known only now: waiting may have taken a while.
    let (leader, seen) = world.leader();
    let led = place.is_some()
        && place == leader
        && stamp().saturating_sub(seen) < Duration::from_millis(500)
        && fault.kind.hold() != Hold::Wrapper;
    let begun = stamp();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inflict(world, &fault, place)));
    let skipped = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            world.history.troubles().push(format!("{fault}: {text}"));
            None
        }
    };
    let applied = Applied { fault, place, led, begun, ended: stamp(), skipped };
    world.history.applied().push(applied);
}

/// The node or wrapper that a fault hits.
fn target(world: &World, fault: &Fault) -> Option<usize> {
    match fault.who {
        Who::All => None,
        Who::Place(place) if fault.kind.hold() == Hold::Wrapper => {
            Some(place.min(world.wrappers.len().checked_sub(1)?))
        }
        Who::Place(place) => Some(place.min(world.slots.len() - 1)),
        Who::Leader => Some(world.leader().0.unwrap_or(0)),
    }
}

fn inflict(world: &World, fault: &Fault, place: Option<usize>) -> Result<(), String> {
    let lasts = Duration::from_millis(fault.lasts);
    let slot = || -> Result<&Slot, String> { Ok(&world.slots[place.ok_or("no node")?]) };
    match fault.kind {
        Kind::Kill => process::kill(world, slot()?, lasts),
        Kind::Restart => process::restart(world, slot()?, lasts),
        Kind::Stop => process::stop(slot()?, lasts),
        Kind::NodeClock => process::clock(slot()?, fault, lasts),
        Kind::FullDisk => process::full_disk(slot()?, lasts),
        Kind::Reconfigure => process::reconfigure(world, slot()?, fault, lasts),
        Kind::OtherVersion => process::other_version(world, slot()?, lasts),
        Kind::Hole | Kind::HoleUp | Kind::HoleDown | Kind::Delay | Kind::Throttle => {
            network::mode(&slot()?.proxy, fault, lasts)
        }
        Kind::Cut => network::cut(&slot()?.proxy),
        Kind::LostReplies => network::lose_replies(&slot()?.proxy, fault, lasts),
        Kind::RedisStop | Kind::RedisSleep | Kind::RedisPause => redis::stall(world, fault, lasts),
        Kind::RedisRestart => redis::restart(world, lasts),
        Kind::LostTail => redis::lost_tail(world, fault, lasts),
        Kind::EmptyRestart => redis::empty_restart(world, lasts),
        Kind::Flush => redis::flush(world),
        Kind::Promote | Kind::StalePromote => redis::promote(world, fault, lasts),
        Kind::RedisClock => redis::clock(world, fault, lasts),
        Kind::FullRedis => redis::full(world, lasts),
        Kind::Impostor => identity::impostor(world, slot()?, false, lasts),
        Kind::ForcedImpostor => identity::impostor(world, slot()?, true, lasts),
        Kind::Rename => identity::rename(world, slot()?, lasts),
        Kind::Drain => identity::drain(world, slot()?, lasts),
        Kind::Leave => identity::leave(world, slot()?, lasts),
        Kind::Handover => identity::hand_over(world, slot()?),
        Kind::WrapperKill | Kind::WrapperStop | Kind::WrapperHole => {
            wrapper::hit(&world.wrappers[place.ok_or("no wrapper")?], fault, lasts)
        }
    }
}
