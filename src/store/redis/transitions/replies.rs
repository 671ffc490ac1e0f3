//! What several replies contain: the data set, the leader's record, members, heartbeats.
//!
//! Not here: single fields (`fields.rs`), streams (`streams.rs`).

use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::{Member, Metadata, PresenceKind, StoredStatus};
use crate::cluster::protocol::{DataSet, Delta, Instance, LeaderRecord, LeaveReply, Numbers};
use crate::cluster::settings::{LeaderMode, Promise, Shared, Timing, Versioned};
use crate::cluster::time::ServerTime;
use crate::store::redis::fields::{Fields, Malformed, identity, time};
use crate::store::redis::unreadable::What;
use serde::Deserialize;
use std::time::Duration;

pub(super) fn data_set(f: &mut Fields) -> Result<DataSet, Malformed> {
    let mut n = f.list("numbers")?;
    let epoch = n.text("epoch")?;
    let numbers =
        Numbers { token: n.number("token")?, event: n.number("event seq")?, message: n.number("message seq")? };
    let event_start = EventSeq(n.number("event start")?);
    let message_start = MessageSeq(n.number("message start")?);
    let mut duration = |what| n.number(what).map(Duration::from_millis);
    let (interval, ttl, lease) = (duration("interval")?, duration("ttl")?, duration("lease")?);
    let grace = duration("grace")?;
    let timing =
        (!interval.is_zero()).then_some(Timing { heartbeat_interval: interval, heartbeat_ttl: ttl, lease_ttl: lease });
    let mode = LeaderMode::from_word(&n.text("mode")?);
    let version = n.number("settings")?;
    let shared = timing.zip(mode).filter(|_| !grace.is_zero());
    let settings =
        shared.map(|(timing, mode)| Versioned { version, settings: Shared { timing, presence_grace: grace, mode } });
    Ok(DataSet { epoch, numbers, event_start, message_start, timing, settings })
}

pub(super) fn leader(f: &mut Fields) -> Result<Option<LeaderRecord>, Malformed> {
    let mut l = f.list("leader")?;
    if l.len() == 0 {
        return Ok(None);
    }
    let holder = l.optional("holder")?;
    let incarnation = Incarnation(l.number("incarnation")?);
    let holder = match holder {
        Some(id) => {
            let node_id = NodeId::new(id).map_err(|why| Malformed(why.to_string()))?;
            Some(Instance { node_id, incarnation })
        }
        None => None,
    };
    let term = Term(l.number("term")?);
    let expires_at = time(&mut l)?;
    let nonce = l.text("nonce")?;
    let presence = l.optional("presence")?;
    let handing_to = l.optional("handing to")?.and_then(|id| NodeId::new(id).ok());
    let present = l.flag("present")?;
    let (grace, lease) = (Duration::from_millis(l.number("grace")?), Duration::from_millis(l.number("ttl")?));
    let stated = LeaderMode::from_word(&l.text("mode")?);
    let promise = Promise { grace, lease, mode: stated.unwrap_or_default() };
    let stated = stated.is_some();
    Ok(Some(LeaderRecord { holder, term, expires_at, nonce, presence, handing_to, present, promise, stated }))
}

/// A row of the member table, as `scripts/shared/keys_and_clock.lua` describes it.
#[derive(Deserialize)]
struct Row {
    i: String,
    s: String,
    k: String,
    j: String,
    m: String,
}

/// A status of a newer version counts as offline, as in the scripts.
fn status(word: &str) -> StoredStatus {
    match word {
        "online" => StoredStatus::Online,
        "draining" => StoredStatus::Draining,
        "left" => StoredStatus::Left,
        _ => StoredStatus::Offline,
    }
}

fn member(id: &str, row: &str) -> Result<Member, Malformed> {
    let bad = |why: &dyn std::fmt::Display| Malformed(format!("row of member {id:?}: {why}"));
    let node_id = NodeId::new(id).map_err(|why| bad(&why))?;
    let row: Row = serde_json::from_str(row).map_err(|why| bad(&why))?;
    let metadata: Metadata = serde_json::from_str(&row.m).map_err(|why| bad(&why))?;
    Ok(Member {
        node_id,
        incarnation: Incarnation(row.i.parse().map_err(|why| bad(&why))?),
        metadata,
        status: status(&row.s),
        presence: if row.k == "none" { PresenceKind::None } else { PresenceKind::Connection },
        joined_at: ServerTime(row.j.parse().map_err(|why| bad(&why))?),
        last_seen: ServerTime::default(),
    })
}

/// The id of a node in a list; an invalid id of another program is skipped, so that it does not hide the others.
pub(super) fn known_id(text: String) -> Option<NodeId> {
    NodeId::new(text.as_str()).inspect_err(|why| What::Member.left_out(&text, why)).ok()
}

pub(super) fn delta(f: &mut Fields) -> Result<Delta, Malformed> {
    let mut d = f.list("delta")?;
    let (reset, version, more) = (d.flag("reset")?, d.number("version")?, d.flag("more")?);
    let floor = d.number("floor")?;
    let mut list = d.list("rows")?;
    let mut rows = Vec::with_capacity(list.len() / 2);
    while list.len() > 0 {
        let id = list.text("node id")?;
        // A broken row must not hide all others.
        match member(&id, &list.text("row")?) {
            Ok(row) => rows.push(row),
            Err(why) => What::Member.left_out(&id, why),
        }
    }
    Ok(Delta { reset, version, more, floor, rows })
}

pub(super) fn beats(f: &mut Fields) -> Result<Vec<(NodeId, ServerTime)>, Malformed> {
    let mut reply = f.list("beats")?;
    let shift = reply.signed("shift")?;
    let mut list = reply.list("beats")?;
    let mut beats = Vec::with_capacity(list.len() / 2);
    while list.len() > 0 {
        let (id, deadline) = (list.text("node id")?, list.signed("deadline"));
        // A foreign score may be no whole number.
        let at = deadline.map_or(0, |deadline| u64::try_from(deadline.saturating_add(shift)).unwrap_or(0));
        beats.extend(known_id(id).map(|id| (id, ServerTime(at))));
    }
    Ok(beats)
}

/// The reply to giving something up.
pub(super) fn left(f: &mut Fields) -> Result<LeaveReply, Malformed> {
    Ok(LeaveReply { identity: identity(f)?, now: time(f)?, resigned: f.flag("resigned")? })
}
