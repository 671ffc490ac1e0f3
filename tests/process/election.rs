//! `elect_leader`: who leads, and who shall.

use serde_json::{Value, json};
use testkit::cluster::{settled, stage};
use testkit::wait::{always, secs};
use testkit::{Launch, RedisServer, Trio};

#[test]
fn without_force_the_live_leader_stays() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(10.0));
    let term = trio.nodes[leader].state()["term"].clone();
    for (node, params) in trio.nodes.iter().zip([Value::Null, json!({}), json!({"candidate": "a"})]) {
        let answer = node.ok("distributed.elect_leader", params);
        assert_eq!((&answer["leader_id"], &answer["term"]), (&json!(trio.nodes[leader].label), &term), "{answer}");
        assert_eq!(answer["changed"], false, "{answer}");
        assert!(answer["lease_expires_at_ms"].is_u64(), "{answer}");
    }
}

#[test]
fn with_force_the_candidate_leads_under_a_new_term() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(10.0));
    let term = trio.nodes[leader].state()["term"].as_u64();
    let (caller, candidate) = ((leader + 1) % 3, (leader + 2) % 3);
    let params = json!({"candidate": trio.nodes[candidate].label, "force": true});
    let answer = trio.nodes[caller].ok("distributed.elect_leader", params);
    assert_eq!((&answer["leader_id"], &answer["changed"]), (&json!(trio.nodes[candidate].label), &json!(true)));
    assert!(answer["term"].as_u64() > term, "{answer}");
    assert_eq!(trio.settled(secs(10.0)), candidate);
    let note = trio.nodes[leader].event("the handover", secs(5.0), |event| {
        event["event"] == "cluster.leader_elected" && event["term"] == answer["term"]
    });
    assert_eq!(note.event()["reason"], "handover", "{:?}", note.params);
    // Without a candidate the caller itself shall lead; by position: candidate, force.
    let answer = trio.nodes[caller].ok("distributed.elect_leader", json!([null, true]));
    assert_eq!(answer["leader_id"], trio.nodes[caller].label.as_str());
    assert_eq!(trio.settled(secs(10.0)), caller);
}

#[test]
fn an_unknown_or_dead_candidate_is_refused_and_nothing_changes() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    trio.nodes[0].ok("distributed.elect_leader", json!({"force": true}));
    let term = trio.nodes[0].state()["term"].clone();
    let error =
        trio.nodes[0].refused("distributed.elect_leader", json!({"candidate": "nobody", "force": true}), -32004);
    assert_eq!(error.data["kind"], "unknown_node");
    assert!(error.message.contains("nobody"), "{error:?}");
    trio.nodes[2].kill9();
    trio.nodes[0]
        .event("c is gone", secs(10.0), |event| event["event"] == "cluster.node_left" && event["node_id"] == "c");
    trio.nodes[0].refused("distributed.elect_leader", json!({"candidate": "c", "force": true}), -32004);
    let state = trio.nodes[0].state();
    assert_eq!((&state["leader_id"], &state["term"]), (&json!("a"), &term));
}

#[test]
fn a_node_that_is_no_candidate_never_leads_by_itself() {
    let redis = RedisServer::start();
    let dir = stage();
    let shy = Launch::new(dir.path(), "shy").redis(&redis).brisk().env("CLAWSTER__LEADER__CANDIDATE", "false").start();
    shy.until("it joined", secs(10.0), |state| state["role"] == "follower");
    always("it does not lead", secs(5.0), || {
        let state = shy.state();
        if state["role"] == "follower" && state["leader_id"].is_null() { Ok(()) } else { Err(state) }
    });
    let bold = Launch::new(dir.path(), "bold").redis(&redis).brisk().start();
    assert_eq!(settled(&[&shy, &bold], secs(10.0)), 1);
}

#[test]
fn an_observer_may_elect_others_only() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let observer = Launch::new(trio.dir(), "o").redis(&redis).brisk().env("CLAWSTER__NODE__AUTO_JOIN", "false").start();
    observer.refused("distributed.elect_leader", json!({"force": true}), -32001);
    let answer = observer.ok("distributed.elect_leader", json!({"candidate": "b", "force": true}));
    assert_eq!(answer["leader_id"], "b", "{answer}");
    assert_eq!(trio.settled(secs(10.0)), 1);
}
