//! How to reach an address, and which datagrams were received already.
//!
//! 1. A datagram counts only if it names this process's session and epoch, and only once. Both were chosen at random by this process, so
//!    a recorded datagram of another time, to another process or to an earlier start of this one counts for nothing.
//! 2. A sender learns session and epoch from an answer to its hello, which names the sender's own. What it wants to send waits for
//!    that, as far as there is room.
//! 3. The state is bounded. When the windows of too many senders are known, this process takes the next epoch and forgets them all;
//!    everybody says hello again.
//!
//! Not here: what a datagram says (`frame.rs`).

use super::frame::Receiver;
use super::seal::Session;
use super::window::Window;
use crate::cluster::time::Moment;
use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The most senders whose windows are kept.
const MAX_SENDERS: usize = 4_096;
/// The most addresses that are known.
const MAX_ROUTES: usize = 4_096;
/// The most bodies that wait for an answer to a hello.
const MAX_HELD: usize = 4;
/// The pause before a hello to the same address is repeated.
const HELLO_AGAIN: Duration = Duration::from_millis(150);

/// Who listens at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) receiver: Receiver,
    /// The key that it uses.
    pub(super) key: usize,
}

#[derive(Debug, Default)]
struct Route {
    listener: Option<Listener>,
    held: VecDeque<Vec<u8>>,
    greeted: Option<Moment>,
    used: Moment,
}

/// What to do with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Send it to this listener.
    Open(Listener),
    /// It waits; say hello first.
    Greet,
    /// It waits for an answer to an earlier hello.
    Wait,
}

#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: BTreeMap<SocketAddr, Route>,
    windows: BTreeMap<Session, Window>,
    /// How often the windows were forgotten.
    epoch: u32,
}

impl Routes {
    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether a datagram that names this process is received for the first time.
    pub(super) fn accept(&mut self, from: &Session, number: u64) -> bool {
        if self.windows.len() >= MAX_SENDERS && !self.windows.contains_key(from) {
            self.windows.clear();
            self.epoch = self.epoch.wrapping_add(1);
            return false;
        }
        self.windows.entry(*from).or_default().accept(number)
    }

    fn route(&mut self, address: SocketAddr, now: Moment) -> &mut Route {
        if self.routes.len() >= MAX_ROUTES && !self.routes.contains_key(&address) {
            let oldest = self.routes.iter().min_by_key(|(_, route)| route.used).map(|(address, _)| *address);
            oldest.and_then(|address| self.routes.remove(&address));
        }
        let route = self.routes.entry(address).or_default();
        route.used = now;
        route
    }

    /// How a body gets to an address; it is kept if it has to wait.
    pub(super) fn way(&mut self, now: Moment, address: SocketAddr, body: &[u8]) -> Way {
        let route = self.route(address, now);
        if let Some(listener) = route.listener {
            return Way::Open(listener);
        }
        if route.held.len() >= MAX_HELD {
            route.held.pop_front();
        }
        route.held.push_back(body.to_vec());
        if route.greeted.is_some_and(|at| now.since(at) < HELLO_AGAIN) {
            return Way::Wait;
        }
        route.greeted = Some(now);
        Way::Greet
    }

    /// Called when a datagram that names this process came from an address; returns what waited for that.
    pub(super) fn heard(&mut self, now: Moment, address: SocketAddr, listener: Listener) -> VecDeque<Vec<u8>> {
        let route = self.route(address, now);
        route.listener = Some(listener);
        route.greeted = None;
        std::mem::take(&mut route.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn what_is_sent_waits_for_an_answer_and_then_goes_at_once() {
        let (mut routes, now) = (Routes::default(), Moment(Duration::from_secs(9)));
        assert_eq!(routes.way(now, address(1), b"a"), Way::Greet);
        assert_eq!(routes.way(now, address(1), b"b"), Way::Wait);
        assert_eq!(routes.way(now + HELLO_AGAIN, address(1), b"c"), Way::Greet);
        let listener = Listener { receiver: Receiver::default(), key: 0 };
        assert_eq!(routes.heard(now, address(1), listener), [b"a", b"b", b"c"]);
        assert_eq!(routes.way(now, address(1), b"d"), Way::Open(listener));
        assert_eq!(routes.heard(now, address(1), listener).len(), 0);
    }

    #[test]
    fn addresses_and_senders_are_bounded_and_nothing_old_counts_after_that() {
        let (mut routes, now) = (Routes::default(), Moment(Duration::from_secs(9)));
        for port in 0..5_000 {
            routes.way(now + Duration::from_millis(port.into()), address(port), b"a");
        }
        assert_eq!(routes.routes.len(), MAX_ROUTES);
        let session = |n: u32| u128::from(n).to_be_bytes();
        let most = u32::try_from(MAX_SENDERS).expect("a small number");
        assert!((0..most).all(|n| routes.accept(&session(n), 0)));
        assert!(!routes.accept(&session(0), 0), "again");
        assert!(!routes.accept(&session(most), 0), "it names the epoch that just ended");
        assert_eq!(routes.epoch(), 1, "what names the epoch before does not count");
        assert!(routes.accept(&session(0), 1));
    }
}
