//! How long a report's questions take, with a day of a hundred nodes in the store: `make bench`. Each figure stands beside its limit,
//! and the command fails when one is broken.
//!
//! 1. Figures are of the store alone, from the question to the last row, the first one of each with a new connection.
//! 2. The 864,000 heartbeats are written by the store as well, in batches of five hundred, so that writing has its figure, too.
//!
//! Not here: which plan MongoDB follows (`tests/contract/history_day.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use clawster::cluster::event::{ClusterEvent, ClusterFact, ElectedReason};
use clawster::cluster::history::{HistoryQuery, Sample, Summary};
use clawster::cluster::ids::{ClusterName, EventSeq, Incarnation, NodeId, Term};
use clawster::cluster::time::ServerTime;
use clawster::config::{MongoConfig, Secret};
use clawster::store::history::{Batch, HistoryStore};
use clawster::store::mongodb::MongoHistory;
use clawster::store::redis::{Address, RedisHistory, Target};
use std::time::Duration;
use testkit::mongod::Mongod;
use testkit::{RedisServer, stamp};

const NODES: u64 = 100;
const BEATS: u64 = 8_640;

/// A bound on a figure in milliseconds; without one, it is only told.
type Limit = Option<f64>;

/// The servers have ended by the time the process does, also when a limit is broken.
fn main() -> std::process::ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    std::process::ExitCode::from(u8::from(runtime.block_on(measure())))
}

/// Whether a limit is broken.
async fn measure() -> bool {
    let mongod = Mongod::start();
    let redis = RedisServer::start();
    let cluster = ClusterName::new("bench").unwrap();
    let now = clawster::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap();
    let start = u64::try_from(now.as_millis()).unwrap() - BEATS * 10_000;
    let config = MongoConfig {
        uri: Some(Secret::new(mongod.uri())),
        db: "bench".to_owned(),
        collection: "heartbeat".to_owned(),
        retention_days: 30,
    };
    let in_mongodb = || MongoHistory::new(&config, &cluster).unwrap().unwrap();
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: redis.port(), tls: false };
    let target = Target::at_address(address);
    let in_redis = || RedisHistory::new(target.clone(), &cluster, Duration::from_secs(86_400));

    let mut broken = fill("MongoDB", &in_mongodb(), start).await;
    broken |= fill("Redis", &in_redis(), start).await;
    println!(
        "Redis takes {} MB for it",
        redis.info("memory", "used_memory").unwrap().parse::<u64>().unwrap() / 1_000_000
    );
    broken |= read("MongoDB", in_mongodb(), start, Some(1_000.0)).await;
    // A report over Redis reads every heartbeat of the day; its limit is the store's own.
    broken |= read("Redis", in_redis(), start, Some(30_000.0)).await;
    broken
}

fn beat(node: u64, number: u64, start: u64) -> Sample {
    Sample {
        node_id: NodeId::new(format!("node-{node:03}")).unwrap(),
        incarnation: Incarnation(1_700_000_000_000_000 + node),
        number,
        at: ServerTime(start + number * 10_000 + node),
        leads: node == 0,
        term: Term(1_700_000_000_000_999),
        leader_id: NodeId::new("node-000").ok(),
        round_trip: Duration::from_micros(300 + (number * 7919 + node) % 4_000),
        attempts: 1,
        delay: Duration::from_micros(500 + (number * 104_729 + node) % 9_000),
        lag: number % 4,
        memory: 18_350_080 + number * 4_096,
        peers: None,
        version: "0.1.0".to_owned(),
        interval: Duration::from_secs(10),
    }
}

/// Writes the day; batches of five hundred, node by node, with the summaries that grow.
async fn fill<S: HistoryStore>(name: &str, store: &S, start: u64) -> bool {
    let begun = stamp();
    for node in 0..NODES {
        let samples: Vec<Sample> = (1..=BEATS).map(|number| beat(node, number, start)).collect();
        for chunk in samples.chunks(500) {
            store.record(&Batch { samples: chunk.to_vec(), ..Batch::default() }).await.expect("it is recorded");
        }
        let summaries = Summary::of_all(&samples);
        store.record(&Batch { summaries, ..Batch::default() }).await.expect("they are recorded");
    }
    let events: Vec<ClusterEvent> = (1..=1_000).map(|seq| elected(seq, start)).collect();
    store.record_events("first", &events).await.expect("they are recorded");
    let took = (stamp() - begun).as_secs_f64();
    tell(&format!("{name}: writing, beats a second"), NODES as f64 * BEATS as f64 / took, None)
}

fn elected(seq: u64, start: u64) -> ClusterEvent {
    let leader_id = NodeId::new("node-000").unwrap();
    ClusterEvent {
        seq: EventSeq(seq),
        at: ServerTime(start + seq * 80_000),
        node_id: leader_id.clone(),
        fact: ClusterFact::LeaderElected {
            leader_id,
            term: Term(seq),
            previous_leader_id: None,
            reason: ElectedReason::Expired,
        },
    }
}

async fn read<S: HistoryStore>(name: &str, store: S, start: u64, limit: Limit) -> bool {
    let begun = stamp();
    let summaries = store.summaries(ServerTime(start)).await.expect("they are read");
    let events = store.events(ServerTime(start)).await.expect("they are read");
    let took = (stamp() - begun).as_secs_f64() * 1e3;
    let what = format!("{name}: {} summaries and {} events of 24 h, ms", summaries.len(), events.len());
    let mut broken = tell(&what, took, limit);
    for (what, node_id) in [("all nodes", None), ("one node", NodeId::new("node-042").ok())] {
        let begun = stamp();
        let query = HistoryQuery { node_id, since: Some(ServerTime(start)), limit: 1_000 };
        let page = store.samples(&query).await.expect("it is read");
        assert!(page.more && page.samples.len() == 1_000);
        let took = (stamp() - begun).as_secs_f64() * 1e3;
        broken |= tell(&format!("{name}: the newest 1,000 beats of {what}, ms"), took, Some(1_000.0));
    }
    broken
}

fn tell(what: &str, value: f64, limit: Limit) -> bool {
    let broken = limit.is_some_and(|limit| value > limit);
    let limit =
        limit.map_or(String::new(), |limit| format!("(at most {limit}) {}", if broken { "BROKEN" } else { "ok" }));
    println!("{what:<64} {value:>10.1} {limit}");
    broken
}
