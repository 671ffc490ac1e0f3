//! Bugs that seeds found, each as a short story of its own.

use crate::clock::{MS, SECOND, Time};
use crate::interleavings::{cluster, no_violation};
use crate::world::{World, Wrong};
use clawster::cluster::ids::NodeId;
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::node::{JoinRequest, Request, Standing};
use clawster::cluster::protocol::Call;

const LEASE: Time = 30 * SECOND;

fn rename(to: &str) -> Request {
    Request::Join(JoinRequest { node_id: NodeId::new(to).ok(), ..JoinRequest::default() })
}

/// It kept its presence and its timer, and was woken without end. (The step itself asserts that nobody is.)
#[test]
fn a_refused_twin_sleeps() {
    let (mut world, _) = cluster(2, Wrong::default());
    world.start(0, Some(1));
    let twin = world.processes.len() - 1;
    world.run_until(world.now + 60 * SECOND);
    assert!(matches!(world.processes[twin].node.standing(), Standing::Refused(_)), "{}", world.tail());
    assert!(world.processes[twin].presence.is_none(), "it holds a connection for nothing");
    no_violation(&world);
}

/// Candidates asked by the channel rule for ever, which a promoted replica refuses for ever.
#[test]
fn a_promoted_replica_without_a_record_elects_after_a_lease() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.kill(leader, false);
    let data = world.servers[world.primary].state.clone();
    world.promote(data, true);
    world.flush();
    world.run_until(world.now + LEASE * 11 / 10 + 10 * SECOND);
    assert_eq!(world.leaders().len(), 1, "{}", world.tail());
    no_violation(&world);
}

/// The answer to the leave threw the join away, and its client waited for ever; the store had a member nobody was.
#[test]
fn a_join_asked_while_leaving_comes_after_the_leave() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.ask(leader, Request::Leave);
    world.ask(leader, Request::Join(JoinRequest::default()));
    world.run_until(world.now + 5 * SECOND);
    assert!(world.processes[leader].asked.is_empty(), "{}", world.tail());
    assert!(world.is_member(leader));
    assert_eq!(world.unwell(), None, "{}", world.tail());
    no_violation(&world);
}

/// Two leaves and a join in one breath: all are answered, in the order of asking.
#[test]
fn a_leave_asked_while_joining_comes_after_the_join() {
    let (mut world, leader) = cluster(3, Wrong::default());
    let other = (leader + 1) % 3;
    world.ask(other, Request::Join(JoinRequest::default()));
    world.ask(other, Request::Leave);
    world.ask(other, Request::Leave);
    world.run_until(world.now + 5 * SECOND);
    assert!(world.processes[other].asked.is_empty(), "{}", world.tail());
    assert_eq!(*world.processes[other].node.standing(), Standing::Out);
    no_violation(&world);
}

/// It was given up half way: the node stayed what the store did not know any more, and never beat again.
#[test]
fn a_rename_whose_answer_was_lost_is_brought_to_its_end() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.swallow = Some((|call| matches!(call, Call::Join(_)), 1));
    world.ask(leader, rename("renamed"));
    world.run_until(world.now + 60 * SECOND);
    assert_eq!(world.processes[leader].node.node_id().as_str(), "renamed", "{}", world.tail());
    assert_eq!(world.unwell(), None, "{}", world.tail());
    no_violation(&world);
}

/// The copy still names a leader of long ago; when that node leaves, its vacancy is none of this server's.
#[test]
fn a_vacancy_in_a_stale_copy_elects_nobody_at_once() {
    let (mut world, first) = cluster(3, Wrong::default());
    let stale = world.servers[world.primary].state.clone();
    let second = (first + 1) % 3;
    world.ask(second, Request::Elect { candidate: None, force: true });
    world.run_until(world.now + 5 * SECOND);
    assert_eq!(world.leaders(), [second], "{}", world.tail());
    // The new leader hears nothing but pongs of the old primary; the first one leaves the new primary.
    world.black_hole_but_presence(second, 20 * SECOND);
    world.checks.tail_lost = true;
    world.checks.forgotten(0);
    world.promote(stale, false);
    world.ask(first, rename("renamed"));
    world.run_until(world.now + 3 * LEASE);
    assert_eq!(world.leaders().len(), 1, "{}", world.tail());
    no_violation(&world);
}

/// The join's answer named the new data set, and the next tick asked for what changed since a version of the old one.
#[test]
fn rows_of_another_data_set_are_replaced() {
    let (mut world, leader) = cluster(3, Wrong::default());
    let away = (leader + 1) % 3;
    for _ in 0..3 {
        world.flush();
        world.swallow = Some((|call| matches!(call, Call::Join(_) | Call::Tick(_)), 2));
        world.run_until(world.now + 300 * MS);
        world.ask(away, Request::Join(JoinRequest::default()));
        world.run_until(world.now + LEASE);
        assert_eq!(world.unwell(), None, "{}", world.tail());
    }
    no_violation(&world);
}

/// The copy lacked the last beats, by less than the stall guard looks at.
#[test]
fn a_copy_without_the_last_beats_declares_nobody_dead() {
    let (mut world, _) = cluster(4, Wrong::default());
    world.run_until(32 * SECOND);
    let stale = world.servers[world.primary].state.clone();
    world.run_until(46 * SECOND);
    world.checks.tail_lost = true;
    world.checks.forgotten(0);
    for process in &mut world.processes {
        process.hurt = 0;
    }
    world.promote(stale, false);
    let events = |world: &crate::world::World| {
        let events = world.servers[world.primary].state.events(Default::default(), usize::MAX);
        events.iter().filter(|e| matches!(e.fact, clawster::cluster::event::ClusterFact::NodeLeft { .. })).count()
    };
    world.run_until(world.now + 3 * LEASE);
    assert_eq!(events(&world), 0, "{}", world.tail());
    no_violation(&world);
}

/// What the store says of the node of a process.
fn drains(world: &World, pid: usize) -> bool {
    let watcher =
        (0..world.processes.len()).find(|other| *other != pid && world.is_member(*other)).expect("another one");
    let members = &world.processes[watcher].node.view().members;
    members[world.processes[pid].node.node_id()].status == StoredStatus::Draining
}

/// A join said that the node drains, and counted as having said nothing: the end of the drain, whose call was lost, was not
/// told again.
#[test]
fn a_drain_that_a_join_told_ends() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.ask(leader, Request::Drain(true));
    world.run_until(world.now + 2 * SECOND);
    world.flush();
    world.run_until(world.now + LEASE);
    assert!(drains(&world, leader), "{}", world.tail());
    world.black_hole(leader, 6 * SECOND, false);
    world.ask(leader, Request::Drain(false));
    world.run_until(world.now + 2 * LEASE);
    assert!(!drains(&world, leader), "{}", world.tail());
    no_violation(&world);
}

/// A drain was carried out, and its answer lost: a wish for its end that was refused equalled what the node thought it had said.
#[test]
fn a_drain_whose_answer_was_lost_ends() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.swallow = Some((|call| matches!(call, Call::Drain(_)), 1));
    world.ask(leader, Request::Drain(true));
    world.run_until(world.now + 100 * MS);
    world.black_hole(leader, 20 * SECOND, false);
    world.ask(leader, Request::Drain(false));
    world.run_until(world.now + 2 * LEASE);
    assert!(!drains(&world, leader), "{}", world.tail());
    no_violation(&world);
}
