//! `clawster history` names what happened to a cluster: a failover, an outage, a flap, a goodbye.
//!
//! Not here: what is recorded of each heartbeat, MongoDB, what a report says of a history (beside the code).

use serde_json::Value;
use std::path::Path;
use testkit::cluster::settled;
use testkit::command::clawster_with;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Trio, clawster, eventually};

/// Waits until a survivor has heard this of a node.
#[track_caller]
fn heard(trio: &Trio, by: usize, event: &str, node: &str, count: usize) {
    eventually(&format!("{event} of {node} is heard"), secs(20.0), || {
        let events = trio.nodes[by].events();
        let seen = events.iter().filter(|e| e["event"] == event && e["node_id"] == node).count();
        if seen >= count { Ok(()) } else { Err(format!("{seen} of {count}")) }
    });
}

fn node<'a>(report: &'a Value, id: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["node_id"] == id).unwrap_or_else(|| panic!("no {id} in {report}"))
}

/// Kills the leader, brings it back, and lets another node leave: who was killed, who led after it, who left.
fn story(trio: &mut Trio) -> [String; 3] {
    let first = trio.settled(secs(20.0));
    let name = |at: usize| trio.launches[at].label.clone();
    let killed = name(first);
    trio.nodes[first].kill9();
    let rest: Vec<usize> = (0..3).filter(|at| *at != first).collect();
    heard(trio, rest[0], "cluster.node_left", &killed, 1);
    let alive: Vec<_> = rest.iter().map(|at| &trio.nodes[*at]).collect();
    let second = rest[settled(&alive, secs(20.0))];
    trio.nodes[first].exit(secs(10.0));
    trio.nodes[first] = trio.launches[first].start();
    trio.settled(secs(20.0));
    let third = rest[usize::from(rest[0] == second)];
    trio.nodes[third].sigterm();
    trio.nodes[third].exit(secs(10.0));
    let left = trio.launches[third].label.clone();
    heard(trio, second, "cluster.node_left", &left, 1);
    [killed, trio.launches[second].label.clone(), left]
}

#[test]
fn it_names_the_failover_the_flap_and_the_goodbye_as_text_json_and_picture() {
    let redis = RedisServer::start();
    let mut trio = Trio::brisk(&redis);
    let [killed, follower, left] = story(&mut trio);
    let launch = &trio.launches[0];

    let answer = clawster(launch, &["history", "--since", "10m", "--json"]).expect(0).json();
    let report = &answer["report"];
    assert_eq!((answer["source"].as_str(), answer["cluster"].as_str()), (Some("redis"), Some("openclaw")));
    assert_eq!(report["failovers"].as_array().expect("a list").len(), 1, "{report:#}");
    let failover = &report["failovers"][0];
    assert_eq!(
        (failover["previous_leader_id"].as_str(), failover["leader_id"].as_str()),
        (Some(&*killed), Some(&*follower))
    );
    assert_eq!((failover["reason"].as_str(), failover["planned"].as_bool()), (Some("process_died"), Some(false)));
    assert!(failover["vacant_ms"].is_null(), "a process that dies does not say when: {failover}");
    let flapped = node(report, &killed);
    assert_eq!((flapped["flaps"].as_u64(), flapped["status"].as_str()), (Some(1), Some("online")), "{flapped:#}");
    assert_eq!(flapped["away"][0]["reason"], "process_died");
    assert!(flapped["availability"].as_f64().is_some_and(|share| share < 1.0), "{flapped:#}");
    let gone = node(report, &left);
    assert_eq!((gone["status"].as_str(), gone["availability"].as_f64()), (Some("left"), Some(1.0)), "{gone:#}");
    assert_eq!(node(report, &follower)["away_count"], 0);
    let reigns = report["reigns"].as_array().expect("a list");
    assert_eq!((reigns[0]["node_id"].as_str(), reigns[0]["end"].as_str()), (Some(&*killed), Some("followed")));
    assert_eq!((reigns[1]["node_id"].as_str(), reigns[1]["end"].as_str()), (Some(&*follower), Some("leads")));

    let text = clawster(launch, &["history", "--since", "10m"]).expect(0).stdout;
    for named in ["from Redis", "process died", "back (flap)", "Failovers and handovers", "still leader", &*killed] {
        assert!(text.contains(named), "{named:?} is not in\n{text}");
    }
    let one = clawster(launch, &["history", "--of", &left, "--json"]).expect(0).json();
    assert_eq!(
        (one["report"]["nodes"].as_array().map(Vec::len), one["report"]["failovers"].as_array().map(Vec::len)),
        (Some(1), Some(0))
    );

    let path = launch.home.join("history.svg");
    std::fs::write(&path, "old").expect("writes");
    let told = clawster(launch, &["history", "--since", "10m", "--svg", "history.svg"]).expect(0).stdout;
    assert!(told.contains("history.svg (3 nodes, 10 min)"), "{told}");
    check_picture(&std::fs::read_to_string(&path).expect("a picture"), &killed, &follower);
    let piped = clawster(launch, &["history", "--since", "10m", "--svg", "-"]).expect(0).stdout;
    check_picture(&piped, &killed, &follower);
    if let Some(folder) = std::env::var_os("CLAWSTER_PICTURES") {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(Path::new(&folder).join("process.svg"), piped).expect("writes");
        println!("{text}");
    }
}

#[track_caller]
fn check_picture(svg: &str, killed: &str, follower: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    for named in [&*format!("failover: {killed} → {follower}"), "class=\"down flap\"", "class=\"leads\"", "flap"] {
        assert!(svg.contains(named), "{named:?} is not in\n{svg}");
    }
}

#[test]
fn heartbeats_are_counted_and_listed() {
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let launch = &trio.launches[0];
    let report = eventually("each node has recorded heartbeats", secs(30.0), || {
        let report = clawster(launch, &["history", "--since", "1h", "--json"]).expect(0).json()["report"].clone();
        let beats: Vec<u64> = ["a", "b", "c"].map(|id| node(&report, id)["beats"].as_u64().unwrap_or(0)).into();
        if beats.iter().all(|count| *count >= 3) { Ok(report) } else { Err(format!("{beats:?}")) }
    });
    let a = node(&report, "a");
    assert!(
        a["delay_ms"]["p50"].as_f64() <= a["delay_ms"]["max"].as_f64() && a["round_trip_ms"]["p95"].is_number(),
        "{a}"
    );
    assert_eq!((a["gap_count"].as_u64(), a["versions"][0].as_str()), (Some(0), Some(env!("CARGO_PKG_VERSION"))));
    let listed = clawster(launch, &["history", "--beats", "5", "--of", "b", "--json"]).expect(0).json();
    let entries = listed["entries"].as_array().expect("a list");
    assert!((2..=5).contains(&entries.len()) && entries.iter().all(|entry| entry["node_id"] == "b"), "{listed}");
    let numbers: Vec<u64> = entries.iter().filter_map(|entry| entry["number"].as_u64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "newest last, none left out: {numbers:?}");
    let text = clawster(launch, &["history", "--beats"]).expect(0).stdout;
    assert!(text.contains("Heartbeats (") && text.contains("ROUND TRIP"), "{text}");
}

#[test]
fn it_reads_without_a_node_and_says_why_there_is_nothing() {
    let redis = RedisServer::start();
    let folder = testkit::cluster::stage();
    let launch = Launch::new(folder.path(), "a").redis(&redis);
    let text = clawster(&launch, &["history"]).expect(0).stdout;
    assert!(text.contains("No node was a member during this time") && text.contains("clawster serve"), "{text}");
    let drawn = clawster(&launch, &["history", "--svg", "-"]).expect(0).stdout;
    assert!(drawn.contains("No node was a member"), "{drawn}");
    // A single heartbeat without a node is a member, too.
    clawster(&launch, &["heartbeat"]).expect(0);
    let answer = clawster(&launch, &["history", "--json"]).expect(0).json();
    assert_eq!(node(&answer["report"], "a")["status"], "online");
    let unknown = clawster(&launch, &["history", "--of", "nobody"]).expect(4);
    assert!(
        unknown.stderr.contains("nobody was not a member") && unknown.stderr.contains("members were a"),
        "{unknown:?}"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let folder = testkit::cluster::stage();
    let nowhere = Launch::new(folder.path(), "a").port(1);
    let failed = clawster_with(&nowhere, &["history"], b"", secs(30.0)).expect(3);
    assert!(failed.stderr.contains("127.0.0.1:1"), "{failed:?}");
    let both = clawster(&nowhere, &["history", "--svg", "-", "--json"]).expect(2);
    assert!(both.stderr.contains("standard output"), "{both:?}");
    clawster(&nowhere, &["history", "--since", "5y"]).expect(2);
    let redis = RedisServer::start();
    let launch = Launch::new(folder.path(), "b").redis(&redis);
    let without = Launch::new(folder.path(), "c").redis(&redis).env("MONGODB_URI", "mongodb://u:hush@127.0.0.1:1/");
    let failed = clawster_with(&without, &["history"], b"", secs(30.0)).expect(1);
    assert!(failed.stderr.contains("MongoDB") && !failed.stderr.contains("hush"), "{failed:?}");
    let path = "missing/folder/history.svg";
    let failed = clawster(&launch, &["history", "--svg", path]).expect(1);
    assert!(failed.stderr.contains(path) && failed.stderr.contains("cannot write"), "{failed:?}");
}
