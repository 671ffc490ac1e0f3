//! Recent history in Redis: what ticks bring, what bounds it, and what somebody else broke.

use crate::calls::{member, secs, tick_of};
use crate::fixture::{Fixture, Redis, key};
use crate::history_fixture::*;
use clawster::cluster::history::{HistoryQuery, Sample};
use clawster::cluster::ids::ClusterName;
use clawster::cluster::protocol::{Call, Identity, Reply, Tick};
use clawster::cluster::time::ServerTime;
use clawster::store::Store;
use clawster::store::history::{Batch, HistoryFault, HistoryStore};
use clawster::store::redis::{Address, RedisHistory, RedisStore, Target};
use std::time::Duration;

fn target(f: &Redis) -> Target {
    let address = Address::Tcp { host: "127.0.0.1".to_owned(), port: f.server.port(), tls: false };
    Target::at_address(address)
}

fn history(f: &Redis) -> RedisHistory {
    RedisHistory::new(target(f), &ClusterName::new("test").unwrap(), DAY)
}

async fn brings(store: &RedisStore, f: &Redis, node: &str, samples: Vec<Sample>) -> Identity {
    let tick = Tick { samples, ..tick_of(&member(f, node).await) };
    let answer = store.call(Call::Tick(Box::new(tick))).await.expect("the store answers");
    let Reply::Tick(reply) = answer.reply else { panic!("no answer to a tick") };
    reply.identity
}

async fn kept(f: &Redis) -> Vec<Sample> {
    history(f).samples(&newest(10_000)).await.expect("it is read").samples
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tick_brings_earlier_beats_and_the_same_ones_again_change_nothing() {
    let f = Redis::start();
    assert_eq!(brings(f.store(), &f, "a", beats("a", 7, 1..=3)).await, Identity::Ok);
    // Its answer was lost, so the next one brings them again.
    brings(f.store(), &f, "a", beats("a", 7, 1..=16)).await;
    history(&f).record(&batch(beats("a", 7, 10..=20))).await.expect("it is recorded");
    assert_eq!(kept(&f).await, beats("a", 7, 1..=20));
    // A node that was renamed brings the last beats of its old id.
    brings(f.store(), &f, "b", [beats("a", 7, 21..=21), beats("b", 7, 22..=22)].concat()).await;
    assert_eq!(kept(&f).await.iter().map(|s| s.node_id.as_str()).collect::<String>(), "a".repeat(21) + "b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_of_zero_keeps_nothing() {
    let f = Redis::start();
    let off = RedisStore::new(target(&f), &ClusterName::new("test").unwrap()).keep_history(Duration::ZERO);
    brings(&off, &f, "a", beats("a", 7, 1..=3)).await;
    let history = RedisHistory::new(target(&f), &ClusterName::new("test").unwrap(), Duration::ZERO);
    history.record(&batch(beats("a", 7, 1..=3))).await.expect("it is taken, and not kept");
    assert_eq!(f.server.cli(&["EXISTS", &key("history:a"), &key("histories")]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_nodes_history_lasts_for_its_window_and_is_gone_then() {
    let f = Redis::start();
    let short = RedisStore::new(target(&f), &ClusterName::new("test").unwrap()).keep_history(Duration::from_millis(50));
    brings(&short, &f, "dead", beats("dead", 7, 1..=3)).await;
    brings(f.store(), &f, "a", beats("a", 7, 1..=3)).await;
    let left: i64 = f.server.cli(&["PTTL", &key("history:a")]).parse().unwrap();
    assert!(left > 86_000_000 && left <= 86_400_000, "{left}");
    testkit::eventually("the stream ends", secs(10), || {
        let there = f.server.cli(&["EXISTS", &key("history:dead")]);
        if there == "0" { Ok(()) } else { Err(there) }
    });
    assert_eq!(kept(&f).await.len(), 3, "what is left in the list of nodes does no harm");
    brings(f.store(), &f, "a", beats("a", 7, 4..=4)).await;
    assert_eq!(f.server.cli(&["ZRANGE", &key("histories"), "0", "-1"]), "a", "and the next beat takes it out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_trimmed_to_its_window() {
    let f = Redis::start();
    let hour = RedisHistory::new(target(&f), &ClusterName::new("test").unwrap(), secs(3600));
    // 360 beats of ten seconds are an hour; Redis trims whole blocks of a hundred entries.
    for from in (0..1_000).step_by(100) {
        hour.record(&batch(beats("a", 7, from + 1..=from + 100))).await.expect("it is recorded");
    }
    let length: u64 = f.server.cli(&["XLEN", &key("history:a")]).parse().unwrap();
    assert!((360..=560).contains(&length), "{length}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_else_put_there_counts_as_none() {
    let f = Redis::start();
    history(&f).record(&batch(beats("a", 7, 1..=3))).await.expect("it is recorded");
    let late = (beginning() + 100_000).to_string();
    for (number, fields) in [["s", "no sample"], ["x", "y"], ["s", "\u{fffd}"]].iter().enumerate() {
        let id = format!("{late}-{number}");
        f.server.cli(&["XADD", &key("history:a"), &id, fields[0], fields[1]]);
    }
    f.server.cli(&["EVAL", "return redis.call('XADD', KEYS[1], '*', 's', '\\255\\254')", "1", &key("history:a")]);
    f.server.cli(&["ZADD", &key("histories"), "1", "no node id", "2", "gone"]);
    assert_eq!(kept(&f).await, beats("a", 7, 1..=3));
    assert_eq!(history(&f).summaries(ServerTime(0)).await.expect("they are read").len(), 1);

    // A key of another kind is told of by those who only record, and fails no heartbeat.
    f.server.cli(&["SET", &key("history:b"), "text"]);
    assert_eq!(brings(f.store(), &f, "b", beats("b", 7, 1..=1)).await, Identity::Ok);
    let fault = history(&f).record(&batch(beats("b", 7, 1..=1))).await;
    assert!(matches!(&fault, Err(HistoryFault::Refused(why)) if why.contains("WRONGTYPE")), "{fault:?}");
    let one = HistoryQuery { node_id: Some(crate::calls::id("b")), ..newest(5) };
    let fault = history(&f).samples(&one).await;
    assert!(
        matches!(&fault, Err(HistoryFault::Unavailable(why)) if why.contains("has a value of the wrong type")),
        "{fault:?}"
    );
    // And the others' history is read.
    f.server.cli(&["ZADD", &key("histories"), "99999999999999", "b"]);
    assert_eq!(kept(&f).await, beats("a", 7, 1..=3));
    assert_eq!(history(&f).summaries(ServerTime(0)).await.expect("they are read").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_with_an_id_far_ahead_ends_no_history() {
    for far in ["9007199254740993-5", "18446744073709551614-7", "18446744073709551615-18446744073709551615"] {
        let f = Redis::start();
        history(&f).record(&batch(beats("a", 7, 1..=3))).await.expect("it is recorded");
        f.server.cli(&["XADD", &key("history:a"), far, "some", "thing"]);
        assert_eq!(brings(f.store(), &f, "a", beats("a", 7, 3..=4)).await, Identity::Ok);
        history(&f).record(&batch(beats("a", 7, 5..=6))).await.expect("it is recorded");
        assert_eq!(kept(&f).await, beats("a", 7, 1..=6), "{far}");
        assert_eq!(f.server.cli(&["XLEN", &key("history:a")]), "6", "{far}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_version_adds_to_a_sample_is_passed_over() {
    let f = Redis::start();
    history(&f).record(&batch(beats("a", 7, 1..=1))).await.expect("it is recorded");
    let text =
        f.server.cli(&["EVAL", "return redis.call('XRANGE', KEYS[1], '-', '+')[1][2][2]", "1", &key("history:a")]);
    let late = format!("{}-2", beginning() + 100_000);
    f.server.cli(&["XADD", &key("history:a"), &late, "s", &text, "colour", "blue"]);
    assert_eq!(kept(&f).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_is_said_to_be() {
    let mut f = Redis::start();
    let history = history(&f);
    f.server.kill9();
    let said = |fault: HistoryFault| {
        assert!(matches!(&fault, HistoryFault::Unavailable(why) if why.contains("Redis")), "{fault:?}");
    };
    said(history.record(&Batch { samples: beats("a", 7, 1..=1), ..Batch::default() }).await.unwrap_err());
    said(history.samples(&newest(1)).await.unwrap_err());
    said(history.summaries(ServerTime(0)).await.unwrap_err());
    said(history.events(ServerTime(0)).await.unwrap_err());
    said(history.last_event("first").await.unwrap_err());
    assert!(format!("{history:?}").contains("RedisHistory"));
}
