//! Many faults in a row, in random order, under `redis.wait_replicas: all`; and a partition without confirmations, which shows that the judge
//! would notice two leaders.
//!
//! `CLAWSTER_ROUNDS` says how often each fault happens (100 with `make failover`), `CLAWSTER_SEED` repeats a run; both are printed.

use super::{Ordeal, Promotion, cluster, leads, sentinel, works};
use testkit::checker::{Sample, judge, one_leader};
use testkit::sampler::sampled;
use testkit::wait::secs;
use testkit::{Launch, RedisCluster, SentinelSet, Trio, stamp};

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Numbers that look random, by xorshift.
struct Dice(u64);

impl Dice {
    fn start(mode: &str) -> (Self, u64) {
        let seed = number("CLAWSTER_SEED", u64::from(stamp().subsec_nanos())).max(1);
        let rounds = number("CLAWSTER_ROUNDS", 2);
        println!("{mode}: CLAWSTER_SEED={seed} CLAWSTER_ROUNDS={rounds}");
        (Self(seed), rounds)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Each of so many kinds so many times, shuffled.
    fn deck(&mut self, times: u64, kinds: usize) -> Vec<usize> {
        let mut deck: Vec<usize> = (0..times).flat_map(|_| 0..kinds).collect();
        for place in (1..deck.len()).rev() {
            let other = usize::try_from(self.below(place as u64 + 1)).unwrap();
            deck.swap(place, other);
        }
        deck
    }
}

/// Three nodes whose grants and messages count only once every replica has them.
fn confirmed(at: impl Fn(Launch) -> Launch, wait: &str, replicas: &str) -> Trio {
    Trio::with(|launch| {
        let launch = at(launch).env("CLAWSTER__REDIS__WAIT_REPLICAS", wait).env("CLAWSTER__REDIS__REPLICAS", replicas);
        launch.env("CLAWSTER__REDIS__WAIT_MESSAGES", if wait == "none" { "" } else { "true" })
    })
}

#[test]
#[ignore = "an hour: many failovers of real servers"]
fn many_failovers_behind_sentinels() {
    let (mut dice, rounds) = Dice::start("sentinel");
    // Long enough that a busy machine alone makes no primary seem gone.
    let mut set = SentinelSet::with_ways(2, secs(3.0), 1);
    let mut ordeal = Ordeal::new(confirmed(sentinel::apart(&set), "all", "2"));
    for kind in dice.deck(rounds, sentinel::FAULTS.len()) {
        if dice.below(2) == 0 {
            leads(&ordeal.trio, 0);
        }
        ordeal.round(sentinel::FAULTS[kind], |promotion| {
            sentinel::fault(&mut set, kind, promotion);
            sentinel::mend(&mut set);
        });
    }
    ordeal.summary();
    ordeal.judge(true, true);
}

#[test]
#[ignore = "an hour: many failovers of real servers"]
fn many_failovers_and_moves_on_a_cluster() {
    let (mut dice, rounds) = Dice::start("cluster");
    let mut servers = RedisCluster::with_ways(3, secs(2.0), 0);
    let slot = servers.slot("openclaw");
    let mut ordeal = Ordeal::new(confirmed(cluster::apart(&servers), "all", "1"));
    for kind in dice.deck(rounds, cluster::FAULTS.len()) {
        if dice.below(2) == 0 {
            leads(&ordeal.trio, 0);
        }
        ordeal.round(cluster::FAULTS[kind], |promotion| cluster::fault(&mut servers, slot, kind, promotion));
    }
    ordeal.summary();
    ordeal.judge(true, true);
}

/// What all nodes say of their role while the leader is left alone with the former primary.
fn partition(wait: &str, replicas_needed: u32) -> Vec<Sample> {
    let mut set = SentinelSet::with_ways(2, secs(1.0), replicas_needed);
    let trio = confirmed(sentinel::apart(&set), wait, "2");
    leads(&trio, 0);
    let partition = sentinel::FAULTS.len() - 1;
    sampled(&trio.nodes.iter().collect::<Vec<_>>(), || sentinel::fault(&mut set, partition, &Promotion::default())).1
}

#[test]
#[ignore = "shows that the judge notices two leaders; runs with the long ones"]
fn a_partition_makes_two_leaders_only_without_confirmations() {
    judge("one leader at a time", &one_leader(&partition("all", 1)));
    let problems = one_leader(&partition("none", 0));
    assert!(!problems.is_empty(), "the control must be refused");
    println!("refused, as it must be: {} problems, such as: {}", problems.len(), problems[0]);
}

#[test]
#[ignore = "needs redis-cli"]
fn the_example_with_a_cluster_starts_and_goes_on_with_its_data() {
    super::examples::the_example_with_a_cluster();
}

#[test]
#[ignore = "longer than the others; the short versions run always"]
fn the_longest_pause_of_a_move_under_load() {
    let servers = RedisCluster::start(3, secs(2.0), 0);
    let slot = servers.slot("openclaw");
    let trio = Trio::with(cluster::at(&servers));
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..10 {
        servers.complete();
        let to = servers.other_primaries(slot)[0];
        let began = stamp();
        servers.migrate(slot, to);
        works(&trio);
        longest = longest.max(stamp() - began);
    }
    println!("the longest pause of ten moves: {longest:?}");
    assert!(trio.nodes.iter().all(|node| node.events().iter().all(|event| event["event"] != "cluster.node_left")));
}
