//! Foreign keys, foreign clusters, recorded and repeated datagrams, and the change of the key.

use crate::world::{KEY, World, address, id, says};
use clawster::cluster::gossip::{Dropped, Effect};
use clawster::cluster::time::ServerTime;

#[test]
fn nodes_with_another_key_or_another_cluster_do_not_mix() {
    let mut world = World::of(1, 3);
    let stranger = world.start(&["another key that nobody else has"], "blue", &[0, 1, 2]);
    let neighbour = world.start(&[KEY], "green", &[0, 1, 2]);
    world.pass(60_000);
    for node in 0..3 {
        assert_eq!(world.reached(node).len(), 2);
    }
    assert!(world.reached(stranger).is_empty() && world.reached(neighbour).is_empty());
}

#[test]
fn a_repeated_datagram_has_no_effect() {
    let mut world = World::of(2, 3);
    world.until("all meet", 10_000, 50, World::all_meet);
    // After the last hello, which names no receiver.
    world.pass(5_000);
    world.recorded = Some(Vec::new());
    world.with(1, |gossip, now, _| gossip.notify(now, None, "pager".to_owned(), "1".to_owned())).unwrap();
    world.pass(2_000);
    let recorded = world.recorded.take().unwrap();
    let notes = |world: &World| world.effects.iter().filter(|(_, _, e)| matches!(e, Effect::Note(_))).count();
    assert_eq!(notes(&world), 2);
    for round in 0..3 {
        for (from, to, bytes) in &recorded {
            for node in 0..3 {
                let (now, mut bytes) = (world.moment(), bytes.clone());
                let outcome = world.nodes[node].as_mut().unwrap().received(now, address(*from), &mut bytes);
                let bound = address(node) == *to || *from == node;
                let right = matches!(outcome, Err(Dropped::Repeated)) || (!bound && outcome == Err(Dropped::Unbound));
                assert!(right, "round {round}, from {from} to {to} at {node}: {outcome:?}");
            }
        }
    }
    assert_eq!(notes(&world), 2);
}

#[test]
fn what_was_recorded_before_a_restart_has_no_effect_after_it() {
    let mut world = World::of(3, 3);
    world.recorded = Some(Vec::new());
    world.until("all meet", 10_000, 50, World::all_meet);
    world.with(1, |gossip, now, _| gossip.notify(now, None, "pager".to_owned(), "1".to_owned())).unwrap();
    world.with(2, |gossip, now, at| gossip.say(now, ServerTime(at), says(77)));
    world.pass(5_000);
    let recorded = world.recorded.take().unwrap();
    for node in 0..3 {
        world.kill(node);
    }
    world.pass(1_000);
    world.effects.clear();
    world.restart(0, &[KEY], &[]);
    for (from, _, bytes) in recorded {
        world.inject(0, address(from), bytes);
    }
    world.pass(20_000);
    assert!(world.effects.is_empty(), "{:?}", world.effects);
    assert!(world.nodes[0].as_ref().unwrap().peers().is_empty());
    assert!(world.sent[0] < 1_000, "what it answers is limited: {}", world.sent[0]);
}

#[test]
fn the_key_can_be_changed_one_node_at_a_time() {
    let (old, new) = (KEY, "the new key of all nodes of the simulation");
    let mut world = World::of(4, 4);
    world.until("all meet", 10_000, 50, World::all_meet);
    for node in 0..4 {
        world.restart(node, &[new, old], &[0, 1, 2, 3]);
        world.until("all meet with two keys in use", 5_000, 50, World::all_meet);
        let start = world.now;
        world.pass(10_000);
        assert_eq!(world.blamed(start), [], "after node {node} has the new key");
    }
    for node in 0..4 {
        world.restart(node, &[new], &[0, 1, 2, 3]);
        world.until("all meet with the new key", 5_000, 50, World::all_meet);
        let start = world.now;
        world.pass(10_000);
        assert_eq!(world.blamed(start), [], "after node {node} has forgotten the old key");
    }
    world.start(&[old], "blue", &[0, 1, 2, 3]);
    world.pass(10_000);
    assert_eq!(world.reached(4).len(), 0, "the old key is worth nothing now");
    assert!(!world.reached(0).contains(&id(4)));
}
