//! A leader that dies, leaves or freezes is replaced in time, and never leads beside its successor.
//!
//! The bounds are measured from just before the signal to the event on a survivor, at default configuration (a lease of
//! 30 s), while no other test runs.

use serde_json::{Value, json};
use std::time::Duration;
use testkit::checker::{judge, one_leader, rising_terms};
use testkit::sampler::{sample_of, sampled};
use testkit::wait::secs;
use testkit::{RedisServer, Stamp, Trio, hold};

/// When a survivor heard of a leader under a term above `term`, after the kill.
#[track_caller]
fn replaced(trio: &Trio, leader: usize, term: u64, at: Stamp) -> (Duration, Value) {
    let heard = trio.others(leader).into_iter().map(|node| {
        node.event("a new leader under a higher term", secs(40.0), |event| {
            event["event"] == "cluster.leader_elected" && event["term"].as_u64() > Some(term)
        })
    });
    let first = heard.min_by_key(|note| note.at).unwrap();
    (first.at.saturating_sub(at), first.event().clone())
}

fn term(trio: &Trio, leader: usize) -> u64 {
    trio.nodes[leader].state()["term"].as_u64().unwrap()
}

/// Ends the leader a few times, and checks reason and time of each replacement.
#[track_caller]
fn rounds(mut trio: Trio, count: usize, bound: Duration, reason: &str, end: impl Fn(&Trio, usize) -> Stamp) {
    let mut times = Vec::new();
    for round in 0..count {
        let leader = trio.settled(secs(20.0));
        let before = term(&trio, leader);
        let ((took, event), samples) = sampled(&trio.nodes.iter().collect::<Vec<_>>(), || {
            let at = end(&trio, leader);
            replaced(&trio, leader, before, at)
        });
        judge("one leader at a time", &one_leader(&samples));
        assert_eq!(event["reason"], reason, "{event}");
        assert_eq!(event["previous_leader_id"], trio.launches[leader].label.as_str(), "{event}");
        times.push(took);
        if round + 1 < count {
            trio.nodes[leader].exit(secs(10.0));
            trio.nodes[leader] = trio.launches[leader].start();
            trio.nodes[leader].subscribe(Value::Null, None);
        }
    }
    println!("replaced after {times:?}");
    assert!(times.iter().all(|took| *took <= bound), "{times:?} should be at most {bound:?}");
    for node in trio.nodes.iter().filter(|node| node.runs()) {
        judge("terms rise", &rising_terms(&node.events()));
        node.assert_clean();
    }
}

#[test]
fn kill_9_of_the_leader_in_mode_exclusive() {
    let redis = RedisServer::alone();
    rounds(Trio::start(&redis), 3, secs(1.5), "process_died", |trio, leader| trio.nodes[leader].kill9());
}

#[test]
fn kill_9_of_the_leader_in_mode_fenced() {
    let redis = RedisServer::alone();
    let trio = Trio::with(|launch| launch.redis(&redis).env("CLAWSTER__LEADER__MODE", "fenced"));
    rounds(trio, 3, secs(0.3), "process_died", |trio, leader| trio.nodes[leader].kill9());
}

#[test]
fn sigterm_of_the_leader() {
    let redis = RedisServer::alone();
    rounds(Trio::start(&redis), 3, secs(0.2), "resigned", |trio, leader| trio.nodes[leader].sigterm());
}

#[test]
fn end_of_input_of_the_leader() {
    let redis = RedisServer::alone();
    rounds(Trio::start(&redis), 1, secs(0.2), "resigned", |trio, leader| {
        let at = testkit::stamp();
        trio.nodes[leader].close_stdin();
        at
    });
}

#[test]
fn a_frozen_leader_is_replaced_at_the_end_of_its_lease_and_wakes_as_a_follower() {
    let redis = RedisServer::alone();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(20.0));
    let before = term(&trio, leader);
    let frozen = &trio.nodes[leader];
    let others = trio.others(leader);
    let ((), samples) = sampled(&others, || {
        frozen.stop();
        // Written while it is frozen: each is answered by a process that was not asked before it woke.
        let asked: Vec<_> =
            (0..50).map(|_| frozen.request("distributed.get_cluster_state", Value::Null).unwrap()).collect();
        let at = testkit::stamp();
        let (took, event) = replaced(&trio, leader, before, at);
        assert!(took <= secs(6.0), "a lease of 3 s, replaced after {took:?}: {event}");
        frozen.cont();
        let later = (0..200).map(|_| frozen.request("distributed.get_cluster_state", Value::Null).unwrap());
        for pending in asked.into_iter().chain(later) {
            let answer = pending.wait(secs(10.0)).expect("it answers when it wakes");
            let sample = sample_of("frozen", &answer).expect("a state");
            assert!(!sample.leads, "it woke and said that it leads: {:?}", answer.result);
        }
    });
    judge("one leader at a time", &one_leader(&samples));
    trio.settled(secs(10.0));
}

#[test]
fn a_leader_that_wakes_without_redis_does_not_say_that_it_leads() {
    let redis = RedisServer::alone();
    let trio = Trio::start(&redis);
    let leader = trio.settled(secs(20.0));
    let before = term(&trio, leader);
    let node = &trio.nodes[leader];
    node.stop();
    hold(secs(1.5), "longer than presence_grace, far shorter than the lease");
    redis.pause();
    node.cont();
    let end = testkit::stamp() + secs(1.0);
    while testkit::stamp() < end {
        let state = node.state();
        assert_ne!(state["role"], "leader", "it cannot have asked Redis: {state}");
    }
    redis.resume();
    let after = trio.settled(secs(45.0));
    let now = term(&trio, after);
    assert!(
        now > before || (now == before && after == leader),
        "the same leader goes on under its term, or a new one rises"
    );
}

#[test]
fn a_leader_cut_off_from_redis_stops_leading_within_the_grace() {
    let redis = RedisServer::alone();
    let trio = Trio::start(&redis);
    let leader = trio.settled(secs(20.0));
    let node = &trio.nodes[leader];
    redis.pause();
    let at = testkit::stamp();
    let (state, samples) = sampled(&[node], || {
        hold(secs(2.0), "twice presence_grace");
        node.state()
    });
    redis.resume();
    assert_ne!(state["role"], "leader");
    assert_eq!(state["redis"]["status"], "unavailable", "{state}");
    let late: Vec<_> = samples.iter().filter(|sample| sample.leads && sample.sent > at + secs(1.0)).collect();
    assert!(late.is_empty(), "leads more than presence_grace after Redis stopped: {late:?}");
    trio.settled(secs(45.0));
}

#[test]
fn forced_handovers_never_overlap() {
    let redis = RedisServer::alone();
    let trio = Trio::start(&redis);
    let nodes: Vec<_> = trio.nodes.iter().collect();
    let (terms, samples) = sampled(&nodes, || {
        let mut terms = Vec::new();
        for round in 0..9 {
            let candidate = &trio.launches[round % 3].label;
            let params = json!({"candidate": candidate, "force": true});
            let answer = trio.nodes[(round + 1) % 3].ok("distributed.elect_leader", params);
            assert_eq!(answer["leader_id"], candidate.as_str(), "{answer}");
            terms.push(answer["term"].as_u64().unwrap());
        }
        terms
    });
    assert!(terms.is_sorted(), "{terms:?}");
    judge("one leader at a time", &one_leader(&samples));
    trio.settled(secs(10.0));
    for node in &trio.nodes {
        judge("terms rise", &rising_terms(&node.events()));
    }
}
