//! Random calls and faults, applied to both stores, lead to the same replies and the same state.
//!
//! 1. A step names nodes and what they remember, not numbers: each store is driven with its own.
//! 2. After every step both stores show the same members, leader, events and messages.
//!
//! Not here: what the replies should be (the other modules).

use crate::calls::*;
use crate::fixture::{Fixture, Memory, Redis};
use crate::lease_calls::{lease, lease_name};
use crate::lease_steps::{Known, LEASES, lease_call};
use crate::node_records::{NodeRecord, campaign_at, name, rule_of, settings, tick_at};
use crate::steps::{NODES, Step, step};
use crate::symbols::Symbols;
use crate::task_steps::{self, TaskRecord, patient};
use clawster::cluster::ids::{MessageSeq, NodeId, Term};
use clawster::cluster::members::member::PresenceKind;
use clawster::cluster::protocol::{
    Acknowledge, Call, Campaign, HandOver, Join, JoinReply, LeaderRecord, LeaseCall, LeaseRecord, LeaseReply, Leave,
    Numbers, Publish, Register, Reply, Resign, ServerId, Sweep, Swept, Tick, View, WatchLease, Watched,
};
use clawster::store::Store;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::stamp;

/// For so long after a case began real time shows in no reply (`symbols.rs`). What takes longer goes on as another case.
const LONGEST: Duration = Duration::from_millis(900);

/// How often one step may take that long on a busy machine.
const MOST_REPEATS: u32 = 20;

/// One store under test, with what its nodes remember.
struct Driver<F: Fixture> {
    f: F,
    symbols: Symbols,
    nodes: Vec<NodeRecord>,
    record: Option<LeaderRecord>,
    leases: BTreeMap<String, LeaseRecord>,
    server: ServerId,
    epoch: String,
    gone: Vec<(NodeId, String)>,
    last_message: MessageSeq,
    message_start: MessageSeq,
    /// The highest numbers that anybody has seen.
    known: Numbers,
    empty: bool,
    copied: bool,
    tasks: TaskRecord,
}

impl<F: Fixture> Driver<F> {
    fn new(f: F) -> Self {
        let mut driver = Self {
            f,
            symbols: Symbols::default(),
            nodes: Vec::new(),
            record: None,
            leases: BTreeMap::new(),
            server: ServerId::default(),
            epoch: String::new(),
            gone: Vec::new(),
            last_message: MessageSeq(0),
            message_start: MessageSeq(0),
            known: Numbers::default(),
            empty: true,
            copied: false,
            tasks: TaskRecord::default(),
        };
        driver.forget();
        driver
    }

    fn forget(&mut self) {
        self.symbols = Symbols::default();
        self.nodes = (0..NODES).map(NodeRecord::new).collect();
        self.record = None;
        self.leases.clear();
        self.gone.clear();
        self.last_message = MessageSeq(0);
        self.message_start = MessageSeq(0);
        self.known = Numbers::default();
        self.empty = true;
        self.copied = false;
        self.tasks = TaskRecord::default();
    }

    /// Begins a new case on the same server.
    async fn begin(&mut self) {
        for node in 0..NODES {
            self.hang_up(node).await;
        }
        self.f.flush();
        self.forget();
    }

    async fn hang_up(&mut self, node: usize) {
        if let Some(presence) = self.nodes[node].presence.take() {
            self.f.hang_up(&presence).await;
        }
    }

    fn gone_connections(&mut self) {
        for node in &mut self.nodes {
            node.presence = None;
        }
    }

    fn join(&self, at: usize, node: usize) -> Join {
        let caller = &self.nodes[node];
        Join {
            settings: settings(at),
            fresh_epoch: nonce(&format!("epoch{at}")),
            known: self.known,
            presence: caller.presence.as_deref().map(nonce),
            ..join_of(&name(node))
        }
    }

    /// The call that a step stands for, or `None` when it is no call.
    async fn resolve(&mut self, at: usize, step: &Step) -> Option<Call> {
        let fresh = nonce(&format!("k{at}"));
        let record = self.record.clone();
        Some(match step.clone() {
            Step::Join { node, other_process, force, dead, own, one_shot, keeps } => {
                let caller = &self.nodes[node];
                let mut join = Join { force, ..self.join(at, node) };
                if other_process {
                    join.process = nonce("other-process");
                }
                if dead {
                    join.dead_presence =
                        self.gone.iter().find(|(id, _)| *id == join.node_id).map(|(_, presence)| presence.clone());
                }
                if own {
                    join.own = caller.node.instance.incarnation;
                }
                if one_shot {
                    join.kind = PresenceKind::None;
                    join.metadata = r#"{"name":"shot"}"#.to_owned();
                }
                if keeps && caller.node.cursor.0 > 0 {
                    join.cursor = Some((caller.node.cursor, caller.node.epoch.clone()));
                }
                Call::Join(Box::new(join))
            }
            Step::Rename { node, from } => {
                let origin = join_of(&name(from));
                let (process, producer) = (origin.process, origin.producer);
                let rename_from = Some(origin.node_id);
                Call::Join(Box::new(Join { process, producer, rename_from, ..self.join(at, node) }))
            }
            Step::TakeOver { node } => {
                let former = Some(join_of(&name(node)).process);
                Call::Join(Box::new(Join { process: nonce("other-process"), former, ..self.join(at, node) }))
            }
            Step::Tick { node, renew, leads, acknowledge, knows, viewed } => {
                let caller = &self.nodes[node];
                Call::Tick(Box::new(Tick {
                    version: if viewed { caller.version } else { 1 },
                    floor: if viewed { caller.floor } else { 1 },
                    // Where nobody knows anything the clock decides, and the stores have two.
                    known: if knows || self.empty { self.known } else { Numbers::default() },
                    fresh_epoch: nonce(&format!("epoch{at}")),
                    renew: renew.then_some(caller.term),
                    nonce: patient(fresh.as_str()),
                    leads,
                    presence: caller.presence.as_deref().map(nonce),
                    acknowledged: acknowledge.then_some(self.last_message),
                    ..tick_at(&caller.node, at)
                }))
            }
            Step::Leave { node } => {
                Call::Leave(Leave { instance: self.nodes[node].node.instance.clone(), acknowledged: None })
            }
            Step::Resign { node, other_term } => {
                let term = Term(self.nodes[node].term.0 + u64::from(other_term));
                Call::Resign(Resign { instance: self.nodes[node].node.instance.clone(), term })
            }
            Step::HandOver { node } => Call::HandOver(HandOver { candidate: id(&name(node)) }),
            Step::Campaign { node, rule, knows, other_term, other_nonce } => {
                let caller = &self.nodes[node];
                let rule = rule_of(rule, record.as_ref(), other_nonce);
                Call::Campaign(Box::new(Campaign {
                    nonce: fresh,
                    presence: caller.presence.as_deref().map(nonce),
                    known_token: if knows { self.known.token } else { 0 },
                    ..campaign_at(at, &caller.node, rule, Term(record.map_or(0, |r| r.term.0) + u64::from(other_term)))
                }))
            }
            Step::Register { node, term } => {
                let caller = &self.nodes[node];
                let presence = nonce(caller.presence.as_deref().unwrap_or("nobody"));
                let instance = caller.node.instance.clone();
                Call::Register(Register { instance, presence, term: term.then_some(caller.term) })
            }
            Step::Sweep { node } => {
                let caller = &self.nodes[node];
                Call::Sweep(Sweep {
                    instance: caller.node.instance.clone(),
                    term: caller.term,
                    dead: self.gone.clone(),
                })
            }
            Step::Publish { node, counts, again, keep } => {
                let caller = &mut self.nodes[node];
                let mut first = if again { 1 } else { caller.next_own };
                let mut entries = Vec::new();
                for count in counts {
                    entries.push(packed(first, count));
                    first += count;
                }
                caller.next_own = caller.next_own.max(first);
                Call::Publish(Box::new(Publish { keep, ..publish_of(&caller.node, entries) }))
            }
            Step::Acknowledge { node, back, other_epoch } => {
                let caller = &mut self.nodes[node];
                let epoch = if other_epoch { "other".to_owned() } else { caller.node.epoch.clone() };
                let seq = MessageSeq(self.last_message.0.saturating_sub(back).max(self.message_start.0));
                caller.node.cursor = seq;
                Call::Acknowledge(Acknowledge { instance: caller.node.instance.clone(), epoch, seq })
            }
            Step::Task(step) => self.tasks.call(at, &step, |node| self.nodes[node].node.instance.clone()),
            Step::Lease { node, step } => {
                let caller = &self.nodes[node];
                let known = Known {
                    node: &caller.node,
                    presence: caller.presence.as_deref(),
                    server: &self.server,
                    epoch: &self.epoch,
                    numbers: self.known,
                    records: &self.leases,
                };
                lease_call(at, &step, &known)
            }
            fault => {
                self.fault(at, fault).await;
                return None;
            }
        })
    }

    /// What happens to the server rather than in it.
    async fn fault(&mut self, at: usize, step: Step) {
        match step {
            Step::Subscribe { node, leader } => {
                self.hang_up(node).await;
                let presence = format!("p{node}x{at}");
                self.f.subscribe(&presence).await;
                if leader {
                    self.f.take_leader_channel(&presence).await;
                }
                self.nodes[node].presence = Some(presence);
            }
            Step::HangUp { node } => self.hang_up(node).await,
            Step::Advance { seconds } => self.f.advance(secs(seconds)),
            Step::Flush => {
                self.f.flush();
            }
            Step::Restart { keep } => {
                self.f.restart(keep).await;
                self.gone_connections();
            }
            Step::Copy => {
                self.f.keep_copy();
                self.copied = true;
            }
            Step::RestartOnCopy if self.copied => {
                self.f.restart_on_copy().await;
                self.gone_connections();
            }
            _ => {}
        }
    }

    /// What the calling node learns from the reply.
    fn learn(&mut self, step: &Step, reply: &Reply) {
        self.tasks.learn(reply);
        let node = match step {
            Step::Join { node, .. } | Step::Rename { node, .. } | Step::TakeOver { node } => *node,
            Step::Tick { node, .. } | Step::Campaign { node, .. } | Step::Sweep { node } => *node,
            _ => return,
        };
        let caller = &mut self.nodes[node];
        match reply {
            Reply::Join(joined) => {
                if let JoinReply::Joined { incarnation, data, cursor, .. } = &**joined {
                    caller.node.instance.incarnation = *incarnation;
                    caller.node.epoch = data.epoch.clone();
                    caller.node.cursor = *cursor;
                }
            }
            Reply::Tick(tick) => {
                caller.node.epoch = tick.data.epoch.clone();
                caller.version = tick.delta.version;
                caller.floor = tick.delta.floor;
            }
            Reply::Campaign(campaign) => caller.term = campaign.granted.unwrap_or(caller.term),
            Reply::Sweep(Swept { gone, .. }) => {
                self.gone.clone_from(gone);
                self.gone.sort();
            }
            _ => {}
        }
    }

    /// Makes a step, and tells what came of it and how the store looks then.
    async fn make(&mut self, at: usize, step: &Step) -> Vec<String> {
        let reply = match self.resolve(at, step).await {
            Some(ask) => Some(call(&self.f, ask).await),
            None => None,
        };
        if let Some(reply) = &reply {
            self.learn(step, reply);
        }
        let look = Call::View(View { epoch: String::new(), version: 0, floor: 0, rows: 100, beats: 100 });
        let answer = self.f.store().call(look).await.expect("the store answers");
        let state = answer.reply;
        self.server = answer.server;
        if let Reply::View(view) = &state {
            self.symbols.learn(&view.data);
            self.known = self.known.max(view.data.numbers);
            self.empty = view.data.epoch.is_empty();
            self.epoch.clone_from(&view.data.epoch);
            self.record.clone_from(&view.leader);
            self.last_message = MessageSeq(view.data.numbers.message);
            self.message_start = view.data.message_start;
        }
        let mut told = task_steps::told(&self.f, reply.as_ref(), &state, &self.symbols).await;
        told.push(self.symbols.reply(&state));
        told.push(self.symbols.watch(&watch(&self.f).await));
        self.leases.clear();
        for name in LEASES {
            let ask = LeaseCall::Watch(WatchLease { name: lease_name(name) });
            let reply = lease(&self.f, ask).await;
            told.push(self.symbols.lease(&reply));
            if let LeaseReply::Watched(Watched { record: Some(record), .. }) = reply {
                self.leases.insert(name.to_owned(), record);
            }
        }
        told.extend(self.symbols.events(&events(&self.f).await));
        let entries = self.f.store().messages(MessageSeq(0), 10_000).await.expect("the store answers");
        told.extend(self.symbols.entries(&entries));
        told
    }
}

/// Makes all steps on both stores and compares after each of them. When real time could show, both stores begin anew with the step
/// that was made last, so that every step is judged.
async fn agree((memory, redis): &mut (Driver<Memory>, Driver<Redis>), steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut at, mut repeats) = (0, 0);
    while at < steps.len() {
        memory.begin().await;
        redis.begin().await;
        let (start, first) = (stamp(), at);
        while at < steps.len() {
            let expected = redis.make(at, &steps[at]).await;
            let found = memory.make(at, &steps[at]).await;
            if stamp() - start > LONGEST {
                break;
            }
            prop_assert_eq!(found, expected, "left: memory, right: Redis, after step {} {:?}", at, steps[at]);
            at += 1;
        }
        repeats = if at == first { repeats + 1 } else { 0 };
        assert!(repeats < MOST_REPEATS, "too slow to compare: step {at} {:?} took longer than {LONGEST:?}", steps[at]);
    }
    Ok(())
}

#[test]
fn both_stores_give_the_same_replies_to_random_calls() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let drivers = runtime.block_on(async { (Driver::new(Memory::start()), Driver::new(Redis::start())) });
    let drivers = std::cell::RefCell::new(drivers);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(64);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let compared = Cell::new(0);
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 1..80), |steps| {
        compared.set(compared.get() + steps.len());
        runtime.block_on(agree(&mut drivers.borrow_mut(), &steps))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(compared.get() > 10 * cases as usize, "too slow to compare much: {} steps", compared.get());
    eprintln!("{} steps compared in {cases} cases", compared.get());
    let _inside = runtime.enter();
    drop(drivers);
}
