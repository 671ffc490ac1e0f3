//! What a node says about itself, and what is known of the others.
//!
//! 1. Of two records of a node, the one of the later life wins, then the one with the later time. So a record that is late or comes
//!    again never replaces a newer one.
//! 2. Nothing is added up or decided: a record is the word of its node as of a time.
//! 3. What travels is in [`Record`], and nothing else: no lease, no task, no acknowledgement, no number, no secret.
//!
//! Not here: whether a node can be reached (`members.rs`).

use super::wire::{Malformed, Reader, put_text};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::time::ServerTime;
use bytes::BufMut;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

/// The most nodes whose records are kept.
pub const MAX_NODES: usize = 4_096;
/// How many unchanged records travel in a datagram beside those that changed, so that what was lost arrives after all.
const OLD_ONES: usize = 3;

/// What a node says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The node.
    pub node_id: NodeId,
    /// The life of its process.
    pub life: u64,
    /// When this was true, on the Redis server's clock as far as the node knows it.
    pub as_of: ServerTime,
    /// What it says.
    pub says: Says,
}

/// The part of a record that changes rarely.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Says {
    /// Whether Redis accepts its heartbeats.
    pub redis: bool,
    /// Since when, on the same clock.
    pub redis_since: ServerTime,
    /// Whether it takes no new work.
    pub draining: bool,
    /// Whether it is leaving: its silence from now on is no failure.
    pub leaving: bool,
    /// The last leader that it knows.
    pub leader_id: Option<NodeId>,
    /// The term of that leader; the highest term that it knows.
    pub term: Term,
    /// The version of the program.
    pub version: String,
}

impl Record {
    fn order(&self) -> (u64, ServerTime) {
        (self.life, self.as_of)
    }

    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let Says { redis, redis_since, draining, leaving, leader_id, term, version } = &self.says;
        put_text(into, self.node_id.as_str());
        into.put_u64(self.life);
        into.put_u64(self.as_of.0);
        into.push(u8::from(*redis) | u8::from(*draining) << 1 | u8::from(*leaving) << 2);
        into.put_u64(redis_since.0);
        put_text(into, leader_id.as_ref().map(NodeId::as_str).unwrap_or_default());
        into.put_u64(term.0);
        // Long enough for any version of this program.
        put_text(into, version.get(..version.floor_char_boundary(32)).unwrap_or_default());
    }

    /// Reads a record from its own bytes; what follows the known fields is from a newer version.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let (node_id, life, as_of) = (reader.node_id()?, reader.u64()?, ServerTime(reader.u64()?));
        let (flags, redis_since) = (reader.u8()?, ServerTime(reader.u64()?));
        let leader = reader.text()?;
        let leader_id = if leader.is_empty() { None } else { Some(NodeId::new(leader).map_err(|_| Malformed)?) };
        let (term, version) = (Term(reader.u64()?), reader.text()?);
        // Numbers stay exact in JSON, and texts are safe in a log and on a terminal.
        let plain = version.bytes().all(|byte| byte.is_ascii_graphic());
        if term.0 >= 1 << 53 || as_of.0 >= 1 << 53 || redis_since.0 >= 1 << 53 || !plain {
            return Err(Malformed);
        }
        let (redis, draining, leaving) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
        let says = Says { redis, redis_since, draining, leaving, leader_id, term, version: version.to_owned() };
        Ok(Self { node_id, life, as_of, says })
    }
}

/// The records of all nodes, and which of them are news.
#[derive(Debug, Default)]
pub(super) struct Records {
    known: BTreeMap<NodeId, Record>,
    /// Changed records that still travel: how often each is sent.
    left: BTreeMap<NodeId, u8>,
    /// Those of `left`, in the order in which they are sent: what a known node says anew before the first words of nodes, of which there
    /// are many when many start at once.
    turn: [VecDeque<NodeId>; 2],
    /// The last one of the unchanged records that was sent.
    sent: Option<NodeId>,
}

impl Records {
    pub(super) fn get(&self, node_id: &NodeId) -> Option<&Record> {
        self.known.get(node_id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.known.values()
    }

    /// Takes a record if it is newer than the known one. What it says for the first time travels on.
    pub(super) fn take(&mut self, record: Record) {
        let before = self.known.get(&record.node_id);
        if before.is_some_and(|known| known.order() >= record.order())
            || (before.is_none() && self.known.len() >= MAX_NODES)
        {
            return;
        }
        if before.is_none_or(|known| known.says != record.says || known.life != record.life) {
            let times = self.transmissions();
            let waits = self.left.insert(record.node_id.clone(), times).is_some();
            let [anew, first] = &mut self.turn;
            if before.is_none() {
                first.push_back(record.node_id.clone());
            } else if !anew.contains(&record.node_id) {
                if waits {
                    first.retain(|id| *id != record.node_id);
                }
                anew.push_back(record.node_id.clone());
            }
        }
        self.known.insert(record.node_id.clone(), record);
    }

    pub(super) fn forget(&mut self, node_id: &NodeId) {
        self.known.remove(node_id);
    }

    /// How often a node sends a change on: as often as news of the membership (`members.rs`). What was missed comes in turn.
    fn transmissions(&self) -> u8 {
        let nodes = self.known.len().max(2);
        u8::try_from(nodes.ilog2() + 4).unwrap_or(u8::MAX)
    }

    /// The records for a datagram from `me` to `to`, of at most `room` bytes in all: its own one; then what changed, in turn; then
    /// some of the others, in turn. If the other side calls itself by an earlier life than the known one, its own record tells it so.
    pub(super) fn pick(&mut self, me: &Record, to: (&NodeId, u64), room: usize) -> Vec<u8> {
        let mut into = Picked { bytes: vec![0], room, chosen: BTreeSet::new() };
        into.add(me);
        if let Some(behind) = self.known.get(to.0).filter(|known| known.life > to.1) {
            into.add(behind);
        }
        into.chosen.insert(to.0.clone());
        for turn in &mut self.turn {
            for _ in 0..turn.len() {
                let Some(id) = turn.pop_front() else { break };
                let Some(record) = self.known.get(&id) else {
                    self.left.remove(&id);
                    continue;
                };
                if *to.0 == id {
                    turn.push_back(id);
                    continue;
                }
                if !into.add(record) {
                    turn.push_front(id);
                    break;
                }
                match self.left.get_mut(&id) {
                    Some(left) if *left > 1 => {
                        *left -= 1;
                        turn.push_back(id);
                    }
                    _ => drop(self.left.remove(&id)),
                }
            }
        }
        self.pick_old_ones(&mut into);
        into.bytes
    }

    fn pick_old_ones(&mut self, into: &mut Picked) {
        let start = self.sent.take();
        let from = start.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until = start.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let after = self.known.range((from, Bound::Unbounded));
        let around = start.is_some().then(|| self.known.range((Bound::Unbounded, until))).into_iter().flatten();
        let (mut added, mut last) = (0, None);
        for (id, record) in after.chain(around) {
            if added == OLD_ONES {
                break;
            }
            if into.chosen.contains(id) {
                continue;
            }
            if !into.add(record) {
                break;
            }
            added += 1;
            last = Some(id.clone());
        }
        self.sent = last.or(start);
    }
}

/// Records for a datagram: their count in one byte, then each with its length in two.
struct Picked {
    bytes: Vec<u8>,
    room: usize,
    chosen: BTreeSet<NodeId>,
}

impl Picked {
    /// Adds a record that is not in it yet; false: there is no room.
    fn add(&mut self, record: &Record) -> bool {
        if self.chosen.contains(&record.node_id) {
            return true;
        }
        let mut one = Vec::with_capacity(96);
        record.write(&mut one);
        let (Some(count), Ok(length)) = (self.bytes.first().copied(), u16::try_from(one.len())) else { return false };
        if count == u8::MAX || self.bytes.len() + 2 + one.len() > self.room {
            return false;
        }
        self.bytes.put_u16(length);
        self.bytes.extend_from_slice(&one);
        if let Some(first) = self.bytes.first_mut() {
            *first = count + 1;
        }
        self.chosen.insert(record.node_id.clone());
        true
    }
}

/// Reads the records of a datagram. A record that cannot be read is left out.
pub(super) fn read_all(reader: &mut Reader<'_>) -> Result<Vec<Record>, Malformed> {
    let count = reader.u8()?;
    let mut records = Vec::new();
    for _ in 0..count {
        let length = reader.u16()?;
        records.extend(Record::read(reader.bytes(length.into())?).ok());
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, life: u64, as_of: u64, term: u64) -> Record {
        let node_id = NodeId::new(id).expect("an id");
        let says = Says { term: Term(term), version: "1.2.3".to_owned(), ..Says::default() };
        Record { node_id, life, as_of: ServerTime(as_of), says }
    }

    #[test]
    fn a_record_comes_back_and_what_a_newer_version_appends_is_skipped() {
        let one = Record {
            says: Says { redis: true, leader_id: NodeId::new("b").ok(), ..record("a", 1, 2, 3).says },
            ..record("a", 1, 2, 3)
        };
        let mut bytes = Vec::new();
        one.write(&mut bytes);
        assert_eq!(Record::read(&bytes), Ok(one.clone()));
        bytes.extend_from_slice(b"more");
        assert_eq!(Record::read(&bytes), Ok(one));
        for length in 0..bytes.len() - 4 {
            assert_eq!(Record::read(&bytes[..length]), Err(Malformed), "{length}");
        }
    }

    #[test]
    fn a_late_record_replaces_nothing() {
        let mut records = Records::default();
        for (new, kept) in [
            (record("a", 5, 10, 3), 3),
            (record("a", 5, 9, 4), 3),
            (record("a", 4, 99, 5), 3),
            (record("a", 5, 11, 6), 6),
            (record("a", 6, 1, 2), 2),
        ] {
            records.take(new);
            let id = NodeId::new("a").expect("an id");
            assert_eq!(records.get(&id).map(|record| record.says.term.0), Some(kept));
        }
    }

    #[test]
    fn a_change_travels_some_times_and_everything_else_travels_in_turn() {
        let (me, to) = (record("me", 1, 1, 1), NodeId::new("to").expect("an id"));
        let mut records = Records::default();
        (0..20).for_each(|n| records.take(record(&format!("n{n:02}"), 1, 1, 1)));
        let ids = |records: &mut Records, room: usize| -> Vec<String> {
            let bytes = records.pick(&me, (&to, 1), room);
            assert!(bytes.len() <= room);
            let picked = read_all(&mut Reader(&bytes)).expect("records");
            picked.into_iter().map(|record| record.node_id.into()).collect()
        };
        let waits = |records: &Records| records.turn.iter().any(|turn| !turn.is_empty());
        while waits(&records) {
            ids(&mut records, 700);
        }
        records.take(record("n07", 1, 2, 2));
        records.take(record("n03", 1, 2, 1));
        let times = records.transmissions();
        for _ in 0..times {
            let picked = ids(&mut records, 400);
            assert_eq!(picked[..2], ["me", "n07"], "only what says something new is news");
        }
        // The first words of other nodes wait for what a known one says anew.
        (20..40).for_each(|n| records.take(record(&format!("n{n}"), 1, 1, 1)));
        records.take(record("n07", 1, 3, 3));
        assert_eq!(ids(&mut records, 400)[..2], ["me", "n07"]);
        while waits(&records) {
            ids(&mut records, 700);
        }
        (20..40).for_each(|n| records.forget(&NodeId::new(format!("n{n}")).expect("an id")));
        let seen: BTreeSet<String> = (0..7).flat_map(|_| ids(&mut records, 400)).collect();
        assert_eq!(seen.len(), 21, "{seen:?}");
    }

    #[test]
    fn a_node_hears_of_a_later_life_of_its_own() {
        let (me, to) = (record("me", 1, 1, 1), NodeId::new("to").expect("an id"));
        let mut records = Records::default();
        records.take(record("to", 9, 1, 1));
        let ids = |bytes: Vec<u8>| read_all(&mut Reader(&bytes)).expect("records").len();
        assert_eq!(ids(records.pick(&me, (&to, 9), 400)), 1);
        assert_eq!(ids(records.pick(&me, (&to, 8), 400)), 2);
    }
}
