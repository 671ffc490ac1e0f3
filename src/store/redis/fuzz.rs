//! What Redis answers, for the fuzz targets: replies of scripts, entries of streams.
//!
//! Not here: the targets' names (`crate::fuzz`).

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use super::streams::Page;
use super::unreadable::What;
use super::{streams, transitions};
use crate::cluster::ids::{Incarnation, MessageSeq, NodeId, Nonce, Term};
use crate::cluster::messages::inbox::Inbox;
use crate::cluster::protocol::{
    Acknowledge, Call, DataSet, ForgetMembers, GetTask, HandOver, Instance, Leave, ListLeases, ListTasks, Numbers,
    Resign, Sweep, TakeCensus, TaskCall, View, WatchLeader,
};
use crate::cluster::task::TaskId;
use std::collections::BTreeMap;

fn calls() -> Vec<Call> {
    let node_id = NodeId::new("a").expect("an id");
    let instance = Instance { node_id: node_id.clone(), incarnation: Incarnation(1) };
    let id = TaskId::new("t").expect("an id");
    vec![
        Call::View(View { epoch: String::new(), version: 0, floor: 0, rows: 1, beats: 1 }),
        Call::Leave(Leave { instance: instance.clone(), acknowledged: None }),
        Call::Resign(Resign { instance: instance.clone(), term: Term(1) }),
        Call::HandOver(HandOver { candidate: node_id }),
        Call::Watch(WatchLeader),
        Call::Sweep(Sweep { instance: instance.clone(), term: Term(1), dead: Vec::new() }),
        Call::Acknowledge(Acknowledge { instance, epoch: "e".to_owned(), seq: MessageSeq(1) }),
        Call::Census(TakeCensus),
        Call::Leases(ListLeases { limit: 10 }),
        Call::ForgetMembers(ForgetMembers { members: Vec::new() }),
        Call::Task(Box::new(TaskCall::Get(GetTask { id }))),
        Call::Task(Box::new(TaskCall::List(ListTasks { state: None, kind: None, limit: 10 }))),
    ]
}

/// A reply in any form is decoded or refused. The first byte selects the call.
pub(crate) fn replies(data: &[u8]) {
    let [which, bytes @ ..] = data else { return };
    let Ok(value) = redis::parse_redis_value(bytes) else { return };
    let calls = calls();
    let (_, read) = transitions::of(&calls[usize::from(*which) % calls.len()]);
    drop(read(value));
}

/// Entries in any form are decoded or skipped, and the inbox moves on after them.
pub(crate) fn entries(data: &[u8]) {
    let Ok(value) = redis::parse_redis_value(data) else { return };
    drop(Page::read(value.clone(), What::Event, streams::event));
    let Ok(mut page) = Page::read(value, What::Message, streams::message) else { return };
    page.cut(1 << 53);
    let entries = page.into_items();
    let data = DataSet {
        epoch: "e".to_owned(),
        numbers: Numbers::default(),
        event_start: Default::default(),
        message_start: MessageSeq(0),
        settings: None,
        timing: None,
    };
    let me = NodeId::new("me").expect("an id");
    let producer = Nonce::from_bytes([1; 16]);
    let mut inbox = Inbox::new(vec![me], producer, MessageSeq(0), &data, BTreeMap::new());
    for entry in entries {
        inbox.take(&entry);
        assert!(inbox.read() >= entry.last, "an entry is never read again");
    }
    while !inbox.is_empty() {
        let offer = inbox.offer(10, 1 << 20);
        inbox.acknowledge(offer.cursor).expect("what was offered can be acknowledged");
    }
}
