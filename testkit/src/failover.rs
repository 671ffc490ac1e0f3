//! Several real Redis servers, one of which is the primary: three sentinels with a primary and its replicas, and a Redis Cluster.
//!
//! 1. Ready means that a failover would succeed now: replicas are in step, and sentinels or cluster nodes know each other.
//! 2. Who is the primary is asked of the servers, never remembered.
//!
//! Not here: what the nodes of clawster make of it (`tests/process`).

use crate::redis_server::{RedisOptions, RedisServer};
use crate::resp::Resp;
use crate::stamp;
use crate::wait::{eventually, secs};
use std::time::Duration;

/// The sentinels' name of the primary.
pub const MASTER: &str = "mymaster";
/// How many slots a Redis Cluster has.
const SLOTS: u32 = 16_384;

/// Waits until a replica has all data of its primary.
fn in_step(replica: &RedisServer) {
    eventually("the replica is in step", secs(20.0), || {
        match replica.info("replication", "master_link_status").as_deref() {
            Some("up") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn with_replicas_needed(needed: u32) -> Vec<String> {
    vec![
        format!("min-replicas-to-write {needed}"),
        "min-replicas-max-lag 2".into(),
        "repl-diskless-sync-delay 0".into(),
    ]
}

/// A primary, its replicas, and three sentinels.
pub struct SentinelSet {
    /// The servers; any of them may be the primary.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl SentinelSet {
    /// Starts one primary with `replicas` replicas and three sentinels, which replace a primary that is silent for `down_after`.
    /// A primary with fewer than `needed` replicas refuses writes.
    #[track_caller]
    pub fn start(replicas: usize, down_after: Duration, needed: u32) -> Self {
        let extra = with_replicas_needed(needed);
        let primary = RedisServer::with(RedisOptions { extra: extra.clone(), ..RedisOptions::default() });
        let port = primary.port();
        let mut servers = vec![primary];
        for _ in 0..replicas {
            let options = RedisOptions { replicaof: Some(port), extra: extra.clone(), ..RedisOptions::default() };
            servers.push(RedisServer::with(options));
        }
        servers[1..].iter().for_each(in_step);
        let watch = vec![
            format!("sentinel monitor {MASTER} 127.0.0.1 {port} 2"),
            format!("sentinel down-after-milliseconds {MASTER} {}", down_after.as_millis()),
            format!("sentinel failover-timeout {MASTER} 3000"),
            format!("sentinel parallel-syncs {MASTER} 5"),
        ];
        let options =
            || RedisOptions { sentinel: true, attached: true, extra: watch.clone(), ..RedisOptions::default() };
        let sentinels = (0..3).map(|_| RedisServer::with(options())).collect();
        let set = Self { servers, sentinels };
        set.settled();
        set
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

    /// Waits until all other servers are replicas that are in step, as after a server came back.
    #[track_caller]
    pub fn complete(&self) {
        let primary = self.primary();
        for (place, server) in self.servers.iter().enumerate().filter(|(place, _)| *place != primary) {
            eventually("a server that came back is a replica", secs(60.0), || {
                match server.info("replication", "role").as_deref() {
                    Some("slave") => Ok(()),
                    other => Err(format!("{place}: {other:?}")),
                }
            });
            in_step(server);
        }
    }

    /// The addresses of the sentinels, for `CLAWSTER__REDIS__NODES`.
    pub fn nodes(&self) -> String {
        list(&self.sentinels)
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
            let place = self.servers.iter().position(|server| server.port().to_string() == port);
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

/// A Redis Cluster: primaries, and behind them as many replicas.
pub struct RedisCluster {
    /// The servers: first the initial primaries, then their replicas in the same order.
    pub servers: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts `primaries` primaries with one replica each. A primary that is silent for `timeout` is replaced.
    #[track_caller]
    pub fn start(primaries: usize, timeout: Duration, needed: u32) -> Self {
        let mut extra = with_replicas_needed(needed);
        extra.push("cluster-enabled yes".into());
        extra.push(format!("cluster-node-timeout {}", timeout.as_millis()));
        extra.push("cluster-replica-validity-factor 0".into());
        let servers: Vec<RedisServer> = (0..primaries * 2)
            .map(|place| {
                let options = RedisOptions { attached: place > 0, extra: extra.clone(), ..RedisOptions::default() };
                RedisServer::with(options)
            })
            .collect();
        let cluster = Self { servers };
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

    /// Waits until every server knows all others and all slots.
    #[track_caller]
    pub fn complete(&self) {
        for server in self.servers.iter().filter(|server| server.runs()) {
            eventually("the cluster is complete", secs(30.0), || {
                let info = server.cli(&["CLUSTER", "INFO"]);
                let nodes = format!("cluster_known_nodes:{}", self.servers.len());
                if info.contains("cluster_state:ok") && info.contains(&nodes) { Ok(()) } else { Err(info) }
            });
        }
    }

    /// The addresses of all servers, for `CLAWSTER__REDIS__NODES`.
    pub fn nodes(&self) -> String {
        list(&self.servers)
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

    /// Makes a replica of this primary take its place, and waits until it has. Returns the new primary.
    #[track_caller]
    pub fn fail_over(&self, slot: u32) -> usize {
        let before = self.primary(slot);
        let id = self.servers[before].cli(&["CLUSTER", "MYID"]);
        let replica = self.servers.iter().position(|server| {
            let text = server.quick(&["CLUSTER", "NODES"]).unwrap_or_default();
            text.lines().any(|line| line.contains("myself,slave") && line.contains(&id))
        });
        let replica = replica.expect("the primary has a replica");
        in_step(&self.servers[replica]);
        eventually("the replica is the primary", secs(20.0), || {
            let role = self.servers[replica].cli(&["ROLE"]);
            if role.starts_with("master") {
                return Ok(());
            }
            let answer = self.servers[replica].cli(&["CLUSTER", "FAILOVER"]);
            std::thread::sleep(Duration::from_millis(100));
            Err(format!("{role}; {answer}"))
        });
        replica
    }

    /// Moves a slot to another primary with all keys, a few at a time, as an operator's tool does.
    #[track_caller]
    pub fn migrate(&self, slot: u32, to: usize) {
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
        for place in [to, from] {
            assert_eq!(self.servers[place].cli(&["CLUSTER", "SETSLOT", &number, "NODE", &target]), "OK");
        }
        for server in &self.servers {
            // Replicas refuse it, and learn it from the others.
            let _ = server.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &target]);
        }
    }
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

fn list(servers: &[RedisServer]) -> String {
    let nodes: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
    serde_json::to_string(&nodes).unwrap()
}

impl RedisServer {
    /// As `try_cli`, for servers without a login, and waiting at most 300 ms.
    pub fn quick(&self, args: &[&str]) -> std::io::Result<String> {
        let mut connection = Resp::connect(self.port())?;
        connection.within(Duration::from_millis(300))?;
        connection.call(args)
    }
}
