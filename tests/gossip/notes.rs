//! Notes from node to node.

use crate::world::{World, id};
use clawster::cluster::gossip::{Effect, MAX_PAYLOAD_BYTES, MAX_TOPIC_BYTES};
use std::collections::BTreeSet;

fn received(world: &World) -> Vec<(usize, String, usize)> {
    let note = |(_, by, effect): &(u64, usize, Effect)| match effect {
        Effect::Note(note) => Some((*by, note.topic.clone(), note.payload.len())),
        _ => None,
    };
    world.effects.iter().filter_map(note).collect()
}

#[test]
fn a_note_of_the_full_length_reaches_each_receiver_once() {
    let mut world = World::of(1, 4);
    world.until("all meet", 10_000, 50, World::all_meet);
    let (topic, payload) = ("t".repeat(MAX_TOPIC_BYTES), format!("\"{}\"", "x".repeat(MAX_PAYLOAD_BYTES - 2)));
    let sent = world.with(0, |gossip, now, _| gossip.notify(now, None, topic.clone(), payload.clone()));
    assert_eq!(sent, Ok(vec![id(1), id(2), id(3)]));
    world.pass(1_000);
    let mut all = received(&world);
    all.sort();
    assert_eq!(all, [1, 2, 3].map(|node| (node, topic.clone(), MAX_PAYLOAD_BYTES)));
}

#[test]
fn a_note_goes_to_the_named_nodes_that_can_be_reached() {
    let mut world = World::of(2, 4);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.kill(3);
    world.until("the death is noticed", 3_000, 50, World::all_meet);
    let to: BTreeSet<_> = [id(2), id(3)].into();
    let sent = world.with(0, |gossip, now, _| gossip.notify(now, Some(&to), "t".to_owned(), "null".to_owned()));
    assert_eq!(sent, Ok(vec![id(2)]));
    world.pass(1_000);
    assert_eq!(received(&world), [(2, "t".to_owned(), 4)]);
}

#[test]
fn notes_are_limited() {
    let mut world = World::of(3, 2);
    world.until("all meet", 10_000, 50, World::all_meet);
    let mut outcomes = Vec::new();
    for _ in 0..100 {
        outcomes.push(world.with(0, |gossip, now, _| gossip.notify(now, None, "t".to_owned(), "1".to_owned())));
    }
    let sent = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(sent, 20);
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|wait| wait.as_millis() <= 200));
    world.pass(1_000);
    assert_eq!(received(&world).len(), sent);
}
