//! Calls with little in them, for tests to change what they are about.

use crate::fixture::Fixture;
use clawster::cluster::event::{ClusterEvent, ClusterFact};
use clawster::cluster::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Nonce, Term};
use clawster::cluster::members::member::PresenceKind;
use clawster::cluster::protocol::{
    Acknowledge, Call, Campaign, CampaignReply, HandOver, HandOverReply, HandedOver, Identity, Instance, Join,
    JoinReply, LeaderRecord, Leave, LeaveReply, Numbers, Packed, Publish, PublishReply, Register, Registered, Reply,
    Resign, Rule, Sweep, Swept, Tick, TickReply, View, ViewReply, WatchLeader, WatchReply,
};
use clawster::cluster::settings::{LeaderMode, LeaderSettings, Promise, Shared, Timing, Versioned};
use clawster::store::Store;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub const TTL: Duration = Duration::from_secs(30);
pub const GRACE: Duration = Duration::from_secs(1);

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn id(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

pub fn nonce(text: &str) -> Nonce {
    Nonce::new(text).unwrap()
}

/// A nonce that no other call has.
pub fn fresh() -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    nonce(&format!("n{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Settings of the cluster with these times, out of a file.
pub fn with(timing: Timing) -> Versioned {
    Versioned { version: 0, settings: Shared::of(timing, LeaderSettings::default()) }
}

/// Times so long that a week is no silence.
pub fn slow() -> Versioned {
    with(Timing { heartbeat_interval: secs(864_000), heartbeat_ttl: secs(3_456_000), lease_ttl: secs(3_456_000) })
}

/// What a leader follows by the settings of [`join_of`].
pub const PROMISE: Promise = Promise { grace: GRACE, lease: TTL, mode: LeaderMode::Exclusive };

/// For so long that it covers every promise of these tests.
pub const LONG_SEEN: Duration = Duration::from_secs(10_000_000);

/// A node as it sees itself.
#[derive(Debug, Clone)]
pub struct Node {
    pub instance: Instance,
    pub epoch: String,
    pub known: Numbers,
    pub cursor: MessageSeq,
    pub aliases: Vec<NodeId>,
}

/// The join of a process named after its node.
pub fn join_of(name: &str) -> Join {
    Join {
        node_id: id(name),
        process: nonce(&format!("process-{name}")),
        kind: PresenceKind::Connection,
        metadata: format!(r#"{{"name":"{name}"}}"#),
        candidate: true,
        settings: with(Timing { heartbeat_interval: secs(10), heartbeat_ttl: TTL, lease_ttl: TTL }),
        known: Numbers::default(),
        fresh_epoch: fresh(),
        force: false,
        dead_presence: None,
        dead_for: LONG_SEEN,
        own: Incarnation(0),
        presence: None,
        producer: nonce(&format!("producer-{name}")),
        cursor: None,
        rename_from: None,
        former: None,
        draining: None,
        revision: 0,
        aliases: Vec::new(),
        stood: None,
        elsewhere: false,
    }
}

pub async fn call<F: Fixture>(f: &F, call: Call) -> Reply {
    f.store().call(call).await.expect("the store answers").reply
}

pub async fn join<F: Fixture>(f: &F, join: Join) -> JoinReply {
    let Reply::Join(reply) = call(f, Call::Join(Box::new(join))).await else { panic!("no answer to a join") };
    *reply
}

/// Joins and must be let in.
pub async fn admitted<F: Fixture>(f: &F, ask: Join) -> Node {
    let node_id = ask.node_id.clone();
    match join(f, ask).await {
        JoinReply::Joined { incarnation, data, cursor, aliases, .. } => {
            let instance = Instance { node_id, incarnation };
            Node { instance, epoch: data.epoch, known: data.numbers, cursor, aliases }
        }
        other => panic!("{node_id} was not let in: {other:?}"),
    }
}

pub async fn member<F: Fixture>(f: &F, name: &str) -> Node {
    admitted(f, join_of(name)).await
}

/// A member with a registered presence of the given nonce.
pub async fn present<F: Fixture>(f: &mut F, name: &str, presence: &str) -> Node {
    f.subscribe(presence).await;
    admitted(f, Join { presence: Some(nonce(presence)), ..join_of(name) }).await
}

pub fn tick_of(node: &Node) -> Tick {
    Tick {
        instance: node.instance.clone(),
        epoch: node.epoch.clone(),
        version: 0,
        floor: 0,
        known: Numbers::default(),
        fresh_epoch: fresh(),
        renew: None,
        nonce: fresh(),
        settings: join_of("any").settings,
        promise: PROMISE,
        stated: 1,
        leads: false,
        presence: None,
        acknowledged: None,
        revision: 0,
        samples: Vec::new(),
    }
}

pub async fn send_tick<F: Fixture>(f: &F, tick: Tick) -> TickReply {
    let Reply::Tick(reply) = call(f, Call::Tick(Box::new(tick))).await else { panic!("no answer to a tick") };
    *reply
}

pub async fn tick<F: Fixture>(f: &F, node: &Node) -> TickReply {
    send_tick(f, tick_of(node)).await
}

pub async fn renew<F: Fixture>(f: &F, node: &Node, term: Term) -> TickReply {
    send_tick(f, Tick { renew: Some(term), ..tick_of(node) }).await
}

/// Renews as a leader that leads at this instant.
pub async fn lead_on<F: Fixture>(f: &F, node: &Node, term: Term) -> TickReply {
    send_tick(f, Tick { renew: Some(term), leads: true, ..tick_of(node) }).await
}

pub async fn view<F: Fixture>(f: &F) -> ViewReply {
    view_from(f, "", 0, 0, 1000).await
}

pub async fn view_from<F: Fixture>(f: &F, epoch: &str, version: u64, floor: u64, rows: u64) -> ViewReply {
    let ask = Call::View(View { epoch: epoch.to_owned(), version, floor, rows, beats: 1000 });
    let Reply::View(reply) = call(f, ask).await else { panic!("no answer to a view") };
    *reply
}

pub fn campaign_of(node: &Node, rule: Rule, seen: Term) -> Campaign {
    Campaign {
        instance: node.instance.clone(),
        rule,
        seen,
        nonce: fresh(),
        presence: None,
        promise: PROMISE,
        stated: 1,
        seen_for: LONG_SEEN,
        known_token: 0,
    }
}

pub async fn send_campaign<F: Fixture>(f: &F, campaign: Campaign) -> CampaignReply {
    let ask = Call::Campaign(Box::new(campaign));
    let Reply::Campaign(reply) = call(f, ask).await else { panic!("no answer to a campaign") };
    *reply
}

/// Why a campaign was refused.
pub async fn refusal<F: Fixture>(f: &F, node: &Node, rule: Rule, seen: Term) -> String {
    let reply = send_campaign(f, campaign_of(node, rule, seen)).await;
    assert_eq!(reply.granted, None, "{reply:?}");
    reply.refused
}

pub async fn grant<F: Fixture>(f: &F, campaign: Campaign) -> Term {
    let reply = send_campaign(f, campaign).await;
    reply.granted.unwrap_or_else(|| panic!("refused: {reply:?}"))
}

/// The first leader of an empty cluster.
pub async fn elect<F: Fixture>(f: &F, node: &Node) -> Term {
    grant(f, campaign_of(node, Rule::Absent, Term(0))).await
}

/// A leader with registered presence, holding the leader channel.
pub async fn leader<F: Fixture>(f: &mut F, name: &str, presence: &str) -> (Node, Term) {
    let node = present(f, name, presence).await;
    let term =
        grant(f, Campaign { presence: Some(nonce(presence)), ..campaign_of(&node, Rule::Absent, Term(0)) }).await;
    f.take_leader_channel(presence).await;
    (node, term)
}

pub async fn watch<F: Fixture>(f: &F) -> WatchReply {
    let Reply::Watch(reply) = call(f, Call::Watch(WatchLeader)).await else { panic!("no answer to a watch") };
    *reply
}

pub async fn record<F: Fixture>(f: &F) -> LeaderRecord {
    watch(f).await.leader.expect("there is a record")
}

pub async fn register<F: Fixture>(f: &F, node: &Node, presence: &str, term: Option<Term>) -> (Identity, bool, bool) {
    let ask = Call::Register(Register { instance: node.instance.clone(), presence: nonce(presence), term });
    let Reply::Registered(Registered { identity, registered, leads }) = call(f, ask).await else { panic!("no answer") };
    (identity, registered, leads)
}

pub async fn leave<F: Fixture>(f: &F, node: &Node) -> (Identity, bool) {
    let ask = Call::Leave(Leave { instance: node.instance.clone(), acknowledged: None });
    let Reply::Left(LeaveReply { identity, resigned, .. }) = call(f, ask).await else { panic!("no answer") };
    (identity, resigned)
}

pub async fn resign<F: Fixture>(f: &F, node: &Node, term: Term) -> (Identity, bool) {
    let ask = Call::Resign(Resign { instance: node.instance.clone(), term });
    let Reply::Left(LeaveReply { identity, resigned, .. }) = call(f, ask).await else { panic!("no answer") };
    (identity, resigned)
}

pub async fn hand_over<F: Fixture>(f: &F, candidate: &str) -> (HandedOver, Option<LeaderRecord>) {
    let ask = Call::HandOver(HandOver { candidate: id(candidate) });
    let Reply::HandOver(HandOverReply { outcome, leader, .. }) = call(f, ask).await else { panic!("no answer") };
    (outcome, leader)
}

pub async fn sweep<F: Fixture>(f: &F, node: &Node, term: Term, dead: &[(&str, &str)]) -> (bool, Vec<(String, String)>) {
    let dead = dead.iter().map(|(node, presence)| (id(node), (*presence).to_owned())).collect();
    let ask = Call::Sweep(Sweep { instance: node.instance.clone(), term, dead });
    let Reply::Sweep(Swept { leads, gone }) = call(f, ask).await else { panic!("no answer") };
    let mut gone: Vec<_> = gone.into_iter().map(|(node, presence)| (node.to_string(), presence)).collect();
    gone.sort();
    (leads, gone)
}

/// One entry of `count` messages.
pub fn packed(first: u64, count: u64) -> Packed {
    Packed { first, count, body: format!("[{first}]") }
}

pub fn publish_of(node: &Node, entries: Vec<Packed>) -> Publish {
    let producer = nonce(&format!("producer-{}", node.instance.node_id));
    Publish {
        instance: node.instance.clone(),
        epoch: node.epoch.clone(),
        producer,
        keep: 10_000,
        max_bytes: 1 << 40,
        entries,
    }
}

pub async fn publish<F: Fixture>(f: &F, publish: Publish) -> PublishReply {
    let Reply::Publish(reply) = call(f, Call::Publish(Box::new(publish))).await else { panic!("no answer") };
    reply
}

/// Publishes and must not be refused: the position of the first message.
pub async fn put<F: Fixture>(f: &F, ask: Publish) -> u64 {
    match publish(f, ask).await {
        PublishReply::Written { first, .. } => first.0,
        other => panic!("not written: {other:?}"),
    }
}

pub async fn acknowledge<F: Fixture>(f: &F, node: &Node, epoch: &str, seq: u64) -> Identity {
    let ask = Call::Acknowledge(Acknowledge {
        instance: node.instance.clone(),
        epoch: epoch.to_owned(),
        seq: MessageSeq(seq),
    });
    let Reply::Acknowledge(identity) = call(f, ask).await else { panic!("no answer") };
    identity
}

/// All kept events; their numbers jump far at the start of a data set, and have no holes within one.
pub async fn events<F: Fixture>(f: &F) -> Vec<ClusterEvent> {
    let events = f.store().events(EventSeq(0), 100_000).await.expect("the store answers");
    for pair in events.windows(2) {
        let jump = pair[1].seq.0 - pair[0].seq.0;
        assert!(jump == 1 || jump > 900, "events have a hole: {pair:?}");
    }
    events
}

/// What happened, as one word and the node each.
pub async fn story<F: Fixture>(f: &F) -> Vec<String> {
    let told = |event: &ClusterEvent| match &event.fact {
        ClusterFact::NodeJoined { rejoined, .. } => {
            format!("{} {}", event.node_id, if *rejoined { "back" } else { "new" })
        }
        ClusterFact::NodeLeft { reason, .. } => format!("{} left {reason:?}", event.node_id),
        ClusterFact::LeaderElected { leader_id, reason, previous_leader_id, .. } => {
            let previous = previous_leader_id.as_ref().map_or("nobody", NodeId::as_str);
            format!("{leader_id} elected {reason:?} after {previous}")
        }
        ClusterFact::LeaderLost { leader_id, reason, .. } => format!("{leader_id} lost {reason:?}"),
        ClusterFact::TaskAvailable { task_id, kind } => format!("{} offers {task_id} {kind}", event.node_id),
        ClusterFact::TaskDead { task_id, kind } => format!("{} buries {task_id} {kind}", event.node_id),
        ClusterFact::Other { name, .. } => format!("{} {name}", event.node_id),
    };
    events(f).await.iter().map(told).collect()
}

/// The positions of the last messages of all kept entries.
pub async fn positions<F: Fixture>(f: &F) -> Vec<u64> {
    let entries = f.store().messages(MessageSeq(0), 100_000).await.expect("the store answers");
    entries.iter().map(|entry| entry.last.0).collect()
}
