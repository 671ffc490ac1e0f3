//! A subscriber per node that goes on behind the last event it saw, whatever process serves it.

use crate::history::Told;
use crate::load::ask;
use crate::slot::{Instance, Slot};
use crate::world::World;
use serde_json::json;
use std::time::Duration;

/// Collects until everything ends.
pub fn collect(world: &World, slot: &Slot) {
    let mut last: Option<String> = None;
    while !world.over() {
        match slot.instance() {
            Some(instance) => follow(world, slot, &instance, &mut last),
            None => world.pause(Duration::from_millis(20)),
        }
    }
}

fn follow(world: &World, slot: &Slot, instance: &Instance, last: &mut Option<String>) {
    let present = || slot.instance().is_some_and(|now| now.number == instance.number) && !world.over();
    let mut params = json!({"events": ["cluster.*"]});
    if let Some(last) = &last {
        params["after"] = last.as_str().into();
    }
    let mut subscription = None;
    while present() && instance.serve.runs() {
        if let Some(Ok(id)) = ask(world, instance, "cluster.subscribe", params.clone()).map(|answer| answer.result) {
            subscription = Some(id);
            break;
        }
        world.pause(Duration::from_millis(50));
    }
    let Some(subscription) = subscription else {
        return world.pause(Duration::from_millis(20));
    };
    let mut first = true;
    loop {
        let take =
            |inbox: &mut testkit::wire::Inbox| (!inbox.notes.is_empty()).then(|| std::mem::take(&mut inbox.notes));
        let ended = !present() || !instance.serve.runs();
        let notes = instance.serve.mailbox().wait(Duration::from_millis(200), take).unwrap_or_default();
        let mut all = world.history.events();
        let mine = all.entry(slot.id()).or_default();
        // A subscription whose answer was lost tells the same a second time.
        for note in notes.iter().filter(|note| note.params["subscription"] == subscription) {
            let event = note.event();
            if let Some(id) = event["id"].as_str() {
                *last = Some(id.to_owned());
            }
            // A gap has no id to go on behind: a new subscription tells it again.
            let again =
                |last: &Told| last.event["event"] == "cluster.gap" && last.event["from_seq"] == event["from_seq"];
            if std::mem::take(&mut first) && event["event"] == "cluster.gap" && mine.last().is_some_and(again) {
                mine.pop();
            }
            if event["seq"].is_number() || event["event"] == "cluster.gap" {
                mine.push(Told { at: note.at, event: event.clone() });
            }
        }
        drop(all);
        if ended && notes.is_empty() {
            return;
        }
    }
}
