//! The event and message streams as the protocol's types.
//!
//! 1. An unreadable entry is skipped and counted; it never stops a read, and its position is returned, so that reading continues after
//!    it.
//! 2. An event of a newer version is accepted as long as it has a time, a node and a name.
//!
//! Not here: waiting for new entries (`follow.rs`).

use super::fields::{Fields, Malformed};
use super::unreadable::What;
use crate::cluster::event::{
    ClusterEvent, ClusterFact, ElectedReason, LeftReason, LocalFact, LostReason, is_event_word,
};
use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Nonce, Term};
use crate::cluster::protocol::Entry;
use crate::cluster::task::{TaskId, TaskKind};
use crate::cluster::time::ServerTime;
use redis::Value;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// An entry's position in Redis's order; clawster's own entries have `sub` 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The position in clawster's order.
    pub seq: u64,
    /// The second part of the entry id.
    pub sub: u64,
}

impl Place {
    /// The position of clawster's own entry with this sequence number.
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

/// Entries of a stream in order, each with its content; `None`: unreadable for this version.
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
    /// Reads the entries of a stream, as XRANGE returns them. An unreadable entry is counted and has no content.
    pub(super) fn read(
        value: Value,
        what: What,
        decode: impl Fn(&str, &mut HashMap<String, String>) -> Result<T, Malformed>,
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
            let place = Place::read(&id).ok_or_else(|| Malformed(format!("{id:?} is not an entry id")))?;
            let item = fields(&mut entry).and_then(|mut fields| decode(&id, &mut fields));
            page.entries.push((place, item.inspect_err(|why| what.left_out(&id, why)).ok()));
        }
        Ok(page)
    }

    /// Removes entries after `last`, the newest one that the data set knows: another program wrote them. Returns whether there were any.
    pub fn cut(&mut self, last: u64) -> bool {
        let whole = self.entries.len();
        self.entries.retain(|(place, _)| place.seq <= last);
        self.entries.len() < whole
    }

    /// The readable contents.
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
    fields.get(name).map(String::as_str).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Malformed {
    Malformed(format!("field {name:?} is missing"))
}

fn number(fields: &HashMap<String, String>, name: &str) -> Result<u64, Malformed> {
    field(fields, name)?.parse().map_err(|_| Malformed(format!("field {name:?} must be a number")))
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

pub(super) fn event(id: &str, fields: &mut HashMap<String, String>) -> Result<ClusterEvent, Malformed> {
    let seq = EventSeq::from_entry_id(id).ok_or_else(|| Malformed(format!("entry id {id:?} is not an event's")))?;
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

/// The fields that all events have.
const HEAD: [&str; 8] = ["event", "at", "node", "id", "seq", "cluster", "at_ms", "node_id"];
/// The maximum size of an unknown event, in bytes.
const MAX_UNKNOWN_BYTES: usize = 16 << 10;

/// An event of a newer version.
fn unknown(name: &str, fields: &HashMap<String, String>) -> Result<ClusterFact, Malformed> {
    let bytes: usize = fields.iter().map(|(name, value)| name.len() + value.len()).sum();
    if !is_event_word(name) || LocalFact::WORDS.contains(&name) || bytes > MAX_UNKNOWN_BYTES {
        return Err(Malformed(format!("unknown event {:?}", name.chars().take(64).collect::<String>())));
    }
    let more = fields.iter().filter(|(name, _)| is_event_word(name) && !HEAD.contains(&name.as_str()));
    let fields = more.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(ClusterFact::Other { name: name.to_owned(), fields })
}

pub(super) fn message(id: &str, fields: &mut HashMap<String, String>) -> Result<Entry, Malformed> {
    let last = MessageSeq::from_entry_id(id).ok_or_else(|| Malformed(format!("entry id {id:?} is not a message's")))?;
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
        body: fields.remove("b").ok_or_else(|| missing("b"))?.into(),
        after: fields.get("l").and_then(|text| text.parse().ok()).map(MessageSeq),
    })
}
