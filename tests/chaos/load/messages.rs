//! Numbered messages to all and to some, and receivers that acknowledge what they have.

use crate::history::{Delivery, Sent};
use crate::load::{ask, passing};
use crate::numbers::Numbers;
use crate::slot::{Slot, name};
use crate::world::World;
use serde_json::json;
use std::time::Duration;
use testkit::checker::entry_seq;
use testkit::stamp;

const SYNC: &str = "distributed.sync_messages";
/// A call with the same ids is tried so often; then the run goes on with others, and these stay unknown.
const TRIES: usize = 200;

/// Sends until the run closes.
pub fn send(world: &World, slot: &Slot) {
    let mut numbers = Numbers::new(world.plan.seed, 100 + u64::try_from(slot.place).unwrap());
    let mut count = 0;
    while !world.closing() && !world.over() {
        let to = (world.slots.len() > 1 && numbers.chance(25)).then(|| addressees(world, slot, &mut numbers));
        let size = if numbers.chance(5) { 20_000 } else { 20 };
        let ids: Vec<String> = (0..numbers.between(1, 6))
            .map(|_| {
                count += 1;
                format!("{}-{count:06}", slot.id())
            })
            .collect();
        batch(world, slot, &ids, to, size);
        let pause = numbers.millis(40, 200);
        world.pause(pause);
    }
}

fn addressees(world: &World, slot: &Slot, numbers: &mut Numbers) -> Vec<usize> {
    let others: Vec<usize> = (0..world.slots.len()).filter(|place| *place != slot.place).collect();
    let some: Vec<usize> = others.iter().copied().filter(|_| numbers.chance(50)).collect();
    if some.is_empty() { vec![numbers.pick(&others)] } else { some }
}

fn batch(world: &World, slot: &Slot, ids: &[String], to: Option<Vec<usize>>, size: usize) {
    let first = {
        let mut all = world.history.sent();
        let mine = all.entry(slot.place).or_default();
        let at = stamp();
        mine.extend(ids.iter().map(|id| Sent { id: id.clone(), to: to.clone(), at, accepted: None }));
        mine.len() - ids.len()
    };
    let names: Option<Vec<String>> = to.map(|places| places.into_iter().map(name).collect());
    let message = |id: &String| match &names {
        None => json!({"id": id, "payload": "x".repeat(size)}),
        Some(names) => json!({"id": id, "to": names, "payload": "x".repeat(size)}),
    };
    let params = json!({"messages": ids.iter().map(message).collect::<Vec<_>>(), "limit": 0});
    for _ in 0..TRIES {
        if world.over() {
            return;
        }
        if let Some(instance) = slot.instance() {
            match ask(world, &instance, SYNC, params.clone()).map(|answer| (answer.answered, answer.result)) {
                Some((at, Ok(_))) => {
                    let mut all = world.history.sent();
                    let mine = all.entry(slot.place).or_default();
                    mine[first..first + ids.len()].iter_mut().for_each(|sent| sent.accepted = Some(at));
                    return;
                }
                // An unknown addressee, say, right after a loss of data: the whole call was refused.
                Some((_, Err(error))) if !passing(&error) => return,
                _ => {}
            }
        }
        world.pause(Duration::from_millis(50));
    }
}

/// What a receiver has in hand.
#[derive(Debug, Default)]
struct Hand {
    instance: u64,
    /// The cursor that acknowledges what the last answer held.
    cursor: Option<String>,
}

/// Receives until everything ends.
pub fn receive(world: &World, slot: &Slot) {
    let mut hand = Hand::default();
    while !world.over() {
        let Some(instance) = slot.instance() else {
            world.pause(Duration::from_millis(20));
            continue;
        };
        if instance.number != hand.instance {
            // What was not acknowledged comes again.
            hand = Hand { instance: instance.number, cursor: None };
        }
        let mut params = json!({"auto_ack": false, "wait_ms": 200});
        if let Some(cursor) = &hand.cursor {
            params["ack"] = cursor.as_str().into();
        }
        let asked = stamp();
        let answer = ask(world, &instance, SYNC, params);
        match answer.map(|answer| (answer.answered, answer.result)) {
            Some((at, Ok(result))) => {
                let mut all = world.history.received();
                let mine = all.entry(slot.place).or_default();
                if let Some(cursor) = hand.cursor.take() {
                    // It is applied before the call receives.
                    mine.acked.push((entry_seq(&cursor), asked));
                }
                for message in result["received"].as_array().into_iter().flatten() {
                    let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
                    mine.deliveries.push(Delivery { seq: entry_seq(&text("entry_id")), id: text("id"), asked, at });
                }
                if let (Some(from), Some(to)) = (result["gap"]["from"].as_str(), result["gap"]["to"].as_str()) {
                    mine.gaps.push((entry_seq(from), entry_seq(to), at));
                }
                let fresh =
                    result["received"].as_array().is_some_and(|list| !list.is_empty()) || !result["gap"].is_null();
                hand.cursor = result["cursor"].as_str().filter(|_| fresh).map(str::to_owned);
            }
            Some((_, Err(_))) => {
                // Whether the acknowledgement counted is not known.
                hand.cursor = None;
                world.pause(Duration::from_millis(50));
            }
            None => hand.cursor = None,
        }
    }
}

/// Messages that were accepted and that one of those they were meant for neither got nor was told to have lost, so far.
pub fn missing(world: &World) -> usize {
    let other = world.history.other_versions(&world.plan);
    let nodes: Vec<usize> = (0..world.slots.len()).filter(|place| !other.contains(place)).collect();
    crate::checkers::messages::missing(&world.history, &nodes, &other).len()
}
