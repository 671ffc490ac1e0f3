//! Servers are replaced by those of a newer version, one after the other, while the nodes work.
//!
//! `CLAWSTER_NEXT_REDIS` names the newer program; `make failover` takes Redis 8.2.
//!
//! 1. Replicas come first: an older server cannot read what a newer primary hands it.

use super::{Ordeal, cluster, sentinel};
use std::path::PathBuf;
use testkit::wait::secs;
use testkit::{Launch, RedisCluster, RedisServer, SentinelSet, Trio};

fn next() -> PathBuf {
    let named = std::env::var_os("CLAWSTER_NEXT_REDIS").filter(|path| !path.is_empty());
    named
        .expect("CLAWSTER_NEXT_REDIS names a server of a newer version; scripts/matrix --print redis-8.2 finds one")
        .into()
}

/// Prints the versions that the servers are of, and checks that there is one.
#[track_caller]
fn all_of_one_version(servers: &[RedisServer]) -> String {
    let versions: Vec<String> = servers
        .iter()
        .map(|server| {
            server.info("server", "valkey_version").or_else(|| server.info("server", "redis_version")).unwrap()
        })
        .collect();
    println!("the servers are of version {versions:?}");
    assert!(versions.windows(2).all(|pair| pair[0] == pair[1]), "{versions:?}");
    versions[0].clone()
}

fn majority(at: impl Fn(Launch) -> Launch, replicas: &str) -> Ordeal {
    Ordeal::new(Trio::with(|launch| {
        at(launch).env("CLAWSTER__REDIS__WAIT_REPLICAS", "majority").env("CLAWSTER__REDIS__REPLICAS", replicas)
    }))
}

#[test]
#[ignore = "needs a server of a newer version in CLAWSTER_NEXT_REDIS"]
fn redis_is_upgraded_server_by_server_behind_sentinels() {
    let next = next();
    let mut set = SentinelSet::start(2, secs(1.0), 1);
    let mut ordeal = majority(sentinel::at(&set), "2");
    let before = all_of_one_version(&set.servers);
    let primary = set.primary();
    for place in (0..3).filter(|place| *place != primary) {
        ordeal.round(&format!("replica {place} is replaced"), |_| {
            set.servers[place].restart_as(&next);
            set.complete();
            set.settled();
        });
    }
    ordeal.round("a replaced server becomes the primary", |_| {
        set.fail_over();
        // The former primary is older, and may be unable to read what the new one hands it.
        set.settled();
    });
    ordeal.round("the former primary is replaced", |_| {
        set.servers[primary].restart_as(&next);
        set.complete();
        set.settled();
    });
    for place in 0..3 {
        ordeal.round(&format!("sentinel {place} is replaced"), |_| {
            set.sentinels[place].restart_as(&next);
            set.settled();
        });
    }
    assert_ne!(all_of_one_version(&set.servers), before);
    ordeal.summary();
    ordeal.judge(true, true);
}

#[test]
#[ignore = "needs a server of a newer version in CLAWSTER_NEXT_REDIS"]
fn redis_is_upgraded_server_by_server_in_a_cluster() {
    let next = next();
    let mut servers = RedisCluster::start(3, secs(2.0), 0);
    let slot = servers.slot("openclaw");
    let mut ordeal = majority(cluster::at(&servers), "1");
    let before = all_of_one_version(&servers.servers);
    let mut replace = |servers: &mut RedisCluster, place: usize| {
        ordeal.round(&format!("server {place} is replaced"), |_| {
            servers.servers[place].restart_as(&next);
            servers.complete();
        });
    };
    for place in 3..6 {
        replace(&mut servers, place);
    }
    for place in servers.other_primaries(slot) {
        replace(&mut servers, place);
    }
    let former = servers.primary(slot);
    servers.fail_over(slot);
    servers.complete();
    replace(&mut servers, former);
    assert_ne!(all_of_one_version(&servers.servers), before);
    ordeal.summary();
    ordeal.judge(true, true);
}
