//! One heartbeat of a host without a running node, on every store: the rules of `cluster/oneshot`.
//!
//! Not here: the command (`tests/process`), many such hosts under faults (`tests/simulation`).

use crate::calls::{GRACE, TTL, admitted, fresh, id, join_of, leader, nonce, present, record, secs, with};
use crate::fixture::Fixture;
use clawster::cluster::ids::Term;
use clawster::cluster::members::member::Metadata;
use clawster::cluster::oneshot::{Beaten, Host, Next, Run, Saved};
use clawster::cluster::protocol::{Join, Numbers};
use clawster::cluster::settings::Timing;
use clawster::cluster::time::Moment;
use clawster::store::Store;

/// A host with a timer, and its clock.
struct Timer {
    host: Host,
    saved: Option<Saved>,
    now: Moment,
}

impl Timer {
    fn new(name: &str) -> Self {
        let metadata = Metadata { candidate: true, ..Metadata::default() };
        let producer = nonce(&format!("out{name}"));
        let host = Host { node_id: id(name), metadata, candidate: true, producer, random: fresh() };
        Self { host, saved: None, now: Moment(secs(1000)) }
    }

    /// One heartbeat; `None`: its id is in use. Whether it leads then.
    async fn beat<F: Fixture>(&mut self, f: &mut F) -> Option<(Beaten, Run)> {
        let host = Host { random: fresh(), ..self.host.clone() };
        let mut run = Run::new(host, self.saved.clone(), with(Timing::default()), Numbers::default());
        let mut next = run.begin(self.now);
        loop {
            next = match next {
                Next::Call(call) => {
                    let answer = f.store().call(call).await.unwrap();
                    run.answered(self.now, self.now, answer.reply, &answer.server)
                }
                Next::Wait(until) => {
                    self.pass(f, until.since(self.now));
                    run.waited(self.now)
                }
                Next::Done(beaten) => {
                    self.saved = run.saved().cloned();
                    return Some((*beaten, run));
                }
                Next::InUse => return None,
            };
        }
    }

    fn pass<F: Fixture>(&mut self, f: &mut F, time: std::time::Duration) {
        f.advance(time);
        self.now = self.now + time;
    }

    async fn leads<F: Fixture>(&mut self, f: &mut F) -> bool {
        let (_, run) = self.beat(f).await.unwrap();
        run.leads(self.now)
    }
}

async fn the_first_heartbeat_joins_and_leads_and_the_next_renews<F: Fixture>(mut f: F) {
    let mut timer = Timer::new("a");
    let (first, run) = timer.beat(&mut f).await.unwrap();
    assert!(run.leads(timer.now), "nobody leads, and the channel of leaders is free for a grace");
    assert_eq!(first.leader_id, Some(id("a")));
    timer.pass(&mut f, secs(10));
    let (second, run) = timer.beat(&mut f).await.unwrap();
    assert!(run.leads(timer.now));
    assert_eq!((second.incarnation, second.term), (first.incarnation, first.term), "the same member, the same term");
}

async fn an_answer_that_is_older_than_the_grace_makes_no_leader<F: Fixture>(mut f: F) {
    let mut timer = Timer::new("a");
    let (_, run) = timer.beat(&mut f).await.unwrap();
    assert!(run.leads(timer.now + GRACE * 9 / 10));
    assert!(!run.leads(timer.now + GRACE), "others may lead after a loss of data");
    let next = Run::new(timer.host.clone(), timer.saved.clone(), with(Timing::default()), Numbers::default());
    assert!(!next.leads(timer.now), "what was saved says nothing before an answer");
}

async fn a_candidate_with_a_running_process_is_given_the_leadership<F: Fixture>(mut f: F) {
    let mut timer = Timer::new("a");
    assert!(timer.leads(&mut f).await);
    f.subscribe("pb").await;
    let metadata = r#"{"name":"b","candidate":true}"#.to_owned();
    admitted(&f, Join { presence: Some(nonce("pb")), metadata, ..join_of("b") }).await;
    assert!(!timer.leads(&mut f).await);
    assert_eq!(record(&f).await.holder, None, "it resigned");
    assert!(!timer.leads(&mut f).await, "and does not stand against it");
}

async fn an_id_that_a_live_process_holds_is_refused<F: Fixture>(mut f: F) {
    present(&mut f, "a", "pa").await;
    assert!(Timer::new("a").beat(&mut f).await.is_none());
}

async fn a_leader_that_died_is_followed_once_its_presence_is_gone_for_the_grace<F: Fixture>(mut f: F) {
    let (_, term) = leader(&mut f, "b", "pb").await;
    let mut timer = Timer::new("a");
    assert!(!timer.leads(&mut f).await, "it lives");
    f.hang_up("pb").await;
    let (beaten, run) = timer.beat(&mut f).await.unwrap();
    assert!(run.leads(timer.now));
    assert!(beaten.term > term && term > Term(0));
}

async fn a_lease_that_is_over_is_taken_over_from_run_to_run<F: Fixture>(mut f: F) {
    let (mut gone, mut timer) = (Timer::new("b"), Timer::new("a"));
    assert!(gone.leads(&mut f).await);
    assert!(!timer.leads(&mut f).await, "it sees the record for the first time");
    // In small steps: a long silence of everybody counts as a stall of the server, which ends no lease.
    for step in 0..6 {
        assert!(!timer.leads(&mut f).await, "the lease is not over after {step} steps");
        timer.pass(&mut f, TTL / 6);
    }
    timer.pass(&mut f, TTL / 10);
    assert!(timer.leads(&mut f).await, "the record has been the same for a lease and its margin");
    gone.now = timer.now;
    assert!(!gone.leads(&mut f).await);
}

contract!(
    the_first_heartbeat_joins_and_leads_and_the_next_renews,
    an_answer_that_is_older_than_the_grace_makes_no_leader,
    a_candidate_with_a_running_process_is_given_the_leadership,
    an_id_that_a_live_process_holds_is_refused,
    a_leader_that_died_is_followed_once_its_presence_is_gone_for_the_grace,
    a_lease_that_is_over_is_taken_over_from_run_to_run,
);
