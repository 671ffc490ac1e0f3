//! Sending: what the membership asks for, with the records that travel along.
//!
//! 1. Nothing is sent to a listener that has not said hello, except a hello.
//!
//! Not here: receiving (`mod.rs`).

use super::frame::{self, Receiver};
use super::identity::Identity;
use super::peers::Silence;
use super::routes::{Listener, Way};
use super::{Effect, Gossip};
use crate::cluster::time::Moment;
use core::net::SocketAddr;
use foca::OwnedNotification as Change;
use std::time::Duration;

/// How long the address that a node was heard from is used instead of the one that it states: behind NAT only that one works.
const HEARD_FROM: Duration = Duration::from_mins(1);

impl Gossip {
    pub(super) fn greet(&mut self, address: SocketAddr) {
        let hello = frame::hello(self.members.me());
        for key in 0..self.sealer.keys() {
            self.put(address, Listener { receiver: Receiver::default(), key }, &hello);
        }
    }

    /// Where to send what is for a node.
    pub(super) fn address_of(&self, now: Moment, to: &Identity) -> SocketAddr {
        match self.addresses.get(&to.node_id) {
            Some((life, address, at)) if *life == to.life && now.since(*at) < HEARD_FROM => *address,
            _ => to.address,
        }
    }

    /// Sends a body to an address, as soon as its listener is known.
    pub(super) fn post(&mut self, now: Moment, address: SocketAddr, body: &[u8]) {
        match self.routes.way(now, address, body) {
            Way::Open(listener) => self.put(address, listener, body),
            Way::Greet => self.greet(address),
            Way::Wait => {}
        }
    }

    pub(super) fn put(&mut self, address: SocketAddr, listener: Listener, body: &[u8]) {
        let content = frame::envelope(listener.receiver, self.routes.epoch(), body);
        if let Some(datagram) = self.sealer.seal(listener.key, &content) {
            self.effects.push(Effect::Send(address, datagram));
        }
    }

    /// Carries out what the membership protocol asks for.
    pub(super) fn settle(&mut self, now: Moment) {
        let (sends, changes) = self.members.results();
        for change in changes {
            match change {
                Change::MemberUp(identity) if self.peers.up(&identity.node_id) => {
                    self.effects.push(Effect::Reachable(identity.node_id.clone()));
                }
                Change::MemberDown(identity) => {
                    let left = self.records.get(&identity.node_id);
                    let left = left.is_some_and(|record| record.says.leaving && record.life >= identity.life);
                    let silence = if left { Silence::Left } else { Silence::Silent };
                    if self.peers.down(now, &identity.node_id, silence) {
                        self.effects.push(Effect::Unreachable(identity.node_id.clone(), silence));
                    }
                }
                Change::Active => self.taken_in = true,
                Change::Idle | Change::Defunct => self.look_for_others(now),
                Change::Rejoin(_) => {
                    self.look_for_others(now);
                    self.lived(now);
                }
                _ => {}
            }
        }
        if sends.is_empty() {
            return;
        }
        let me = self.record(now);
        for (to, message) in sends {
            let room = frame::MAX_BODY.saturating_sub(1 + message.len());
            let records = self.records.pick(&me, (&to.node_id, to.life), room);
            let address = self.address_of(now, &to);
            self.post(now, address, &frame::gossip(&records, &message));
        }
    }
}
