//! A key of the cluster vanishes: it is noticed with a tick, and written again from what others tell of it.
//!
//! Not here: the loss of all keys (`losses.rs`), keys that hold something else (`corrupt_data.rs`).

use crate::calls::*;
use crate::fixture::{Fixture, Redis, key};
use crate::lease_calls::*;
use crate::task_calls::*;
use clawster::cluster::protocol::{NewTask, Tick};
use clawster::cluster::task::TaskState;

fn lose(f: &Redis, name: &str) {
    assert_eq!(f.server.cli(&["DEL", &key(name)]), "1", "{name} was there");
}

fn seen(rows: &[clawster::cluster::members::member::Member]) -> Vec<&str> {
    let mut ids: Vec<&str> = rows.iter().map(|row| row.node_id.as_str()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_seen_by_newcomers_after_their_versions_were_lost() {
    let f = Redis::start();
    let mut all = Vec::new();
    for n in 0..250 {
        all.push(member(&f, &format!("m{n:03}")).await);
    }
    lose(&f, "changes");
    for _ in 0..9 {
        tick(&f, &all[0]).await;
    }
    assert_eq!(view(&f).await.delta.rows.len(), 250);
    let changes = f.server.cli(&["ZCARD", &key("changes")]);
    let before = view(&f).await.delta.version;
    tick(&f, &all[0]).await;
    assert_eq!((changes.as_str(), view(&f).await.delta.version), ("250", before), "it is done once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_whose_rows_were_lost_are_forgotten_by_all() {
    let f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    member(&f, "c").await;
    leave(&f, &b).await;
    let known = view(&f).await.delta;
    lose(&f, "members");
    let a = admitted(&f, clawster::cluster::protocol::Join { own: a.instance.incarnation, ..join_of("a") }).await;
    tick(&f, &a).await;
    let after = view_from(&f, &a.epoch, known.version, known.floor, 1000).await.delta;
    assert!(after.reset, "whoever saw the others is told to forget them");
    assert_eq!(seen(&after.rows), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_member_is_noticed_also_after_all_deadlines_were_lost() {
    let mut f = Redis::start();
    let a = member(&f, "a").await;
    member(&f, "silent").await;
    lose(&f, "beats");
    assert_eq!(tick(&f, &a).await.alive, 2);
    for _ in 0..5 {
        f.advance(secs(11));
        tick(&f, &a).await;
    }
    assert!(story(&f).await.contains(&"silent left HeartbeatTimeout".to_owned()), "{:?}", story(&f).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_is_known_to_be_away_after_that_was_lost() {
    let f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    leave(&f, &b).await;
    lose(&f, "away");
    tick(&f, &a).await;
    assert_eq!(f.server.cli(&["ZCARD", &key("away")]), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_and_backlogs_are_told_by_each_other() {
    let f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    put(&f, publish_of(&a, vec![packed(1, 3)])).await;
    acknowledge(&f, &b, &b.epoch, b.cursor.0 + 2).await;
    leave(&f, &b).await;
    let both = || {
        ["acks", "cursors"].map(|name| {
            let read = if name == "acks" { "ZSCORE" } else { "HGET" };
            f.server.cli(&[read, &key(name), "b"])
        })
    };
    let before = both();
    for name in ["acks", "cursors"] {
        lose(&f, name);
        tick(&f, &a).await;
        assert_eq!(both(), before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_is_registered_again_by_its_holder() {
    let mut f = Redis::start();
    let a = present(&mut f, "a", "p1").await;
    let before = f.server.cli(&["HGET", &key("presence"), "a"]);
    lose(&f, "presence");
    send_tick(&f, Tick { presence: Some(nonce("nobody")), ..tick_of(&a) }).await;
    assert_eq!(f.server.cli(&["EXISTS", &key("presence")]), "0", "a presence that nobody holds");
    send_tick(&f, Tick { presence: Some(nonce("p1")), ..tick_of(&a) }).await;
    assert_eq!(f.server.cli(&["HGET", &key("presence"), "a"]), before);
    // A join that comes late puts back the one before, which has ended since.
    f.server.cli(&["HSET", &key("presence"), "a", before.replace("p1", "p0").trim()]);
    send_tick(&f, Tick { presence: Some(nonce("p1")), ..tick_of(&a) }).await;
    assert_eq!(f.server.cli(&["HGET", &key("presence"), "a"]), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_in_time_after_their_ends_were_lost() {
    let mut f = Redis::start();
    let (a, b) = (member(&f, "a").await, member(&f, "b").await);
    taken(&f, acquire_of(&a, "one")).await;
    taken(&f, acquire_of(&b, "two")).await;
    let before = f.server.cli(&["ZRANGE", &key("leases"), "0", "-1"]);
    lose(&f, "leases");
    tick(&f, &a).await;
    tick(&f, &b).await;
    assert_eq!(f.server.cli(&["ZRANGE", &key("leases"), "0", "-1"]), before);
    for _ in 0..20 {
        f.advance(secs(6));
        tick(&f, &a).await;
        tick(&f, &b).await;
    }
    assert_eq!(f.server.cli(&["ZCARD", &key("leases")]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_tasks_are_claimed_after_the_list_of_lanes_was_lost() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("one"), new("two"), needing("special", r#"{"node_id":"a"}"#)]).await;
    lose(&f, "lanes");
    // A task that comes before anybody noticed begins another lane of the same kind.
    add(&f, &a, vec![new("three")]).await;
    tick(&f, &a).await;
    let mut found = names(&f, &a, 9).await;
    found.sort();
    assert_eq!(found, ["one", "special", "three", "two"]);
    assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());
    assert_eq!(f.server.cli(&["HGET", &key("meta"), "open_lanes"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_tasks_are_claimed_after_their_lane_was_lost() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    for late in [false, true] {
        let id = |n: u8| format!("{late}-{n}");
        add(&f, &a, vec![new(&id(1)), new(&id(2))]).await;
        let lane = f.server.cli(&["HVALS", &key("lanes")]);
        lose(&f, &format!("lane:{lane}"));
        if late {
            add(&f, &a, vec![new(&id(3))]).await;
        } else {
            assert_eq!(names(&f, &a, 9).await, Vec::<String>::new());
        }
        for _ in 0..9 {
            tick(&f, &a).await;
        }
        let mut found = names(&f, &a, 9).await;
        found.sort();
        let all: Vec<String> = (1..=if late { 3 } else { 2 }).map(id).collect();
        assert_eq!(found, all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_and_delayed_tasks_come_again_after_their_deadlines_were_lost() {
    let mut f = Redis::start();
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("runs"), NewTask { delay: secs(5), ..new("later") }]).await;
    take(&f, &a, "runs").await;
    lose(&f, "running");
    lose(&f, "delayed");
    for _ in 0..9 {
        tick(&f, &a).await;
    }
    for set in ["running", "delayed"] {
        assert_eq!(f.server.cli(&["ZCARD", &key(set)]), "1", "{set}");
    }
    for _ in 0..4 {
        f.advance(secs(6));
        tick(&f, &a).await;
    }
    let mut found = names(&f, &a, 9).await;
    found.sort();
    assert_eq!(found, ["later", "runs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_tasks_end_also_after_their_lists_were_lost() {
    let f = Redis::start();
    let a = member(&f, "a").await;
    add(&f, &a, vec![new("done"), new("dead")]).await;
    let token = take(&f, &a, "done").await;
    complete(&f, &a, "done", token).await;
    cancel(&f, "dead").await;
    tick(&f, &a).await;
    lose(&f, "done");
    lose(&f, "failed");
    for _ in 0..9 {
        tick(&f, &a).await;
    }
    assert_eq!(f.server.cli(&["ZCARD", &key("failed")]), "1");
    assert_ne!(f.server.cli(&["PTTL", &key("task:done")]), "-1", "it ends by itself");
    assert_eq!(get(&f, "done").await.summary.state, TaskState::Done);
}
