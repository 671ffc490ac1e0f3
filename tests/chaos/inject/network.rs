//! Faults of a node's way to Redis.

use crate::faults::{Fault, Kind};
use std::time::Duration;
use testkit::Proxy;
use testkit::proxy::Mode;

/// Changes what the network does for a while.
pub fn mode(proxy: &Proxy, fault: &Fault, lasts: Duration) -> Result<(), String> {
    proxy.set(match fault.kind {
        Kind::HoleUp => Mode::BlackHoleUp,
        Kind::HoleDown => Mode::BlackHoleDown,
        Kind::Delay => Mode::Delay(Duration::from_millis(fault.amount)),
        Kind::Throttle => Mode::Slow(u32::try_from(fault.amount).unwrap_or(u32::MAX)),
        _ => Mode::BlackHole,
    });
    std::thread::sleep(lasts);
    proxy.set(Mode::Pass);
    Ok(())
}

/// Closes all connections.
pub fn cut(proxy: &Proxy) -> Result<(), String> {
    proxy.cut();
    Ok(())
}

/// Loses some replies of commands that were carried out.
pub fn lose_replies(proxy: &Proxy, fault: &Fault, lasts: Duration) -> Result<(), String> {
    proxy.drop_replies(fault.amount);
    std::thread::sleep(lasts);
    proxy.drop_replies(0);
    Ok(())
}
