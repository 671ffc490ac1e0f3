//! How sessions of one host, and a `clawster serve` beside them, share one node.

use super::anonymous;
use serde_json::{Value, json};
use testkit::cluster::{online, stage};
use testkit::command::clawster_with;
use testkit::mcp::{McpSession, checked};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, eventually, stamp};

fn own_id(session: &McpSession) -> String {
    let state = session.until("it has a node that is a member", secs(20.0), |state| state["node_id"].is_string());
    state["node_id"].as_str().unwrap().to_owned()
}

#[test]
fn sessions_that_start_at_the_same_moment_are_one_member() {
    let redis = RedisServer::start();
    let dir = stage();
    let launches = [anonymous(dir.path(), &redis), Launch::new(dir.path(), "named").redis(&redis).brisk()];
    for (members, launch) in (1..).zip(launches) {
        let sessions: Vec<McpSession> = (0..4).map(|_| McpSession::silent(&launch, &["mcp"])).collect();
        let ids: Vec<String> = sessions
            .iter()
            .map(|session| {
                session.introduce("2025-11-25");
                own_id(session)
            })
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        // The sessions of the first round have gone, and their member with them.
        for session in &sessions {
            session.until("there is one member", secs(20.0), |state| online(state).len() == 1);
        }
        assert!(redis.cli(&["KEYS", "*"]).contains("clawster:"), "round {members}");
    }
}

#[test]
fn a_session_goes_on_when_the_one_with_the_node_is_killed() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let first = McpSession::start(&launch);
    let id = own_id(&first);
    let second = McpSession::start(&launch);
    assert_eq!(own_id(&second), id);
    second.process.ok("resources/subscribe", json!({"uri": "cluster://state"}));
    let pending = second.begin("distributed_sync_messages", json!({"wait_ms": 600_000}));
    second.ok("distributed_get_cluster_state", json!({}));
    let killed = first.process.kill9();
    let error = checked(&pending.wait(secs(5.0)).expect("an answer").result.unwrap(), true);
    assert_eq!((&error["data"]["retryable"], &error["code"]), (&json!(true), &json!(-32011)), "{error}");
    let state = second.until("the second runs the node", secs(20.0), |state| online(state) == [id.clone()]);
    println!("the second session has a member again {:?} after kill -9", stamp() - killed);
    assert_eq!(state["node_id"], json!(id), "under the same id");
    second.note("the state has changed", secs(20.0), |method, params| {
        method == "notifications/resources/updated" && params["uri"] == "cluster://state"
    });
    second.note("the join is told", secs(20.0), |_, params| params["data"]["event"] == "cluster.node_joined");
    let third = McpSession::start(&launch);
    assert_eq!(own_id(&third), id);
    third.until("all are one member", secs(20.0), |state| {
        state["nodes"].as_array().is_some_and(|nodes| nodes.len() == 1)
    });
}

#[test]
fn a_session_goes_on_under_the_same_id_when_the_one_with_the_node_ends() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let first = McpSession::start(&launch);
    let id = own_id(&first);
    let second = McpSession::start(&launch);
    assert_eq!(own_id(&second), id);
    first.process.close_stdin();
    first.process.exit_clean(secs(5.0));
    second.until("it is a member again", secs(20.0), |state| online(state) == [id.clone()]);
    first.process.assert_clean();
    second.process.assert_clean();
}

#[test]
fn a_session_uses_the_node_that_serves_already_and_survives_its_restart() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "gateway").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| online(state).len() == 1);
    let session = McpSession::start(&launch);
    assert_eq!(own_id(&session), "gateway");
    session.process.close_stdin();
    session.process.exit_clean(secs(5.0));
    assert_eq!(online(&node.state()), ["gateway"], "the node was not the session's");

    let session = McpSession::start(&launch);
    assert_eq!(own_id(&session), "gateway");
    node.kill9();
    let again = launch.start();
    again.until("it is back", secs(20.0), |state| online(state).len() == 1);
    session.until("the session found it", secs(20.0), |state| online(state) == ["gateway"]);
    assert!(!session.process.stderr().contains("the node is up"), "a node that comes back is not replaced");
}

#[test]
fn sessions_follow_their_node_to_another_id() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let sessions = [McpSession::start(&launch), McpSession::start(&launch)];
    let ids = sessions.each_ref().map(own_id);
    assert_eq!(ids[0], ids[1]);
    for (session, id) in [(&sessions[0], "renamed"), (&sessions[1], "again")] {
        assert_eq!(session.ok("distributed_join_cluster", json!({"node_id": id}))["node_id"], id);
        for session in &sessions {
            session
                .until("the node has the new id", secs(20.0), |state| online(state) == [id] && state["node_id"] == id);
        }
    }
}

#[test]
fn one_of_several_nodes_is_chosen() {
    let redis = RedisServer::start();
    let dir = stage();
    let host = Launch::new(dir.path(), "host").redis(&redis).brisk();
    let nodes = ["a", "b"].map(|id| host.clone().env("OPENCLAW_NODE_ID", id).start());
    for node in &nodes {
        node.until("both are there", secs(20.0), |state| online(state).len() == 2);
    }
    let anyone = host.clone().env("OPENCLAW_NODE_ID", "");
    let refused = clawster_with(&anyone, &["mcp"], b"", secs(10.0)).expect(2);
    assert!(refused.stderr.contains("--node") && refused.stdout.is_empty(), "{refused:?}");
    let chosen = McpSession::silent(&anyone, &["mcp", "--node", "b"]);
    chosen.introduce("2025-11-25");
    assert_eq!(own_id(&chosen), "b");
}

#[test]
fn a_signal_ends_a_session_and_its_node_in_time() {
    let redis = RedisServer::start();
    let dir = stage();
    let witness = Launch::new(dir.path(), "witness").redis(&redis).brisk().start();
    let launch = Launch::new(dir.path(), "goes").redis(&redis).brisk();
    for paused in [false, true] {
        let session = McpSession::start(&launch);
        assert_eq!(own_id(&session), "goes");
        session.until("both are there", secs(20.0), |state| online(state).len() == 2);
        if paused {
            redis.pause();
        }
        session.process.sigterm();
        session.process.exit_clean(secs(5.0));
        session.process.assert_clean();
        if !paused {
            eventually("the cluster was told", secs(2.0), || {
                let state = witness.state();
                let gone = |node: &Value| node["node_id"] != "goes" || node["status"] == "left";
                if state["nodes"].as_array().unwrap().iter().all(gone) { Ok(()) } else { Err(state) }
            });
        }
    }
    redis.resume();
}

#[test]
fn without_redis_a_session_answers_and_says_what_is_missing() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "alone").port(testkit::redis_server::free_port()).brisk();
    let session = McpSession::start(&launch);
    let state = session.ok("distributed_get_cluster_state", json!({}));
    assert_eq!(state["redis"]["status"], "unavailable");
    let error = session.refused("distributed_get_cluster_state", json!({"fresh": true}));
    assert_eq!((&error["data"]["kind"], &error["data"]["retryable"]), (&json!("redis_unavailable"), &json!(true)));
}

#[test]
fn a_session_that_cannot_be_set_up_says_why_in_its_answers() {
    let dir = stage();
    let nothing =
        Launch::new(dir.path(), "nothing").env("CLAWSTER__REDIS__MODE", "embedded").env("PATH", "/nonexistent");
    let nothing = nothing.env("CLAWSTER_REDIS_SERVER", "/no/such/program");
    let wrong = Launch::new(dir.path(), "wrong").env("CLAWSTER__NODE__HEARTBEAT_INTERVAL", "often");
    for (launch, code, word) in [(nothing, 1, "/no/such/program"), (wrong, 1, "heartbeat_interval")] {
        let session = McpSession::start(&launch);
        session.process.ok("tools/list", json!({}));
        let error = session.refused("distributed_get_cluster_state", json!({}));
        let message = error["message"].as_str().expect("a text").to_lowercase();
        assert!(message.contains(word), "{error}");
        session.process.close_stdin();
        assert_eq!(session.process.exit(secs(10.0)).code(), Some(code));
        assert!(session.process.stderr().to_lowercase().contains(word), "{}", session.process.stderr());
    }
}

#[test]
fn a_call_to_a_frozen_node_does_not_hang_and_the_session_goes_on_with_it() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = anonymous(dir.path(), &redis);
    let first = McpSession::start(&launch);
    let id = own_id(&first);
    let second = McpSession::start(&launch);
    assert_eq!(own_id(&second), id);
    first.process.stop();
    let late = McpSession::start(&launch);
    for session in [&second, &late] {
        let hangs = session.begin("distributed_sync_messages", json!({"wait_ms": 600_000}));
        let error = checked(&hangs.wait(secs(30.0)).expect("an answer").result.unwrap(), true);
        assert_eq!(error["data"]["retryable"], true, "{error}");
    }
    let error = second.refused("distributed_get_cluster_state", json!({}));
    assert!(error["message"].as_str().unwrap().contains("does not answer"), "{error}");
    first.process.cont();
    for session in [&second, &late] {
        let state = session.until("it answers again", secs(30.0), |state| online(state) == [id.clone()]);
        assert_eq!(state["node_id"], json!(id));
    }
}
