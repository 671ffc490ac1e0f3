//! Starting and ending: the end of input and signals end a node in time and with code 0.

use clawster::signals::{HANGUP, is_ignored};
use rustix::process::Signal;
use serde_json::json;
use testkit::cluster::{settled, stage};
use testkit::redis_server::free_port;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually, stamp};

type End = fn(&Serve);

const ENDS: [(&str, End); 7] = [
    ("end of input", |node| node.close_stdin()),
    ("SIGTERM", |node| {
        node.sigterm();
    }),
    ("SIGINT", |node| node.sigint()),
    // A terminal that closes sends two, which must not hurry the end.
    ("SIGHUP", |node| (0..2).for_each(|_| node.signal(Signal::HUP))),
    ("SIGQUIT", |node| node.signal(Signal::QUIT)),
    ("SIGUSR1", |node| node.signal(Signal::USR1)),
    ("SIGUSR2", |node| node.signal(Signal::USR2)),
];

/// The ways to end. A node that is started with SIGHUP ignored, as below `nohup`, goes on ignoring it.
fn ends() -> impl Iterator<Item = (&'static str, End)> {
    ENDS.into_iter().filter(|(name, _)| *name != "SIGHUP" || !is_ignored(HANGUP))
}

#[test]
fn each_way_to_end_leaves_the_cluster_and_exits_with_0() {
    let redis = RedisServer::start();
    let dir = stage();
    let stays = Launch::new(dir.path(), "stays").redis(&redis).brisk().start();
    stays.subscribe(json!(null), None);
    for (name, end) in ends() {
        let node = Launch::new(dir.path(), "goes").redis(&redis).brisk().start();
        settled(&[&stays, &node], secs(20.0));
        node.ok("distributed.elect_leader", json!({"force": true}));
        let before = stays.events().len();
        end(&node);
        node.exit_clean(secs(5.0));
        node.assert_clean();
        let left = stays.mailbox().wait(secs(5.0), |inbox| {
            let events = inbox.notes.iter().map(testkit::Note::event).filter(|event| event["seq"].is_number());
            events.skip(before).find(|event| event["event"] == "cluster.node_left").cloned()
        });
        assert_eq!(left.expect(name)["reason"], "left", "{name}");
        settled(&[&stays], secs(5.0));
    }
}

#[test]
fn a_start_after_a_clean_end_or_a_kill_tells_of_no_damage() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "again").redis(&redis).brisk();
    for kill in [false, true, false] {
        let node = launch.start();
        node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
        node.ok("distributed.sync_messages", json!({"messages": [1, 2, 3], "limit": 0}));
        if kill {
            node.kill9();
        } else {
            node.close_stdin();
            node.exit_clean(secs(5.0));
        }
        assert!(!node.stderr().contains("damaged"), "{}", node.stderr());
    }
}

#[test]
fn each_way_to_end_takes_at_most_5_s_without_redis() {
    let dir = stage();
    for (at, (name, end)) in ends().enumerate() {
        let mut redis = RedisServer::start();
        let nodes = [
            Launch::new(dir.path(), &format!("never{at}")).port(free_port()).start(),
            Launch::new(dir.path(), &format!("paused{at}")).redis(&redis).brisk().start(),
        ];
        nodes[0].state();
        nodes[1].until("it leads", secs(20.0), |state| state["role"] == "leader");
        redis.pause();
        for node in &nodes {
            let start = stamp();
            end(node);
            node.exit_clean(secs(5.0));
            println!("{name}: {} exits after {:?}", node.label, stamp() - start);
        }
        redis.resume();
        redis.kill9();
    }
}

#[test]
fn what_was_sent_before_the_end_is_flushed() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis).brisk();
    let (a, b) = (launch("a").start(), launch("b").start());
    settled(&[&a, &b], secs(20.0));
    let messages: Vec<_> = (0..500).map(|n| json!({"id": format!("f{n}"), "payload": n})).collect();
    let pending = a.request("distributed.sync_messages", json!({"messages": messages, "limit": 0})).unwrap();
    a.close_stdin();
    a.exit_clean(secs(5.0));
    let answered = pending.wait(secs(0.1)).is_ok_and(|answer| answer.result.is_ok());
    assert!(answered, "a request that came before the end of input is answered");
    let mut seen = 0;
    let end = stamp() + secs(10.0);
    while seen < 500 && stamp() < end {
        seen += b.ok("distributed.sync_messages", json!({"wait_ms": 1000}))["received"].as_array().unwrap().len();
    }
    assert_eq!(seen, 500);
}

#[test]
fn a_second_signal_exits_at_once() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    redis.pause();
    node.sigterm();
    // The first one is being served once the process tries to leave a Redis that does not answer.
    testkit::hold(secs(0.3), "the first signal is taken before the second");
    let start = stamp();
    if node.runs() {
        node.sigterm();
    }
    node.exit(secs(1.0));
    assert!(stamp() - start < secs(1.0));
    redis.resume();
}

#[test]
fn calls_that_a_stopping_node_cannot_answer_may_be_made_again() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    let held = node.ok("distributed.acquire_lease", json!({"name": "held", "ttl_ms": 60_000}));
    assert_eq!(held["acquired"], true);
    let wait = json!({"name": "held", "ttl_ms": 60_000, "wait_ms": 60_000});
    let waiting: Vec<_> = (0..8).map(|_| node.request("distributed.acquire_lease", wait.clone()).unwrap()).collect();
    let key = "clawster:{openclaw}:queue:held";
    eventually("all wait", secs(10.0), || if redis.cli(&["ZCARD", key]) == "8" { Ok(()) } else { Err("not yet") });
    node.sigterm();
    let answers: Vec<_> = waiting.iter().filter_map(|pending| pending.wait(secs(15.0)).ok()).collect();
    let errors: Vec<_> = answers.into_iter().filter_map(|answer| answer.result.err()).collect();
    assert!(errors.iter().any(|error| error.code == -32002), "{errors:?}");
    assert!(errors.iter().all(|error| error.code != -32603), "{errors:?}");
    node.exit_clean(secs(15.0));
}
