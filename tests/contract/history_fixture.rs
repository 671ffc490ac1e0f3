//! Where history is kept, for the contract of its stores; and samples, summaries and events with little in them.
//!
//! 1. A store that is asked for again is a new one, as another process has it.

use crate::calls::{id, secs};
use crate::fixture::key;
use clawster::cluster::event::{ClusterEvent, ClusterFact, ElectedReason};
use clawster::cluster::history::{HistoryQuery, Sample, Summary};
use clawster::cluster::ids::{ClusterName, EventSeq, Incarnation, Term};
use clawster::cluster::time::ServerTime;
use clawster::config::{MongoConfig, Secret};
use clawster::store::history::{Batch, HistoryStore};
use clawster::store::mongodb::{MongoHistory, Timeouts};
use clawster::store::redis::{Address, RedisHistory, Target};
use std::sync::Arc;
use std::time::Duration;
use testkit::{Mongod, RedisServer};

pub const DAY: Duration = Duration::from_secs(24 * 3600);

pub trait Kept {
    type Store: HistoryStore;

    fn start() -> Self;

    /// A new store for this cluster.
    fn store(&self, cluster: &str) -> Self::Store;

    /// The cluster `test` goes through these events; where they are kept elsewhere anyway, that is done here.
    fn happen(&self, epoch: &str, events: &[ClusterEvent]);
}

pub struct InRedis {
    pub server: RedisServer,
}

impl InRedis {
    pub fn target(&self) -> Target {
        let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: self.server.port(), tls: false };
        Target::at_address(address)
    }
}

impl Kept for InRedis {
    type Store = RedisHistory;

    fn start() -> Self {
        Self { server: RedisServer::start() }
    }

    fn store(&self, cluster: &str) -> RedisHistory {
        RedisHistory::new(self.target(), &ClusterName::new(cluster).unwrap(), DAY)
    }

    fn happen(&self, epoch: &str, events: &[ClusterEvent]) {
        for event in events {
            let ClusterFact::LeaderElected { leader_id, term, .. } = &event.fact else { panic!("another event") };
            let (seq, at, node) = (event.seq.entry_id(), event.at.0.to_string(), event.node_id.to_string());
            let (leader, term) = (leader_id.to_string(), term.to_string());
            let fields = ["event", "leader_elected", "at", &at, "node", &node, "leader", &leader, "term", &term];
            let stream = key("events");
            let words = [&["XADD", &stream, &seq], &fields[..], &["previous", "", "reason", "vacant"]].concat();
            self.server.cli(&words);
            let seq = event.seq.to_string();
            self.server.cli(&["HMSET", &key("meta"), "epoch", epoch, "event_seq", &seq]);
        }
    }
}

pub struct InMongodb {
    pub server: Arc<Mongod>,
    pub config: MongoConfig,
}

/// Waits that are short enough for tests.
pub const BRISK: Timeouts = Timeouts {
    write: Duration::from_secs(20),
    stable_for: Duration::from_millis(300),
    answer: Duration::from_secs(20),
};

impl InMongodb {
    pub fn on(server: Arc<Mongod>) -> Self {
        let config = MongoConfig {
            uri: Some(Secret::new(server.uri())),
            db: Mongod::database(),
            collection: "heartbeat".to_owned(),
            retention_days: 30,
        };
        Self { server, config }
    }

    /// How many documents stand in a collection.
    pub fn count(&self, collection: &str) -> i32 {
        let count = mongodb::bson::doc! {"count": collection};
        self.server.command(&self.config.db, count).unwrap().get_i32("n").unwrap()
    }
}

pub fn mongo(config: &MongoConfig) -> MongoHistory {
    let cluster = ClusterName::new("test").unwrap();
    MongoHistory::new(config, &cluster).expect("the URI is one").expect("it is on").with_timeouts(BRISK)
}

impl Kept for InMongodb {
    type Store = MongoHistory;

    fn start() -> Self {
        Self::on(Mongod::shared())
    }

    fn store(&self, cluster: &str) -> MongoHistory {
        let cluster = ClusterName::new(cluster).unwrap();
        MongoHistory::new(&self.config, &cluster).expect("the URI is one").expect("it is on").with_timeouts(BRISK)
    }

    fn happen(&self, _epoch: &str, _events: &[ClusterEvent]) {}
}

/// When these stories begin: the ten minutes that began an hour ago, so that nothing of them is too old to be kept.
pub fn beginning() -> u64 {
    // Once: a test that runs over a full ten minutes must not have its story moved.
    static BEGINNING: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *BEGINNING.get_or_init(|| {
        let now = clawster::clock::wall().duration_since(std::time::UNIX_EPOCH).unwrap();
        let hour_ago = u64::try_from(now.as_millis()).unwrap() - 3_600_000;
        hour_ago - hour_ago % 600_000
    })
}

/// The beat of this number, ten seconds behind the one before.
pub fn beat(node: &str, instance: u64, number: u64) -> Sample {
    Sample {
        node_id: id(node),
        incarnation: Incarnation(instance),
        number,
        at: ServerTime(beginning() + number * 10_000),
        leads: node == "a",
        term: Term(1_700_000_000_000_000 + instance),
        leader_id: (node != "alone").then(|| id("a")),
        round_trip: Duration::from_micros(431 + number),
        attempts: 1 + u32::from(number.is_multiple_of(5)),
        delay: Duration::from_micros(1_234_567 + number),
        lag: number % 3,
        memory: 18_350_080,
        peers: (number % 4 == 1).then_some(number % 3),
        version: "0.1.0-rc.1".to_owned(),
        interval: secs(10),
    }
}

pub fn beats(node: &str, instance: u64, numbers: std::ops::RangeInclusive<u64>) -> Vec<Sample> {
    numbers.map(|number| beat(node, instance, number)).collect()
}

/// Samples with the summaries that they make.
pub fn batch(samples: Vec<Sample>) -> Batch {
    Batch { summaries: Summary::of_all(&samples), samples, unsure: false }
}

pub fn unsure(samples: Vec<Sample>) -> Batch {
    Batch { unsure: true, ..batch(samples) }
}

pub fn newest(limit: usize) -> HistoryQuery {
    HistoryQuery { node_id: None, since: None, limit }
}

pub fn elected(seq: u64, leader: &str) -> ClusterEvent {
    ClusterEvent {
        seq: EventSeq(seq),
        at: ServerTime(beginning() + seq * 1_000),
        node_id: id(leader),
        fact: ClusterFact::LeaderElected {
            leader_id: id(leader),
            term: Term(1_700_000_000_000_000 + seq),
            previous_leader_id: None,
            reason: ElectedReason::Vacant,
        },
    }
}
