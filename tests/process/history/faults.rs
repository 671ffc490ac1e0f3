//! MongoDB is killed, frozen or away; nodes are killed. No heartbeat is lost, none is there twice, none is late because of it.

use super::*;
use testkit::cluster::stage;
use testkit::{RedisServer, Trio, hold};

/// How long what happens.
struct Script {
    interval: f64,
    calm: f64,
    dead: f64,
    between: f64,
    frozen: f64,
}

impl Script {
    /// Runs it under three nodes; returns every beat of theirs, and from when to when MongoDB was not as it should be.
    fn play(&self, redis: &RedisServer, server: &Mongod) -> (Vec<Beat>, i64, i64) {
        let kept = Kept::on(server);
        let trio = Trio::with(|launch| kept.kept_by(launch.redis(redis).timing(self.interval, 5.0, 5.0)));
        hold(secs(self.calm), "the calm before");
        let from = now(redis);
        server.kill9();
        hold(secs(self.dead), "MongoDB is dead");
        server.restart();
        hold(secs(self.between), "MongoDB is back");
        server.pause();
        hold(secs(self.frozen), "MongoDB is frozen");
        server.resume();
        let until = now(redis);
        hold(secs(self.calm), "the calm after");
        let wanted = counts(&trio.nodes);
        let beats = kept.until_each_once(&wanted, 120.0);
        for node in &trio.nodes {
            let said = node.stderr();
            let times = |what: &str| said.matches(what).count();
            let (lost, back) = (times("cannot record the history"), times("history recording resumed"));
            assert!((1..=2).contains(&lost) && back == lost, "{}: told {lost} and {back} times\n{said}", node.label);
            assert!(!said.contains("missing from the history"), "{said}");
        }
        (beats, from, until)
    }
}

/// The server's time in milliseconds.
fn now(redis: &RedisServer) -> i64 {
    let text = redis.cli(&["TIME"]);
    let numbers: Vec<i64> = text.split_whitespace().filter_map(|word| word.trim_matches('"').parse().ok()).collect();
    numbers[0] * 1_000 + numbers[1] / 1_000
}

#[test]
fn every_heartbeat_is_there_once_though_mongodb_is_killed_and_frozen() {
    let (redis, server) = (RedisServer::start(), Mongod::start());
    Script { interval: 0.2, calm: 2.0, dead: 8.0, between: 4.0, frozen: 4.0 }.play(&redis, &server);
}

/// How far each heartbeat lies behind the one before it, of those between two times. What a node does before it has settled
/// is another matter.
fn pauses(beats: &[Beat], from: i64, until: i64) -> Vec<i64> {
    let mut by_life: BTreeMap<(&str, i64), Vec<&Beat>> = BTreeMap::new();
    for beat in beats {
        by_life.entry((&beat.node, beat.instance)).or_default().push(beat);
    }
    let mut pauses = Vec::new();
    for instance in by_life.values_mut() {
        instance.sort_by_key(|beat| beat.number);
        let settled = instance.windows(2).skip(20).filter(|pair| (from..until).contains(&pair[1].at_ms));
        pauses.extend(settled.map(|pair| pair[1].at_ms - pair[0].at_ms));
    }
    pauses
}

/// The beats that a cluster without MongoDB kept in its Redis.
fn kept_in_redis(node: &Serve) -> Vec<Beat> {
    let answer = node.ok("distributed.get_history", json!({"limit": 10_000}));
    assert_eq!((&answer["source"], &answer["more"]), (&json!("redis"), &json!(false)));
    let whole = |entry: &Value, field: &str| entry[field].as_i64().unwrap_or_else(|| panic!("no {field} in {entry}"));
    let beat = |entry: &Value| Beat {
        node: entry["node_id"].as_str().unwrap().to_owned(),
        instance: whole(entry, "incarnation"),
        number: whole(entry, "number"),
        at_ms: whole(entry, "at_ms"),
    };
    answer["entries"].as_array().unwrap().iter().map(beat).collect()
}

/// A second cluster, without MongoDB, beats beside the first one all the time: what the host makes late it makes late in both.
#[test]
#[ignore = "takes two minutes"]
fn ten_heartbeats_a_second_for_a_minute_are_there_once_and_none_is_late_for_it() {
    let (redis, server, other) = (RedisServer::start(), Mongod::start(), RedisServer::start());
    let script = Script { interval: 0.1, calm: 10.0, dead: 20.0, between: 10.0, frozen: 10.0 };
    let control = Trio::with(|launch| launch.redis(&other).timing(script.interval, 5.0, 5.0));
    let (beats, from, until) = script.play(&redis, &server);
    // Both servers read one clock.
    let (with, without) = (pauses(&beats, from, until), pauses(&kept_in_redis(&control.nodes[0]), from, until));
    assert!(with.len() > 1_000 && without.len() > 1_000, "{} and {}", with.len(), without.len());
    let longest = |all: &[i64]| all.iter().copied().max().expect("beats");
    let late = |all: &[i64]| all.iter().filter(|pause| **pause > 120).count();
    println!(
        "longest pause {} ms with MongoDB away, {} ms without MongoDB; above 120 ms: {} of {} and {} of {}",
        longest(&with),
        longest(&without),
        late(&with),
        with.len(),
        late(&without),
        without.len()
    );
    let chance = with.len() / 500;
    assert!(
        late(&with) <= late(&without) + chance,
        "{} late heartbeats, {} without MongoDB",
        late(&with),
        late(&without)
    );
    assert!(longest(&with) <= longest(&without).max(120) + 50, "{} ms between two heartbeats", longest(&with));
}

#[test]
fn what_a_killed_node_could_not_record_is_recorded_by_the_next_one() {
    let (redis, server) = (RedisServer::start(), Mongod::start());
    let kept = Kept::on(&server);
    let dir = stage();
    let launch = kept.kept_by(Launch::new(dir.path(), "a").redis(&redis).timing(0.2, 2.0, 3.0));
    let node = launch.start();
    kept.until_each_once(&BTreeMap::from([("a".to_owned(), 2)]), 30.0);
    server.pause();
    hold(secs(3.0), "heartbeats pile up");
    let before = beaten(&node);
    // Whatever it made before that moment is on disk a second later at most.
    hold(secs(2.5), "they reach the disk");
    node.kill9();
    server.resume();
    let next = launch.start();
    next.until("it is a member", secs(30.0), |state| state["node_id"] == "a");
    let beats = eventually("the first life is complete", secs(60.0), || {
        let beats = kept.beats().ok_or("no answer")?;
        assert_no_double(&beats);
        let lives: BTreeSet<i64> = beats.iter().map(|beat| beat.instance).collect();
        let first = beats.iter().filter(|beat| Some(&beat.instance) == lives.first()).count() as i64;
        if lives.len() == 2 && first >= before { Ok(beats) } else { Err(format!("{first} of {before}, {lives:?}")) }
    });
    let numbers = beats.iter().map(|beat| (beat.instance, beat.number)).collect();
    assert_eq!(missing(&numbers), []);
    eventually("nothing is left of the spool", secs(10.0), || {
        let left: Vec<_> = std::fs::read_dir(launch.home.join("state/openclaw/history")).unwrap().flatten().collect();
        if left.len() <= 1 { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_frozen_mongodb_holds_up_no_answer_and_no_end() {
    let (redis, server) = (RedisServer::start(), Mongod::start());
    let kept = Kept::on(&server);
    let dir = stage();
    let node = kept.kept_by(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    kept.until_each_once(&BTreeMap::from([("a".to_owned(), 1)]), 30.0);
    server.pause();
    let asked = node.request("distributed.get_history", Value::Null).unwrap();
    let beat = node.ask("cluster.heartbeat", Value::Null, secs(4.0)).expect("a heartbeat is answered meanwhile");
    assert!(beat.result.is_ok(), "{:?}", beat.result);
    let answer = asked.wait(secs(15.0)).expect("an answer comes in the end").result;
    assert_eq!(answer.expect_err("MongoDB does not answer").code, -32006);
    node.sigterm();
    node.exit_clean(secs(5.0));
    server.resume();
}
