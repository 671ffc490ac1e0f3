//! Many nodes: how long they take to meet and to hear news, and what a node sends.

use crate::world::{World, id, says};
use clawster::cluster::gossip::{Effect, Gossip};
use clawster::cluster::ids::Term;
use clawster::cluster::time::ServerTime;
use std::collections::BTreeSet;

struct Measured {
    meet_ms: u64,
    news_ms: u64,
    death_ms: u64,
    per_second: f64,
    bytes_per_second: f64,
}

#[allow(clippy::cast_precision_loss, reason = "counts of a short run")]
fn measure(nodes: usize) -> Measured {
    let mut world = World::of(41, nodes);
    let meet_ms = world.until("all meet", 300_000, 250, World::all_meet);
    // A first datagram to a node needs two more, until everybody has spoken to everybody.
    world.pass(1_000 + 120 * u64::try_from(nodes).unwrap());
    let total = |world: &World| (world.sent.iter().sum::<u64>(), world.sent_bytes.iter().sum::<u64>());
    let before = total(&world);
    world.pass(2_000);
    let after = total(&world);
    let each = |total: u64, before: u64| (total - before) as f64 / nodes as f64 / 2.0;
    let (per_second, bytes_per_second) = (each(after.0, before.0), each(after.1, before.1));
    world.effects.clear();
    world.with(0, |gossip, now, at| gossip.say(now, ServerTime(at), says(9)));
    let heard = |world: &World| {
        let told = world.effects.iter().filter(|(_, _, effect)| *effect == Effect::Term(Term(9)));
        told.map(|(_, by, _)| *by).collect::<BTreeSet<_>>().len()
    };
    let news_ms = world.until("news is everywhere", 30_000, 100, |world| heard(world) == nodes - 1);
    world.kill(1);
    let gone = |gossip: &Gossip| !gossip.reachable().any(|peer| peer.node_id == id(1));
    let death_ms =
        world.until("a death is known everywhere", 30_000, 100, |world| world.nodes.iter().flatten().all(gone));
    Measured { meet_ms, news_ms, death_ms, per_second, bytes_per_second }
}

/// Measures and prints; returns what a node sends per second.
fn print(nodes: usize) -> f64 {
    let m = measure(nodes);
    eprintln!(
        "{nodes:>5} nodes: all meet after {:>6} ms, news is everywhere after {:>5} ms, a death after {:>5} ms; each node sends {:>5.1} \
         datagrams and {:>6.0} bytes per second",
        m.meet_ms, m.news_ms, m.death_ms, m.per_second, m.bytes_per_second
    );
    m.per_second
}

#[test]
fn what_a_node_sends_does_not_grow_with_the_number_of_nodes() {
    let rates: Vec<f64> = [3, 10, 100].into_iter().map(print).collect();
    assert!(rates.iter().all(|rate| *rate < 25.0), "{rates:?}");
}

#[test]
#[ignore = "long: a thousand nodes take minutes without optimization; make simulate-gossip"]
fn a_thousand_nodes_send_no_more_each_than_ten() {
    let rate = print(1_000);
    assert!(rate < 25.0, "{rate}");
}
