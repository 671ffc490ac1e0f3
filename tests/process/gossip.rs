//! Gossip between real processes: Redis away, a node killed, notes, a wrong configuration, and everything while it is off.

use clawster::cluster::gossip::{Effect, Gossip, Identity, Says, Settings};
use clawster::cluster::ids::{ClusterName, NodeId, Term};
use clawster::cluster::time::{Moment, ServerTime};
use serde_json::{Value, json};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually, hold, stamp};

const KEY: &str = "the key of the nodes of this test";

/// A UDP address on this host that nobody uses.
fn free_address() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A node that gossips at this address.
pub(crate) fn gossiping(launch: Launch, at: SocketAddr) -> Launch {
    launch.secrets(&json!({"gossip": {"key": KEY}}).to_string());
    launch.env("CLAWSTER__GOSSIP__LISTEN", &at.to_string())
}

fn peer<'v>(state: &'v Value, id: &str) -> Option<&'v Value> {
    state["peers"].as_array()?.iter().find(|peer| peer["node_id"] == id)
}

pub(crate) fn reaches(state: &Value, id: &str) -> bool {
    peer(state, id).is_some_and(|peer| peer["reachable"] == true)
}

/// Waits until each of these reaches all others.
#[track_caller]
pub(crate) fn met(nodes: &[&Serve]) {
    for node in nodes {
        node.until("it reaches the others", secs(15.0), |state| {
            nodes.iter().all(|other| other.label == node.label || reaches(state, &other.label))
        });
    }
}

#[test]
fn redis_stops_and_a_node_is_killed_and_the_others_see_just_that() {
    let redis = RedisServer::start();
    let dir = stage();
    let launches = ["a", "b", "c"].map(|id| gossiping(Launch::new(dir.path(), id).redis(&redis), free_address()));
    let nodes = launches.each_ref().map(Launch::start);
    let [a, b, c] = &nodes;
    settled(&[a, b, c], secs(20.0));
    // Nobody was told where the others are: Redis names them.
    met(&[a, b, c]);
    let state = a.until("Redis is there for all, and all know who leads", secs(5.0), |state| {
        ["b", "c"].iter().filter_map(|id| peer(state, id)).all(|peer| {
            peer["redis_reachable"] == true && ["leader_id", "term"].iter().all(|key| peer[*key] == state[*key])
        })
    });
    let seen = peer(&state, "b").unwrap();
    assert_eq!(seen["source"], json!("gossip"), "{state}");
    assert!(seen["as_of_ms"].as_u64().unwrap() > 1_600_000_000_000, "{state}");
    let lease = a.ok("distributed.acquire_lease", json!({"name": "job", "ttl_ms": 120_000}));
    for node in [a, b] {
        node.subscribe(Value::Null, None);
    }
    redis.pause();
    c.kill9();
    let killed = stamp();
    for node in [a, b] {
        node.event("c is unreachable", secs(3.0), |event| {
            event["event"] == "cluster.peer_unreachable" && event["node_id"] == "c" && event["reason"] == "silent"
        });
        assert!(!reaches(&node.state(), "c"));
    }
    let took = stamp() - killed;
    assert!(took < secs(3.0), "{took:?}");
    for node in [a, b] {
        let state = node.state();
        let status = |id: &str| {
            state["nodes"].as_array().unwrap().iter().find(|n| n["node_id"] == id).unwrap()["status"].clone()
        };
        assert_eq!([status("a"), status("b"), status("c")], [json!("online"), json!("online"), json!("online")]);
        assert!(node.events().iter().all(|event| event["event"] != "cluster.node_left"));
    }
    a.until("Redis is away for it", secs(30.0), |state| state["redis"]["status"] == "unavailable");
    b.until("it knows that Redis is away for a", secs(3.0), |state| {
        peer(state, "a").is_some_and(|peer| peer["redis_reachable"] == false && peer["reachable"] == true)
    });
    redis.resume();
    a.until("Redis is back", secs(20.0), |state| state["redis"]["status"] == "ok");
    let held = json!({"name": "job", "token": lease["token"]});
    assert_eq!(a.ok("distributed.check_lease", held)["valid"], true, "no lease was lost");
}

#[test]
fn nodes_that_start_while_redis_is_away_find_each_other_where_redis_named_them() {
    let mut redis = RedisServer::start();
    let dir = stage();
    let launches = ["a", "b"].map(|id| gossiping(Launch::new(dir.path(), id).redis(&redis).brisk(), free_address()));
    {
        let nodes = launches.each_ref().map(Launch::start);
        met(&[&nodes[0], &nodes[1]]);
        eventually("a heartbeat in the history says that b answers", secs(10.0), || {
            let history = nodes[0].ok("distributed.get_history", json!({"node_id": "a", "limit": 1}));
            if history["entries"][0]["peers"] == 1 { Ok(()) } else { Err(history) }
        });
        nodes[0].subscribe(Value::Null, None);
        hold(secs(0.5), "the endpoints reach the disk");
        nodes[1].sigterm();
        nodes[0].event("b said that it leaves", secs(5.0), |event| {
            event["event"] == "cluster.peer_unreachable" && event["reason"] == "left"
        });
    }
    redis.kill9();
    let nodes = launches.each_ref().map(Launch::start);
    met(&[&nodes[0], &nodes[1]]);
    let state = nodes[0].state();
    assert_eq!((&state["redis"]["status"], &state["role"]), (&json!("unavailable"), &json!("observer")));
    assert_eq!(peer(&state, "b").unwrap()["redis_reachable"], false, "{state}");
}

#[test]
fn notes_travel_without_redis() {
    let redis = RedisServer::start();
    let dir = stage();
    let launches = ["a", "b", "c"].map(|id| gossiping(Launch::new(dir.path(), id).redis(&redis), free_address()));
    let nodes = launches.each_ref().map(Launch::start);
    let [a, b, c] = &nodes;
    settled(&[a, b, c], secs(20.0));
    met(&[a, b, c]);
    redis.pause();
    b.subscribe(json!(["cluster.note"]), None);
    c.subscribe(json!(["cluster.*"]), None);
    let sent = a.ok("distributed.notify", json!({"topic": "pager", "payload": {"text": "Redis is down"}}));
    assert_eq!(sent, json!({"sent_to": ["b", "c"]}));
    for node in [b, c] {
        let note = node.event("the note", secs(3.0), |event| event["event"] == "cluster.note");
        let event = note.event();
        let told = (&event["from"], &event["topic"], &event["payload"]);
        assert_eq!(told, (&json!("a"), &json!("pager"), &json!({"text": "Redis is down"})));
        assert_eq!((&event["seq"], &event["node_id"]), (&Value::Null, &json!(node.label)));
    }
    assert_eq!(a.ok("distributed.notify", json!([["c"], "one", null])), json!({"sent_to": ["c"]}));
    c.event("the second note", secs(3.0), |event| event["topic"] == "one");
    a.refused("distributed.notify", json!({"to": ["x"], "topic": "t", "payload": 1}), -32004);
    a.refused("distributed.notify", json!({"topic": "t", "payload": "x".repeat(1_023)}), -32005);
    a.refused("distributed.notify", json!({"topic": "", "payload": 1}), -32602);
    a.ok("distributed.notify", json!({"topic": "t", "payload": "x".repeat(1_022)}));
    let outcomes: Vec<_> = (0..60).map(|_| a.call("distributed.notify", json!({"topic": "t", "payload": 1}))).collect();
    let limited = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect::<Vec<_>>();
    assert!(!limited.is_empty() && limited.iter().all(|error| error.code == -32006), "{limited:?}");
}

#[test]
fn gossip_that_is_off_or_reaches_nobody_changes_nothing() {
    let redis = RedisServer::start();
    let dir = stage();
    let off = Launch::new(dir.path(), "off").redis(&redis).brisk();
    // Its datagrams go to a port where nobody answers.
    let alone = gossiping(Launch::new(dir.path(), "alone").redis(&redis).brisk(), free_address());
    let alone = alone.env("CLAWSTER__GOSSIP__SEEDS", &free_address().to_string());
    let (off, alone) = (off.start(), alone.start());
    settled(&[&off, &alone], secs(20.0));
    hold(secs(2.0), "time enough to find somebody");
    assert_eq!(alone.state()["peers"], json!([]));
    assert_eq!(alone.ok("distributed.notify", json!({"topic": "t", "payload": 1})), json!({"sent_to": []}));
    let state = off.state();
    assert!(state.get("peers").is_none(), "{state}");
    let history = off.ok("distributed.get_history", json!({"node_id": "off", "limit": 1}));
    assert!(history["entries"][0]["number"].is_u64() && history["entries"][0]["peers"].is_null(), "{history}");
    let error = off.refused("distributed.notify", json!({"topic": "t", "payload": 1}), -32008);
    assert!(error.message.contains("gossip.listen") && error.message.contains("gossip.key"), "{error:?}");
    let metrics =
        |node: &Serve| node.ok("distributed.get_cluster_state", json!({"metrics": true}))["metrics"].to_string();
    assert!(!metrics(&off).contains("gossip"));
    assert!(metrics(&alone).contains("clawster_gossip_datagrams_total"));
    alone.sigterm();
    settled(&[&off], secs(20.0));
}

#[test]
fn gossip_does_not_start_without_a_key() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).env("CLAWSTER__GOSSIP__LISTEN", "127.0.0.1:7946");
    let node = launch.start();
    eventually("it says what is missing", secs(10.0), || {
        let text = node.stderr();
        if text.contains("gossip.key") && text.contains("secrets.json") { Ok(()) } else { Err(text) }
    });
}

/// A node that is only its gossip, in this process.
struct Fake {
    gossip: Gossip,
    socket: UdpSocket,
    start: testkit::Stamp,
}

impl Fake {
    fn new(id: &str, seed: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let me = Identity::new(NodeId::new(id).unwrap(), 1, socket.local_addr().unwrap());
        let port = u64::from(me.address.port());
        let mut session = [7; 16];
        session[..8].copy_from_slice(&port.to_be_bytes());
        let cluster = ClusterName::new("openclaw").unwrap();
        let mut gossip = Gossip::new(Moment::default(), cluster, &[KEY], Settings { me, session, seed: port });
        gossip.set_seeds(vec![seed]);
        Self { gossip, socket, start: stamp() }
    }

    fn now(&self) -> Moment {
        Moment(stamp() - self.start)
    }

    fn turn(&mut self) -> Vec<Effect> {
        let mut buffer = [0; 2_048];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let now = self.now();
            let _ = self.gossip.received(now, from, &mut buffer[..length]);
        }
        let now = self.now();
        if self.gossip.wake_at() <= now {
            self.gossip.wake(now);
        }
        let mut others = Vec::new();
        for effect in self.gossip.effects() {
            match effect {
                Effect::Send(to, datagram) => drop(self.socket.send_to(&datagram, to)),
                other => others.push(other),
            }
        }
        others
    }
}

#[test]
fn a_leader_that_hears_of_a_higher_term_stops_at_once_until_redis_confirms_it() {
    let redis = RedisServer::start();
    let dir = stage();
    let at = free_address();
    let launch = gossiping(Launch::new(dir.path(), "a").redis(&redis).timing(2.0, 10.0, 60.0), at);
    let a = launch.env("CLAWSTER__LEADER__PRESENCE_GRACE", "5").start();
    let own = a.until("it leads", secs(20.0), |state| state["role"] == "leader")["term"].as_u64().unwrap();
    let mut fake = Fake::new("b", at);
    let says = |fake: &mut Fake, term| {
        let says = Says { redis: true, term: Term(term), version: "9".to_owned(), ..Says::default() };
        let now = fake.now();
        fake.gossip.say(now, ServerTime(1_700_000_000_000), says);
    };
    says(&mut fake, own + 50);
    eventually("they meet", secs(10.0), || {
        fake.turn();
        if reaches(&a.state(), "b") { Ok(()) } else { Err("not yet") }
    });
    // Redis says that the term is still its own.
    a.until("it leads again", secs(5.0), |state| state["role"] == "leader");
    redis.pause();
    hold(secs(0.5), "without a word from others, it leads for the grace of 5 s");
    assert_eq!(a.state()["role"], "leader");
    says(&mut fake, own + 60);
    eventually("it leads no longer", secs(2.0), || {
        fake.turn();
        let state = a.state();
        if state["role"] == "follower" { Ok(()) } else { Err(state) }
    });
    redis.resume();
    a.until("it leads again when Redis says so", secs(15.0), |state| state["role"] == "leader");
}

#[test]
fn datagrams_of_every_length_are_dropped_and_counted() {
    let redis = RedisServer::start();
    let dir = stage();
    let at = free_address();
    let a = gossiping(Launch::new(dir.path(), "a").redis(&redis).brisk(), at).start();
    a.until("it gossips", secs(20.0), |state| state["peers"].is_array());
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in 0..2_000_usize {
        let bytes: Vec<u8> =
            (0..length).map(|n| if n == 0 { 1 } else { u8::try_from((n * 31 + length) % 256).unwrap() }).collect();
        socket.send_to(&bytes, at).unwrap();
        if length % 50 == 0 {
            hold(Duration::from_millis(2), "the socket's buffer is not what is tested");
        }
    }
    eventually("they are counted", secs(10.0), || {
        let metrics = a.ok("distributed.get_cluster_state", json!({"metrics": true}))["metrics"].clone();
        let of = |outcome: &str| {
            metrics[format!("clawster_gossip_datagrams_total{{outcome=\"{outcome}\"}}")].as_u64().unwrap_or(0)
        };
        if of("foreign") + of("sealed") >= 1_900 { Ok(()) } else { Err(metrics.to_string()) }
    });
    assert_eq!(a.state()["peers"], json!([]));
    let warnings = a.stderr().matches("has another key").count();
    assert_eq!(warnings, 1, "{}", a.stderr());
}

/// The processor time that a process's threads have used, in seconds. The kernel's clock ticks are too coarse for what is measured here.
fn cpu(pid: i32) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let used = tasks.map(|task| {
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap()
    });
    used.sum::<f64>() / 1e9
}

#[test]
#[ignore = "long: measures for half a minute"]
fn idle_gossip_with_99_others_costs_little() {
    let redis = RedisServer::start();
    let dir = stage();
    let at = free_address();
    let a = gossiping(Launch::new(dir.path(), "a").redis(&redis), at).start();
    a.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let before = cpu(a.pid());
    hold(secs(10.0), "the cost without other nodes");
    let alone = cpu(a.pid()) - before;
    let mut fakes: Vec<Fake> = (1..100).map(|n| Fake::new(&format!("n{n}"), at)).collect();
    eventually("they meet", secs(60.0), || {
        fakes.iter_mut().for_each(|fake| drop(fake.turn()));
        let reached =
            a.state()["peers"].as_array().map_or(0, |peers| peers.iter().filter(|p| p["reachable"] == true).count());
        if reached == 99 { Ok(()) } else { Err(reached) }
    });
    let (before, start) = (cpu(a.pid()), stamp());
    while stamp() - start < secs(10.0) {
        fakes.iter_mut().for_each(|fake| drop(fake.turn()));
        hold(Duration::from_millis(2), "the nodes' timers");
    }
    let used = cpu(a.pid()) - before - alone;
    eprintln!("gossip with 99 others used {:.3} % of a core ({alone:.4} s in 10 s without it)", used * 10.0);
    assert!(used * 10.0 < 10.0, "{used}");
}
