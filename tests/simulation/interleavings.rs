//! Interleavings by name. Each one is run twice: as the protocol is, and with one rule taken out of it, which must be
//! caught.

use crate::clock::{MS, SECOND, Time};
use crate::load::Load;
use crate::world::{Due, Setup, World, Wrong};
use clawster::cluster::event::{ClusterFact, LeftReason};
use clawster::cluster::ids::{EventSeq, Term};
use clawster::cluster::node::Request;
use clawster::cluster::protocol::{Call, Instance, LeaseNews, Registered, Reply, Resign, Rule, ServerId, Swept};
use clawster::cluster::settings::{LeaderMode, LeaderSettings, Timing};
use std::time::Duration;
use testkit::memory::MemoryState;

const LEASE: Time = 30 * SECOND;
const GRACE: Time = SECOND;

/// A cluster that is well, with its leader: beats every 10 s, a lease of 30 s, a grace of 1 s.
pub(crate) fn cluster(nodes: usize, wrong: Wrong) -> (World, usize) {
    loaded(nodes, wrong, Load::default())
}

/// The same, with clients.
pub(crate) fn loaded(nodes: usize, wrong: Wrong, load: Load) -> (World, usize) {
    let setup = Setup {
        nodes,
        timing: Timing::default(),
        leader: LeaderSettings::default(),
        true_clocks: true,
        load,
        mixed: false,
        gossip: false,
    };
    let mut world = World::new(7, setup, true);
    for host in 0..nodes {
        world.hosts[host].candidate = true;
        world.later(u64::try_from(host).unwrap() * 200 * MS, Due::StartProcess(host));
    }
    world.run_until(20 * SECOND);
    assert_eq!(world.unwell(), None, "{}", world.tail());
    world.wrong = wrong;
    let leader = world.leaders()[0];
    (world, leader)
}

pub(crate) fn no_violation(world: &World) {
    assert!(world.checks.violations.is_empty(), "{:?}\n{}", world.checks.violations, world.tail());
}

pub(crate) fn caught(world: &World, what: &str) {
    let found = &world.checks.violations;
    assert!(found.iter().any(|v| v.starts_with(what)), "{what} was not caught: {found:?}\n{}", world.tail());
}

fn declared_dead(world: &World, reason: LeftReason) -> usize {
    let events = world.servers[world.primary].state.events(EventSeq(0), usize::MAX);
    let is = |fact: &ClusterFact| matches!(fact, ClusterFact::NodeLeft { reason: r, .. } if *r == reason);
    events.iter().filter(|event| is(&event.fact)).count()
}

/// Runs one story with the protocol as it is and with a rule broken.
fn with_control(story: impl Fn(Wrong) -> World, wrong: Wrong, what: &str) {
    no_violation(&story(Wrong::default()));
    caught(&story(wrong), what);
}

/// A lone survivor beats every third of a TTL: that is no stall, and the dead members' deadlines pass.
#[test]
fn a_lone_survivor_sees_the_others_die() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        let others: Vec<usize> = (0..3).filter(|pid| *pid != leader).collect();
        for pid in others {
            world.kill(pid, true);
        }
        world.run_until(world.now + 6 * LEASE);
        declared_dead(&world, LeftReason::HeartbeatTimeout)
    };
    assert_eq!(story(Wrong::default()), 2);
    assert_eq!(story(Wrong { stall_at_quarter: true, ..Wrong::default() }), 0, "the control keeps the dead alive");
}

/// A forced handover waits for the old leader, which pings on and hears of it late, to stop.
#[test]
fn a_forced_handover_waits_for_the_old_leader() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        let heir = (leader + 1) % 3;
        world.black_hole_but_presence(leader, 10 * SECOND);
        world.ask(heir, Request::Elect { candidate: None, force: true });
        world.run_until(world.now + 9 * SECOND);
        let early = world.leaders() == [leader];
        world.run_until(world.now + 3 * SECOND);
        assert!(wrong.call.is_some() || (early && world.leaders() == [heir]), "{}", world.tail());
        world
    };
    // The control takes the record away from the leader and lets it find out.
    fn take_away(world: &World, _: usize, call: &mut Call) {
        if let (Call::HandOver { .. }, [leader]) = (&*call, &world.leaders()[..]) {
            let node = &world.processes[*leader].node;
            let instance = Instance { node_id: node.node_id().clone(), incarnation: node.incarnation() };
            let term = node.leadership().map_or(Term(0), |held| held.term);
            *call = Call::Resign(Resign { instance, term });
        }
    }
    with_control(story, Wrong { call: Some(take_away), ..Wrong::default() }, "E1");
}

/// A leader that was deposed while it was cut off finds an empty data set: it must not write its old record again.
#[test]
fn a_deposed_leader_writes_nothing_into_an_empty_data_set() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        world.black_hole(leader, 2 * LEASE, false);
        // Nor does it hear the events of that time.
        let hole_until = world.now + 4 * LEASE;
        let follows =
            |conn: &&mut crate::network::Conn| conn.pid == leader && conn.kind == crate::network::Kind::Follow;
        world.conns.iter_mut().filter(follows).for_each(|conn| conn.hole_until = hole_until);
        world.run_until(world.now + 2 * LEASE - SECOND);
        // Its successor dies with the data.
        let successor = world.leaders()[0];
        world.kill(successor, false);
        world.restart_server(MemoryState::new(ServerId::default()), 900 * MS, false);
        world.run_until(world.now + 2 * LEASE);
        world
    };
    let claims = |world: &World, pid: usize, call: &mut Call| {
        if let Call::Tick(tick) = call
            && let Some(held) = world.processes[pid].node.leadership()
        {
            tick.leads = true;
            tick.renew = Some(held.term);
            let conn = world.processes[pid].presence.map(|conn| world.conns[conn].kind.clone());
            tick.presence = conn.and_then(|kind| match kind {
                crate::network::Kind::Presence(nonce) => Some(nonce),
                _ => None,
            });
        }
    };
    with_control(story, Wrong { call: Some(claims), ..Wrong::default() }, "E2");
}

/// A primary was demoted, and goes on to answer the leader's pings: its successor knows no subscriber, which proves nothing.
#[test]
fn nobody_takes_over_across_a_demoted_primary() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        world.black_hole_but_presence(leader, 25 * SECOND);
        let data = world.servers[world.primary].state.clone();
        world.promote(data, false);
        world.run_until(world.now + 4 * LEASE);
        assert!(wrong.same_server_id || world.unwell().is_none(), "{:?}\n{}", world.unwell(), world.tail());
        world
    };
    with_control(story, Wrong { same_server_id: true, ..Wrong::default() }, "E1");
}

/// FLUSHALL takes the record, not the leader: whoever finds none waits for the leader channel, or a lease.
#[test]
fn nobody_takes_over_a_living_leader_after_flushall() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        world.black_hole_but_presence(leader, 25 * SECOND);
        world.flush();
        world.run_until(world.now + 4 * LEASE);
        world
    };
    fn blind(_: &World, _: usize, call: &mut Call) {
        if let Call::Campaign(campaign) = call
            && campaign.rule == Rule::Absent
        {
            campaign.rule = Rule::AbsentLease;
            // The store compares the time that was seen with the lease, too.
            campaign.seen_for = Duration::from_secs(1_000_000);
        }
    }
    fn unheld(_: &World, _: usize, reply: &mut Reply) {
        if let Reply::Watch(watch) = reply {
            watch.leader_channel = false;
        }
    }
    with_control(story, Wrong { call: Some(blind), reply: Some(unheld), ..Wrong::default() }, "E1");
}

/// A living leader writes its record again at once, under the same term.
#[test]
fn a_living_leader_survives_flushall() {
    let (mut world, leader) = cluster(3, Wrong::default());
    let term = world.processes[leader].node.leadership().map(|held| held.term);
    world.flush();
    world.run_until(world.now + 3 * SECOND);
    assert_eq!(world.leaders(), [leader], "{}", world.tail());
    assert_eq!(world.processes[leader].node.leadership().map(|held| held.term), term);
    assert_eq!(world.unwell(), None, "{}", world.tail());
    no_violation(&world);
}

/// After a restart of Redis everybody's connection is gone for a while, one node's for longer: nobody is declared dead.
#[test]
fn a_restart_of_redis_declares_nobody_dead() {
    let story = |wrong| {
        let (mut world, leader) = cluster(4, wrong);
        let slow = (leader + 1) % 4;
        let data = world.servers[world.primary].state.clone();
        world.restart_server(data, 200 * MS, true);
        world.black_hole(slow, 6 * GRACE, false);
        world.run_until(world.now + 3 * LEASE);
        declared_dead(&world, LeftReason::ProcessDied) + declared_dead(&world, LeftReason::HeartbeatTimeout)
    };
    assert_eq!(story(Wrong::default()), 0);
    let control = story(Wrong { same_server_id: true, ..Wrong::default() });
    assert!(control > 0, "the control takes the old registrations for the new server's");
}

/// A leader whose Redis restarts is followed by a leader within seconds, and under a higher term if it had stopped.
#[test]
fn a_restart_of_redis_costs_a_grace_not_a_lease() {
    let (mut world, _) = cluster(3, Wrong::default());
    let data = world.servers[world.primary].state.clone();
    world.restart_server(data, 3 * SECOND, true);
    world.run_until(world.now + 3 * SECOND + 5 * GRACE);
    assert_eq!(world.leaders().len(), 1, "{}", world.tail());
    no_violation(&world);
}

/// The answer to a campaign is lost: the candidate finds itself in the record, and does not ask twice.
#[test]
fn a_lost_grant_is_found_by_reading() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        world.swallow = Some((|call| matches!(call, Call::Campaign(_)), 1));
        world.kill(leader, false);
        world.run_until(world.now + 6 * SECOND);
        world
    };
    let world = story(Wrong::default());
    assert_eq!(world.leaders().len(), 1, "{}", world.tail());
    let events = world.servers[world.primary].state.events(EventSeq(0), usize::MAX);
    let grants = events.iter().filter(|e| matches!(e.fact, ClusterFact::LeaderElected { .. })).count();
    assert_eq!(grants, 2, "one at the start, one now");
    no_violation(&world);
    // The control does not recognise itself.
    fn unread(_: &World, _: usize, reply: &mut Reply) {
        let record = match reply {
            Reply::Tick(tick) => &mut tick.leader,
            Reply::Watch(watch) => &mut watch.leader,
            Reply::View(view) => &mut view.leader,
            _ => return,
        };
        if let Some(holder) = record.as_mut().and_then(|record| record.holder.as_mut()) {
            holder.incarnation.0 += 1;
        }
    }
    let world = story(Wrong { reply: Some(unread), ..Wrong::default() });
    assert!(world.leaders().is_empty(), "the control leaves the cluster without a leader");
}

/// A grant is decided on a server that is demoted before its answer counts: on the next server it is worth nothing.
#[test]
fn a_grant_of_one_server_is_none_on_another() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        let stale = world.servers[world.primary].state.clone();
        world.kill(leader, false);
        let granted = |world: &World| {
            let events = world.servers[world.primary].state.events(EventSeq(0), usize::MAX);
            events.iter().filter(|e| matches!(e.fact, ClusterFact::LeaderElected { .. })).count() == 2
        };
        world.run_while(5 * SECOND, "the second grant", |world| !granted(world));
        world.checks.tail_lost = true;
        world.checks.forgotten(stale.events(EventSeq(0), usize::MAX).last().map_or(0, |e| e.seq.0));
        world.promote(stale, false);
        // Whoever believes in that grant hears late of the next one.
        world.run_until(world.now + 25 * SECOND);
        let holders =
            (0..3).filter(|pid| world.processes[*pid].alive && world.processes[*pid].node.leadership().is_some());
        for holder in holders.collect::<Vec<_>>() {
            world.black_hole_but_presence(holder, 20 * SECOND);
        }
        world.run_until(world.now + 4 * LEASE);
        world
    };
    // The control believes that its renewals and registrations succeed.
    fn counted(world: &World, pid: usize, reply: &mut Reply) {
        if world.processes[pid].node.leadership().is_some() {
            match reply {
                Reply::Tick(tick) if tick.lease == LeaseNews::Lost => {
                    tick.lease = LeaseNews::Renewed;
                    tick.leader = None;
                }
                Reply::Registered(Registered { leads, .. }) => *leads = true,
                Reply::Watch(watch) => watch.leader = None,
                Reply::View(view) => view.leader = None,
                Reply::Sweep(Swept { leads, .. }) => *leads = true,
                _ => {}
            }
        }
    }
    no_violation(&story(Wrong::default()));
    let control = story(Wrong { reply: Some(counted), ..Wrong::default() });
    assert!(!control.checks.violations.is_empty(), "not caught\n{}", control.tail());
}

/// The server's clock jumps ahead of a lease: by it the lease is over, for the leader it is not.
#[test]
fn a_jump_of_the_servers_clock_hands_out_no_second_lease() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        let primary = world.primary;
        world.black_hole_but_presence(leader, 5 * SECOND);
        world.servers[primary].clock += 60_000;
        world.run_until(world.now + 2 * LEASE);
        world
    };
    with_control(story, Wrong { acquire_by_server_clock: true, ..Wrong::default() }, "E1");
}

/// A leader that is cut off stops by itself; one that ignores its deadline is caught.
#[test]
fn a_leader_that_ignores_its_deadline_is_caught() {
    let story = |ignores| {
        let (mut world, leader) = cluster(3, Wrong::default());
        world.checks.ignores_deadline = ignores;
        world.pause(leader, 3 * LEASE);
        world.run_until(world.now + 2 * LEASE);
        world
    };
    no_violation(&story(false));
    caught(&story(true), "E1");
}

/// Mode `fenced` takes over before the grace is over: that is what it is for, and what `exclusive` must not do.
#[test]
fn a_takeover_within_the_grace_is_caught() {
    let story = |mode| {
        let leader = LeaderSettings { mode, presence_grace: Duration::from_secs(3), ..LeaderSettings::default() };
        let setup = Setup {
            nodes: 3,
            timing: Timing::default(),
            leader,
            true_clocks: true,
            load: Load::default(),
            mixed: false,
            gossip: false,
        };
        let mut world = World::new(11, setup, true);
        world.checks = crate::checks::Checks::new(LeaderMode::Exclusive);
        for host in 0..3 {
            world.hosts[host].candidate = true;
            world.later(0, Due::StartProcess(host));
        }
        world.run_until(20 * SECOND);
        let leader = world.leaders()[0];
        let conn = world.processes[leader].presence.unwrap();
        // The server sees the end of the connection; the leader hears nothing of it.
        world.black_hole(leader, LEASE, false);
        world.server_closes(conn);
        world.run_until(world.now + LEASE);
        world
    };
    no_violation(&story(LeaderMode::Exclusive));
    caught(&story(LeaderMode::Fenced), "E1");
}

/// A Leave whose answer is lost may still happen: the leader does not lead on.
#[test]
fn a_leader_that_said_goodbye_does_not_lead_on() {
    let (mut world, leader) = cluster(3, Wrong::default());
    world.black_hole_but_presence(leader, 10 * SECOND);
    world.ask(leader, Request::Leave);
    let end = world.now + 40 * SECOND;
    while world.now < end {
        world.run_until(world.now + 10 * MS);
        let led_on = world.leads(leader) && world.now < end - 30 * SECOND;
        assert!(!led_on, "it leads while its goodbye is under way\n{}", world.tail());
    }
    no_violation(&world);
    assert_eq!(world.leaders().len(), 1, "{}", world.tail());
}
