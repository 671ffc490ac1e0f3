//! Behind sentinels: one primary, two replicas, three sentinels.

use super::{Ordeal, Promotion, leads};
use serde_json::json;
use testkit::failover::MASTER;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, SentinelSet, Serve, Trio, clawster, eventually, hold};

pub fn at(set: &SentinelSet) -> impl Fn(Launch) -> Launch {
    let nodes = set.nodes();
    move |launch| {
        let launch = launch.env("CLAWSTER__REDIS__MODE", "sentinel").env("CLAWSTER__REDIS__NODES", &nodes);
        launch.env("CLAWSTER__REDIS__MASTER_NAME", MASTER).brisk()
    }
}

/// What can happen to a primary; the last one needs a set with ways.
pub(super) const FAULTS: [&str; 4] =
    ["kill -9 of the primary", "SIGSTOP of the primary", "SENTINEL FAILOVER", "partition"];

/// Lets one of [`FAULTS`] happen. Another server is the primary when this returns.
pub(super) fn fault(set: &mut SentinelSet, kind: usize, promotion: &Promotion) {
    let before = set.primary();
    match kind {
        0 => {
            set.servers[before].kill9();
            promotion.told(set.addresses(set.replaced(before)));
        }
        1 => {
            set.servers[before].pause();
            promotion.told(set.addresses(set.replaced(before)));
        }
        2 => promotion.told(set.addresses(set.fail_over())),
        _ => {
            set.cut(before);
            promotion.told_to(set.addresses(set.replaced(before)), 1..3);
            hold(secs(6.0), "two leases, in which either side would elect a leader");
        }
    }
}

pub(super) fn mend(set: &mut SentinelSet) {
    set.heal();
    for server in &mut set.servers {
        if server.runs() {
            server.resume();
        } else {
            server.restart();
        }
    }
    set.settled();
    // Only now every replica can confirm a grant, and the sentinels can promote any of them.
    set.complete();
}

/// As [`at`], with ways of its own for the first node, which a cut leaves alone with the former primary.
pub(super) fn apart(set: &SentinelSet) -> impl Fn(Launch) -> Launch {
    let (all, nodes, announce) = (at(set), set.nodes_of_the_first(), set.announced_to_the_first());
    move |launch| {
        let first = launch.label == "a";
        let launch = all(launch);
        if !first {
            return launch;
        }
        launch.env("CLAWSTER__REDIS__NODES", &nodes).env("CLAWSTER__REDIS__ANNOUNCE", &announce)
    }
}

#[test]
fn the_nodes_follow_the_primary_that_sentinels_name() {
    let _turn = testkit::turn::alone();
    let mut set = SentinelSet::start(2, secs(1.0), 0);
    let mut ordeal = Ordeal::new(Trio::with(at(&set)));
    for kind in [2, 0, 1] {
        ordeal.round(FAULTS[kind], |promotion| fault(&mut set, kind, promotion));
        mend(&mut set);
    }
    ordeal.in_time();
    let trio = ordeal.judge(true, false);
    let state = trio.nodes[0].state();
    assert_eq!(state["redis"]["mode"], "sentinel", "{state}");
    let primary = format!("127.0.0.1:{}", set.servers[set.primary()].port());
    assert_eq!(state["redis"]["primary"], primary.as_str(), "{state}");
    let run_id = set.servers[set.primary()].info("server", "run_id").unwrap();
    for node in &trio.nodes {
        // Two promotions that follow at once may be one change to a node that missed the first.
        let told = |node: &Serve| -> Vec<_> {
            let events = node.notes().iter().map(|note| note.event().clone()).collect::<Vec<_>>();
            events.into_iter().filter(|event| event["event"] == "cluster.redis_failover").collect()
        };
        node.event("the last failover", secs(10.0), |event| event["to"] == primary.as_str());
        let told = told(node);
        assert!(told.windows(2).all(|pair| pair[0]["to"] == pair[1]["from"]), "{told:?}");
        let last = told.last().expect("a failover was told");
        assert_eq!((&last["to"], &last["run_id"]), (&json!(primary), &json!(run_id)), "{told:?}");
        assert_eq!(node.state()["redis"]["failovers"], told.len(), "{told:?}");
    }
    let status = clawster(&trio.launches[0], &["status"]).expect(0).stdout;
    assert!(status.contains(&format!("primary {primary}")) && status.contains(" times"), "{status}");
}

#[test]
fn a_sentinel_that_hangs_or_is_gone_delays_nobody() {
    let mut set = SentinelSet::start(1, secs(1.0), 0);
    set.sentinels[0].pause();
    set.sentinels[1].kill9();
    let trio = Trio::with(at(&set));
    let doctor = clawster(&trio.launches[0], &["doctor"]);
    assert!(doctor.stdout.contains("the primary of mymaster") && doctor.took < secs(10.0), "{doctor:?}");
    set.sentinels[0].resume();
}

#[test]
fn what_is_wrong_with_the_sentinels_is_said() {
    let set = SentinelSet::start(1, secs(1.0), 0);
    let dir = testkit::cluster::stage();
    let status = |launch: Launch| clawster(&launch, &["status"]).expect(3).stderr;
    let wrong = status(at(&set)(Launch::new(dir.path(), "a")).env("CLAWSTER__REDIS__MASTER_NAME", "nobody"));
    assert!(wrong.contains("knows no primary named \"nobody\"") && wrong.contains("redis.master_name"), "{wrong}");
    let plain = RedisServer::with(testkit::RedisOptions { attached: true, ..Default::default() });
    let port = format!("127.0.0.1:{}", plain.port());
    let wrong = status(at(&set)(Launch::new(dir.path(), "b")).env("CLAWSTER__REDIS__NODES", &port));
    assert!(wrong.contains("is no sentinel"), "{wrong}");
    drop(plain);
    let wrong = status(at(&set)(Launch::new(dir.path(), "c")).env("CLAWSTER__REDIS__NODES", &port));
    assert!(wrong.contains("connection refused"), "{wrong}");
}

#[test]
fn a_primary_whose_announced_address_is_another_one_is_reached_by_the_map() {
    let set = SentinelSet::start(1, secs(1.0), 0);
    let port = set.servers[set.primary()].port();
    for sentinel in &set.sentinels {
        // An address that only the sentinels' own network knows.
        assert_eq!(sentinel.cli(&["SENTINEL", "REMOVE", MASTER]), "OK");
        assert_eq!(sentinel.cli(&["SENTINEL", "MONITOR", MASTER, "127.0.0.2", &port.to_string(), "2"]), "OK");
    }
    let launch = |dir: &std::path::Path, id| at(&set)(Launch::new(dir, id));
    let dir = testkit::cluster::stage();
    let map = json!({"127.0.0.2": "127.0.0.1"}).to_string();
    let node = launch(dir.path(), "a").env("CLAWSTER__REDIS__ANNOUNCE", &map).start();
    eventually("the node is a member", secs(10.0), || {
        let state = node.state();
        if state["redis"]["status"] == "ok" { Ok(()) } else { Err(state) }
    });
    node.close_stdin();
    node.exit_clean(secs(10.0));
}

#[test]
fn a_leader_that_the_replicas_do_not_confirm_does_not_lead() {
    let set = SentinelSet::start(2, secs(60.0), 0);
    let trio = Trio::with(|launch| {
        at(&set)(launch).env("CLAWSTER__REDIS__WAIT_REPLICAS", "all").env("CLAWSTER__REDIS__REPLICAS", "2")
    });
    let leader = trio.settled(secs(20.0));
    let lease = json!({"name": "l", "ttl_ms": 60_000});
    let held = trio.nodes[leader].ok("distributed.acquire_lease", lease.clone());
    assert_eq!(held["acquired"], true, "{held}");
    let replica = (set.primary() + 1) % 3;
    set.servers[replica].pause();
    let nodes: Vec<_> = trio.nodes.iter().collect();
    for node in &nodes {
        node.until("nobody leads", secs(10.0), |state| state["role"] != "leader");
        assert_eq!(node.state()["redis"]["status"], "ok", "heartbeats go on");
    }
    let refused = trio.nodes[leader].call("distributed.acquire_lease", json!({"name": "m", "ttl_ms": 60_000}));
    let error = refused.expect_err("a grant that one of two replicas has does not count");
    assert!(error.message.contains("1 of 2 replicas confirmed"), "{error:?}");
    set.servers[replica].resume();
    trio.settled(secs(20.0));
    let later = trio.nodes[leader].ok("distributed.acquire_lease", json!({"name": "n", "ttl_ms": 60_000}));
    assert!(later["token"].as_u64() > held["token"].as_u64(), "{later} {held}");
}

#[test]
fn a_majority_is_enough_where_it_is_asked_for() {
    let set = SentinelSet::start(2, secs(60.0), 0);
    let replica = (set.primary() + 1) % 3;
    let trio = Trio::with(|launch| {
        let launch = at(&set)(launch).env("CLAWSTER__REDIS__WAIT_MESSAGES", "true");
        launch.env("CLAWSTER__REDIS__WAIT_REPLICAS", "majority").env("CLAWSTER__REDIS__REPLICAS", "2")
    });
    set.servers[replica].pause();
    testkit::hold(secs(3.5), "longer than a lease: without renewals nobody would lead any more");
    trio.settled(secs(10.0));
    trio.nodes[0].ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": 1}], "limit": 0}));
    let got = trio.nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["id"], "m", "{got}");
    set.servers[replica].resume();
}

#[test]
fn a_node_that_is_alone_with_the_former_primary_shows_no_term_that_no_replica_has() {
    let mut set = SentinelSet::with_ways(2, secs(1.0), 0);
    let trio = Trio::with(|launch| {
        apart(&set)(launch).env("CLAWSTER__REDIS__WAIT_REPLICAS", "all").env("CLAWSTER__REDIS__REPLICAS", "2")
    });
    // The others cannot renew their lease there, unlike the first.
    leads(&trio, 1);
    trio.settled(secs(20.0));
    let former = set.primary();
    let granted = || {
        let events = set.servers[former].cli(&["XRANGE", "clawster:{openclaw}:events", "-", "+"]);
        events.matches("leader_elected").count()
    };
    let alone = &trio.nodes[0];
    let (term, before) = (alone.state()["term"].clone(), granted());
    set.cut(former);
    eventually("the former primary grants a term", secs(30.0), || {
        let now = granted();
        if now > before { Ok(()) } else { Err(now) }
    });
    alone.event("it heard of that grant", secs(10.0), |event| {
        event["event"] == "cluster.leader_elected" && event["term"].as_u64() > term.as_u64()
    });
    let heard = alone.state();
    // The record follows the event.
    let seen = alone
        .until("it has a later answer", secs(10.0), |state| state["as_of_ms"].as_u64() > heard["as_of_ms"].as_u64());
    for state in [heard, seen] {
        assert_eq!(state["term"], term, "{state}");
        assert!(state["role"] != "leader" && state["leader_id"] != "a", "{state}");
    }
    set.replaced(former);
    mend(&mut set);
    trio.settled(secs(30.0));
}
