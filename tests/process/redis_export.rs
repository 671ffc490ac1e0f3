//! `redis export` and `redis import`: a cluster moves from the private Redis of a host to a shared one, and goes on there.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::cluster::{settled, stage};
use testkit::command::Outcome;
use testkit::wait::{hold, secs};
use testkit::{Launch, RedisCluster, RedisServer, Serve, clawster, eventually};

/// Two nodes of one host, with its private Redis.
fn private(base: &Path, id: &str) -> Launch {
    let server = testkit::redis_server::binary().display().to_string();
    let launch = Launch::new(base, id).brisk().env("CLAWSTER__REDIS__MODE", "embedded");
    let state = base.join("state").display().to_string();
    launch.env("CLAWSTER_REDIS_SERVER", &server).env("CLAWSTER_STATE_DIR", &state)
}

/// The same node with a shared Redis.
fn shared(launch: &Launch, redis: &RedisServer) -> Launch {
    launch.clone().env("CLAWSTER__REDIS__MODE", "").redis(redis)
}

fn term(node: &Serve) -> u64 {
    node.state()["term"].as_u64().unwrap()
}

fn stop(node: &Serve) {
    node.sigterm();
    node.exit_clean(secs(20.0));
}

fn keys(redis: &RedisServer) -> String {
    redis.cli(&["DBSIZE"])
}

fn token(node: &Serve) -> u64 {
    let lease = node.ok("distributed.acquire_lease", json!({"name": "bot", "ttl_ms": 60_000}));
    assert_eq!(lease["acquired"], true, "{lease}");
    lease["token"].as_u64().unwrap()
}

#[track_caller]
fn import(launch: &Launch, file: &Path, code: i32) -> Outcome {
    clawster(launch, &["redis", "import", &file.display().to_string()]).expect(code)
}

/// What two nodes leave behind: an unread message for `b`, a task, a schedule and a lease.
struct Left {
    launches: [Launch; 2],
    file: PathBuf,
    term: u64,
    token: u64,
}

/// Runs two nodes on the private Redis, stops them, and exports their data; looks at what is refused meanwhile.
fn exported(base: &Path) -> Left {
    let file = base.join("cluster.export");
    let name = file.display().to_string();
    let launches = ["a", "b"].map(|id| private(base, id));
    let nodes = [launches[0].start(), launches[1].start()];
    settled(&[&nodes[0], &nodes[1]], secs(30.0));
    nodes[0].ok("distributed.submit_task", json!({"id": "t", "kind": "k", "payload": {"n": 1}}));
    nodes[0].ok("distributed.schedule_task", json!({"id": "s", "kind": "later", "payload": 2, "every_ms": 86_400_000}));
    let (term, token) = (term(&nodes[0]), token(&nodes[0]));
    stop(&nodes[1]);
    let sent =
        nodes[0].ok("distributed.sync_messages", json!({"messages": [{"id": "m", "payload": "for b"}], "limit": 0}));
    assert_eq!(sent["published"], 1, "{sent}");

    let refused = clawster(&launches[0], &["redis", "export", &name]).expect(4);
    assert!(refused.stderr.contains("1 process of cluster openclaw is connected"), "{}", refused.stderr);
    assert!(!file.exists(), "a refused export leaves a file");
    let forced = base.join("forced.export");
    clawster(&launches[0], &["redis", "export", "--force", &forced.display().to_string()]).expect(0);
    let found = clawster(&launches[0], &["doctor"]).stdout;
    assert!(found.contains("serves this host only") && found.contains("clawster redis export"), "{found}");
    stop(&nodes[0]);

    let done = clawster(&launches[0], &["redis", "export", &name, "--json"]).expect(0).json();
    assert!(done["keys"].as_u64().unwrap() > 10, "{done}");
    assert_eq!(
        (&done["bytes"], &done["cluster"]),
        (&json!(file.metadata().unwrap().len()), &json!("openclaw")),
        "{done}"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = clawster(&launches[0], &["redis", "export", &name]).expect(1);
    assert!(again.stderr.contains("exists and is not replaced"), "{}", again.stderr);
    let left = std::fs::read_dir(base).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains(".tmp")), "a temporary file is left");
    Left { launches, file, term, token }
}

#[test]
fn a_cluster_moves_to_a_shared_redis_and_goes_on() {
    let redis = RedisServer::start();
    let dir = stage();
    let left = exported(dir.path());
    let [a, b] = left.launches.each_ref().map(|launch| shared(launch, &redis));

    let good = std::fs::read(&left.file).unwrap();
    let bad = dir.path().join("bad.export");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    for (bytes, what) in [(&good[..good.len() - 10], "cut"), (&good[..good.len() / 2], "half"), (&flipped, "flipped")] {
        std::fs::write(&bad, bytes).unwrap();
        let refused = import(&a, &bad, 1);
        assert!(refused.stderr.contains("is damaged at byte"), "{what}: {}", refused.stderr);
        assert_eq!(keys(&redis), "0", "{what}: something was written");
    }
    let other = import(&a.clone().env("CLAWSTER__CLUSTER__NAME", "other"), &left.file, 1);
    assert!(other.stderr.contains("set cluster.name (CLAWSTER__CLUSTER__NAME) to openclaw"), "{}", other.stderr);

    let done = import(&a, &left.file, 0);
    assert!(done.stdout.starts_with("Imported "), "{}", done.stdout);
    let count = keys(&redis);
    let twice = import(&a, &left.file, 4);
    assert!(twice.stderr.contains(&format!("already has {count} keys of cluster openclaw")), "{}", twice.stderr);
    assert_eq!(keys(&redis), count, "a refused import changed something");

    let nodes = [a.start(), b.start()];
    settled(&[&nodes[0], &nodes[1]], secs(30.0));
    assert!(term(&nodes[0]) > left.term, "{} and then {}", left.term, term(&nodes[0]));
    assert!(token(&nodes[0]) > left.token);
    let mut received: Vec<Value> = Vec::new();
    eventually("the message arrives", secs(20.0), || {
        let answer = nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 1000}));
        assert!(answer["gap"].is_null(), "{answer}");
        received.extend(answer["received"].as_array().unwrap().iter().map(|message| message["id"].clone()));
        if received.is_empty() { Err("nothing") } else { Ok(()) }
    });
    hold(secs(1.0), "the time in which the message could come again");
    let answer = nodes[1].ok("distributed.sync_messages", json!({"wait_ms": 200}));
    assert_eq!((received, &answer["received"]), (vec![json!("m")], &json!([])));
    let task = nodes[1].ok("distributed.get_task", json!({"task_id": "t"}));
    assert_eq!((&task["state"], &task["payload"]), (&json!("waiting"), &json!({"n": 1})), "{task}");
    let schedules = nodes[0].ok("distributed.list_schedules", json!({}));
    assert!(
        schedules["schedules"].as_array().unwrap().iter().any(|schedule| schedule["schedule_id"] == "s"),
        "{schedules}"
    );
    for node in &nodes {
        node.assert_clean();
    }
    let running = import(&a, &left.file, 4);
    assert!(running.stderr.contains("2 processes of cluster openclaw are connected"), "{}", running.stderr);
}

#[test]
fn an_import_that_fails_removes_what_it_wrote() {
    let redis = RedisServer::start();
    let dir = stage();
    let source = RedisServer::start();
    let launch = Launch::new(dir.path(), "a");
    for n in 0..400 {
        source.cli(&["SET", &format!("clawster:{{openclaw}}:once:{n}"), &"x".repeat(2_000)]);
    }
    source.cli(&["SET", "clawster:{openclaw}:once:short", "x", "PX", "1"]);
    source.cli(&["SET", "clawster:{openclaw}:once:long", "x", "PX", "3600000"]);
    source.cli(&["HSET", "clawster:{openclaw}:meta", "epoch", "e"]);
    source.cli(&["SET", "clawster:{other}:meta", "x"]);
    let file = dir.path().join("x.export");
    let export = |launch: &Launch| clawster(launch, &["redis", "export", &file.display().to_string(), "--json"]);
    assert_eq!(export(&launch.clone().redis(&source)).expect(0).json()["keys"], 402);
    let to = launch.clone().redis(&redis);

    // Full in the middle.
    let used: u64 = redis.info("memory", "used_memory").unwrap().parse().unwrap();
    redis.cli(&["CONFIG", "SET", "maxmemory", &(used + 400_000).to_string()]);
    let failed = import(&to, &file, 1).stderr;
    assert!(
        failed.contains("out of memory") && failed.contains("everything that it wrote was removed again"),
        "{failed}"
    );
    assert_eq!(keys(&redis), "0");
    redis.cli(&["CONFIG", "SET", "maxmemory", "0"]);

    // A user that may not, and then the one of the documentation with the commands that it names for this.
    let failed = import(&documented(&redis, &to, &["-restore"]), &file, 1).stderr;
    assert!(failed.contains("may not call RESTORE") && failed.contains("+restore"), "{failed}");
    assert_eq!(keys(&redis), "0");
    let user = documented(&redis, &to, &["+restore"]);
    let done = clawster(&user, &["redis", "import", &file.display().to_string(), "--json"]).expect(0).json();
    assert_eq!((&done["keys"], &done["expired"]), (&json!(402), &json!(0)), "{done}");
    assert_eq!(keys(&redis), "402");
    let left: i64 = redis.cli(&["PTTL", "clawster:{openclaw}:once:long"]).parse().unwrap();
    assert!((3_000_000..=3_600_000).contains(&left), "{left}");
    assert_eq!(redis.cli(&["PTTL", "clawster:{openclaw}:once:7"]), "-1");

    std::fs::remove_file(&file).unwrap();
    let denied = export(&documented(&redis, &to, &[])).expect(1).stderr;
    assert!(denied.contains("may not call") && denied.contains("+dump") && !file.exists(), "{denied}");
    assert_eq!(export(&documented(&redis, &to, &["+dump", "+pttl"])).expect(0).json()["keys"], 402);
}

/// The user of docs/redis.md, with more or fewer commands.
fn documented(redis: &RedisServer, launch: &Launch, commands: &[&str]) -> Launch {
    let page = include_str!("../../docs/redis.md");
    let rule = page.lines().find(|line| line.starts_with("ACL SETUSER clawster ")).unwrap();
    let mut rule: Vec<&str> = rule.split(' ').collect();
    rule.extend(commands);
    assert_eq!(redis.cli(&rule), "OK");
    launch.clone().env("REDIS_USERNAME", "clawster").env("REDIS_PASSWORD", "PASSWORD")
}

#[test]
fn the_primary_of_a_redis_cluster_gives_and_takes_the_data() {
    let servers = RedisCluster::start(3, secs(5.0), 0);
    let source = RedisServer::start();
    let dir = stage();
    for n in 0..100 {
        source.cli(&["SET", &format!("clawster:{{openclaw}}:once:{n}"), "x"]);
    }
    let file = |name: &str| dir.path().join(name).display().to_string();
    let launch = Launch::new(dir.path(), "a");
    clawster(&launch.clone().redis(&source), &["redis", "export", &file("1")]).expect(0);
    let launch = launch.env("CLAWSTER__REDIS__MODE", "cluster").env("CLAWSTER__REDIS__NODES", &servers.nodes());
    clawster(&launch, &["redis", "import", &file("1")]).expect(0);
    let primary = servers.primary(servers.slot("openclaw"));
    assert_eq!(keys(&servers.servers[primary]), "100");
    assert_eq!(clawster(&launch, &["redis", "export", &file("2"), "--json"]).expect(0).json()["keys"], 100);
}

#[test]
fn what_expired_meanwhile_is_left_out_and_nothing_is_no_export() {
    let [source, redis] = [(); 2].map(|()| RedisServer::start());
    let dir = stage();
    let launch = Launch::new(dir.path(), "a");
    let file = dir.path().join("x.export");
    let name = file.display().to_string();
    let empty = clawster(&launch.clone().redis(&source), &["redis", "export", &name]).expect(1).stderr;
    assert!(empty.contains("has no data of cluster openclaw") && !file.exists(), "{empty}");
    source.cli(&["SET", "clawster:{openclaw}:once:kept", "x"]);
    source.cli(&["SET", "clawster:{openclaw}:once:short", "x", "PX", "3000"]);
    assert_eq!(
        clawster(&launch.clone().redis(&source), &["redis", "export", &name, "--json"]).expect(0).json()["keys"],
        2
    );
    eventually("the key expires", secs(10.0), || {
        if source.cli(&["EXISTS", "clawster:{openclaw}:once:short"]) == "0" { Ok(()) } else { Err("it is there") }
    });
    let done = clawster(&launch.redis(&redis), &["redis", "import", &name, "--json"]).expect(0).json();
    assert_eq!((&done["keys"], &done["expired"]), (&json!(1), &json!(1)), "{done}");
    assert_eq!(redis.cli(&["GET", "clawster:{openclaw}:once:kept"]), "x");
    assert_eq!(keys(&redis), "1");
}

/// An export of one key from a server of the future, whose values have a form that no server reads yet.
fn from_the_future(file: &Path) {
    let header = json!({
        "clawster_export": 1, "cluster": "openclaw", "server": "Redis 99.0.0", "clawster": "9.0.0", "at_ms": 1,
    });
    let (name, value) = (b"clawster:{openclaw}:once:k", b"\0\x01x\xff\xff\0\0\0\0\0\0\0\0");
    let lengths = json!({"name": name.len(), "value": value.len(), "expires_at_ms": null});
    let mut bytes = format!("{header}\n{lengths}\n").into_bytes();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    let sum = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let sum: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.extend_from_slice(format!("{}\n", json!({"keys": 1, "sha256": sum})).as_bytes());
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_server_that_is_too_old_is_named_with_both_versions() {
    let redis = RedisServer::start();
    let dir = stage();
    let file = dir.path().join("x.export");
    from_the_future(&file);
    let failed = import(&Launch::new(dir.path(), "a").redis(&redis), &file, 1).stderr;
    let version = redis.info("server", "redis_version").unwrap();
    assert!(failed.contains(&format!("is Redis {version}, which cannot read the data of Redis 99.0.0")), "{failed}");
    assert!(failed.contains("nothing was written"), "{failed}");
    assert_eq!(keys(&redis), "0");
}
