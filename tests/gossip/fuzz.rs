//! Bytes of every length and kind, with and without the key.

use crate::world::{KEY, Rng, World, address};
use clawster::cluster::gossip::{Dropped, MAX_DATAGRAM, OVERHEAD, Sealer};
use clawster::cluster::ids::ClusterName;

#[test]
fn bytes_of_every_length_are_dropped() {
    let mut world = World::of(1, 2);
    world.until("all meet", 10_000, 50, World::all_meet);
    world.effects.clear();
    let mut rng = Rng(7);
    for length in 0..=2_000_usize {
        for first in [0, 1, 2, 255] {
            let mut bytes: Vec<u8> = (0..length).map(|_| u8::try_from(rng.below(256)).unwrap()).collect();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let now = world.moment();
            let outcome = world.nodes[0].as_mut().unwrap().received(now, address(1), &mut bytes);
            let plausible = first == 1 && (OVERHEAD..=MAX_DATAGRAM).contains(&length);
            assert_eq!(outcome, Err(if plausible { Dropped::Sealed } else { Dropped::Foreign }), "{length}");
        }
    }
    world.pass(10_000);
    assert!(world.effects.is_empty() && world.all_meet());
}

/// The key may leak, and versions differ: also what is sealed properly is only bytes. It may say anything, so a node may end up with
/// wrong words about others; it neither fails nor stops.
#[test]
fn sealed_bytes_of_every_length_stop_nothing() {
    let mut world = World::of(2, 2);
    world.recorded = Some(Vec::new());
    world.until("all meet", 10_000, 50, World::all_meet);
    world.pass(5_000);
    let real = world.recorded.take().unwrap();
    let cluster = ClusterName::new("blue").unwrap();
    let reader = Sealer::new(cluster.clone(), &[KEY], [1; 16]);
    let contents: Vec<Vec<u8>> = real
        .into_iter()
        .filter(|(from, _, _)| *from == 1)
        .map(|(_, _, mut bytes)| reader.open(&mut bytes).unwrap().content.to_vec())
        .collect();
    let mut rng = Rng(11);
    let mut sealer = Sealer::new(cluster, &[KEY], [2; 16]);
    let mut taken = 0;
    for round in 0..6_000_usize {
        let mut content = contents[round % contents.len()].clone();
        match round % 3 {
            // Cut at every length.
            0 => content.truncate(round / 3 % (content.len() + 1)),
            // Some bytes changed behind the envelope.
            1 => (0..1 + rng.below(8)).for_each(|_| {
                let at = 25 + usize::try_from(rng.below(content.len() as u64 - 25)).unwrap();
                content[at] = u8::try_from(rng.below(256)).unwrap();
            }),
            // Random bytes in the envelope.
            _ => {
                content.truncate(25 + round / 3 % 1_300);
                content.resize(25 + round / 3 % 1_300, 0);
                content[24..].iter_mut().for_each(|byte| *byte = u8::try_from(rng.below(256)).unwrap());
            }
        }
        let mut datagram = sealer.seal(0, &content).unwrap();
        let now = world.moment();
        taken += usize::from(world.nodes[0].as_mut().unwrap().received(now, address(9), &mut datagram).is_ok());
        if round % 50 == 0 {
            world.pass(20);
        }
    }
    assert!(taken > 100, "some still have a meaning: {taken}");
    let before = world.sent[0];
    world.pass(10_000);
    let sent = world.sent[0] - before;
    assert!((10..2_000).contains(&sent), "it goes on as before: {sent}");
    world.restart(0, &[KEY], &[1]);
    world.restart(1, &[KEY], &[0]);
    world.until("a restart of all ends it", 10_000, 50, World::all_meet);
}
