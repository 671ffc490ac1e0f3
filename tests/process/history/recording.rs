//! MongoDB holds each heartbeat and each event once; no word of this program holds a password.

use super::*;
use testkit::cluster::stage;
use testkit::redis_server::free_port;
use testkit::{RedisServer, Trio, clawster};

#[test]
fn each_heartbeat_and_each_event_is_there_once_and_every_node_sees_all() {
    let (redis, server) = (RedisServer::start(), Mongod::shared());
    let kept = Kept::on(&server);
    let mut trio = Trio::with(|launch| kept.kept_by(launch.redis(&redis).timing(0.2, 2.0, 3.0)));
    trio.nodes[0].ok("cluster.heartbeat", Value::Null);
    let wanted = counts(&trio.nodes);
    kept.until_each_once(&wanted, 30.0);
    for node in &trio.nodes {
        let answer = node.ok("distributed.get_history", json!({"report": true}));
        assert_eq!(answer["source"], "mongodb");
        assert_eq!(nodes_of(&answer).len(), 3, "{}", node.label);
        assert_eq!(answer["report"]["nodes"].as_array().map(Vec::len), Some(3));
    }
    // The newest heartbeat is in the answer although the store may lack it still.
    let beat = trio.nodes[1].ok("cluster.heartbeat", Value::Null);
    let own = trio.nodes[1].ok("distributed.get_history", json!({"node_id": "b", "limit": 5}));
    let times: Vec<&Value> = own["entries"].as_array().unwrap().iter().map(|entry| &entry["at_ms"]).collect();
    assert!(times.contains(&&beat["at_ms"]), "{times:?} lacks {beat}");
    assert_eq!((times.len(), &own["more"]), (5, &json!(true)));

    // One leaves within the pause between two batches: what waits is recorded at its end.
    let leaver = trio.nodes.pop().expect("three nodes");
    let last = beaten(&leaver);
    leaver.sigterm();
    leaver.exit_clean(secs(10.0));
    let beats = kept.until_each_once(&BTreeMap::from([("c".to_owned(), last)]), 0.0);
    assert!(beats.iter().filter(|beat| beat.node == "c").count() as i64 >= last);

    eventually("the leaver's event is recorded", secs(30.0), || {
        let events = kept.find("heartbeat_events").ok_or("no answer")?;
        let seqs: Vec<i64> = events.iter().map(|event| number(event, "seq") as i64).collect();
        let distinct: BTreeSet<i64> = seqs.iter().copied().collect();
        assert_eq!(distinct.len(), seqs.len(), "an event is there twice: {seqs:?}");
        let written: usize = redis.cli(&["XLEN", "clawster:{openclaw}:events"]).parse().unwrap();
        if seqs.len() == written { Ok(()) } else { Err(format!("{} of {written} events", seqs.len())) }
    });
}

#[test]
fn a_wrong_address_stops_the_start_and_one_where_nobody_answers_is_a_warning() {
    let redis = RedisServer::start();
    let dir = stage();
    let wrong = Launch::new(dir.path(), "a").redis(&redis).brisk().env("MONGODB_URI", "mongodb://u:hush-hush@");
    let failed = wrong.run(&["serve"]);
    assert_eq!(failed.exit(secs(20.0)).code(), Some(1), "{}", failed.stderr());
    eventually("it says why", secs(5.0), || {
        let said = failed.stderr();
        if said.contains("mongodb.uri") || said.contains("MONGODB_URI") { Ok(()) } else { Err(said) }
    });
    assert!(!failed.stderr().contains("hush-hush"), "{}", failed.stderr());

    let nobody = format!("mongodb://u:hush-hush@127.0.0.1:{}/", free_port());
    let node = Launch::new(dir.path(), "b").redis(&redis).brisk().env("MONGODB_URI", &nobody).start();
    node.until("it leads all the same", secs(20.0), |state| state["role"] == "leader");
    eventually("it warns", secs(30.0), || {
        let said = node.stderr();
        if said.contains("cannot record the history") { Ok(()) } else { Err(said) }
    });
    let error = node.refused("distributed.get_history", Value::Null, -32006);
    assert_eq!(error.data["retryable"], true, "{error:?}");
    assert!(error.message.contains("MongoDB"), "{error:?}");
    assert!(!node.stderr().contains("hush-hush"), "{}", node.stderr());
    node.sigterm();
    node.exit_clean(secs(5.0));
    node.assert_clean();
}

#[test]
fn a_password_is_used_and_never_shown() {
    let (redis, server) = (RedisServer::start(), Mongod::with_login());
    let dir = stage();
    let user = doc! {"createUser": "keeper", "pwd": "Zirkonium-7", "roles": ["root"]};
    server.command("admin", user).expect("the first user is made");
    let with = |id: &str, password: &str| {
        let uri = format!("mongodb://keeper:{password}@127.0.0.1:{}/?authSource=admin", server.port());
        let launch = Launch::new(dir.path(), id).redis(&redis).brisk();
        launch.secrets(&json!({"mongodb": {"uri": uri}}).to_string());
        launch.env("CLAWSTER__LOGGING__LEVEL", "debug").env("CLAWSTER__LOGGING__FILE", "log/clawster.log")
    };
    let (right, wrong) = (with("right", "Zirkonium-7"), with("wrong", "Hafnium-9"));
    let (good, bad) = (right.start(), wrong.start());
    eventually("the one with the right password records", secs(30.0), || {
        let answer = good.call("distributed.get_history", Value::Null);
        let full = answer.as_ref().is_ok_and(|answer| nodes_of(answer).contains("right"));
        if full { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    eventually("the other one says that it is refused", secs(30.0), || {
        let said = bad.stderr();
        if said.contains("cannot record the history") { Ok(()) } else { Err(said) }
    });
    let refused = bad.call("distributed.get_history", Value::Null).expect_err("nobody reads with a wrong password");
    let mut texts = vec![good.stderr(), bad.stderr(), format!("{refused:?}"), bad.state().to_string()];
    for launch in [&right, &wrong] {
        for args in [&["config", "check"][..], &["doctor"], &["history"], &["status"], &["heartbeat"]] {
            let outcome = clawster(launch, args);
            texts.extend([outcome.stdout, outcome.stderr]);
        }
        let log = std::fs::read_dir(launch.home.join("log")).into_iter().flatten().flatten();
        texts.extend(log.filter_map(|file| std::fs::read_to_string(file.path()).ok()));
    }
    for secret in ["Zirkonium-7", "Hafnium-9"] {
        let shown: Vec<&String> = texts.iter().filter(|text| text.contains(secret)).collect();
        assert!(shown.is_empty(), "a password is shown: {shown:?}");
    }
}

#[test]
fn a_heartbeat_without_a_node_is_recorded_behind_its_answer() {
    let (redis, server) = (RedisServer::start(), Mongod::shared());
    let kept = Kept::on(&server);
    let dir = stage();
    let launch = kept.kept_by(Launch::new(dir.path(), "cron").redis(&redis).timing(1.0, 60.0, 60.0));
    for _ in 0..3 {
        clawster(&launch, &["heartbeat", "--json"]).expect(0);
    }
    kept.until_each_once(&BTreeMap::from([("cron".to_owned(), 3)]), 10.0);
    // A server that does not answer costs the command 2 s, and nothing of the history.
    server_is_away(&launch, &kept);
    clawster(&launch, &["heartbeat", "--json"]).expect(0);
    let beats = kept.until_each_once(&BTreeMap::from([("cron".to_owned(), 5)]), 30.0);
    assert_eq!(beats.iter().map(|beat| beat.instance).collect::<BTreeSet<_>>().len(), 1, "one life: {beats:?}");
    // A node takes the life over, and goes on counting.
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["node_id"] == "cron");
    let all = beaten(&node) + 5;
    kept.until_each_once(&BTreeMap::from([("cron".to_owned(), all)]), 30.0);
}

fn server_is_away(launch: &Launch, kept: &Kept<'_>) {
    let nobody = format!("mongodb://127.0.0.1:{}/", free_port());
    let away = launch.clone().env("MONGODB_URI", &nobody).env("CLAWSTER__MONGODB__DB", &kept.name);
    let outcome = clawster(&away, &["heartbeat", "--json"]).expect(0);
    assert!(outcome.took < secs(8.0), "{:?}", outcome.took);
    assert!(outcome.stderr.contains("MongoDB did not record this heartbeat"), "{}", outcome.stderr);
}
