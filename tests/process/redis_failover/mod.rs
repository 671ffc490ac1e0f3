//! Redis itself fails over: the nodes follow the primary, at most one leads, and no message is lost without a word.
//!
//! The times are those from the fault to the moment at which every node works again; beside each stands how long the servers
//! themselves took.

mod causes;
mod cluster;
mod long;
mod sentinel;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::checker::{Sample, judge, one_leader, rising_terms};
use testkit::sampler::sampled;
use testkit::wait::secs;
use testkit::{Serve, Trio, eventually, stamp};

/// How long the nodes may take after the servers have a primary again.
const AFTER_THE_SERVERS: Duration = Duration::from_secs(2);

/// One fault and what followed.
#[derive(Debug)]
struct Round {
    name: String,
    servers: Duration,
    nodes: Duration,
}

/// Nodes in trouble: their messages and what they said of the leader.
struct Ordeal {
    trio: Trio,
    sent: usize,
    samples: Vec<Sample>,
    rounds: Vec<Round>,
    gaps: [usize; 3],
    received: [BTreeSet<String>; 3],
}

impl Ordeal {
    fn new(trio: Trio) -> Self {
        Self { trio, sent: 0, samples: Vec::new(), rounds: Vec::new(), gaps: [0; 3], received: Default::default() }
    }

    /// Makes a fault happen, with messages before, during and after it. `fault` returns once the servers have a primary again.
    fn round(&mut self, name: &str, fault: impl FnOnce()) {
        self.send(5);
        let mut servers = Duration::ZERO;
        let began = stamp();
        let sent = &mut self.sent;
        let trio = &self.trio;
        let ((), mut samples) = sampled(&trio.nodes.iter().collect::<Vec<_>>(), || {
            std::thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    for _ in 0..10 {
                        send(&trio.nodes[0], sent, 1);
                        std::thread::sleep(Duration::from_millis(50));
                    }
                });
                fault();
                servers = stamp().saturating_sub(began);
                works(trio);
                sending.join().unwrap();
            });
        });
        let nodes = stamp().saturating_sub(began);
        println!("{name}: the servers took {servers:?}, the nodes {nodes:?}");
        self.rounds.push(Round { name: name.to_owned(), servers, nodes });
        self.samples.append(&mut samples);
        self.take();
    }

    fn send(&mut self, count: usize) {
        send(&self.trio.nodes[0], &mut self.sent, count);
    }

    /// Takes what has arrived.
    fn take(&mut self) {
        for place in 1..3 {
            let Ok(answer) = self.trio.nodes[place].call("distributed.sync_messages", json!({"wait_ms": 100})) else {
                continue;
            };
            self.gaps[place] += usize::from(!answer["gap"].is_null());
            let ids = answer["received"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned());
            self.received[place].extend(ids);
        }
    }

    /// The verdict: one leader, rising terms, no message lost without a gap. `lossless`: no gap either.
    fn judge(mut self, one: bool, lossless: bool) -> Trio {
        let last = format!("m{}", self.sent);
        self.send(1);
        let end = stamp() + secs(20.0);
        while !self.received[1..].iter().all(|ids| ids.contains(&last)) {
            assert!(
                stamp() < end,
                "the last message {last} did not arrive: {:?}",
                self.received[1..].iter().map(BTreeSet::len)
            );
            self.take();
        }
        for place in 1..3 {
            let missing: Vec<String> =
                (0..self.sent).map(|at| format!("m{at}")).filter(|id| !self.received[place].contains(id)).collect();
            println!(
                "node {place}: {} received, {} missing, {} gaps",
                self.received[place].len(),
                missing.len(),
                self.gaps[place]
            );
            assert!(missing.is_empty() || (self.gaps[place] > 0 && !lossless), "lost without a gap: {missing:?}");
        }
        if one {
            judge("one leader at a time", &one_leader(&self.samples));
        }
        for node in &self.trio.nodes {
            judge("terms rise", &rising_terms(&node.events()));
        }
        self.trio
    }

    /// Every round was over in time.
    fn in_time(&self) {
        for Round { name, servers, nodes } in &self.rounds {
            assert!(*nodes <= *servers + AFTER_THE_SERVERS, "{name}: servers {servers:?}, nodes {nodes:?}");
        }
    }
}

fn send(node: &Serve, sent: &mut usize, count: usize) {
    let messages: Vec<Value> = (0..count).map(|at| json!({"id": format!("m{}", *sent + at), "payload": 1})).collect();
    let answer = node.ok("distributed.sync_messages", json!({"messages": messages, "limit": 0, "wait_ms": 0}));
    assert!(answer["refused"].is_null(), "{answer}");
    *sent += count;
}

/// Waits until every node reaches the primary, and one leads.
#[track_caller]
fn works(trio: &Trio) {
    eventually("every node works again", secs(30.0), || {
        let states = trio.nodes.iter().map(|node| {
            let fresh = node.call("distributed.get_cluster_state", json!({"fresh": true}));
            fresh.ok().filter(|_| node.state()["redis"]["status"] == "ok")
        });
        let states: Vec<_> = states.collect();
        if states.iter().all(Option::is_some) { Ok(()) } else { Err(format!("{states:?}")) }
    });
    trio.settled(secs(30.0));
}
