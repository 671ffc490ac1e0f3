//! A Redis Cluster: primaries with a replica each.
//!
//! 1. A slot is moved only while all servers agree, also on the epochs, and the move is over once they agree again.
//!
//! Not here: which faults happen when (`tests/process`).

use super::{address, in_step, list, map, replication, with_replicas_needed};
use crate::proxy::{Mode, Proxy};
use crate::redis_server::{RedisOptions, RedisServer};
use crate::wait::{eventually, hold, secs, stamp};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many slots a Redis Cluster has.
const SLOTS: u32 = 16_384;

/// A Redis Cluster: primaries, and behind them as many replicas.
pub struct RedisCluster {
    /// The servers: first the initial primaries, then their replicas in the same order.
    pub servers: Vec<RedisServer>,
    /// The way to each server, of the first node and of everybody else but the bus; empty where all is reached directly.
    ways_of_the_first: Vec<Proxy>,
    ways: Vec<Proxy>,
    timeout: Duration,
}

impl RedisCluster {
    /// Starts `primaries` primaries with one replica each. A primary that is silent for `timeout` is replaced.
    #[track_caller]
    pub fn start(primaries: usize, timeout: Duration, needed: u32) -> Self {
        Self::launch(primaries, timeout, needed, Vec::new())
    }

    /// The same with ways that can be cut.
    #[track_caller]
    pub fn with_ways(primaries: usize, timeout: Duration, needed: u32) -> Self {
        let ways = (0..primaries * 2).map(|_| Proxy::start(0)).collect();
        let mut cluster = Self::launch(primaries, timeout, needed, ways);
        cluster.ways_of_the_first = cluster.servers.iter().map(|server| Proxy::start(server.port())).collect();
        cluster
    }

    fn launch(primaries: usize, timeout: Duration, needed: u32, ways: Vec<Proxy>) -> Self {
        let servers: Vec<RedisServer> = (0..primaries * 2)
            .map(|place| {
                let mut extra = with_replicas_needed(needed);
                extra.push("cluster-enabled yes".into());
                extra.push(format!("cluster-node-timeout {}", timeout.as_millis()));
                extra.push("cluster-replica-validity-factor 0".into());
                if let Some(way) = ways.get(place) {
                    extra.push(format!("cluster-announce-port {}", way.port()));
                }
                let server = RedisServer::with(RedisOptions { attached: place > 0, extra, ..RedisOptions::default() });
                if let Some(way) = ways.get(place) {
                    way.target(server.port());
                }
                server
            })
            .collect();
        let cluster = Self { servers, ways_of_the_first: Vec::new(), ways, timeout };
        let count = u32::try_from(primaries).unwrap();
        for (place, server) in cluster.servers.iter().enumerate() {
            server.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
            if place > 0 {
                let first = cluster.servers[0].port().to_string();
                server.cli(&["CLUSTER", "MEET", "127.0.0.1", &first]);
            }
            if place < primaries {
                let at = u32::try_from(place).unwrap();
                let slots: Vec<String> =
                    (SLOTS * at / count..SLOTS * (at + 1) / count).map(|slot| slot.to_string()).collect();
                let mut command = vec!["CLUSTER", "ADDSLOTS"];
                command.extend(slots.iter().map(String::as_str));
                assert_eq!(server.cli(&command), "OK");
            }
        }
        cluster.complete();
        for place in 0..primaries {
            let id = cluster.servers[place].cli(&["CLUSTER", "MYID"]);
            let replica = &cluster.servers[primaries + place];
            eventually("a replica takes its primary", secs(20.0), || {
                match replica.cli(&["CLUSTER", "REPLICATE", &id]) {
                    answer if answer == "OK" => Ok(()),
                    other => Err(other),
                }
            });
            in_step(replica);
        }
        cluster.complete();
        cluster
    }

    /// Waits until every running server knows all others and all slots, and all agree who has which, with the same epochs.
    ///
    /// The epochs matter: a server that takes a slot over gives itself the next epoch that it believes to be free. If it has not heard of the
    /// former owner's last one, both have the same, and Redis gives one of them another, higher one. If that is the former owner, which
    /// still has the slot at that moment, the new one gives it back: each names the other from then on, and nobody has the slot.
    #[track_caller]
    pub fn complete(&self) {
        let running = || self.servers.iter().filter(|server| server.runs());
        for server in running() {
            eventually("the cluster is complete", secs(30.0), || {
                let info = server.cli(&["CLUSTER", "INFO"]);
                let nodes = format!("cluster_known_nodes:{}", self.servers.len());
                if info.contains("cluster_state:ok") && info.contains(&nodes) { Ok(()) } else { Err(info) }
            });
        }
        eventually("the servers agree on slots and epochs", secs(30.0), || self.agree());
    }

    fn agree(&self) -> Result<(), String> {
        let running = self.servers.iter().filter(|server| server.runs());
        let views: BTreeSet<String> = running.map(|server| primaries(&server.cli(&["CLUSTER", "NODES"]))).collect();
        if views.len() == 1 { Ok(()) } else { Err(format!("{views:#?}")) }
    }

    /// Waits until the slot's primary has its replica, in step.
    #[track_caller]
    pub fn replicated(&self, slot: u32) {
        eventually("the slot's primary has a replica", secs(60.0), || {
            let count = replication(&self.servers[self.primary(slot)], "connected_slaves");
            if count == "1" { Ok(()) } else { Err(count) }
        });
        in_step(&self.servers[self.replica_of(self.primary(slot))]);
    }

    /// The addresses of all servers, for `CLAWSTER__REDIS__NODES`.
    pub fn nodes(&self) -> String {
        list((0..self.servers.len()).map(|place| self.announced(place)))
    }

    /// The same for the first node, where there are ways: see [`Self::with_ways`].
    pub fn nodes_of_the_first(&self) -> String {
        list(self.ways_of_the_first.iter().map(Proxy::port))
    }

    /// Which announced address is which way of the first node, for `CLAWSTER__REDIS__ANNOUNCE`.
    pub fn announced_to_the_first(&self) -> String {
        map(self.ways.iter().map(Proxy::port).zip(self.ways_of_the_first.iter().map(Proxy::port)))
    }

    /// The addresses under which nodes know a server.
    pub fn addresses(&self, place: usize) -> Vec<String> {
        let ways = [self.ways.get(place), self.ways_of_the_first.get(place)];
        let ways = ways.into_iter().flatten().map(Proxy::port);
        ways.chain([self.servers[place].port()]).map(address).collect()
    }

    fn announced(&self, place: usize) -> u16 {
        self.ways.get(place).map_or_else(|| self.servers[place].port(), Proxy::port)
    }

    /// Leaves the slot's primary alone with the first node: it knows no other server any more, goes on as if it were the whole cluster,
    /// and its replica takes its place among the others. Returns that replica.
    ///
    /// The bus cannot be cut without the system's help, so the primary is told to forget the others, and the replica not to ask them, once
    /// the time is over after which they would agree by themselves.
    #[track_caller]
    pub fn cut(&self, slot: u32) -> usize {
        let old = self.primary(slot);
        let replica = self.replica_of(old);
        for (place, way) in self.ways_of_the_first.iter().enumerate().filter(|(place, _)| *place != old) {
            way.set(Mode::BlackHole);
            let id = self.servers[place].cli(&["CLUSTER", "MYID"]);
            assert_eq!(self.servers[old].cli(&["CLUSTER", "FORGET", &id]), "OK");
        }
        self.ways[old].set(Mode::BlackHole);
        assert_eq!(self.servers[old].cli(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]), "OK");
        hold(
            self.timeout * 2,
            "a primary that becomes silent is replaced after its timeout and an election of about as long",
        );
        assert_eq!(self.servers[replica].cli(&["CLUSTER", "FAILOVER", "TAKEOVER"]), "OK");
        replica
    }

    /// Ends the cut around a server; it meets the others again, and becomes a replica.
    #[track_caller]
    pub fn heal(&self, cut: usize) {
        self.ways.iter().chain(&self.ways_of_the_first).for_each(|way| way.set(Mode::Pass));
        assert_eq!(self.servers[cut].cli(&["CONFIG", "SET", "cluster-require-full-coverage", "yes"]), "OK");
        for (_, server) in self.servers.iter().enumerate().filter(|(place, _)| *place != cut) {
            let (port, bus) = (server.port().to_string(), (server.port() + 10_000).to_string());
            assert_eq!(self.servers[cut].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]), "OK");
        }
        eventually("the server that was cut off is a replica", secs(30.0), || {
            let role = self.servers[cut].cli(&["ROLE"]);
            if role.starts_with("slave") { Ok(()) } else { Err(role) }
        });
        in_step(&self.servers[cut]);
        self.complete();
    }

    /// The hash slot of a cluster of clawster with this name.
    pub fn slot(&self, name: &str) -> u32 {
        let running = self.servers.iter().find(|server| server.runs()).unwrap();
        running.cli(&["CLUSTER", "KEYSLOT", &format!("clawster:{{{name}}}:meta")]).parse().unwrap()
    }

    /// The place of the primary of a slot, as a running server says.
    #[track_caller]
    pub fn primary(&self, slot: u32) -> usize {
        eventually("a server says that it has the slot", secs(30.0), || {
            let owner = self.servers.iter().position(|server| {
                if !server.runs() {
                    return false;
                }
                // A paused server must not hold the test up.
                let text = server.quick(&["CLUSTER", "NODES"]).unwrap_or_default();
                text.lines()
                    .any(|line| line.contains("myself,master") && !line.contains("fail") && has_slot(line, slot))
            });
            owner.ok_or("nobody")
        })
    }

    fn replica_of(&self, primary: usize) -> usize {
        let id = self.servers[primary].cli(&["CLUSTER", "MYID"]);
        let replica = self.servers.iter().position(|server| {
            let text = server.quick(&["CLUSTER", "NODES"]).unwrap_or_default();
            text.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
        });
        replica.expect("the primary has a replica")
    }

    /// Makes a replica of this primary take its place, and waits until all servers know that it has. Returns the new primary.
    ///
    /// A replica that was elected a moment ago may take the votes of that time for new ones. Then it is a primary with an old epoch, until
    /// it hears of the present one, and it must be asked again.
    #[track_caller]
    pub fn fail_over(&self, slot: u32) -> usize {
        let replica = self.replica_of(self.primary(slot));
        in_step(&self.servers[replica]);
        let mut asked = None;
        eventually("the replica is the primary", secs(60.0), || {
            let role = self.servers[replica].cli(&["ROLE"]);
            let agreed = self.agree();
            if role.starts_with("master") && agreed.is_ok() && self.primary(slot) == replica {
                return Ok(());
            }
            // Redis gives a failover up after 5 s.
            if role.starts_with("slave") && asked.is_none_or(|at| stamp() - at > secs(5.0)) {
                let answer = self.servers[replica].cli(&["CLUSTER", "FAILOVER"]);
                asked = (answer == "OK").then(stamp);
            }
            Err(format!("{role}; {agreed:?}"))
        });
        replica
    }

    /// The places of the primaries that do not have this slot.
    pub fn other_primaries(&self, slot: u32) -> Vec<usize> {
        let owner = self.primary(slot);
        let is_primary = |place: &usize| self.servers[*place].cli(&["ROLE"]).starts_with("master");
        (0..self.servers.len()).filter(|place| *place != owner).filter(is_primary).collect()
    }

    /// Moves a slot to another primary with all keys, a few at a time, as `redis-cli --cluster reshard` does.
    #[track_caller]
    pub fn migrate(&self, slot: u32, to: usize) {
        self.complete();
        let from = self.primary(slot);
        let id = |place: usize| self.servers[place].cli(&["CLUSTER", "MYID"]);
        let (source, target, number) = (id(from), id(to), slot.to_string());
        assert_eq!(self.servers[to].cli(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &source]), "OK");
        assert_eq!(self.servers[from].cli(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &target]), "OK");
        let port = self.servers[to].port().to_string();
        loop {
            let keys = self.servers[from].cli(&["CLUSTER", "GETKEYSINSLOT", &number, "10"]);
            if keys.trim().is_empty() {
                break;
            }
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys.split_whitespace());
            let answer = self.servers[from].cli(&command);
            assert!(answer == "OK" || answer == "NOKEY", "{answer}");
        }
        // The new owner first: whatever happens after that, somebody has the slot.
        let others = self.other_primaries(slot).into_iter().filter(|place| *place != to);
        for place in [to, from].into_iter().chain(others) {
            assert_eq!(self.servers[place].cli(&["CLUSTER", "SETSLOT", &number, "NODE", &target]), "OK");
        }
    }
}

/// The primaries in an answer to CLUSTER NODES, with epoch and slots.
fn primaries(nodes: &str) -> String {
    let mut rows: Vec<String> = nodes
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() >= 8 && words[2].contains("master"))
        .map(|words| format!("{} epoch {} slots {:?}", words[0], words[6], &words[8..]))
        .collect();
    rows.sort();
    rows.join("\n")
}

fn has_slot(line: &str, slot: u32) -> bool {
    line.split_whitespace().skip(8).any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        match (first.parse::<u32>(), last.parse::<u32>()) {
            (Ok(first), Ok(last)) => (first..=last).contains(&slot),
            _ => false,
        }
    })
}
