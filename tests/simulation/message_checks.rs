//! The invariants of messages: what clients were handed, against what the streams took.
//!
//! 1. S1: what was written while a node was a member reaches its client, or the client is told of a gap that covers it, or
//!    another process under the same id acknowledged it. What was accepted was written, or waits.
//! 2. S2: nothing comes again after its acknowledgement, and nobody is handed its own.
//! 3. S3: positions rise, and one position has one message, whoever reads it.
//!
//! Not here: who reads when (`messages.rs`).

use crate::clock::Time;
use crate::disk::DiskKey;
use crate::world::World;
use clawster::cluster::ids::{MessageSeq, NodeId};
use clawster::cluster::messages::content::Content;
use clawster::cluster::messages::inbox::Offer;
use clawster::cluster::messages::message::Producer;
use clawster::cluster::protocol::{Publish, PublishReply};
use std::collections::{BTreeMap, BTreeSet};

/// What the client of one node saw.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// When the node became a member first.
    pub(crate) since: Option<Time>,
    /// Its id, and since when it has that one.
    pub(crate) named: Option<(NodeId, Time)>,
    /// Every id that it had, and until when: what comes from the one that it has at that time counts as its own.
    names: BTreeMap<NodeId, Time>,
    delivered: BTreeMap<u64, u64>,
    /// What an earlier process acknowledged under an id that this store took.
    had_there: BTreeSet<u64>,
    acknowledged: BTreeSet<u64>,
    /// Up to where the client acknowledged.
    pub(crate) cursor: u64,
    /// The last cursor that it was given.
    pub(crate) offered: Option<MessageSeq>,
    /// Positions that it was told to be lost, or that another process under its id acknowledged.
    covered: Vec<(u64, u64)>,
}

/// A message that a client gave to a node.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) key: DiskKey,
    pub(crate) producer: Producer,
    pub(crate) to: Option<NodeId>,
    pub(crate) accepted: Time,
    /// When, as whom and where it was put into the stream.
    pub(crate) written: Option<(Time, NodeId)>,
    pub(crate) positions: Vec<u64>,
    /// A server came back without it, or it stands where a message stood that was lost so.
    pub(crate) lost: bool,
}

/// What the streams took.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) given: BTreeMap<u64, Given>,
    at: BTreeMap<u64, u64>,
    /// The furthest acknowledgement under each id.
    acknowledged: BTreeMap<NodeId, u64>,
    /// Positions of messages without which a server came back: they may be given a second time.
    gone: BTreeSet<u64>,
    /// Up to here stood what was in a data set that was lost as a whole.
    ended: u64,
}

impl Log {
    /// Whether the client was told of a gap.
    pub(crate) fn was_told(&self) -> bool {
        !self.covered.is_empty()
    }

    /// What a process without a store handed out.
    pub(crate) fn note_offer(&mut self, offer: &Offer) {
        self.covered.extend(offer.gap.map(|gap| (gap.from.0, gap.to.0)));
        self.delivered.extend(offer.received.iter().map(|received| (number(&received.message), received.seq.0)));
    }

    /// The process takes the id of another store: what was acknowledged there does not come to that id again.
    pub(crate) fn take_id(&mut self, of: &Self) {
        self.had_there.extend(of.acknowledged.iter().chain(&of.had_there));
    }

    /// The process takes the store: what its client got before counts for the store's node.
    pub(crate) fn take_in(&mut self, before: Self) {
        self.covered.extend(before.covered);
        for (number, at) in before.delivered {
            self.delivered.entry(number).or_insert(at);
        }
    }
}

fn number(message: &Content) -> u64 {
    message.id().parse().expect("the simulation numbers its messages")
}

impl Streams {
    /// The data set is lost.
    pub(crate) fn data_set_lost(&mut self) {
        self.ended = self.at.keys().next_back().copied().unwrap_or(0);
    }

    /// A server came back without what it had behind this position.
    pub(crate) fn forgotten(&mut self, last: u64) {
        for (at, message) in self.at.split_off(&(last + 1)) {
            self.gone.insert(at);
            if let Some(given) = self.given.get_mut(&message) {
                given.lost = true;
            }
        }
    }
}

impl World {
    /// A server took messages, or did not.
    pub(crate) fn check_publish(&mut self, publish: &Publish, reply: &PublishReply) {
        let PublishReply::Written { first, .. } = reply else { return };
        let mut at = first.0;
        let now = self.now;
        let mut wrong = None;
        for entry in &publish.entries {
            let messages = Content::read(&entry.body.clone().into()).expect("what was packed");
            if messages.len() > 1 {
                self.coverage.see("message: packed with others");
            }
            for message in messages {
                let number = number(&message);
                let twice = self.streams.gone.contains(&at);
                if self.streams.at.insert(at, number).is_some() || twice {
                    wrong = Some(format!("S3: position {at} was given twice"));
                }
                let given = self.streams.given.get_mut(&number).expect("a client gave it");
                given.written.get_or_insert((now, publish.instance.node_id.clone()));
                given.positions.push(at);
                given.lost = twice;
                at += 1;
            }
        }
        if let Some(wrong) = wrong {
            self.checks.violated(wrong);
        }
    }

    /// The node of this disk receives from `cursor` on.
    pub(crate) fn check_begin(&mut self, key: &DiskKey, ids: &[NodeId], cursor: MessageSeq) {
        let now = self.now;
        let by_others = ids.iter().filter_map(|id| self.streams.acknowledged.get(id)).max().copied().unwrap_or(0);
        let log = &mut self.disks.get_mut(key).expect("it is held").log;
        if let Some((before, _)) = log.named.as_ref().filter(|(known, _)| *known != ids[0]) {
            log.names.insert(before.clone(), now);
        }
        log.names.insert(ids[0].clone(), Time::MAX);
        // A join under another id that is no rename makes another member of it.
        if log.named.as_ref().is_some_and(|(known, _)| !ids.contains(known)) {
            log.since = None;
        }
        if log.named.as_ref().is_none_or(|(known, _)| *known != ids[0]) {
            log.named = Some((ids[0].clone(), now));
        }
        if log.since.is_none() {
            log.since = Some(now);
            log.cursor = cursor.0;
        } else if cursor.0 > log.cursor && by_others >= cursor.0 {
            log.covered.push((log.cursor + 1, cursor.0));
            self.coverage.see("message: skipped, acknowledged by another process under the id");
        }
    }

    /// A client was handed this.
    pub(crate) fn check_offer(&mut self, pid: usize, key: &DiskKey, offer: &Offer) {
        let disk = self.disks.get_mut(key).expect("it is held");
        let mut found = Vec::new();
        if let Some(gap) = offer.gap {
            disk.log.covered.push((gap.from.0, gap.to.0));
            self.coverage.see(if gap.count.is_some() { "message: gap, counted" } else { "message: gap, of a loss" });
        }
        let mut before = 0;
        for received in &offer.received {
            let (number, at) = (number(&received.message), received.seq.0);
            if at <= before {
                found.push(format!("S3: p{pid} is handed {at} after {before}"));
            }
            before = at;
            if disk.log.acknowledged.contains(&number) {
                found.push(format!("S2: p{pid} is handed message {number} again at {at} after its acknowledgement"));
            }
            let mine = self.streams.given.get(&number).is_some_and(|given| given.producer == disk.producer);
            if mine {
                found.push(format!("S2: p{pid} is handed its own message {number}"));
            }
            if disk.log.delivered.insert(number, at).is_some() {
                self.coverage.see("message: handed out again before its acknowledgement");
            } else {
                self.coverage.see("message: delivered");
            }
            let another = self.streams.at.get(&at).is_some_and(|known| *known != number);
            if another && !self.streams.gone.contains(&at) {
                found.push(format!("S3: p{pid} is handed {number} at {at}, the stream has another there"));
            }
        }
        self.checks.violations.extend(found);
    }

    /// A client was told that its acknowledgement is kept. `late`: a process before may have handed it out.
    pub(crate) fn check_acknowledged(&mut self, key: &DiskKey, ids: &[NodeId], cursor: MessageSeq, late: bool) {
        // What Redis lost since then this process cannot know: if it is sent again, it comes again.
        let (gone, ended) = (&self.streams.gone, self.streams.ended);
        let unknown = |at: &u64| late && (gone.contains(at) || *at <= ended);
        let log = &mut self.disks.get_mut(key).expect("it is held").log;
        log.cursor = log.cursor.max(cursor.0);
        // Whoever acknowledges a gap has not acknowledged what was handed out there before it was lost.
        let lost = |at: u64| log.covered.iter().any(|(first, last)| (*first..=*last).contains(&at));
        let had = log.delivered.iter().filter(|(_, at)| **at <= cursor.0 && !lost(**at) && !unknown(at));
        let covered: Vec<u64> = had.map(|(number, _)| *number).collect();
        log.acknowledged.extend(covered);
        self.note_acknowledged(ids, cursor);
    }

    /// A process acknowledged under these ids.
    pub(crate) fn note_acknowledged(&mut self, ids: &[NodeId], cursor: MessageSeq) {
        for id in ids {
            let known = self.streams.acknowledged.entry(id.clone()).or_default();
            *known = cursor.0.max(*known);
        }
    }

    /// At the end, when everything was read: whether a message is missing.
    pub(crate) fn check_delivery(&mut self) {
        let mut found = Vec::new();
        for (number, given) in &self.streams.given {
            if given.written.is_none() {
                let disk = self.disks.get(&given.key);
                let waits = self.disks.values().any(|disk| {
                    disk.producer == given.producer && disk.unsent.iter().any(|m| m.message.id == number.to_string())
                });
                if !waits {
                    found.push(format!("S1: message {number} was accepted, not sent, and is gone: {given:?} {disk:?}"));
                }
            }
        }
        for (key, disk) in &self.disks {
            let Some(pid) = disk.holder.filter(|pid| self.is_member(*pid)) else { continue };
            let (Some(since), Some((id, since_named))) = (disk.log.since, &disk.log.named) else { continue };
            for (number, given) in &self.streams.given {
                let Some((written, from)) = &given.written else { continue };
                let named = disk.log.names.get(from).is_some_and(|until| written <= until);
                let mine = given.producer == disk.producer || named;
                let meant = given.to.as_ref().is_none_or(|to| to == id && given.accepted > *since_named);
                let within =
                    |all: &[(u64, u64)], at: u64| all.iter().any(|(first, last)| (*first..=*last).contains(&at));
                let covered = |at: &u64| within(&disk.log.covered, *at);
                let had = disk.log.delivered.contains_key(number) || disk.log.had_there.contains(number);
                if mine || !meant || *written <= since || had {
                    continue;
                }
                if given.positions.iter().any(covered) {
                    self.coverage.see("message: lost and told");
                } else if given.lost {
                    self.coverage.see("message: lost with a server's tail, not told");
                } else {
                    let log = (&disk.log.covered, disk.log.cursor, since);
                    found.push(format!("S1: p{pid} {key:?} never got message {number} {given:?}: {log:?}"));
                }
            }
        }
        self.checks.violations.extend(found);
    }
}
