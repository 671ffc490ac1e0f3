//! Stories of messages, leases and tasks. Each one is run twice: as the protocol is, and with one rule taken out of it,
//! which must be caught by the invariant that is named.

use crate::clock::{MS, SECOND};
use crate::interleavings::{caught, loaded, no_violation};
use crate::load::Load;
use crate::world::{World, Wrong};
use clawster::cluster::ids::{LeaseName, Nonce};
use clawster::cluster::protocol::{Call, Numbers, PublishReply, Reply};
use std::time::Duration;

const MAIL: Load = Load { messages: true, keep: 10_000, leases: false, tasks: false, timers: 0 };
const WORK: Load = Load { messages: false, keep: 10_000, leases: true, tasks: true, timers: 0 };

/// Runs one story with the protocol as it is and with a rule broken.
fn with_control(story: impl Fn(Wrong) -> World, wrong: Wrong, what: &str) {
    no_violation(&story(Wrong::default()));
    caught(&story(wrong), what);
}

fn name(text: &str) -> LeaseName {
    LeaseName::new(text).expect("a name")
}

/// Everybody receives what there is, and acknowledges it.
fn receive_all(world: &mut World) {
    for pid in 0..world.processes.len() {
        world.receive(pid, 100, true);
    }
}

/// A node whose client acknowledged nothing yet loses the data under it, and is told of a gap.
#[test]
fn a_loss_of_data_is_told_as_a_gap() {
    let story = |wrong| {
        let (mut world, leader) = loaded(3, wrong, MAIL);
        let slow = (leader + 1) % 3;
        world.black_hole(slow, 5 * SECOND, false);
        world.give_messages(leader, 3, None);
        world.run_until(world.now + SECOND);
        world.flush();
        world.run_until(world.now + 30 * SECOND);
        receive_all(&mut world);
        world.check_delivery();
        world
    };
    // The control does not say where the data set begins.
    fn unbegun(_: &World, _: usize, reply: &mut Reply) {
        match reply {
            Reply::Tick(tick) => tick.data.message_start.0 = 0,
            Reply::View(view) => view.data.message_start.0 = 0,
            Reply::Join(join) => {
                if let clawster::cluster::protocol::JoinReply::Joined { data, .. } = &mut **join {
                    data.message_start.0 = 0;
                }
            }
            _ => {}
        }
    }
    no_violation(&story(Wrong::default()));
    let control = story(Wrong { reply: Some(unbegun), ..Wrong::default() });
    assert!(control.disks.values().all(|disk| !disk.log.was_told()), "the control tells nobody");
}

/// What the store did not take stays in the outbox.
#[test]
fn a_message_that_was_not_written_is_sent_again() {
    let story = |wrong| {
        let (mut world, leader) = loaded(3, wrong, MAIL);
        world.swallow = Some((|call| matches!(call, Call::Publish(_)), 1));
        world.give_messages(leader, 3, None);
        world.run_until(world.now + 10 * SECOND);
        receive_all(&mut world);
        world.check_delivery();
        world
    };
    // The control's store takes nothing and says that it did.
    fn nothing(_: &World, _: usize, call: &mut Call) {
        if let Call::Publish(publish) = call {
            publish.entries.clear();
        }
    }
    fn written(_: &World, _: usize, reply: &mut Reply) {
        if let Reply::Publish(reply) = reply {
            *reply = PublishReply::Marked { producer_seq: 1000, seq: clawster::cluster::ids::MessageSeq(1) };
        }
    }
    with_control(story, Wrong { call: Some(nothing), reply: Some(written), ..Wrong::default() }, "S1");
}

/// A write whose answer was lost is made again, and dropped by its producer's mark.
#[test]
fn a_message_that_was_written_twice_is_handed_out_once() {
    let story = |wrong| {
        let (mut world, leader) = loaded(3, wrong, MAIL);
        world.swallow = Some((|call| matches!(call, Call::Publish(_)), 1));
        world.give_messages(leader, 3, None);
        world.run_until(world.now + SECOND);
        receive_all(&mut world);
        world.run_until(world.now + 10 * SECOND);
        receive_all(&mut world);
        world
    };
    // The control forgets who sent what.
    fn nameless(world: &World, _: usize, call: &mut Call) {
        if let Call::Publish(publish) = call {
            publish.producer = Nonce::new(format!("nobody{}", world.now)).expect("a nonce");
        }
    }
    with_control(story, Wrong { call: Some(nameless), ..Wrong::default() }, "S2");
}

/// Positions are given once.
#[test]
fn a_position_that_is_given_twice_is_caught() {
    let (mut world, leader) = loaded(3, Wrong::default(), MAIL);
    world.give_messages(leader, 2, None);
    world.run_until(world.now + SECOND);
    no_violation(&world);
    let state = world.servers[world.primary].state.clone();
    world.give_messages(leader, 2, None);
    world.run_until(world.now + SECOND);
    // The control comes back without the last write, and nobody is told.
    world.servers[world.primary].state = state;
    world.give_messages((leader + 1) % 3, 2, None);
    world.run_until(world.now + SECOND);
    caught(&world, "S3");
}

/// A lease that is bound to a life lasts for its time, and so does a task.
#[test]
fn leases_and_tasks_last_for_their_time() {
    let story = |wrong: Wrong, leases: bool| {
        let (mut world, leader) = loaded(3, wrong, WORK);
        if !leases {
            world.submit(leader, 200);
        }
        for step in 0..300 {
            // Some clients give their lease back early: others come after them.
            if leases && step % 50 == 0 {
                (0..3).for_each(|pid| world.want_lease(pid, name("l"), Duration::from_secs(20), 30 * SECOND));
            }
            world.run_until(world.now + 100 * MS);
            if !leases {
                (0..3).for_each(|pid| world.claim(pid));
            }
        }
        world
    };
    no_violation(&story(Wrong::default(), true));
    no_violation(&story(Wrong::default(), false));
    let fast = Wrong { fast_server: true, ..Wrong::default() };
    caught(&story(fast, true), "L1");
    caught(&story(fast, false), "T1");
}

/// Tokens rise across a loss of all data, even when the server's clock went back.
#[test]
fn tokens_rise_across_a_loss_of_data() {
    let story = |wrong| {
        let (mut world, leader) = loaded(3, wrong, WORK);
        world.want_lease(leader, name("l"), Duration::from_secs(2), 0);
        world.run_until(world.now + 5 * SECOND);
        world.leases_lost();
        let primary = world.primary;
        world.servers[primary].clock -= 3_600_000;
        world.flush();
        world.run_until(world.now + 2 * SECOND);
        world.want_lease(leader, name("l"), Duration::from_secs(2), 30 * SECOND);
        world.run_until(world.now + 40 * SECOND);
        world
    };
    // The control's nodes tell nobody which numbers they saw.
    fn forgetful(_: &World, _: usize, call: &mut Call) {
        match call {
            Call::Tick(tick) => tick.known = Numbers::default(),
            Call::Join(join) => join.known = Numbers::default(),
            Call::Lease(lease) => {
                if let clawster::cluster::protocol::LeaseCall::Acquire(acquire) = &mut **lease {
                    acquire.known = Numbers::default();
                }
            }
            _ => {}
        }
    }
    with_control(story, Wrong { call: Some(forgetful), ..Wrong::default() }, "L2");
}

/// A wrapper that is stopped loses its command before another one starts.
#[test]
fn one_command_runs_at_a_time() {
    let story = |wrong| {
        let (mut world, _) = loaded(3, wrong, WORK);
        world.start_wrapper(0, &name("l"));
        world.run_until(world.now + 4 * SECOND);
        world.start_wrapper(1, &name("l"));
        for _ in 0..40 {
            let running = world.wrappers.iter().position(|wrapper| wrapper.command.is_some());
            if let Some(at) = running.filter(|at| world.wrappers[*at].paused_until < world.now) {
                world.stop_wrapper(at, 30 * SECOND);
            }
            world.run_until(world.now + SECOND);
        }
        world
    };
    // The control's guardians sleep.
    with_control(story, Wrong { guardians_sleep: true, ..Wrong::default() }, "L3");
}

/// What may be done once is done once.
#[test]
fn a_key_is_granted_once() {
    let story = |wrong| {
        let (mut world, leader) = loaded(3, wrong, WORK);
        world.want_once(leader, vec!["k".to_owned()]);
        world.run_until(world.now + SECOND);
        world.want_once((leader + 1) % 3, vec!["k".to_owned()]);
        world.run_until(world.now + SECOND);
        world
    };
    // The control's grants are short.
    fn short(_: &World, _: usize, call: &mut Call) {
        if let Call::Once(once) = call {
            once.ttl = Duration::from_millis(1);
        }
    }
    with_control(story, Wrong { call: Some(short), ..Wrong::default() }, "once");
}
