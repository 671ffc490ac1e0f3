//! The event and message streams as the protocol's types.
//!
//! 1. An entry that is not clawster's is skipped with a warning; it never ends a read.
//!
//! Not here: waiting for new entries (`follow.rs`).

use super::fields::{Fields, Malformed};
use crate::cluster::event::{ClusterEvent, ClusterFact, ElectedReason, LeftReason, LostReason};
use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Nonce, Term};
use crate::cluster::protocol::Entry;
use crate::cluster::task::{TaskId, TaskKind};
use crate::cluster::time::ServerTime;
use redis::Value;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// The entries of one stream, as XRANGE returns them.
pub(super) fn entries<T>(
    value: Value,
    read: impl Fn(&str, &HashMap<String, String>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    if value == Value::Nil {
        return Ok(Vec::new());
    }
    let mut list = Fields::of("the stream", value)?;
    let mut all = Vec::with_capacity(list.len());
    while list.len() > 0 {
        let mut entry = list.list("entry")?;
        let id = entry.text("entry id")?;
        let mut pairs = entry.list("entry fields")?;
        let mut fields = HashMap::with_capacity(pairs.len() / 2);
        while pairs.len() > 0 {
            fields.insert(pairs.text("name")?, pairs.text("value")?);
        }
        match read(&id, &fields) {
            Ok(item) => all.push(item),
            Err(why) => tracing::warn!(%id, %why, "a stream entry is left out"),
        }
    }
    Ok(all)
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
        other => return Err(Malformed(format!("unknown event {other:?}"))),
    };
    Ok(ClusterEvent { seq, at: ServerTime(number(fields, "at")?), node_id: node(fields, "node")?, fact })
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
    })
}
