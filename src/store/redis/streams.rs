//! The event and message streams as the protocol's types.
//!
//! 1. An entry that cannot be read is left out and counted; it never ends a read, and its place is told, so that reading goes on.
//! 2. An event of a newer version is one nevertheless, as long as it says when it was, about which node, and what it is called.
//!
//! Not here: waiting for new entries (`follow.rs`).

use super::fields::{Fields, Malformed};
use super::unreadable::What;
use crate::cluster::event::{ClusterEvent, ClusterFact, ElectedReason, LeftReason, LostReason, is_event_word};
use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Nonce, Term};
use crate::cluster::protocol::Entry;
use crate::cluster::task::{TaskId, TaskKind};
use crate::cluster::time::ServerTime;
use redis::Value;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// An entry's place as Redis orders entries; clawster's own have `sub` 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The position in clawster's order.
    pub seq: u64,
    /// What follows it in the id.
    pub sub: u64,
}

impl Place {
    /// The place of clawster's own entry of that position.
    #[must_use]
    pub fn of(seq: u64) -> Self {
        Self { seq, sub: 0 }
    }

    fn read(id: &str) -> Option<Self> {
        let (seq, sub) = id.split_once('-')?;
        Some(Self { seq: seq.parse().ok()?, sub: sub.parse().ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.seq, self.sub)
    }
}

/// Entries of one stream in its order, each with what it says; `None`: nothing that this version can read.
#[derive(Debug)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<(Place, Option<T>)>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> Page<T> {
    /// The entries of a stream, as XRANGE returns them. One that cannot be read is counted and left out, whatever it is.
    pub(super) fn read(
        value: Value,
        what: What,
        decode: impl Fn(&str, &HashMap<String, String>) -> Result<T, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut page = Self::default();
        if value == Value::Nil {
            return Ok(page);
        }
        let mut list = Fields::of("the stream", value)?;
        page.entries.reserve(list.len());
        while list.len() > 0 {
            let mut entry = list.list("entry")?;
            let id = entry.text("entry id")?;
            let place = Place::read(&id).ok_or_else(|| Malformed(format!("{id:?} is no entry id")))?;
            let item = fields(&mut entry).and_then(|fields| decode(&id, &fields));
            page.entries.push((place, item.inspect_err(|why| what.left_out(&id, why)).ok()));
        }
        Ok(page)
    }

    /// Leaves out what stands behind `last`, the newest that the data set counts: somebody else put it there. True when there
    /// was something.
    pub fn cut(&mut self, last: u64) -> bool {
        let whole = self.entries.len();
        self.entries.retain(|(place, _)| place.seq <= last);
        self.entries.len() < whole
    }

    /// What could be read.
    pub fn into_items(self) -> Vec<T> {
        self.entries.into_iter().filter_map(|(_, item)| item).collect()
    }
}

fn fields(entry: &mut Fields) -> Result<HashMap<String, String>, Malformed> {
    let mut pairs = entry.list("entry fields")?;
    let mut fields = HashMap::with_capacity(pairs.len() / 2);
    while pairs.len() > 0 {
        fields.insert(pairs.text("name")?, pairs.text("value")?);
    }
    Ok(fields)
}

fn field<'a>(fields: &'a HashMap<String, String>, name: &str) -> Result<&'a str, Malformed> {
    fields.get(name).map(String::as_str).ok_or_else(|| Malformed(format!("field {name:?} is missing")))
}

fn number(fields: &HashMap<String, String>, name: &str) -> Result<u64, Malformed> {
    field(fields, name)?.parse().map_err(|_| Malformed(format!("field {name:?} is no number")))
}

fn node(fields: &HashMap<String, String>, name: &str) -> Result<NodeId, Malformed> {
    NodeId::new(field(fields, name)?).map_err(|why| Malformed(why.to_string()))
}

fn word<T: DeserializeOwned>(fields: &HashMap<String, String>, name: &str) -> Result<T, Malformed> {
    let word = serde_json::Value::String(field(fields, name)?.to_owned());
    serde_json::from_value(word).map_err(|why| Malformed(format!("field {name:?}: {why}")))
}

fn task(fields: &HashMap<String, String>) -> Result<(TaskId, TaskKind), Malformed> {
    let bad = |why: crate::cluster::ids::InvalidId| Malformed(why.to_string());
    Ok((TaskId::new(field(fields, "task")?).map_err(bad)?, TaskKind::new(field(fields, "kind")?).map_err(bad)?))
}

pub(super) fn event(id: &str, fields: &HashMap<String, String>) -> Result<ClusterEvent, Malformed> {
    let seq = EventSeq::from_entry_id(id).ok_or_else(|| Malformed(format!("entry id {id:?} is no event's")))?;
    let fact = match field(fields, "event")? {
        "node_joined" => ClusterFact::NodeJoined {
            name: field(fields, "name")?.to_owned(),
            incarnation: Incarnation(number(fields, "incarnation")?),
            rejoined: number(fields, "rejoined")? == 1,
        },
        "node_left" => ClusterFact::NodeLeft {
            incarnation: Incarnation(number(fields, "incarnation")?),
            reason: word::<LeftReason>(fields, "reason")?,
        },
        "leader_elected" => ClusterFact::LeaderElected {
            leader_id: node(fields, "leader")?,
            term: Term(number(fields, "term")?),
            previous_leader_id: NodeId::new(field(fields, "previous")?).ok(),
            reason: word::<ElectedReason>(fields, "reason")?,
        },
        "leader_lost" => ClusterFact::LeaderLost {
            leader_id: node(fields, "leader")?,
            term: Term(number(fields, "term")?),
            reason: word::<LostReason>(fields, "reason")?,
        },
        "task_available" => {
            let (task_id, kind) = task(fields)?;
            ClusterFact::TaskAvailable { task_id, kind }
        }
        "task_dead" => {
            let (task_id, kind) = task(fields)?;
            ClusterFact::TaskDead { task_id, kind }
        }
        other => unknown(other, fields)?,
    };
    Ok(ClusterEvent { seq, at: ServerTime(number(fields, "at")?), node_id: node(fields, "node")?, fact })
}

/// Names that only local events have.
const LOCAL: [&str; 5] = ["message", "gap", "sync_complete", "degraded", "recovered"];
/// What all events have, under whatever name; and how much more of an unknown one is taken.
const HEAD: [&str; 8] = ["event", "at", "node", "id", "seq", "cluster", "at_ms", "node_id"];
const MOST_BYTES: usize = 16 << 10;

/// An event of a newer version.
fn unknown(name: &str, fields: &HashMap<String, String>) -> Result<ClusterFact, Malformed> {
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if !is_event_word(name) || LOCAL.contains(&name) || bytes > MOST_BYTES {
        return Err(Malformed(format!("unknown event {:?}", name.chars().take(64).collect::<String>())));
    }
    let more = fields.iter().filter(|(name, _)| is_event_word(name) && !HEAD.contains(&name.as_str()));
    let fields = more.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(ClusterFact::Other { name: name.to_owned(), fields })
}

pub(super) fn message(id: &str, fields: &HashMap<String, String>) -> Result<Entry, Malformed> {
    let last = MessageSeq::from_entry_id(id).ok_or_else(|| Malformed(format!("entry id {id:?} is no message's")))?;
    let count = number(fields, "c")?;
    if count == 0 || count > last.0 {
        return Err(Malformed(format!("{count} messages in one entry")));
    }
    Ok(Entry {
        last,
        producer: Nonce::new(field(fields, "p")?).map_err(|why| Malformed(why.to_string()))?,
        from: node(fields, "n")?,
        first_own: number(fields, "q")?,
        count,
        at: ServerTime(number(fields, "t")?),
        body: field(fields, "b")?.to_owned(),
        after: fields.get("l").and_then(|text| text.parse().ok()).map(MessageSeq),
    })
}
