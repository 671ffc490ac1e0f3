//! The simulated network.
//!
//! 1. Time is virtual and in milliseconds; nothing waits.
//! 2. A node that is paused gets its datagrams when it goes on, before its timers, as from a socket.

use clawster::cluster::gossip::{Effect, Gossip, Identity, MAX_DATAGRAM, Says, Settings};
use clawster::cluster::ids::{ClusterName, NodeId, Term};
use clawster::cluster::time::{Moment, ServerTime};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const KEY: &str = "a key that all nodes of the simulation share";

/// Chance that a seed repeats: SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// A datagram arrives at a node.
    Datagram { node: usize, from: SocketAddr, bytes: Vec<u8> },
    /// A node's timer may be due.
    Wake(usize),
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: Rng,
    pub(crate) nodes: Vec<Option<Gossip>>,
    /// How many datagrams of a thousand are lost.
    pub(crate) loss: u64,
    /// Pairs between which nothing goes in this direction.
    pub(crate) cut: BTreeSet<(usize, usize)>,
    /// Nodes that only those reach which they have sent to: their own address is not routed.
    pub(crate) behind_nat: BTreeSet<usize>,
    contacted: BTreeSet<(usize, usize)>,
    paused: BTreeMap<usize, u64>,
    /// Every datagram that was sent, if recording.
    pub(crate) recorded: Option<Vec<(usize, SocketAddr, Vec<u8>)>>,
    pub(crate) sent: Vec<u64>,
    pub(crate) sent_bytes: Vec<u64>,
    /// What happened, apart from sending.
    pub(crate) effects: Vec<(u64, usize, Effect)>,
    queue: BinaryHeap<Reverse<(u64, u64, Due)>>,
    planned: Vec<u64>,
    count: u64,
    lives: u64,
}

/// The address that a node states.
pub(crate) fn address(node: usize) -> SocketAddr {
    let node = u16::try_from(node).unwrap();
    let [high, low] = node.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 7946))
}

/// The node that has an address.
fn node_at(address: SocketAddr) -> Option<usize> {
    match address {
        SocketAddr::V4(v4) if v4.port() == 7946 => {
            let [_, _, high, low] = v4.ip().octets();
            Some(usize::from(u16::from_be_bytes([high, low])))
        }
        _ => address.port().checked_sub(20_000).map(usize::from),
    }
}

/// The address from which datagrams of a node behind NAT seem to come.
fn outside(node: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 20_000_u16.wrapping_add(u16::try_from(node).unwrap())))
}

pub(crate) fn id(node: usize) -> NodeId {
    NodeId::new(format!("node-{node}")).unwrap()
}

pub(crate) fn says(term: u64) -> Says {
    Says { redis: true, redis_since: ServerTime(1), term: Term(term), version: "0.1.0".to_owned(), ..Says::default() }
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            now: 1_000_000,
            rng: Rng(seed),
            nodes: Vec::new(),
            loss: 0,
            cut: BTreeSet::new(),
            behind_nat: BTreeSet::new(),
            contacted: BTreeSet::new(),
            paused: BTreeMap::new(),
            recorded: None,
            sent: Vec::new(),
            sent_bytes: Vec::new(),
            effects: Vec::new(),
            queue: BinaryHeap::new(),
            planned: Vec::new(),
            count: 0,
            lives: 0,
        }
    }

    /// A world of this many nodes, of which the first one is everybody's seed.
    pub(crate) fn of(seed: u64, nodes: usize) -> Self {
        let mut world = Self::new(seed);
        for _ in 0..nodes {
            world.start(&[KEY], "blue", &[0]);
        }
        world
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment(Duration::from_millis(self.now))
    }

    fn fresh(&mut self, node: usize, keys: &[&str], cluster: &str, seeds: &[usize]) -> Gossip {
        self.lives += 1;
        let me = Identity::new(id(node), self.lives, address(node));
        let mut session = [0; 16];
        session[..8].copy_from_slice(&self.rng.next().to_be_bytes());
        session[8..].copy_from_slice(&self.rng.next().to_be_bytes());
        let settings = Settings { me, session, seed: self.rng.next() };
        let mut gossip = Gossip::new(self.moment(), ClusterName::new(cluster).unwrap(), keys, settings);
        gossip.say(self.moment(), ServerTime(self.now), says(1));
        gossip.set_seeds(seeds.iter().map(|seed| address(*seed)).collect());
        gossip
    }

    /// Adds a node.
    pub(crate) fn start(&mut self, keys: &[&str], cluster: &str, seeds: &[usize]) -> usize {
        let node = self.nodes.len();
        let gossip = self.fresh(node, keys, cluster, seeds);
        self.nodes.push(Some(gossip));
        self.sent.push(0);
        self.sent_bytes.push(0);
        self.planned.push(u64::MAX);
        self.plan(node);
        node
    }

    /// Starts a node's process again.
    pub(crate) fn restart(&mut self, node: usize, keys: &[&str], seeds: &[usize]) {
        let gossip = self.fresh(node, keys, "blue", seeds);
        self.nodes[node] = Some(gossip);
        self.plan(node);
    }

    pub(crate) fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    pub(crate) fn pause(&mut self, node: usize, ms: u64) {
        self.paused.insert(node, self.now + ms);
    }

    pub(crate) fn with<T>(&mut self, node: usize, f: impl FnOnce(&mut Gossip, Moment, u64) -> T) -> T {
        let (moment, now) = (self.moment(), self.now);
        let outcome = f(self.nodes[node].as_mut().unwrap(), moment, now);
        self.carry_out(node);
        outcome
    }

    fn push(&mut self, at: u64, due: Due) {
        self.count += 1;
        self.queue.push(Reverse((at, self.count, due)));
    }

    fn plan(&mut self, node: usize) {
        let Some(gossip) = &self.nodes[node] else { return };
        let at = u64::try_from(gossip.wake_at().0.as_nanos().div_ceil(1_000_000)).unwrap().max(self.now);
        if at < self.planned[node] {
            self.planned[node] = at;
            self.push(at, Due::Wake(node));
        }
    }

    fn carry_out(&mut self, node: usize) {
        let Some(gossip) = self.nodes[node].as_mut() else { return };
        for effect in gossip.effects() {
            match effect {
                Effect::Send(to, bytes) => self.send(node, to, bytes),
                other => self.effects.push((self.now, node, other)),
            }
        }
        self.plan(node);
    }

    fn send(&mut self, node: usize, to: SocketAddr, bytes: Vec<u8>) {
        assert!(bytes.len() <= MAX_DATAGRAM);
        self.sent[node] += 1;
        self.sent_bytes[node] += bytes.len() as u64;
        if let Some(recorded) = &mut self.recorded {
            recorded.push((node, to, bytes.clone()));
        }
        let lost = self.rng.below(1000) < self.loss;
        let latency = 1 + self.rng.below(5);
        let Some(target) = node_at(to).filter(|other| {
            let through_nat = to == outside(*other) && self.contacted.contains(&(*other, node));
            *other < self.nodes.len() && (through_nat || !self.behind_nat.contains(other))
        }) else {
            return;
        };
        if self.behind_nat.contains(&node) {
            self.contacted.insert((node, target));
        }
        if !lost && !self.cut.contains(&(node, target)) {
            let from = if self.behind_nat.contains(&node) { outside(node) } else { address(node) };
            self.push(self.now + latency, Due::Datagram { node: target, from, bytes });
        }
    }

    /// Lets a datagram arrive at a node, from anywhere.
    pub(crate) fn inject(&mut self, node: usize, from: SocketAddr, bytes: Vec<u8>) {
        self.push(self.now, Due::Datagram { node, from, bytes });
    }

    /// Lets this many milliseconds pass.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.queue.peek().is_some_and(|Reverse((at, ..))| *at <= end) {
            let Some(Reverse((at, _, due))) = self.queue.pop() else { break };
            self.now = self.now.max(at);
            let node = match &due {
                Due::Datagram { node, .. } | Due::Wake(node) => *node,
            };
            if let Some(until) = self.paused.get(&node).copied() {
                if until > self.now {
                    // Timers after what arrived meanwhile.
                    self.push(until + u64::from(matches!(due, Due::Wake(_))), due);
                    continue;
                }
                self.paused.remove(&node);
            }
            let moment = self.moment();
            match due {
                Due::Datagram { from, mut bytes, .. } => {
                    if let Some(gossip) = self.nodes[node].as_mut() {
                        // What is dropped has no effect; the tests look at the effects.
                        let _ = gossip.received(moment, from, &mut bytes);
                    }
                }
                Due::Wake(_) => {
                    self.planned[node] = u64::MAX;
                    if let Some(gossip) = self.nodes[node].as_mut()
                        && gossip.wake_at() <= moment
                    {
                        gossip.wake(moment);
                    }
                }
            }
            self.carry_out(node);
        }
        self.now = end;
    }

    /// Lets time pass until this holds; returns how long it took.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, within_ms: u64, step: u64, holds: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        while !holds(self) {
            assert!(self.now < start + within_ms, "{what}: not within {within_ms} ms");
            self.pass(step);
        }
        self.now - start
    }

    /// The nodes that this one reaches.
    pub(crate) fn reached(&self, node: usize) -> BTreeSet<NodeId> {
        let gossip = self.nodes[node].as_ref().unwrap();
        gossip.peers().into_iter().filter(|peer| peer.reachable).map(|peer| peer.node_id).collect()
    }

    /// Whether every running node reaches all others that run, and no other ones.
    pub(crate) fn all_meet(&self) -> bool {
        let count = self.nodes.iter().flatten().count();
        if self.nodes.iter().flatten().any(|gossip| gossip.reachable().count() + 1 < count) {
            return false;
        }
        if count > 100 {
            return true;
        }
        let running: BTreeSet<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_some()).collect();
        let all: BTreeSet<NodeId> = running.iter().map(|node| id(*node)).collect();
        running.iter().all(|node| {
            let mut reached = self.reached(*node);
            reached.insert(id(*node));
            reached == all
        })
    }

    /// The nodes that were reported as unreachable, with who reported them, since this time.
    pub(crate) fn blamed(&self, since: u64) -> Vec<(usize, NodeId)> {
        let blamed = |(at, by, effect): &(u64, usize, Effect)| match effect {
            Effect::Unreachable(node_id, _) if *at >= since => Some((*by, node_id.clone())),
            _ => None,
        };
        self.effects.iter().filter_map(blamed).collect()
    }
}
