//! Faults of `clawster run --lease`.

use crate::faults::{Fault, Kind};
use crate::load::wrappers::WrapperSlot;
use rustix::process::Signal;
use std::time::Duration;
use testkit::proxy::Mode;
use testkit::wrapper::Wrapper;

/// Kills, stops, or cuts off a wrapper; it, or its next one, runs afterwards.
pub fn hit(slot: &WrapperSlot, fault: &Fault, lasts: Duration) -> Result<(), String> {
    match fault.kind {
        Kind::WrapperKill => {
            slot.with(Wrapper::kill9);
            slot.end();
            std::thread::sleep(lasts);
            slot.start();
        }
        Kind::WrapperStop => {
            let pid = slot.with(|wrapper| wrapper.pid()).ok_or("no wrapper")?;
            testkit::wrapper::send(pid, Signal::STOP);
            std::thread::sleep(lasts);
            testkit::wrapper::send(pid, Signal::CONT);
        }
        _ => {
            slot.proxy.set(Mode::BlackHole);
            std::thread::sleep(lasts);
            slot.proxy.set(Mode::Pass);
        }
    }
    Ok(())
}
