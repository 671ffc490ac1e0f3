//! Gossip: nodes see each other while Redis is away. One node as a state machine: datagrams and time in, effects out.
//!
//! 1. Gossip decides nothing: no leader, no lease, no death and no message depends on it. Its one effect on the cluster is that a node
//!    that hears of a higher term asks Redis at once, and does not lead until Redis has answered.
//! 2. No I/O, no clock, no randomness: the same inputs give the same effects. The random session and seed are inputs.
//! 3. Whatever arrives, from whomever, costs a bounded amount of work and of memory.
//! 4. What a node sends per second does not depend on the number of nodes.
//!
//! ```text
//!  datagrams, timers, what this node says, notes ──▶ Gossip ──▶ datagrams, who is reachable, notes, a higher term
//! ```
//!
//! `seal.rs`, `window.rs`, `routes.rs` let only fresh datagrams of this cluster in · `frame.rs`, `wire.rs` their bytes · `members.rs`
//! who can be reached · `record.rs` what each node says · `note.rs` notes · `peers.rs` the view of all that.
//!
//! Not here: the socket (`crate::engine::gossip`).

mod frame;
mod identity;
mod members;
mod note;
mod peers;
mod record;
mod routes;
mod seal;
mod sending;
mod window;
mod wire;

pub use identity::Identity;
pub use members::{PROBE_PERIOD, PROBE_TIMEOUT, REMEMBERED, SUSPICION};
pub use note::{MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES, Note};
pub use peers::{Peer, Silence};
pub use record::{MAX_NODES, Record, Says};
pub use seal::{MAX_DATAGRAM, OVERHEAD, Sealer, Session, Unopened};
pub use window::{WIDTH, Window};

use crate::cluster::ids::{ClusterName, NodeId, Term};
use crate::cluster::time::{Moment, ServerTime};
use core::net::SocketAddr;
use frame::{Body, Receiver};
use members::Members;
use note::Bucket;
use peers::Peers;
use record::Records;
use routes::{Listener, Routes};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The pause between two attempts to find a node while no other one is known.
const SEEK_ALONE: Duration = Duration::from_millis(500);
/// The pause between two looks at a seed while others are known: it joins halves that lost each other.
const SEEK: Duration = Duration::from_secs(10);
/// How many seeds are tried at a time.
const SEEDS_AT_ONCE: usize = 3;
/// How often a process takes a later life within [`CONTEST`] before it must assume that another process uses its id.
const MAX_LIVES: usize = 5;
const CONTEST: Duration = Duration::from_secs(10);

/// The parameters of a node's gossip.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node. Its life is later than that of earlier processes.
    pub me: Identity,
    /// Fresh random bytes.
    pub session: Session,
    /// A random number, for choosing whom to talk to.
    pub seed: u64,
}

/// An effect of gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this datagram.
    Send(SocketAddr, Vec<u8>),
    /// A node answers, for the first time or again.
    Reachable(NodeId),
    /// A node does not answer.
    Unreachable(NodeId, Silence),
    /// A note arrived.
    Note(Note),
    /// A higher term than any before was heard of.
    Term(Term),
    /// Another process gossips under this node's id.
    Contested,
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dropped {
    /// It is too short, too long, or of another version.
    Foreign,
    /// It has another key or another cluster's name, or was damaged.
    Sealed,
    /// It came before.
    Repeated,
    /// It is for an earlier process at this address, or from a sender that does not know this one yet; it was told.
    Unbound,
    /// It was sealed with the right key, but its content cannot be read.
    Malformed,
}

/// The gossip of one node; see the head of this file.
#[derive(Debug)]
pub struct Gossip {
    sealer: Sealer,
    routes: Routes,
    members: Members,
    records: Records,
    peers: Peers,
    /// Whether another node has taken this one in.
    taken_in: bool,
    says: Says,
    /// The Redis server's clock as this node knows it, and when that was.
    clock: (ServerTime, Moment),
    /// The time of the last record that it made.
    stated: ServerTime,
    seeds: Vec<SocketAddr>,
    next_seed: usize,
    seek_at: Moment,
    addresses: BTreeMap<NodeId, (u64, SocketAddr, Moment)>,
    term: Term,
    answers: Bucket,
    notes: Bucket,
    lives: Vec<Moment>,
    effects: Vec<Effect>,
}

impl Gossip {
    /// The gossip of a node. `keys`: the key, then the previous one, if any.
    #[must_use]
    pub fn new(now: Moment, cluster: ClusterName, keys: &[&str], settings: Settings) -> Self {
        Self {
            sealer: Sealer::new(cluster, keys, settings.session),
            routes: Routes::default(),
            members: Members::new(settings.me, settings.seed),
            records: Records::default(),
            peers: Peers::default(),
            taken_in: false,
            says: Says::default(),
            clock: (ServerTime::default(), now),
            stated: ServerTime::default(),
            seeds: Vec::new(),
            next_seed: 0,
            seek_at: now,
            addresses: BTreeMap::new(),
            term: Term(0),
            answers: Bucket::new(100, 100),
            notes: Bucket::of_notes(),
            lives: Vec::new(),
            effects: Vec::new(),
        }
    }

    /// Sets what this node says about itself, and the Redis server's clock at `now`.
    pub fn say(&mut self, now: Moment, clock: ServerTime, says: Says) {
        self.clock = (clock, now);
        self.term = self.term.max(says.term);
        self.says = says;
    }

    /// Sets the addresses where other nodes may be found.
    pub fn set_seeds(&mut self, seeds: Vec<SocketAddr>) {
        self.seeds = seeds;
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> &Identity {
        self.members.me()
    }

    /// Takes a datagram. Its bytes are overwritten.
    ///
    /// # Errors
    /// [`Dropped`] when it has no effect.
    pub fn received(&mut self, now: Moment, from: SocketAddr, datagram: &mut [u8]) -> Result<(), Dropped> {
        let opened = self.sealer.open(datagram).map_err(|why| match why {
            Unopened::Foreign => Dropped::Foreign,
            Unopened::Sealed => Dropped::Sealed,
        })?;
        let frame = frame::read(opened.content).map_err(|_| Dropped::Malformed)?;
        let receiver = Receiver { session: opened.session, epoch: frame.epoch };
        let listener = Listener { receiver, key: opened.key };
        let me = Receiver { session: self.sealer.session(), epoch: self.routes.epoch() };
        if opened.session == me.session {
            return Err(Dropped::Repeated);
        }
        if frame.to != me {
            // It may be from the past: it changes nothing, and the answer tells a sender of today how to be heard.
            if self.answers.take(now).is_ok() {
                let hello = frame::hello(self.members.me());
                self.put(from, listener, &hello);
            }
            return Err(Dropped::Unbound);
        }
        if !self.routes.accept(&opened.session, opened.number) {
            return Err(Dropped::Repeated);
        }
        for body in self.routes.heard(now, from, listener) {
            self.put(from, listener, &body);
        }
        let outcome = match frame.body {
            Body::Hello(identity) => self.met(now, identity),
            Body::Gossip(records, message) => self.gossiped(now, from, records, message),
            Body::Note(note) => {
                self.effects.push(Effect::Note(note));
                Ok(())
            }
        };
        self.settle(now);
        outcome
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Moment) {
        self.members.wake(now);
        if self.seek_at <= now {
            self.seek(now);
            for gone in self.peers.forgotten(now) {
                self.records.forget(&gone);
                self.addresses.remove(&gone);
            }
        }
        self.settle(now);
    }

    /// When [`Gossip::wake`] is due.
    #[must_use]
    pub fn wake_at(&self) -> Moment {
        self.members.wake_at().map_or(self.seek_at, |at| at.min(self.seek_at))
    }

    /// Sends a note to these nodes, or to all that can be reached; returns those that it was sent to.
    ///
    /// # Errors
    /// The time to wait, when this node has sent too many notes.
    pub fn notify(
        &mut self,
        now: Moment,
        to: Option<&BTreeSet<NodeId>>,
        topic: String,
        payload: String,
    ) -> Result<Vec<NodeId>, Duration> {
        self.notes.take(now)?;
        let note = Note { from: self.me().node_id.clone(), topic, payload, sent_at: self.time(now) };
        let body = frame::note(&note);
        let wanted = |id: &Identity| to.is_none_or(|to| to.contains(&id.node_id));
        let targets: Vec<Identity> = self.members.active().filter(|id| wanted(id)).cloned().collect();
        for target in &targets {
            let address = self.address_of(now, target);
            self.post(now, address, &body);
        }
        let mut sent: Vec<NodeId> = targets.into_iter().map(|target| target.node_id.clone()).collect();
        sent.sort();
        Ok(sent)
    }

    /// Tells some nodes that this one leaves; nothing is sent after that.
    pub fn leave(&mut self, now: Moment) {
        self.says.leaving = true;
        self.members.leave(now);
        self.settle(now);
    }

    /// The other nodes, as far as they were ever heard.
    #[must_use]
    pub fn peers(&self) -> Vec<Peer> {
        self.peers.view(&self.records)
    }

    /// The other nodes that can be reached, with the addresses that they state.
    pub fn reachable(&self) -> impl Iterator<Item = &Identity> {
        self.members.active()
    }

    /// The effects since the last call, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// The Redis server's clock now, as far as known.
    fn time(&self, now: Moment) -> ServerTime {
        self.clock.0.plus(now.since(self.clock.1))
    }

    /// What this node says now. Each record is later than the one before.
    fn record(&mut self, now: Moment) -> Record {
        self.stated = self.time(now).max(ServerTime(self.stated.0 + 1));
        let me = self.members.me();
        Record { node_id: me.node_id.clone(), life: me.life, as_of: self.stated, says: self.says.clone() }
    }

    /// A node told its identity.
    fn met(&mut self, now: Moment, identity: Identity) -> Result<(), Dropped> {
        if identity.node_id == self.me().node_id {
            self.effects.push(Effect::Contested);
        } else if !self.taken_in || !self.members.is_active(&identity.node_id) {
            self.members.announce(now, identity);
        }
        Ok(())
    }

    fn gossiped(&mut self, now: Moment, from: SocketAddr, records: Vec<Record>, message: &[u8]) -> Result<(), Dropped> {
        let me = self.me().clone();
        // The first record is the sender's.
        let sender = records.first().map(|record| (record.node_id.clone(), record.life));
        let (sender, life) = sender.ok_or(Dropped::Malformed)?;
        if sender == me.node_id {
            self.effects.push(Effect::Contested);
            return Err(Dropped::Malformed);
        }
        self.addresses.insert(sender, (life, from, now));
        for record in records {
            if record.says.term > self.term {
                self.term = record.says.term;
                self.effects.push(Effect::Term(record.says.term));
            }
            if record.node_id != me.node_id {
                self.records.take(record);
            } else if record.life > me.life {
                self.lived(now);
                self.look_for_others(now);
                self.members.live_again(now, record.life.saturating_add(1));
            }
        }
        self.members.heard(now, message).map_err(|_| Dropped::Malformed)
    }

    /// Counts lives of this process: many in a short time are those of two processes with one id.
    fn lived(&mut self, now: Moment) {
        self.lives.retain(|at| now.since(*at) < CONTEST);
        self.lives.push(now);
        if self.lives.len() > MAX_LIVES {
            self.lives.clear();
            self.effects.push(Effect::Contested);
        }
    }

    fn look_for_others(&mut self, now: Moment) {
        self.taken_in = false;
        self.seek_at = self.seek_at.min(now + SEEK_ALONE);
    }

    /// Says hello to some seeds.
    fn seek(&mut self, now: Moment) {
        self.seek_at = now + if self.taken_in { SEEK } else { SEEK_ALONE };
        let count = if self.taken_in { 1 } else { SEEDS_AT_ONCE };
        for _ in 0..count.min(self.seeds.len()) {
            let seed = self.seeds.get(self.next_seed % self.seeds.len()).copied();
            self.next_seed = self.next_seed.wrapping_add(1);
            let Some(seed) = seed.filter(|seed| *seed != self.me().address) else { continue };
            // Without a receiver: whoever listens there answers with its session.
            self.greet(seed);
        }
    }
}
