//! Script replies as the protocol's types, in the order of each script's header.
//!
//! Not here: the fields themselves (`fields.rs`), leases (`decode_leases.rs`), the streams (`streams.rs`).

use super::decode_leases;
use super::fields::{Fields, Malformed, identity, named_identity, time};
use super::task;
use super::unreadable::What;
use crate::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::{Member, Metadata, PresenceKind, StoredStatus};
use crate::cluster::protocol::{
    Call, CampaignReply, Census, DataSet, Delta, HandOver, Instance, JoinReply, LeaderRecord, LeaseNews, Numbers,
    PublishReply, Reply, SettingsReply, TickReply, ViewReply, WatchReply,
};
use crate::cluster::settings::{LeaderMode, Promise, Shared, Timing, Versioned};
use crate::cluster::task::TaskState;
use crate::cluster::time::ServerTime;
use redis::Value;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn reply(call: &Call, value: Value) -> Result<Reply, Malformed> {
    let mut f = Fields::of("the script's reply", value)?;
    Ok(match call {
        Call::Join(_) => Reply::Join(Box::new(join(&mut f)?)),
        Call::Tick(_) => Reply::Tick(Box::new(tick(&mut f)?)),
        Call::View(_) => Reply::View(Box::new(ViewReply {
            now: time(&mut f)?,
            data: data_set(&mut f)?,
            leader: leader(&mut f)?,
            delta: delta(&mut f)?,
            beats: beats(&mut f)?,
            alive: f.number("alive")?,
        })),
        Call::Leave { .. } | Call::Resign { .. } => {
            Reply::Left { identity: identity(&mut f)?, now: time(&mut f)?, resigned: f.flag("resigned")? }
        }
        Call::HandOver { .. } => {
            let outcome = hand_over(&f.text("status")?)?;
            Reply::HandOver { outcome, now: time(&mut f)?, leader: leader(&mut f)? }
        }
        Call::Campaign(_) => Reply::Campaign(Box::new(campaign(&mut f)?)),
        Call::Register { .. } => {
            let identity = identity(&mut f)?;
            time(&mut f)?;
            Reply::Registered { identity, registered: f.flag("registered")?, leads: f.flag("leads")? }
        }
        Call::Watch => Reply::Watch(Box::new(WatchReply {
            now: time(&mut f)?,
            epoch: f.text("epoch")?,
            leader: leader(&mut f)?,
            same_server: f.flag("same server")?,
            leader_channel: f.flag("leader channel")?,
        })),
        Call::Sweep { .. } => {
            identity(&mut f)?;
            time(&mut f)?;
            let leads = f.flag("leads")?;
            let mut list = f.list("gone")?;
            let mut gone = Vec::with_capacity(list.len() / 2);
            while list.len() > 0 {
                let (id, nonce) = (list.text("node id")?, list.text("nonce")?);
                gone.extend(known_id(id).map(|id| (id, nonce)));
            }
            Reply::Sweep { leads, gone }
        }
        Call::Publish(_) => Reply::Publish(publish(&mut f)?),
        Call::Lease(lease) => Reply::Lease(decode_leases::reply(lease, &mut f)?),
        Call::Once(once) => Reply::Once(decode_leases::once(once, &mut f)?),
        Call::Drain(_) => Reply::Drain(decode_leases::drain(&mut f)?),
        Call::Acknowledge { .. } => Reply::Acknowledge(identity(&mut f)?),
        Call::Census => Reply::Census(census(&mut f)?),
        Call::Settings { .. } => {
            time(&mut f)?;
            let (before, after) = (data_set(&mut f)?.settings, data_set(&mut f)?.settings);
            Reply::Settings(Box::new(SettingsReply { before, after, leader: leader(&mut f)? }))
        }
        Call::Task(asked) => Reply::Task(Box::new(task::reply(asked, &mut f)?)),
    })
}

fn census(f: &mut Fields) -> Result<Census, Malformed> {
    let leases = u64::try_from(f.signed("leases")?).ok();
    let order = ["waiting", "delayed", "running", "done", "failed", "dead"];
    let mut tasks = BTreeMap::new();
    for state in order {
        let count = u64::try_from(f.signed(state)?).ok();
        tasks.extend(TaskState::from_word(state).zip(count));
    }
    Ok(Census { leases, tasks })
}

fn hand_over(status: &str) -> Result<HandOver, Malformed> {
    Ok(match status {
        "asked" => HandOver::Asked,
        "same" => HandOver::Same,
        "vacant" => HandOver::Vacant,
        "unknown" => HandOver::Unknown,
        "barred" => HandOver::Barred,
        other => return Err(Malformed(format!("unknown status {other:?}"))),
    })
}

fn data_set(f: &mut Fields) -> Result<DataSet, Malformed> {
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

fn leader(f: &mut Fields) -> Result<Option<LeaderRecord>, Malformed> {
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

/// A word that only a newer version knows is no part in the cluster, as for the scripts.
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

/// The id of a node in a list; one that somebody else put there must not hide all others.
fn known_id(text: String) -> Option<NodeId> {
    NodeId::new(text.as_str()).inspect_err(|why| What::Member.left_out(&text, why)).ok()
}

fn delta(f: &mut Fields) -> Result<Delta, Malformed> {
    let mut d = f.list("delta")?;
    let (reset, version, more) = (d.flag("reset")?, d.number("version")?, d.flag("more")?);
    let floor = d.number("floor")?;
    let mut list = d.list("rows")?;
    let mut rows = Vec::with_capacity(list.len() / 2);
    while list.len() > 0 {
        let id = list.text("node id")?;
        // A row that somebody else broke must not blind this node for all others.
        match member(&id, &list.text("row")?) {
            Ok(row) => rows.push(row),
            Err(why) => What::Member.left_out(&id, why),
        }
    }
    Ok(Delta { reset, version, more, floor, rows })
}

fn beats(f: &mut Fields) -> Result<Vec<(NodeId, ServerTime)>, Malformed> {
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

fn join(f: &mut Fields) -> Result<JoinReply, Malformed> {
    let status = f.text("status")?;
    let now = time(f)?;
    Ok(match status.as_str() {
        "joined" => {
            let incarnation = Incarnation(f.number("incarnation")?);
            let joined_at = time(f)?;
            let cursor = MessageSeq(f.number("cursor")?);
            f.flag("rejoined")?;
            let aliases = f.text("aliases")?;
            let aliases = aliases.split_whitespace().filter_map(|id| NodeId::new(id).ok()).collect();
            let data = data_set(f)?;
            let registered = f.flag("registered")?;
            let stood = f.optional("stood")?.and_then(|seq| seq.parse().ok()).map(MessageSeq);
            JoinReply::Joined { now, incarnation, joined_at, cursor, aliases, data, registered, stood }
        }
        "held" => JoinReply::Held {
            incarnation: Incarnation(f.number("incarnation")?),
            presence: f.optional("presence")?,
            present: f.flag("present")?,
            same_server: f.flag("same server")?,
            left: Duration::from_millis(f.number("left")?),
            metadata: f.text("metadata")?,
        },
        "replaced" => JoinReply::Replaced,
        other => return Err(Malformed(format!("unknown status {other:?}"))),
    })
}

fn tick(f: &mut Fields) -> Result<TickReply, Malformed> {
    let identity = identity(f)?;
    let now = time(f)?;
    let data = data_set(f)?;
    let lease = match f.text("lease")?.as_str() {
        "none" => LeaseNews::None,
        "renewed" => LeaseNews::Renewed,
        _ => LeaseNews::Lost,
    };
    Ok(TickReply {
        identity,
        now,
        data,
        lease,
        leader: leader(f)?,
        delta: delta(f)?,
        beats: beats(f)?,
        due: Duration::from_millis(f.number("due")?),
        alive: f.number("alive")?,
        outdated: f.flag("outdated")?,
        full: f.flag("full")?,
    })
}

fn campaign(f: &mut Fields) -> Result<CampaignReply, Malformed> {
    // A refused campaign may carry the identity's own word as the reason.
    let identity = identity(f)?;
    let now = time(f)?;
    let granted = f.flag("granted")?;
    let term = Term(f.number("term")?);
    Ok(CampaignReply {
        identity,
        now,
        granted: granted.then_some(term),
        refused: f.text("why")?,
        leader: leader(f)?,
        token: f.number("token")?,
    })
}

fn publish(f: &mut Fields) -> Result<PublishReply, Malformed> {
    let status = f.text("status")?;
    let now = time(f)?;
    let producer_seq = f.number("mark")?;
    let seq = MessageSeq(f.number("mark seq")?);
    let first = MessageSeq(f.number("first seq")?);
    Ok(match status.as_str() {
        "ok" => PublishReply::Written { first, now },
        "mark" => PublishReply::Marked { producer_seq, seq },
        "full" => {
            let (held, bound) = (f.number("held")?, f.number("bound")?);
            let slowest = NodeId::new(f.text("slowest")?).ok();
            PublishReply::Full { held, bound: Some(bound).filter(|bound| *bound > 0), slowest }
        }
        other => PublishReply::Refused(named_identity(other)?),
    })
}
