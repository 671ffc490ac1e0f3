//! The command line beside a running node, and without one.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use testkit::cluster::{member, online, settled, stage};
use testkit::command::clawster_with;
use testkit::turn::beside;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster, eventually};

#[test]
fn the_socket_is_there_for_its_owner_only_and_goes_with_the_node() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it joined", secs(10.0), |state| state["role"] != "observer");
    let path = launch.home.join("state/openclaw/a.sock");
    let data = std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(data.file_type().is_socket());
    assert_eq!(data.permissions().mode() & 0o777, 0o600);
    node.close_stdin();
    node.exit_clean(secs(5.0));
    assert!(!path.exists(), "the socket stays behind");
}

#[test]
fn reading_commands_ask_the_running_node() {
    let redis = RedisServer::start();
    let dir = stage();
    let (a, b) =
        (Launch::new(dir.path(), "a").redis(&redis).brisk(), Launch::new(dir.path(), "b").redis(&redis).brisk());
    let (node, other) = (a.start(), b.start());
    settled(&[&node, &other], secs(20.0));
    let state = clawster(&a, &["status", "--json"]).expect(0).json();
    assert_eq!((&state["node_id"], &state["redis"]["status"]), (&json!("a"), &json!("ok")), "{state}");
    assert_eq!(online(&state).len(), 2);
    let nodes = clawster(&a, &["nodes", "--json"]).expect(0).json();
    assert!(nodes.to_string().contains("\"b\""), "{nodes}");
    let leader = state["leader_id"].as_str().expect("a leader");
    for args in [&["status"][..], &["nodes"]] {
        let text = clawster(&a, args).expect(0).stdout;
        for id in ["a", "b"] {
            let role = if id == leader { "leader" } else { "follower" };
            let row = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            let row = row.filter(|words| words.starts_with(&[id, "online", role])).count();
            assert_eq!(row, 1, "{args:?}: {id} is not shown as an online {role}: {text}");
        }
    }
    let text = clawster(&a, &["status"]).expect(0).stdout;
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(has("This node  a (") && has(&format!("Leader     {leader} (term ")), "{text}");
    assert!(has("Redis      ok") && has("Members    2 alive of 2"), "{text}");
}

#[test]
fn reading_commands_without_a_node_ask_redis_and_never_join() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let elsewhere = Launch::new(dir.path(), "elsewhere").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    let state = clawster(&elsewhere, &["status", "--json"]).expect(0).json();
    assert_eq!((&state["leader_id"], &state["role"]), (&json!("a"), &json!("observer")), "{state}");
    clawster(&elsewhere, &["nodes", "--json"]).expect(0);
    assert_eq!(online(&node.ok("distributed.get_cluster_state", json!({"fresh": true}))), ["a"]);
}

#[test]
fn messages_are_sent_and_received_from_the_command_line() {
    let redis = RedisServer::start();
    let dir = stage();
    let (a, b) =
        (Launch::new(dir.path(), "a").redis(&redis).brisk(), Launch::new(dir.path(), "b").redis(&redis).brisk());
    let (node, other) = (a.start(), b.start());
    settled(&[&node, &other], secs(20.0));
    let sent = clawster(&a, &["send", "--json", "--topic", "t", "{\"n\": 1}"]).expect(0).json();
    assert_eq!(sent["published"], 1, "{sent}");
    clawster(&a, &["send", "--to", "b", "hello there"]).expect(0);
    let got = clawster(&b, &["recv", "--json", "--wait", "5s", "--no-ack"]).expect(0).json();
    assert_eq!(
        (&got["received"][0]["payload"], &got["received"][0]["topic"]),
        (&json!({"n": 1}), &json!("t")),
        "{got}"
    );
    let all = got["received"].as_array().unwrap().len();
    // The host of the node shares the cursor.
    let cursor = got["cursor"].as_str().unwrap();
    clawster(&b, &["recv", "--limit", "0", "--ack", cursor]).expect(0);
    let rest = other.ok("distributed.sync_messages", json!({"wait_ms": 2000}));
    assert_eq!(all + rest["received"].as_array().unwrap().len(), 2, "{got} {rest}");
    clawster(&a, &["send", "--to", "ghost", "x"]).expect(4);
    clawster_with(&a, &["send", "-"], b"from a pipe", secs(10.0)).expect(0);
    let got = other.ok("distributed.sync_messages", json!({"wait_ms": 5000}));
    assert_eq!(got["received"][0]["payload"], "from a pipe", "{got}");
}

#[test]
fn elections_joins_and_leaves_from_the_command_line() {
    let redis = RedisServer::start();
    let dir = stage();
    let (a, b) =
        (Launch::new(dir.path(), "a").redis(&redis).brisk(), Launch::new(dir.path(), "b").redis(&redis).brisk());
    let (node, other) = (a.start(), b.start());
    settled(&[&node, &other], secs(20.0));
    let elected = clawster(&a, &["elect", "--candidate", "b", "--force", "--json"]).expect(0).json();
    assert_eq!(elected["leader_id"], "b", "{elected}");
    clawster(&a, &["elect"]).expect(0);
    clawster(&a, &["elect", "--candidate", "ghost", "--force"]).expect(4);
    clawster(&a, &["join", "--name", "Attic", "--label", "zone=eu"]).expect(0);
    let row = member(&node.state(), "a").unwrap();
    assert_eq!((&row["name"], &row["labels"]), (&json!("Attic"), &json!({"zone": "eu"})), "{row}");
    clawster(&a, &["leave"]).expect(0);
    assert_eq!(node.state()["role"], "observer");
    clawster(&a, &["leave"]).expect(4);
    clawster(&a, &["join"]).expect(0);
    settled(&[&node, &other], secs(10.0));
    clawster(&a, &["heartbeat"]).expect(0);
    let events = clawster(&a, &["events", "--json"]).expect(0).json_lines();
    assert!(events.iter().any(|event| event["event"] == "cluster.leader_elected"), "{events:?}");
}

#[test]
fn wrong_usage_and_missing_nodes_have_their_exit_code() {
    let dir = stage();
    let redis = RedisServer::start();
    let nobody = Launch::new(dir.path(), "nobody").redis(&redis);
    for args in [&["no-such-command"][..], &["elect", "--no-such-flag"], &["send", "x"], &["recv"]] {
        clawster(&nobody, args).expect(2);
    }
    clawster(&nobody, &["--version"]).expect(0);
    clawster(&nobody, &["--help"]).expect(0);
    // Two nodes that share a directory: the command has to be told which one.
    let base = Launch::new(dir.path(), "shared").redis(&redis).brisk();
    let (one, two) =
        (base.clone().env("OPENCLAW_NODE_ID", "one").start(), base.clone().env("OPENCLAW_NODE_ID", "two").start());
    settled(&[&one, &two], secs(20.0));
    let unnamed = base.env("OPENCLAW_NODE_ID", "");
    let refused = clawster(&unnamed, &["status"]).expect(2);
    assert!(refused.stderr.contains("--node") && refused.stderr.contains("one"), "{}", refused.stderr);
    let state = clawster(&unnamed, &["status", "--json", "--node", "two"]).expect(0).json();
    assert_eq!(state["node_id"], "two", "{state}");
}

#[test]
fn a_heartbeat_without_a_node_joins_keeps_its_life_and_renews_until_a_running_node_can_lead() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "cron").redis(&redis).timing(1.0, 6.0, 6.0);
    let first = clawster(&launch, &["heartbeat", "--json"]).expect(0).json();
    assert_eq!(first["node_id"], "cron", "{first}");
    let second = clawster(&launch, &["heartbeat", "--json"]).expect(0).json();
    assert_eq!(second["incarnation"], first["incarnation"], "the same life in every run");
    // With no running candidate it gets the lease in one of the runs, and keeps it under one term.
    let leads = testkit::eventually("it leads", secs(15.0), || {
        let beat = clawster(&launch, &["heartbeat", "--json"]).expect(0).json();
        if beat["role"] == "leader" { Ok(beat) } else { Err(beat) }
    });
    let renewed = clawster(&launch, &["heartbeat", "--json"]).expect(0).json();
    assert_eq!((&renewed["role"], &renewed["term"]), (&json!("leader"), &leads["term"]), "{renewed}");
    let state = clawster(&launch, &["status", "--json"]).expect(0).json();
    assert_eq!(online(&state), ["cron"], "{state}");
    // A running node is told of it, and takes over with the next beat of the one-shot member, which gives the lease up.
    let node = Launch::new(dir.path(), "daemon").redis(&redis).timing(1.0, 6.0, 6.0).start();
    let seen = node.until("it sees the one-shot member", secs(10.0), |state| member(state, "cron").is_some());
    assert_eq!(seen["leader_id"], "cron", "{seen}");
    let beat = clawster(&launch, &["heartbeat", "--json"]).expect(0).json();
    assert_eq!(beat["role"], "follower", "{beat}");
    let led = node.until("it leads after that", secs(20.0), |state| state["role"] == "leader");
    assert!(led["term"].as_u64() > leads["term"].as_u64(), "{led}");
}

#[test]
fn a_heartbeat_fails_with_3_after_its_retries_and_logs_each() {
    let _turn = beside();
    let dir = stage();
    let launch = Launch::new(dir.path(), "cron").port(testkit::redis_server::free_port());
    let launch = launch.env("CLAWSTER__NODE__RETRY_COUNT", "2").env("CLAWSTER__NODE__RETRY_DELAY", "0.2");
    let outcome = clawster(&launch, &["heartbeat"]).expect(3);
    assert!(outcome.took >= secs(0.4), "two waits of 0.2 s: {:?}", outcome.took);
    let attempts = outcome.stderr.lines().filter(|line| line.to_lowercase().contains("attempt")).count();
    assert!(attempts >= 2, "each failed attempt is logged: {}", outcome.stderr);
}

#[test]
fn doctor_schema_and_completions_answer() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis);
    let report = clawster(&launch, &["doctor", "--json"]);
    assert!(matches!(report.code, Some(0 | 1)), "{}", report.stderr);
    assert!(report.json().is_object(), "{}", report.stdout);
    let down = Launch::new(dir.path(), "b").port(testkit::redis_server::free_port());
    clawster(&down, &["doctor"]).expect(3);
    for shell in ["bash", "zsh", "fish"] {
        assert!(clawster(&launch, &["completions", shell]).expect(0).stdout.contains("clawster"));
    }
    let document = clawster(&launch, &["schema", "openrpc.json"]).expect(0).json();
    assert!(document["methods"].is_array());
    let _: Value = document;
}

#[test]
fn the_demo_ends_by_itself() {
    let _turn = beside();
    let dir = stage();
    let temporary = dir.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let place = temporary.display().to_string();
    let launch = Launch::new(dir.path(), "demo").env("OPENCLAW_NODE_ID", "").env("TMPDIR", &place);
    let outcome = clawster_with(&launch, &["demo", "--plain"], b"", secs(60.0)).expect(0);
    let said = &outcome.stdout;
    assert!(said.contains("Killing the leader node-"), "{said}");
    let took_over = said.lines().filter_map(|line| line.split_once(" took over after "));
    let took_over: Vec<_> = took_over.filter_map(|(_, rest)| rest.split_once(" ms (term ")).collect();
    assert!(took_over.iter().any(|(millis, _)| millis.parse::<u64>().is_ok()), "nobody took over: {said}");
    assert!(said.contains(" rejoined as a "), "the killed node did not come back: {said}");
    testkit::eventually("all its processes end", secs(5.0), || {
        let left = processes_that_name(&place);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0, "its folder stays behind");
}

/// The live processes with this text in their arguments or variables, by number.
fn processes_that_name(text: &str) -> Vec<u32> {
    let names = |bytes: std::io::Result<Vec<u8>>| {
        bytes.is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
    };
    let entries = std::fs::read_dir("/proc").expect("the processes").flatten();
    let processes = entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    let named = processes
        .filter(|(_, path)| names(std::fs::read(path.join("cmdline"))) || names(std::fs::read(path.join("environ"))));
    named.map(|(pid, _)| pid).collect()
}

#[test]
fn the_start_script_starts_a_node() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "unused").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    launch.config("{\"node\": {\"name\": \"By Script\"}}");
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("start-node.sh");
    let binary = testkit::program().parent().unwrap().display().to_string();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap());
    let mut child = std::process::Command::new("sh")
        .arg(&script)
        .args(["scripted".as_ref(), launch.home.join("config").as_os_str()])
        .env_clear()
        .envs(launch.environment())
        .env("PATH", path)
        .env_remove("CLAWSTER_CONFIG_DIR")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the script starts");
    let found = testkit::eventually("the node joins", secs(20.0), || {
        let outcome = clawster(&launch, &["status", "--json", "--fresh"]);
        match serde_json::from_str::<Value>(&outcome.stdout).ok().and_then(|state| member(&state, "scripted")) {
            Some(row) => Ok(Ok(row)),
            None if child.try_wait().unwrap().is_some() => Ok(Err("the script ended")),
            None => Err(outcome.stdout + &outcome.stderr),
        }
    });
    drop(child.stdin.take());
    testkit::eventually("it ends with its input", secs(6.0), || child.try_wait().unwrap().ok_or("it runs"));
    assert_eq!(found.expect("a member")["name"], "By Script");
}

#[test]
fn a_rename_by_one_client_leaves_the_others_connected() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a1").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    let path = |id: &str| launch.home.join(format!("state/openclaw/{id}.sock"));
    let connect = |id: &str| {
        let stream = UnixStream::connect(path(id)).expect("the socket is there");
        stream.set_read_timeout(Some(secs(20.0))).unwrap();
        BufReader::new(stream)
    };
    let ask = |client: &mut BufReader<UnixStream>, line: Value| {
        client.get_mut().write_all(format!("{line}\n").as_bytes()).expect("the connection stands");
    };
    let answer = |client: &mut BufReader<UnixStream>| {
        let mut line = String::new();
        client.read_line(&mut line).expect("an answer comes");
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    let (mut renamer, mut other) = (connect("a1"), connect("a1"));
    let wait = json!({"wait_ms": 3000});
    ask(&mut other, json!({"jsonrpc": "2.0", "id": 7, "method": "distributed.claim_tasks", "params": wait}));
    ask(&mut other, json!({"jsonrpc": "2.0", "id": 8, "method": "distributed.get_cluster_state"}));
    assert_eq!(answer(&mut other)["id"], 8, "the other call waits");
    let rename = json!({"node_id": "a2"});
    ask(&mut renamer, json!({"jsonrpc": "2.0", "id": 1, "method": "distributed.join_cluster", "params": rename}));
    assert_eq!(answer(&mut renamer)["result"]["node_id"], "a2");
    assert_eq!(answer(&mut other), json!({"jsonrpc": "2.0", "id": 7, "result": {"tasks": []}}));
    for client in [&mut renamer, &mut other] {
        ask(client, json!({"jsonrpc": "2.0", "id": 2, "method": "distributed.get_cluster_state"}));
        assert_eq!(answer(client)["result"]["node_id"], "a2", "it is served on");
    }
    eventually("the new path is there, and the old one is gone", secs(10.0), || {
        if path("a2").exists() && !path("a1").exists() { Ok(()) } else { Err("not yet") }
    });
    ask(&mut connect("a2"), json!({"jsonrpc": "2.0", "id": 3, "method": "distributed.get_cluster_state"}));
    let back = json!({"node_id": "a1"});
    ask(&mut other, json!({"jsonrpc": "2.0", "id": 4, "method": "distributed.join_cluster", "params": back}));
    assert_eq!(answer(&mut other)["result"]["node_id"], "a1");
    eventually("the first path is there again", secs(10.0), || UnixStream::connect(path("a1")));
    node.sigterm();
    node.exit_clean(secs(5.0));
}
