//! Lost datagrams, one-way links, NAT, pauses, deaths and returns.

use crate::world::{KEY, World, id, says};
use clawster::cluster::gossip::{Effect, Silence};
use clawster::cluster::ids::Term;
use clawster::cluster::time::ServerTime;

/// A death is noticed within this time by every other node.
const NOTICED_MS: u64 = 3_000;

#[test]
fn a_dead_node_is_unreachable_within_three_seconds_and_nobody_else_is() {
    let mut slowest = 0;
    for (seed, nodes) in (0..40).flat_map(|seed| [(seed, 2), (seed, 3), (seed, 5), (seed, 10)]) {
        let mut world = World::of(seed, nodes);
        world.until("all meet", 10_000, 50, World::all_meet);
        world.pass(5_000 + seed * 37);
        let killed = world.now;
        world.kill(1);
        let took = world.until("the death is noticed", NOTICED_MS, 10, World::all_meet);
        slowest = slowest.max(took);
        world.pass(10_000);
        let blamed = world.blamed(killed);
        assert_eq!(blamed.len(), nodes - 1, "seed {seed}, {nodes} nodes: {blamed:?}");
        assert!(blamed.iter().all(|(_, node_id)| *node_id == id(1)));
    }
    eprintln!("a death among 2 to 10 nodes was noticed by all within {slowest} ms");
}

#[test]
fn a_restarted_node_is_back_at_once_under_the_same_id() {
    let mut world = World::of(7, 4);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.restart(2, &[KEY], &[0]);
    let took = world.until("all meet again", 2_000, 10, World::all_meet);
    eprintln!("a restart was known to all within {took} ms");
    world.pass(10_000);
    assert!(world.all_meet());
    // Also the seed of all others, which knows nobody when it comes back.
    world.kill(0);
    world.pass(60_000);
    world.restart(0, &[KEY], &[]);
    world.until("all meet again", 20_000, 50, World::all_meet);
}

#[test]
fn a_node_whose_clock_was_set_back_is_heard_after_a_restart() {
    let mut world = World::of(3, 3);
    world.restart(1, &[KEY], &[0]);
    world.restart(1, &[KEY], &[0]);
    world.until("all meet", 10_000, 50, World::all_meet);
    // Its life is lower than the one that the others know.
    let mut world_of_old = World::of(4, 3);
    world.nodes[1] = world_of_old.nodes[1].take();
    world.with(1, |gossip, now, _| gossip.wake(now));
    world.until("all meet again", 10_000, 50, World::all_meet);
    let life = world.nodes[1].as_ref().unwrap().me().life;
    assert!(life > 5, "it took a later life: {life}");
}

#[test]
fn a_node_that_leaves_is_not_silent() {
    let mut world = World::of(5, 3);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.with(1, |gossip, now, _| gossip.leave(now));
    world.pass(50);
    world.kill(1);
    world.until("both know", 1_000, 10, World::all_meet);
    let left = |(_, _, effect): &&(u64, usize, Effect)| *effect == Effect::Unreachable(id(1), Silence::Left);
    assert_eq!(world.effects.iter().filter(left).count(), 2);
}

#[test]
fn one_datagram_of_ten_may_be_lost_and_nobody_is_blamed_for_long() {
    let mut world = World::of(11, 10);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.loss = 100;
    let start = world.now;
    world.pass(120_000);
    let blamed = world.blamed(start).len();
    eprintln!("2 minutes of 10 nodes that lose 10 % of all datagrams: {blamed} reports of a node that is alive");
    assert!(blamed <= 10, "{blamed}");
    world.until("all meet", 5_000, 50, World::all_meet);
    world.loss = 300;
    world.pass(30_000);
    world.loss = 0;
    world.until("all meet after 30 %", 10_000, 50, World::all_meet);
}

#[test]
fn a_link_that_is_cut_both_ways_or_one_way_is_no_death() {
    for both in [true, false] {
        let mut world = World::of(13, 5);
        world.until("all meet", 10_000, 50, World::all_meet);
        let start = world.now;
        world.cut.insert((1, 2));
        if both {
            world.cut.insert((2, 1));
        }
        world.pass(60_000);
        assert_eq!(world.blamed(start), [], "others answer for them");
        assert!(world.all_meet());
    }
}

#[test]
fn two_halves_that_lost_each_other_meet_again() {
    let mut world = World::of(17, 6);
    world.until("all meet", 10_000, 50, World::all_meet);
    let halves = || (0..3).flat_map(|a| (3..6).flat_map(move |b| [(a, b), (b, a)]));
    world.cut.extend(halves());
    let took = world.until("each half sees the other one as gone", 5_000, 10, |world| world.reached(0).len() == 2);
    assert!((0..6).all(|node| world.reached(node).len() <= 3), "after {took} ms");
    world.pass(300_000);
    world.cut.clear();
    let took = world.until("they meet again", 15_000, 50, World::all_meet);
    eprintln!("two halves that were apart for 5 minutes met again within {took} ms");
}

#[test]
fn nodes_behind_nat_are_reached_where_they_were_heard_from() {
    let mut world = World::new(19);
    world.behind_nat.extend([1, 2]);
    for _ in 0..4 {
        world.start(&[KEY], "blue", &[0, 3]);
    }
    // Two nodes behind the same NAT reach each other only through the others.
    world.until("all meet", 10_000, 50, World::all_meet);
    let start = world.now;
    world.pass(120_000);
    assert_eq!(world.blamed(start), []);
}

#[test]
fn a_paused_node_is_suspected_blames_nobody_and_is_back_at_once() {
    let mut world = World::of(23, 5);
    world.until("all meet", 10_000, 50, World::all_meet);
    // Shorter than suspicion: nothing is seen of it.
    let start = world.now;
    world.pause(1, 800);
    world.pass(5_000);
    assert_eq!(world.blamed(start), []);
    world.pause(1, 30_000);
    world.pass(29_000);
    assert!(!world.all_meet());
    let going_on = world.now;
    world.until("all meet", 5_000, 10, World::all_meet);
    world.pass(10_000);
    let by_it: Vec<_> = world.blamed(going_on).into_iter().filter(|(by, _)| *by == 1).collect();
    assert_eq!(by_it, [], "nobody else was silent");
    assert!(world.all_meet());
}

#[test]
fn what_a_node_says_reaches_all_and_a_higher_term_is_told_once() {
    let mut world = World::of(29, 5);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.pass(2_000);
    world.effects.clear();
    world.with(4, |gossip, now, at| {
        let told = clawster::cluster::gossip::Says { redis: false, leader_id: Some(id(3)), ..says(8) };
        gossip.say(now, ServerTime(at), told);
    });
    let knows = |world: &World, node: usize| {
        let peers = world.nodes[node].as_ref().unwrap().peers();
        peers.iter().any(|p| p.node_id == id(4) && !p.says.redis && p.says.leader_id == Some(id(3)))
    };
    let took = world.until("all know", 2_000, 10, |world| (0..4).all(|node| knows(world, node)));
    eprintln!("what one of 5 nodes said was known to all within {took} ms");
    world.pass(10_000);
    let terms: Vec<_> = world.effects.iter().filter(|(_, _, effect)| matches!(effect, Effect::Term(_))).collect();
    assert_eq!(terms.len(), 4, "{terms:?}");
    assert!(terms.iter().all(|(_, by, effect)| *by != 4 && *effect == Effect::Term(Term(8))));
}

#[test]
fn two_processes_with_one_id_notice_it() {
    let mut world = World::of(31, 3);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.start(&[KEY], "blue", &[0]);
    let me = clawster::cluster::gossip::Identity::new(id(1), 2, crate::world::address(3));
    let settings = clawster::cluster::gossip::Settings { me, session: [9; 16], seed: 5 };
    let cluster = clawster::cluster::ids::ClusterName::new("blue").unwrap();
    let mut twin = clawster::cluster::gossip::Gossip::new(world.moment(), cluster, &[KEY], settings);
    twin.set_seeds(vec![crate::world::address(0)]);
    world.nodes[3] = Some(twin);
    world.with(3, |gossip, now, _| gossip.wake(now));
    let contested =
        |world: &World| world.effects.iter().any(|(_, by, e)| [1, 3].contains(by) && *e == Effect::Contested);
    world.until("one of them notices", 60_000, 100, contested);
}
