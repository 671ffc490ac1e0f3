//! On a Redis Cluster: three primaries with a replica each.

use super::{Ordeal, Promotion};
use testkit::wait::secs;
use testkit::{Launch, RedisCluster, Trio, hold, stamp};

pub(super) fn at(cluster: &RedisCluster) -> impl Fn(Launch) -> Launch {
    let nodes = cluster.nodes();
    move |launch| launch.env("CLAWSTER__REDIS__MODE", "cluster").env("CLAWSTER__REDIS__NODES", &nodes).brisk()
}

/// As [`at`], with ways of its own for the first node, which a cut leaves alone with the former primary.
pub(super) fn apart(cluster: &RedisCluster) -> impl Fn(Launch) -> Launch {
    let (all, nodes, announce) = (at(cluster), cluster.nodes_of_the_first(), cluster.announced_to_the_first());
    move |launch| {
        let first = launch.label == "a";
        let launch = all(launch);
        if !first {
            return launch;
        }
        launch.env("CLAWSTER__REDIS__NODES", &nodes).env("CLAWSTER__REDIS__ANNOUNCE", &announce)
    }
}

/// What can happen to the primary of the slot; the last one needs a cluster with ways.
pub(super) const FAULTS: [&str; 5] =
    ["kill -9 of the primary", "SIGSTOP of the primary", "CLUSTER FAILOVER", "move of the slot", "partition"];

/// Lets one of [`FAULTS`] happen, and mends it.
pub(super) fn fault(cluster: &mut RedisCluster, slot: u32, kind: usize, promotion: &Promotion) {
    let before = cluster.primary(slot);
    match kind {
        0 => {
            cluster.servers[before].kill9();
            promotion.told(cluster.addresses(replaced(cluster, slot, before)));
            cluster.servers[before].restart();
        }
        1 => {
            cluster.servers[before].pause();
            promotion.told(cluster.addresses(replaced(cluster, slot, before)));
            cluster.servers[before].resume();
        }
        2 => promotion.told(cluster.addresses(cluster.fail_over(slot))),
        3 => {
            let to = cluster.other_primaries(slot)[usize::from(before.is_multiple_of(2))];
            cluster.migrate(slot, to);
            promotion.told(cluster.addresses(to));
        }
        _ => {
            promotion.told_to(cluster.addresses(cluster.cut(slot)), 1..3);
            hold(secs(6.0), "two leases, in which either side would elect a leader");
            cluster.heal(before);
        }
    }
    cluster.complete();
    // Only now the replica can confirm a grant.
    cluster.replicated(slot);
    promotion.corrected(cluster.addresses(cluster.primary(slot)));
}

/// Waits until another server than `before` has the slot; returns its place.
pub(super) fn replaced(cluster: &RedisCluster, slot: u32, before: usize) -> usize {
    testkit::eventually("another server has the slot", secs(30.0), || {
        let primary = cluster.primary(slot);
        if primary == before { Err(primary) } else { Ok(primary) }
    })
}

#[test]
fn the_nodes_follow_the_primary_of_their_slot() {
    let _turn = testkit::turn::alone();
    let mut cluster = RedisCluster::start(3, secs(1.0), 0);
    let slot = cluster.slot("openclaw");
    let mut ordeal = Ordeal::new(Trio::with(at(&cluster)));
    ordeal.round("CLUSTER FAILOVER", |promotion| promotion.told(cluster.addresses(cluster.fail_over(slot))));
    // To a primary that was not asked for the slot so far.
    let to = cluster.other_primaries(slot)[0];
    let began = stamp();
    ordeal.round("live migration of the slot", |promotion| {
        cluster.migrate(slot, to);
        promotion.told(cluster.addresses(to));
    });
    println!("migrated within {:?}", stamp() - began);
    let before = cluster.primary(slot);
    ordeal.round("kill -9 of the primary", |promotion| {
        cluster.servers[before].kill9();
        promotion.told(cluster.addresses(replaced(&cluster, slot, before)));
    });
    ordeal.in_time();
    let trio = ordeal.judge(true, false);
    let state = trio.nodes[0].state();
    assert_eq!(state["redis"]["mode"], "cluster", "{state}");
    assert!(trio.nodes.iter().all(|node| node.events().iter().all(|event| event["event"] != "cluster.node_left")));
}
