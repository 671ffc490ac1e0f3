//! Gossip as the election sees it: now and then a node hears which term another one knows, past Redis.
//!
//! 1. The term is that of any process's view: late, of a process that has ended, of a data set that is gone. During the faults one of
//!    ten is higher than every term so far.
//! 2. G1: a node that hears of a higher term than it knows does not lead until Redis has confirmed its own again.
//! 3. It has a source of chance of its own, so that the other faults of a seed are the same without it.
//!
//! Not here: how records travel between nodes (`tests/gossip`).

use crate::clock::{MS, Time};
use crate::interleavings::{caught, cluster, no_violation};
use crate::network::News;
use crate::rng::Rng;
use crate::world::{Due, World, Wrong};
use clawster::cluster::ids::Term;
use clawster::cluster::node::Input;
use clawster::cluster::time::Moment;
use std::collections::BTreeMap;

/// The longest pause until somebody hears of a term again.
const PAUSE: Time = 400 * MS;
/// The longest that a datagram is under way.
const LATE: Time = 2_000 * MS;

/// What the nodes have heard.
#[derive(Debug)]
pub(crate) struct Heard {
    rng: Rng,
    /// The highest term that each process has heard of.
    highest: BTreeMap<usize, Term>,
    /// The term of which a process is in doubt although it held it.
    doubted: BTreeMap<usize, Term>,
}

impl Heard {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed ^ 0x6055), highest: BTreeMap::new(), doubted: BTreeMap::new() }
    }
}

impl World {
    /// One process hears which term another one knows, and the plan for the next time.
    pub(crate) fn gossip(&mut self) {
        let next = self.now + self.heard.rng.range(MS, PAUSE);
        self.later(next, Due::Gossip);
        let (to, from) = (self.heard.rng.below(self.processes.len()), self.heard.rng.below(self.processes.len()));
        let latest = if self.heard.rng.chance(100) { LATE } else { 5 * MS };
        let late = self.heard.rng.range(0, latest);
        let made_up = self.now < self.faults_until && self.heard.rng.chance(100);
        let (Some(process), true) = (self.processes.get(from), to < self.processes.len()) else { return };
        let known = process.node.view().term;
        let highest = self.processes.iter().map(|process| process.node.view().term).max().unwrap_or(known);
        self.hear(to, if made_up { Term(highest.0 + 1) } else { known }, late);
    }

    /// A process hears of a term, this much later.
    pub(crate) fn hear(&mut self, pid: usize, term: Term, late: Time) {
        let news = News::Input(Box::new(Input::HeardTerm(term)));
        self.later(self.now + late, Due::Deliver(pid, None, news));
    }

    /// Called before a step; whether it brings news of a higher term.
    pub(crate) fn hears(&mut self, pid: usize, input: &mut Input) -> bool {
        let Input::HeardTerm(term) = *input else { return false };
        let node = &self.processes[pid].node;
        let highest = self.heard.highest.entry(pid).or_default();
        let news = term > node.view().term.max(*highest);
        *highest = term.max(*highest);
        if let Some(held) = node.leadership().filter(|_| news) {
            self.heard.doubted.insert(pid, held.term);
            self.coverage.see("gossip: a leader hears of a higher term");
        }
        self.coverage.see(if news { "gossip: a higher term" } else { "gossip: a known term" });
        if self.wrong.deaf {
            *input = Input::Wake;
        }
        news
    }

    /// Called after a step.
    pub(crate) fn check_doubt(&mut self, pid: usize, news: bool, led: bool, now: Moment) {
        let node = &self.processes[pid].node;
        let leads = node.leads(now);
        if leads && !led && self.heard.doubted.remove(&pid) == node.leadership().map(|held| held.term) {
            self.coverage.see("gossip: a leader leads on, confirmed by Redis");
        }
        if leads && news {
            let held = node.leadership().map(|held| held.term);
            self.checks.violations.push(format!("G1: p{pid} leads in {held:?} although it heard of a higher term"));
        }
    }
}

#[test]
fn a_leader_that_hears_of_a_higher_term_does_not_lead_until_redis_confirms_its_own() {
    let story = |wrong| {
        let (mut world, leader) = cluster(3, wrong);
        let own = world.processes[leader].node.leadership().map(|held| held.term);
        let higher = Term(own.map_or(0, |term| term.0) + 1);
        world.black_hole_but_presence(leader, 300 * MS);
        world.hear(leader, higher, 0);
        world.run_until(world.now + 100 * MS);
        assert!(wrong.deaf || world.leaders().is_empty(), "{}", world.tail());
        world.run_until(world.now + 10_000 * MS);
        assert_eq!(world.leaders(), [leader], "{}", world.tail());
        assert_eq!(world.processes[leader].node.leadership().map(|held| held.term), own, "the same term goes on");
        world
    };
    no_violation(&story(Wrong::default()));
    // The control's leader does not listen.
    caught(&story(Wrong { deaf: true, ..Wrong::default() }), "G1");
}
