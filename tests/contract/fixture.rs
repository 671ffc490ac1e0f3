//! What a server of the cluster's state goes through, besides calls, for each store.
//!
//! 1. Time goes forward by moving what is stored back, so that no test depends on how busy the machine is.

use clawster::cluster::ids::{ClusterName, Nonce};
use clawster::cluster::protocol::{Call, ServerId, View};
use clawster::store::redis::{Address, PresenceNotices, PresenceSink, RedisStore, Target};
use clawster::store::{Notice, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use testkit::memory::{Channel, MemoryState, MemoryStore, Posted};
use testkit::{RedisOptions, RedisServer, eventually};

pub const SOON: Duration = Duration::from_secs(20);

pub trait Fixture {
    type Store: Store;

    fn start() -> Self;

    fn store(&self) -> &Self::Store;

    /// A presence connection with this nonce stands.
    async fn subscribe(&mut self, nonce: &str);

    /// That connection is gone, and the server knows it.
    async fn hang_up(&mut self, nonce: &str);

    /// The connection with this nonce takes the leader channel.
    async fn take_leader_channel(&mut self, nonce: &str);

    /// Waits for a notice on the connection with this nonce.
    async fn noticed(&mut self, nonce: &str, notice: Notice);

    /// All data are deleted.
    fn flush(&mut self);

    /// The server process ends and another one takes its place.
    async fn restart(&mut self, keep_data: bool);

    /// Keeps a copy of the data as they are.
    fn keep_copy(&mut self);

    /// The server process ends, and another one starts with the kept copy.
    async fn restart_on_copy(&mut self);

    /// A replica takes the server's place.
    async fn promote_replica(&mut self);

    /// The server's clock goes forward.
    fn advance(&mut self, by: Duration);

    /// It goes back, no further than it went forward.
    fn turn_back(&mut self, by: Duration);
}

pub struct Memory {
    store: MemoryStore,
    copy: Option<MemoryState>,
    leader_channels: Vec<String>,
    servers: u32,
}

impl Memory {
    fn another(&mut self) -> ServerId {
        self.servers += 1;
        self.leader_channels.clear();
        ServerId(format!("server{}", self.servers))
    }
}

fn presence(nonce: &str) -> Channel {
    Channel::Presence(Nonce::new(nonce).unwrap())
}

impl Fixture for Memory {
    type Store = MemoryStore;

    fn start() -> Self {
        let store = MemoryStore::new(ServerId("server0".to_owned()));
        Self { store, copy: None, leader_channels: Vec::new(), servers: 0 }
    }

    fn store(&self) -> &MemoryStore {
        &self.store
    }

    async fn subscribe(&mut self, nonce: &str) {
        self.store.with(|state| state.subscribe(&presence(nonce)));
    }

    async fn hang_up(&mut self, nonce: &str) {
        self.store.with(|state| state.unsubscribe(&presence(nonce)));
        if let Some(at) = self.leader_channels.iter().position(|held| held == nonce) {
            self.leader_channels.remove(at);
            self.store.with(|state| state.unsubscribe(&Channel::Leader));
        }
    }

    async fn take_leader_channel(&mut self, nonce: &str) {
        self.leader_channels.push(nonce.to_owned());
        self.store.with(|state| state.subscribe(&Channel::Leader));
    }

    async fn noticed(&mut self, nonce: &str, notice: Notice) {
        let posted = self.store.with(MemoryState::take_notices);
        let heard = |p: &Posted| p.notice == notice && p.to.as_deref().is_none_or(|to| to == nonce);
        assert!(posted.iter().any(heard), "{notice:?} to {nonce} is none of {posted:?}");
    }

    fn flush(&mut self) {
        self.store.with(MemoryState::flush);
    }

    async fn restart(&mut self, keep_data: bool) {
        let server = self.another();
        self.store.with(|state| state.restart(server, keep_data));
    }

    fn keep_copy(&mut self) {
        self.copy = Some(self.store.with(|state| state.clone()));
    }

    async fn restart_on_copy(&mut self) {
        let server = self.another();
        let mut copy = self.copy.clone().expect("a copy was kept");
        copy.restart(server, true);
        self.store.with(|state| *state = copy);
    }

    async fn promote_replica(&mut self) {
        let server = self.another();
        self.store.with(|state| *state = state.fork(server));
    }

    fn advance(&mut self, by: Duration) {
        self.store.advance(by);
    }

    fn turn_back(&mut self, by: Duration) {
        self.store.turn_back(by);
    }
}

pub struct Redis {
    pub server: RedisServer,
    store: RedisStore,
    presences: BTreeMap<String, (PresenceSink, PresenceNotices)>,
    /// How far the clock went since the copy was kept.
    since_copy: Duration,
    /// Their turn among the tests lasts as long as they do.
    retired: Vec<RedisServer>,
}

/// A store on the server at this port.
fn store_at(port: u16) -> RedisStore {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port, tls: false };
    let target = Target::at_address(address);
    RedisStore::new(target, &ClusterName::new("test").unwrap())
}

pub fn key(name: &str) -> String {
    format!("clawster:{{test}}:{name}")
}

/// Brings the end of all keys that have one nearer, and the times of scheduled tasks.
const SOONER: &str = "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key)
  local by, at, rest = string.match(string.find(key, ':once:', 1, true) and redis.call('GET', key) or '', '^(%S+ )(%d+)( .*)$')
  if by then redis.call('SET', key, by .. string.format('%.0f', at - ARGV[2]) .. rest) end
  if left >= 0 then redis.call('PEXPIRE', key, left - ARGV[2]) end
end
for _, member in ipairs(redis.call('ZRANGE', ARGV[3], 0, -1)) do
  redis.call('ZINCRBY', ARGV[3], -ARGV[2], member)
end";

impl Redis {
    fn dir(&self) -> PathBuf {
        let answer = self.server.cli(&["CONFIG", "GET", "dir"]);
        PathBuf::from(answer.lines().nth(1).expect("the server names its directory"))
    }

    /// The server at the same port answers calls again.
    async fn back(&mut self) {
        self.presences.clear();
        let end = testkit::stamp() + SOON;
        let look = Call::View(View { epoch: String::new(), version: 0, floor: 0, rows: 0, beats: 0 });
        while let Err(fault) = self.store.call(look.clone()).await {
            assert!(testkit::stamp() < end, "Redis does not come back: {fault}");
            tokio::task::yield_now().await;
        }
    }

    /// The clock of a server cannot be put forward or back; what is stored in its time can be, the other way, which is the same.
    fn move_clock(&mut self, by: i64) {
        self.since_copy = Duration::from_millis(u64::try_from(by).unwrap_or(0)) + self.since_copy;
        let (meta, other_way) = (key("meta"), (-by).to_string());
        for field in ["last_tick", "skew", "stalled_at"] {
            let stored = self.server.cli(&["HGET", &meta, field]);
            let counts = field != "stalled_at" || stored.parse().is_ok_and(|at: i64| at > 0);
            if self.server.cli(&["EXISTS", &meta]) == "1" && counts {
                self.server.cli(&["HINCRBY", &meta, field, &other_way]);
            }
        }
        self.server.cli(&["EVAL", SOONER, "0", &key("*"), &by.to_string(), &key("scheduled")]);
    }

    fn subscribers(&self, nonce: &str) -> String {
        let answer = self.server.cli(&["PUBSUB", "NUMSUB", &key(&format!("presence:{nonce}"))]);
        answer.lines().nth(1).unwrap_or_default().to_owned()
    }
}

impl Fixture for Redis {
    type Store = RedisStore;

    fn start() -> Self {
        let server = RedisServer::start();
        let store = store_at(server.port());
        Self { server, store, presences: BTreeMap::new(), since_copy: Duration::ZERO, retired: Vec::new() }
    }

    fn store(&self) -> &RedisStore {
        &self.store
    }

    async fn subscribe(&mut self, nonce: &str) {
        let connection = self.store.presence(&Nonce::new(nonce).unwrap()).await.expect("a presence connection stands");
        self.presences.insert(nonce.to_owned(), connection);
    }

    async fn hang_up(&mut self, nonce: &str) {
        self.presences.remove(nonce);
        tokio::task::block_in_place(|| {
            eventually("the server notices that a connection is gone", SOON, || {
                match self.subscribers(nonce).as_str() {
                    "0" => Ok(()),
                    other => Err(other.to_owned()),
                }
            });
        });
    }

    async fn take_leader_channel(&mut self, nonce: &str) {
        let (sink, _) = self.presences.get_mut(nonce).expect("that connection stands");
        sink.hold_leader_channel(true).await.expect("the leader channel is taken");
    }

    async fn noticed(&mut self, nonce: &str, notice: Notice) {
        let (_, notices) = self.presences.get_mut(nonce).expect("that connection stands");
        let heard = async { while notices.next().await.expect("the connection stands") != notice {} };
        tokio::time::timeout(SOON, heard).await.expect("the notice comes");
    }

    fn flush(&mut self) {
        self.server.cli(&["FLUSHALL"]);
    }

    async fn restart(&mut self, keep_data: bool) {
        if keep_data {
            self.server.cli(&["SAVE"]);
            self.server.restart();
        } else {
            self.server.restart_empty();
        }
        self.back().await;
    }

    fn keep_copy(&mut self) {
        self.server.cli(&["SAVE"]);
        let dir = self.dir();
        std::fs::copy(dir.join("dump.rdb"), dir.join("copy.rdb")).unwrap();
        self.since_copy = Duration::ZERO;
    }

    async fn restart_on_copy(&mut self) {
        let dir = self.dir();
        self.server.kill9();
        std::fs::copy(dir.join("copy.rdb"), dir.join("dump.rdb")).unwrap();
        self.server.restart();
        self.back().await;
        // The copy was made before the clock went forward.
        let since = std::mem::take(&mut self.since_copy);
        self.advance(since);
    }

    async fn promote_replica(&mut self) {
        let options = RedisOptions { replicaof: Some(self.server.port()), ..RedisOptions::default() };
        let replica = RedisServer::with(options);
        eventually("the replica follows its primary", SOON, || {
            let state = replica.info("replication", "master_link_status");
            if state.as_deref() == Some("up") { Ok(()) } else { Err(format!("{state:?}")) }
        });
        assert_eq!(self.server.cli(&["WAIT", "1", "10000"]), "1");
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        let mut old = std::mem::replace(&mut self.server, replica);
        old.kill9();
        self.retired.push(old);
        self.store = store_at(self.server.port());
        self.back().await;
    }

    fn advance(&mut self, by: Duration) {
        self.move_clock(i64::try_from(by.as_millis()).unwrap());
    }

    fn turn_back(&mut self, by: Duration) {
        self.move_clock(-i64::try_from(by.as_millis()).unwrap());
    }
}
