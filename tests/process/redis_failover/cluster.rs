//! On a Redis Cluster: three primaries with a replica each.

use super::Ordeal;
use testkit::wait::secs;
use testkit::{Launch, RedisCluster, Trio, stamp};

pub(super) fn at(cluster: &RedisCluster) -> impl Fn(Launch) -> Launch {
    let nodes = cluster.nodes();
    move |launch| launch.env("CLAWSTER__REDIS__MODE", "cluster").env("CLAWSTER__REDIS__NODES", &nodes).brisk()
}

/// Waits until another server than `before` has the slot.
pub(super) fn replaced(cluster: &RedisCluster, slot: u32, before: usize) {
    testkit::eventually("another server has the slot", secs(30.0), || {
        let primary = cluster.primary(slot);
        if primary == before { Err(primary) } else { Ok(()) }
    });
}

#[test]
fn the_nodes_follow_the_primary_of_their_slot() {
    let _turn = testkit::turn::alone();
    let mut cluster = RedisCluster::start(3, secs(1.0), 0);
    let slot = cluster.slot("openclaw");
    let mut ordeal = Ordeal::new(Trio::with(at(&cluster)));
    ordeal.round("CLUSTER FAILOVER", || {
        cluster.fail_over(slot);
    });
    // To a primary that was not asked for the slot so far.
    let to = (0..3)
        .find(|place| *place != cluster.primary(slot) && cluster.servers[*place].cli(&["ROLE"]).starts_with("master"));
    let began = stamp();
    ordeal.round("live migration of the slot", || cluster.migrate(slot, to.unwrap()));
    println!("migrated within {:?}", stamp() - began);
    let before = cluster.primary(slot);
    ordeal.round("kill -9 of the primary", || {
        cluster.servers[before].kill9();
        replaced(&cluster, slot, before);
    });
    ordeal.in_time();
    let trio = ordeal.judge(true, false);
    let state = trio.nodes[0].state();
    assert_eq!(state["redis"]["mode"], "cluster", "{state}");
    assert!(trio.nodes.iter().all(|node| node.events().iter().all(|event| event["event"] != "cluster.node_left")));
}
