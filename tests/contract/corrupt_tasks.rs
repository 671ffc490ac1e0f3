//! What Redis holds of tasks is not what it should be: whom it touches loses a task at most, and nothing breaks.

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use crate::task_calls::*;
use clawster::cluster::protocol::{Identity, Settled, TaskChange};
use clawster::cluster::task::TaskState;

const ODD: [&str; 6] = ["garbage", "", "1 2 3", "running 1 - 0 0 0 0", "\u{1}", "waiting x - 0 0 0 0 none"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_task_counts_as_none_and_holds_nobody_up() {
    let mut f = Redis::start();
    let a = member(&f, "a").await;
    for (n, odd) in ODD.into_iter().enumerate() {
        for field in ["what", "is"] {
            let (bad, good) = (format!("bad{n}{field}"), format!("good{n}{field}"));
            add(&f, &a, vec![urgent(&bad, 9), new(&good)]).await;
            f.server.cli(&["HSET", &key(&format!("task:{bad}")), field, odd]);
            let token = take(&f, &a, &good).await;
            f.server.cli(&["HSET", &key(&format!("task:{good}")), "payload", odd]);
            assert_eq!(
                complete(&f, &a, &bad, token).await,
                if field == "is" { Settled::NotFound } else { Settled::Stale },
                "{odd}"
            );
            assert_eq!(find(&f, &bad).await, None, "{odd}");
            assert_ne!(cancel(&f, &bad).await, TaskChange::Yes(TaskState::Failed), "{odd}");
            assert_eq!(complete(&f, &a, &good, token).await, DONE);
        }
    }
    assert_eq!(listed(&f, None, None, 100).await.len(), 2 * ODD.len());
    f.advance(secs(10));
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_another_type_are_begun_anew() {
    let mut f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    add(&f, &a, vec![new("1"), new("2"), new("lost")]).await;
    take(&f, &b, "1").await;
    take(&f, &a, "2").await;
    for name in ["held:a", "held:b", "claimed:a", "claimed:b", "announced", "lane:1", "task:text"] {
        f.server.cli(&["SET", &key(name), "a text"]);
    }
    f.server.cli(&["ZADD", &key("delayed"), "1", "text", "1", "ghost"]);
    f.server.cli(&["ZADD", &key("running"), "1", "text", "1", "ghost"]);
    f.server.cli(&["HSET", &key("lanes"), "odd {", "x", "", "1"]);
    assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new(), "its lane is broken");
    add(&f, &a, vec![new("3"), new("4"), new("5")]).await;
    assert_eq!(told(&f).await.last().map(String::as_str), Some("a offers 3 mail"));
    let token = take(&f, &a, "3").await;
    assert_eq!(complete(&f, &a, "3", token).await, DONE);
    take(&f, &b, "4").await;
    leave(&f, &b).await;
    assert_eq!(names(&f, &a, 9).await, ["4", "5"], "what is known of the dead worker's tasks is ready again");
    assert_eq!(listed(&f, Some(TaskState::Running), None, 9).await, ["5", "4", "2", "1"]);
    assert_eq!(find(&f, "text").await, None);
    let b = member(&f, "b").await;
    for name in ["held:a", "held:b", "claimed:b", "lane:2", "announced"] {
        f.server.cli(&["DEL", &key(name)]);
        f.server.cli(&["SET", &key(name), "a text"]);
    }
    leave(&f, &b).await;
    for _ in 0..2 {
        f.advance(secs(10));
        assert_eq!(tick(&f, &a).await.identity, Identity::Ok);
    }
    // And the task whose lane was broken is found by itself.
    assert_eq!(names(&f, &a, 9).await, ["1", "2", "lost", "4", "5"], "their timeouts bring them back");
}
