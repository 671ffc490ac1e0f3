//! Counting leases and tasks: each state once, at a bounded cost, and without a change.

use crate::calls::*;
use crate::fixture::Fixture;
use crate::lease_calls::*;
use crate::task_calls::*;
use clawster::cluster::protocol::{
    Acquire, Call, Census, ListLeases, ListedLease, MOST_LANES, NewTask, Reply, TakeCensus,
};
use clawster::cluster::task::TaskState;

async fn census<F: Fixture>(f: &F) -> Census {
    let Reply::Census(census) = call(f, Call::Census(TakeCensus)).await else { panic!("no answer to a census") };
    census
}

async fn list<F: Fixture>(f: &F, limit: u32) -> Vec<ListedLease> {
    let Reply::Leases(list) = call(f, Call::Leases(ListLeases { limit })).await else { panic!("no list of leases") };
    list
}

/// Leases, then waiting, delayed, running, done, failed and dead tasks.
fn counts(census: &Census) -> [Option<u64>; 7] {
    let of = |state| census.tasks.get(&state).copied();
    let [waiting, delayed, running, done, failed, dead] = TaskState::ALL.map(of);
    [census.leases, waiting, delayed, running, done, failed, dead]
}

async fn an_empty_cluster_has_none<F: Fixture>(f: F) {
    assert_eq!(counts(&census(&f).await), [Some(0); 7]);
    assert_eq!(story(&f).await.len(), 0, "asking begins no data set");
}

async fn each_task_and_lease_is_counted_in_its_state<F: Fixture>(f: F) {
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    taken(&f, acquire_of(&b, "other")).await;
    add(&f, &a, vec![new("done"), new("failed"), NewTask { max_attempts: 1, ..new("dead") }, new("runs")]).await;
    let (done, lost) = (take(&f, &a, "done").await, take(&f, &a, "failed").await);
    complete(&f, &a, "done", done).await;
    settle(&f, &a, "failed", lost, failed(false)).await;
    let dead = take(&f, &a, "dead").await;
    settle(&f, &a, "dead", dead, failed(true)).await;
    take(&f, &a, "runs").await;
    let others = vec![
        NewTask { delay: secs(60), ..new("later") },
        new("w1"),
        needing("w2", r#"{"capabilities":["gpu"]}"#),
        NewTask { kind: kind("other"), ..new("w3") },
    ];
    add(&f, &a, others).await;
    let before = view(&f).await.data.numbers;
    assert_eq!(counts(&census(&f).await), [2, 3, 1, 1, 1, 1, 1].map(Some));
    assert_eq!(view(&f).await.data.numbers, before, "counting changes nothing");
    assert!(release(&f, &a, "bot", token).await);
    assert_eq!(census(&f).await.leases, Some(1));
}

async fn leases_are_listed_with_what_their_records_say<F: Fixture>(f: F) {
    assert!(list(&f, 10).await.is_empty());
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    let later = Acquire { ttl: secs(60), ..acquire_of(&a, "later") };
    let token = taken(&f, later).await;
    let sooner = Acquire { ttl: secs(20), ..acquire_of(&b, "sooner") };
    taken(&f, sooner).await;
    let listed = list(&f, 10).await;
    let told: Vec<(&str, &str)> = listed
        .iter()
        .map(|lease| (lease.name.as_str(), lease.record.holder.as_ref().unwrap().node_id.as_str()))
        .collect();
    assert_eq!(told, [("sooner", "b"), ("later", "a")], "the leadership is not among them");
    assert_eq!(listed[1].record.token, token);
    assert_eq!(list(&f, 1).await, listed[..1]);
    assert!(release(&f, &a, "later", token).await);
    assert_eq!(list(&f, 10).await.len(), 1);
}

async fn a_lease_that_is_over_or_kept_for_a_waiter_counts_until_a_heartbeat<F: Fixture>(mut f: F) {
    let (a, b) = (member(&f, "a").await, present(&mut f, "b", "p2").await);
    let token = taken(&f, acquire_of(&a, "bot")).await;
    let waits = Acquire { wait: true, ..acquire_of(&b, "bot") };
    queued(&f, &waits).await;
    assert!(release(&f, &a, "bot", token).await);
    assert_eq!(census(&f).await.leases, Some(1), "kept for the waiter");
    for _ in 0..3 {
        f.advance(GRACE);
        tick(&f, &a).await;
    }
    assert_eq!(census(&f).await.leases, Some(0), "nobody took it");
}

async fn more_lanes_than_one_census_counts_are_left_out<F: Fixture>(mut f: F) {
    let a = member(&f, "a").await;
    let of = |n: usize, delay| NewTask { kind: kind(&format!("kind-{n}")), delay, ..new(&format!("t{n}")) };
    let now: Vec<NewTask> = (0..4000).map(|n| of(n, secs(0))).collect();
    let later: Vec<NewTask> = (4000..=MOST_LANES).map(|n| of(n, secs(1))).collect();
    for tasks in now.chunks(1000).chain(later.chunks(1000)) {
        add(&f, &a, tasks.to_vec()).await;
    }
    assert_eq!(census(&f).await.tasks.get(&TaskState::Waiting), Some(&4000));
    f.advance(secs(2));
    // A tick makes sixteen of them ready.
    for _ in 0..later.len().div_ceil(16) {
        tick(&f, &a).await;
    }
    let counted = census(&f).await;
    assert_eq!(counted.tasks.get(&TaskState::Waiting), None);
    assert_eq!((counted.tasks.get(&TaskState::Delayed), counted.tasks.len()), (Some(&0), 5));
}

contract!(
    an_empty_cluster_has_none,
    each_task_and_lease_is_counted_in_its_state,
    leases_are_listed_with_what_their_records_say,
    a_lease_that_is_over_or_kept_for_a_waiter_counts_until_a_heartbeat,
    more_lanes_than_one_census_counts_are_left_out,
);
