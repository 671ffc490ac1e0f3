//! How much tasks may take: bytes of all of them, and lanes of one kind.

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use crate::task_calls::*;
use clawster::cluster::protocol::{
    Call, Fault, Identity, NewTask, SubmitReply, SubmitTasks, Submitted, TaskCall, TaskReply,
};
use clawster::store::Store;

/// A task of kind `mail` that takes a thousand bytes.
fn sized(id: &str) -> NewTask {
    NewTask { payload: format!("\"{}\"", "x".repeat(698)), ..new(id) }
}

async fn bounded<F: Fixture>(f: &F, node: &Node, tasks: Vec<NewTask>, max_bytes: u64) -> Vec<Submitted> {
    let ask = TaskCall::Submit(SubmitTasks { instance: node.instance.clone(), tasks, max_bytes });
    let TaskReply::Submitted(SubmitReply { identity, results }) = task_call(f, ask).await else { panic!("no answer") };
    assert_eq!(identity, Identity::Ok);
    results
}

/// Submits tasks `t<n>` until there is no room; how many there was room for.
async fn flood<F: Fixture>(f: &F, node: &Node, first: usize, max_bytes: u64) -> usize {
    for n in first..first + 1_000 {
        if bounded(f, node, vec![sized(&format!("t{n}"))], max_bytes).await == [Submitted::Full] {
            return n - first;
        }
    }
    panic!("there is room for everything");
}

async fn tasks_take_so_many_bytes<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    assert_eq!(flood(&f, &a, 0, 10_000).await, 10);
    assert_eq!(bounded(&f, &a, vec![sized("t0")], 10_000).await, [Submitted::Duplicate]);
    let token = take(&f, &a, "t0").await;
    assert_eq!(flood(&f, &a, 10, 10_000).await, 0, "what runs counts");
    assert_eq!(complete(&f, &a, "t0", token).await, DONE);
    assert!(find(&f, "t0").await.is_some(), "a done task is kept while there is room");
    assert_eq!(flood(&f, &a, 10, 10_000).await, 1);
    assert!(find(&f, "t0").await.is_none(), "and makes room");
    assert_eq!(listed(&f, None, None, 100).await.len(), 10);
    cancel(&f, "t1").await;
    assert_eq!(flood(&f, &a, 11, 10_000).await, 1, "so does a failed one");
    let huge = NewTask { payload: format!("\"{}\"", "x".repeat(20_000)), ..new("huge") };
    assert_eq!(bounded(&f, &a, vec![huge.clone()], 10_000).await, [Submitted::Full]);
    for n in 2..=11 {
        let id = format!("t{n}");
        let token = take(&f, &a, &id).await;
        complete(&f, &a, &id, token).await;
    }
    assert_eq!(bounded(&f, &a, vec![huge], 10_000).await, [Submitted::New], "alone it is always taken");
}

async fn one_kind_has_so_many_lanes<F: Fixture>(f: F) {
    let a = member(&f, "a").await;
    let needs = |kind_of: &str, n: usize| NewTask {
        kind: kind(kind_of),
        ..needing(&format!("{kind_of}{n}"), &format!(r#"{{"labels":{{"n":"{n}"}}}}"#))
    };
    let many = (0..300).map(|n| needs("greedy", n)).collect();
    let results = submit(&f, &a, many).await.1;
    assert_eq!(results.iter().filter(|result| **result == Submitted::New).count(), 256);
    assert!(results[256..].iter().all(|result| *result == Submitted::Overloaded), "{results:?}");
    assert_eq!(submit(&f, &a, vec![needs("greedy", 299)]).await.1, [Submitted::Overloaded]);
    let again = NewTask { id: tid("again"), ..needs("greedy", 7) };
    add(&f, &a, vec![again, needs("other", 1), new("plain")]).await;
    for kinds in 0..15 {
        let more = (0..256).map(|n| needs(&format!("k{kinds}-"), n)).collect();
        submit(&f, &a, more).await;
    }
    assert_eq!(submit(&f, &a, vec![needs("other", 2)]).await.1, [Submitted::Overloaded], "there are very many");
    add(&f, &a, vec![needs("late", 1)]).await;
}

contract!(tasks_take_so_many_bytes, one_kind_has_so_many_lanes);

fn total(f: &Redis) -> String {
    f.server.cli(&["HGET", &key("meta"), "task_bytes"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_take_at_most_a_quarter_of_a_limited_redis() {
    let f = Redis::start();
    f.server.cli(&["CONFIG", "SET", "maxmemory", &(20 << 20).to_string()]);
    let a = member(&f, "a").await;
    let mut held = 0;
    for n in 0.. {
        let task = NewTask { payload: format!("\"{}\"", "x".repeat(100_000)), ..new(&format!("t{n}")) };
        match bounded(&f, &a, vec![task], 1 << 40).await[0] {
            Submitted::New => held += 100_302,
            Submitted::Full => break,
            other => panic!("{other:?}"),
        }
    }
    assert!((4 << 20..=5 << 20).contains(&held), "{held}");
    assert!(!tick(&f, &a).await.full);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn done_tasks_make_room_in_a_full_redis() {
    let mut f = Redis::start();
    let a = member(&f, "a").await;
    add(&f, &a, vec![sized("t1"), sized("t2")]).await;
    let token = take(&f, &a, "t1").await;
    complete(&f, &a, "t1", token).await;
    f.server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = async |f: &Redis| {
        let ask = TaskCall::Submit(SubmitTasks {
            instance: a.instance.clone(),
            tasks: vec![sized("t3")],
            max_bytes: 1 << 40,
        });
        let fault = f.store().call(Call::Task(Box::new(ask))).await;
        assert!(matches!(&fault, Err(Fault::Unwritable(why)) if why.contains("out of memory")), "{fault:?}");
    };
    refused(&f).await;
    assert!(find(&f, "t1").await.is_some(), "submitted again it is not done a second time");
    f.server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    for _ in 0..61 {
        f.advance(secs(10));
        tick(&f, &a).await;
    }
    f.server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    refused(&f).await;
    assert!(find(&f, "t1").await.is_none(), "it is still full, but less so");
    assert!(find(&f, "t2").await.is_some() && find(&f, "t3").await.is_none());
    assert_eq!(total(&f), "1000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_tasks_that_somebody_else_removed_are_not_counted_for_long() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    add(&f, &a, (0..200).map(|n| sized(&format!("t{n}"))).collect()).await;
    assert_eq!(total(&f), "200000");
    for n in 0..150 {
        f.server.cli(&["DEL", &key(&format!("task:t{n}"))]);
    }
    for _ in 0..40 {
        tick(&f, &a).await;
    }
    assert_eq!(total(&f), "50000");
    f.server.cli(&["DEL", &key("task_bytes")]);
    add(&f, &a, vec![sized("new")]).await;
    assert_eq!(total(&f), "1000", "what is lost is begun anew");
}
