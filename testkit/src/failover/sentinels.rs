//! A primary with its replicas, and three sentinels that watch them.
//!
//! 1. Where a set has ways of its own, servers and sentinels reach each server by its way only, and the first node of clawster is the one
//!    that reaches the servers directly, and the sentinels by ways of its own. So a cut leaves that node alone with the primary.
//!
//! Not here: which faults happen when (`tests/process`).

use super::{address, in_step, list, map, replication, with_replicas_needed};
use crate::proxy::{Mode, Proxy};
use crate::redis_server::{RedisOptions, RedisServer};
use crate::stamp;
use crate::wait::{eventually, secs};
use std::collections::BTreeSet;
use std::time::Duration;

/// The sentinels' name of the primary.
pub const MASTER: &str = "mymaster";

/// A primary, its replicas, and three sentinels.
pub struct SentinelSet {
    /// The servers; any of them may be the primary.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
    /// The way to each server, and of the first node to each sentinel; empty where all is reached directly.
    ways: Vec<Proxy>,
    ways_to_sentinels: Vec<Proxy>,
}

impl SentinelSet {
    /// Starts one primary with `replicas` replicas and three sentinels, which replace a primary that is silent for `down_after`.
    /// A primary with fewer than `needed` replicas refuses writes.
    #[track_caller]
    pub fn start(replicas: usize, down_after: Duration, needed: u32) -> Self {
        Self::launch(replicas, down_after, needed, Vec::new())
    }

    /// The same with ways that can be cut.
    #[track_caller]
    pub fn with_ways(replicas: usize, down_after: Duration, needed: u32) -> Self {
        let ways = (0..=replicas).map(|_| Proxy::start(0)).collect();
        let mut set = Self::launch(replicas, down_after, needed, ways);
        set.ways_to_sentinels = set.sentinels.iter().map(|sentinel| Proxy::start(sentinel.port())).collect();
        set
    }

    fn launch(replicas: usize, down_after: Duration, needed: u32, ways: Vec<Proxy>) -> Self {
        let mut servers: Vec<RedisServer> = Vec::new();
        for place in 0..=replicas {
            let mut extra = with_replicas_needed(needed);
            if let Some(way) = ways.get(place) {
                extra.push(format!("replica-announce-ip 127.0.0.1\nreplica-announce-port {}", way.port()));
            }
            let primary = servers.first().map(|primary| ways.first().map_or(primary.port(), Proxy::port));
            let server = RedisServer::with(RedisOptions { replicaof: primary, extra, ..RedisOptions::default() });
            if let Some(way) = ways.get(place) {
                way.target(server.port());
            }
            servers.push(server);
        }
        servers[1..].iter().for_each(in_step);
        let port = ways.first().map_or(servers[0].port(), Proxy::port);
        let watch = vec![
            format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {MASTER} {}", down_after.as_millis()),
            format!("sentinel failover-timeout {MASTER} 3000"),
            format!("sentinel parallel-syncs {MASTER} 5"),
        ];
        let options =
            || RedisOptions { sentinel: true, attached: true, extra: watch.clone(), ..RedisOptions::default() };
        let sentinels = (0..3).map(|_| RedisServer::with(options())).collect();
        let set = Self { servers, sentinels, ways, ways_to_sentinels: Vec::new() };
        set.settled();
        set
    }

    /// The port under which the servers know each other.
    fn announced(&self, place: usize) -> u16 {
        self.ways.get(place).map_or_else(|| self.servers[place].port(), Proxy::port)
    }

    /// Cuts the primary off from all but the first node, which is cut off from the sentinels.
    pub fn cut(&self, primary: usize) {
        self.ways[primary].set(Mode::BlackHole);
        self.ways_to_sentinels.iter().for_each(|way| way.set(Mode::BlackHole));
    }

    /// Ends all cuts. What was on its way arrives.
    pub fn heal(&self) {
        self.ways.iter().chain(&self.ways_to_sentinels).for_each(|way| way.set(Mode::Pass));
    }

    /// Waits until every sentinel knows the others and all replicas.
    #[track_caller]
    pub fn settled(&self) {
        let replicas = self.servers.len() - 1;
        for sentinel in &self.sentinels {
            eventually("a sentinel knows all", secs(30.0), || {
                let line = sentinel.info("sentinel", "master0").unwrap_or_default();
                let all = line.contains(&format!("slaves={replicas},sentinels=3")) && line.contains("status=ok");
                if all { Ok(()) } else { Err(line) }
            });
        }
    }

    /// Waits until all other servers are replicas of the primary that are in step, as after a server came back, and until every sentinel
    /// has seen that. On a busy machine another promotion may come in between.
    ///
    /// A sentinel asks a server for its role every 10 s. As long as it takes a replica for the former primary, it may make it a replica once
    /// more, also one that another sentinel is just promoting: then the sentinels name a primary that is none, for half a minute.
    #[track_caller]
    pub fn complete(&self) {
        // One that has not heard of the promotion would undo it.
        eventually("the sentinels name one primary", secs(60.0), || {
            let named = |sentinel: &RedisServer| {
                sentinel.quick(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).unwrap_or_else(|why| why.to_string())
            };
            let named: BTreeSet<String> = self.sentinels.iter().map(named).collect();
            if named.len() == 1 { Ok(()) } else { Err(format!("{named:?}")) }
        });
        self.hurry(10);
        eventually("all others follow the primary", secs(60.0), || {
            let primary = self.primary();
            let others = (0..self.servers.len()).filter(|place| *place != primary).map(|place| &self.servers[place]);
            let follow = |server: &RedisServer| {
                replication(server, "role") == "slave" && replication(server, "master_link_status") == "up"
            };
            // A server that came back may first follow another one than the primary.
            let count = replication(&self.servers[primary], "connected_slaves");
            if !others.clone().all(follow) || count != others.count().to_string() {
                return Err(format!("{count} replicas"));
            }
            let unseen = self.sentinels.iter().map(|sentinel| self.sees_replicas_of(primary, sentinel));
            unseen.collect::<Result<(), String>>()
        });
        self.hurry(1);
    }

    /// Makes the sentinels so many times faster than usual at seeing and mending the roles of servers, where they can be told so (Redis 7).
    fn hurry(&self, times: u32) {
        for (name, usual) in [("INFO-PERIOD", 10_000), ("PUBLISH-PERIOD", 2_000)] {
            for sentinel in self.sentinels.iter().filter(|sentinel| sentinel.runs()) {
                sentinel.quick(&["SENTINEL", "DEBUG", name, &(usual / times).to_string()]).ok();
            }
        }
    }

    /// Whether a sentinel takes this server for the primary, and all others for its replicas, as they said themselves.
    fn sees_replicas_of(&self, primary: usize, sentinel: &RedisServer) -> Result<(), String> {
        let said = sentinel.quick(&["SENTINEL", "REPLICAS", MASTER]).map_err(|error| error.to_string())?;
        let lines: Vec<&str> = said.lines().collect();
        let port = self.announced(primary).to_string();
        let expected = [
            ("flags", "slave"),
            ("role-reported", "slave"),
            ("master-link-status", "ok"),
            ("master-port", port.as_str()),
        ];
        // Names and values in turn, one replica after the other.
        let count = |pair: (&str, &str)| lines.chunks_exact(2).filter(|words| (words[0], words[1]) == pair).count();
        if expected.into_iter().all(|pair| count(pair) == self.servers.len() - 1) { Ok(()) } else { Err(said) }
    }

    /// The addresses of the sentinels, for `CLAWSTER__REDIS__NODES`.
    pub fn nodes(&self) -> String {
        list(self.sentinels.iter().map(RedisServer::port))
    }

    /// The same for the first node, where there are ways: see [`Self::with_ways`].
    pub fn nodes_of_the_first(&self) -> String {
        list(self.ways_to_sentinels.iter().map(Proxy::port))
    }

    /// How the first node reaches the servers without their ways, for `CLAWSTER__REDIS__ANNOUNCE`.
    pub fn announced_to_the_first(&self) -> String {
        map(self.ways.iter().map(Proxy::port).zip(self.servers.iter().map(RedisServer::port)))
    }

    /// The addresses under which nodes know a server: by its way, or directly.
    pub fn addresses(&self, place: usize) -> Vec<String> {
        [self.announced(place), self.servers[place].port()].map(address).into()
    }

    /// The place in `servers` of the server that the first sentinel that answers names.
    #[track_caller]
    pub fn primary(&self) -> usize {
        eventually("a sentinel names the primary", secs(10.0), || {
            let said = self
                .sentinels
                .iter()
                .filter(|sentinel| sentinel.runs())
                .find_map(|sentinel| sentinel.quick(&["SENTINEL", "get-master-addr-by-name", MASTER]).ok());
            let port = said.as_deref().and_then(|text| text.split_whitespace().last()).unwrap_or_default().to_owned();
            let place = (0..self.servers.len()).find(|place| self.announced(*place).to_string() == port);
            place.ok_or_else(|| format!("{said:?}"))
        })
    }

    /// Asks for a failover to another server, repeatedly until a sentinel agrees, and waits until it is done.
    #[track_caller]
    pub fn fail_over(&self) -> usize {
        let before = self.primary();
        let asked = std::cell::Cell::new(None);
        eventually("a failover to another server is done", secs(60.0), || {
            let (primary, role) = self.primary_and_role();
            if primary != before && role.starts_with("master") {
                return Ok(primary);
            }
            // A sentinel that finds no fit replica, or whom the others do not follow, gives a failover up without a word.
            if asked.get().is_none_or(|at| stamp() - at > secs(8.0)) {
                let answer = self.sentinels[0].try_cli(&["SENTINEL", "failover", MASTER]);
                if answer.as_deref().is_ok_and(|answer| answer == "OK") {
                    asked.set(Some(stamp()));
                }
            }
            Err(format!("{primary}: {role}"))
        })
    }

    fn primary_and_role(&self) -> (usize, String) {
        let primary = self.primary();
        (primary, self.servers[primary].quick(&["ROLE"]).unwrap_or_default())
    }

    /// Waits until another server than `before` is the primary and takes writes.
    #[track_caller]
    pub fn replaced(&self, before: usize) -> usize {
        eventually("another server is the primary", secs(30.0), || {
            let (primary, role) = self.primary_and_role();
            if primary != before && role.starts_with("master") {
                Ok(primary)
            } else {
                Err(format!("{primary}: {role}"))
            }
        })
    }
}
