//! What a new user meets on the command line: wrong assumptions are said or refused, and nothing is left half done.

use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use testkit::cluster::{settled, stage};
use testkit::command::{clawster_with, program};
use testkit::redis_server::free_port;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster, eventually};

fn private(launch: Launch) -> Launch {
    let server = testkit::redis_server::binary().display().to_string();
    launch.brisk().env("CLAWSTER__REDIS__MODE", "embedded").env("CLAWSTER_REDIS_SERVER", &server)
}

#[test]
fn exclusion_on_a_private_redis_is_said_and_can_be_refused() {
    let dir = stage();
    let launch = private(Launch::new(dir.path(), "a"));
    let run = ["run", "--lease", "bot"];
    let once = ["once", "--key", "k", "--ttl", "1m"];
    let with = |command: &[&'static str], more: &[&'static str]| {
        let all: Vec<&str> = command.iter().chain(more).copied().collect();
        clawster(&launch, &all)
    };
    let only = "excludes only processes of this host";
    let told = with(&run, &["--", "echo", "ran"]).expect(0);
    assert!(told.stdout == "ran\n" && told.stderr.contains(only), "{told:?}");
    let told = with(&run, &["--json", "--", "true"]).expect(0).stderr;
    assert!(told.lines().any(|line| line.contains("\"not_shared\"")), "{told}");
    assert_eq!(with(&run, &["--quiet", "--", "true"]).expect(0).stderr, "");
    let refused = with(&run, &["--require-shared", "--", "echo", "ran"]).expect(4);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("REDIS_HOST"), "{refused:?}");

    let refused = with(&once, &["--require-shared", "--", "echo", "ran"]).expect(4);
    assert!(refused.stdout.is_empty() && refused.stderr.contains(only), "{refused:?}");
    let told = with(&once, &["--", "echo", "ran"]).expect(0);
    assert!(told.stdout == "ran\n" && told.stderr.contains(only), "the refused one took the key: {told:?}");

    // A command asks the running node, whatever it would use itself.
    let node = launch.start();
    node.until("it leads", secs(30.0), |state| state["role"] == "leader");
    let elsewhere = launch.clone().env("CLAWSTER__REDIS__MODE", "").port(1);
    let refused = ["once", "--key", "other", "--ttl", "1m", "--require-shared", "--", "echo", "ran"];
    let refused = clawster(&elsewhere, &refused).expect(4);
    assert!(refused.stdout.is_empty() && refused.stderr.contains(only), "{refused:?}");
    node.close_stdin();
    node.exit(secs(20.0));
}

#[test]
fn a_shared_redis_needs_no_word() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis);
    let ran = clawster(&launch, &["once", "--key", "k", "--ttl", "1m", "--require-shared", "--", "true"]).expect(0);
    assert_eq!(ran.stderr, "");
    let ran = clawster(&launch, &["run", "--lease", "l", "--require-shared", "--", "true"]).expect(0);
    assert!(!ran.stderr.contains("excludes"), "{}", ran.stderr);
}

#[test]
fn a_program_that_cannot_be_started_does_not_use_up_the_key() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis);
    // Found, and may be executed, but its interpreter does not exist: only the start shows it.
    let broken = dir.path().join("broken");
    std::fs::write(&broken, "#!/no/such/interpreter\n").expect("a file");
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let broken = broken.display().to_string();
    for (program, code) in [("/no/such/program", 127), ("no-such-program", 127), ("/etc", 126), (broken.as_str(), 127)]
    {
        let failed = clawster(&launch, &["once", "--key", "k", "--ttl", "24h", "--", program]).expect(code);
        assert!(failed.stderr.contains("cannot run"), "{}", failed.stderr);
    }
    assert_eq!(
        clawster(&launch, &["once", "--key", "k", "--ttl", "24h", "--", "echo", "ran"]).expect(0).stdout,
        "ran\n"
    );
}

#[test]
fn a_time_without_a_unit_is_refused_everywhere() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").port(1);
    for arguments in [
        &["once", "--key", "k", "--ttl", "24", "--", "true"][..],
        &["run", "--lease", "l", "--ttl", "30", "--", "true"],
        &["run", "--lease", "l", "--wait", "5", "--", "true"],
        &["history", "--since", "7"],
        &["recv", "--wait", "3"],
        &["lease", "acquire", "l", "--ttl", "60"],
        &["tasks", "submit", "k", "1", "--delay", "10"],
        &["tasks", "claim", "--wait", "1"],
        &["top", "--interval", "2"],
        &["status", "--watch", "--every", "10"],
    ] {
        let refused = clawster(&launch, arguments).expect(2).stderr;
        assert!(refused.contains("write a unit"), "{arguments:?}: {refused}");
    }
}

#[test]
fn a_node_that_never_reached_redis_shows_no_empty_cluster() {
    let mut redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").port(free_port()).brisk();
    let never = launch.start();
    never.state();
    for command in [&["status"][..], &["status", "--json"], &["nodes"], &["nodes", "--json"]] {
        let shown = clawster(&launch, command).expect(3);
        assert!(shown.stderr.contains("has not seen the cluster"), "{command:?}: {}", shown.stderr);
    }
    let launch = Launch::new(dir.path(), "b").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    redis.kill9();
    node.until("Redis is lost", secs(20.0), |state| state["redis"]["status"] == "unavailable");
    let shown = clawster(&launch, &["status"]).expect(0).stdout;
    assert!(shown.contains("unavailable (this view is"), "the last view is a result: {shown}");
}

#[test]
fn the_history_of_one_node_knows_that_another_leads() {
    let redis = RedisServer::start();
    let dir = stage();
    let launches = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(&redis).brisk());
    let nodes = launches.each_ref().map(Launch::start);
    settled(&nodes.each_ref(), secs(20.0));
    nodes[0].ok("distributed.elect_leader", json!({"force": true}));
    nodes[1].ok("distributed.elect_leader", json!({"force": true}));
    settled(&nodes.each_ref(), secs(20.0));
    let text = clawster(&launches[0], &["history", "--of", "a"]).expect(0).stdout;
    assert!(!text.contains("no leader since"), "{text}");
    let answer = clawster(&launches[0], &["history", "--of", "a", "--json"]).expect(0).json();
    assert!(answer["report"]["leaderless_since_ms"].is_null(), "{answer}");
    assert_eq!(answer["report"]["nodes"].as_array().map(Vec::len), Some(1));
    clawster(&launches[0], &["history", "--of", "not an id"]).expect(2);
    let all = clawster(&launches[0], &["history", "--node", "a", "--json"]).expect(0).json();
    assert_eq!(all["report"]["nodes"].as_array().map(Vec::len), Some(2), "--node chooses the node to ask: {all}");
}

#[test]
fn a_reader_that_leaves_ends_a_command_that_waits_for_news() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    for arguments in [&["events", "--follow", "--after", "0-0"][..], &["status", "--watch", "--every", "1h"]] {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().envs(launch.environment()).current_dir(&launch.home);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        output.read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        drop(output);
        let ended = eventually("it ends without another event", secs(10.0), || {
            child.try_wait().expect("its state").ok_or("it runs")
        });
        assert!(ended.success(), "{arguments:?}: {ended}");
    }
}

#[test]
fn a_result_comes_in_one_write() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    for arguments in [&["status", "--json"][..], &["status"], &["nodes"], &["config", "check"]] {
        let mut command = Command::new(program());
        command.args(arguments).env_clear().envs(launch.environment()).current_dir(&launch.home);
        // Each read of a datagram takes one write.
        let (ours, theirs) = std::os::unix::net::UnixDatagram::pair().expect("a pair");
        ours.set_read_timeout(Some(secs(20.0))).expect("a limit");
        let output = std::os::fd::OwnedFd::from(theirs);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::from(output)).spawn().expect("it starts");
        let mut first = vec![0; 1 << 20];
        let size = ours.recv(&mut first).expect("a write");
        drop(command);
        assert!(child.wait().expect("it ends").success());
        ours.set_nonblocking(true).expect("no wait");
        let more = ours.recv(&mut [0; 64]);
        assert!(size > 50 && !matches!(more, Ok(1..)), "{arguments:?}: {size} bytes, then {more:?}");
    }
}

#[test]
fn a_heartbeat_for_an_unknown_node_beside_a_running_one_is_refused() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let unnamed = launch.clone().env("OPENCLAW_NODE_ID", "");
    let refused = clawster(&unnamed, &["heartbeat", "--node", "typo"]).expect(2).stderr;
    assert!(refused.contains("no clawster node typo") && refused.contains("a does"), "{refused}");
    clawster(&unnamed, &["heartbeat", "--node", "a"]).expect(0);
    // A configured id is no typing error, and where no node runs a scheduler may name any.
    clawster(&launch.clone().env("OPENCLAW_NODE_ID", "typo"), &["heartbeat"]).expect(0);
    clawster(&unnamed, &["heartbeat", "--node", "typo"]).expect(0);
    let alone = Launch::new(dir.path(), "alone").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    clawster(&alone, &["heartbeat", "--node", "first"]).expect(0);
}

#[test]
fn a_second_start_without_an_id_is_said() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk().env("OPENCLAW_NODE_ID", "");
    let first = launch.start();
    first.until("it leads", secs(20.0), |state| state["role"] == "leader");
    assert!(!first.stderr().contains("second member"), "{}", first.stderr());
    let second = launch.start();
    second.until("it joined", secs(20.0), |state| state["role"] == "follower");
    assert!(second.stderr().contains("becomes a second member"), "{}", second.stderr());
}

#[test]
fn a_byte_order_mark_before_the_first_request_is_skipped() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.send_raw(b"\xEF\xBB\xBF").expect("is written");
    node.ok("distributed.get_cluster_state", json!({}));
}

#[test]
fn process_1_of_a_container_leaves_no_zombie() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]).arg("--");
    command.arg("sh").arg("-c");
    // The shell becomes the node, and its background child, whose own child lives on, an orphan.
    command.arg(format!("(sleep 1 & sleep 0) & exec {} serve", program().display()));
    command.env_clear().envs(launch.environment()).current_dir(&launch.home);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("unshare is there");
    let host = child.id();
    let inside = || {
        let children =
            |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let node = children(&host.to_string()).split_whitespace().next().map(str::to_owned);
        let below = node.as_deref().map(children).unwrap_or_default();
        let is_zombie =
            |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
        (node, below.split_whitespace().filter(is_zombie).count(), below.split_whitespace().count())
    };
    let seen = eventually("an orphan of it has ended", secs(20.0), || match inside() {
        (Some(_), zombies @ 1.., _) => Ok(zombies),
        (None, ..) if child.try_wait().is_ok_and(|ended| ended.is_some()) => Ok(0),
        other => Err(format!("{other:?}")),
    });
    if seen == 0 {
        let mut why = String::new();
        child.stderr.take().expect("a pipe").read_to_string(&mut why).expect("text");
        // Where users may not create namespaces there is no process 1 to look at.
        assert!(why.contains("unshare"), "{why}");
        return;
    }
    eventually("it is reaped", secs(20.0), || match inside() {
        (Some(_), 0, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    drop(child.stdin.take());
    let ended = eventually("the node ends with its input", secs(20.0), || {
        child.try_wait().expect("its state").ok_or("it runs")
    });
    assert!(ended.success(), "{ended}");
}

#[test]
fn what_was_received_is_said_to_be_taken() {
    let redis = RedisServer::start();
    let dir = stage();
    let launches = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(&redis).brisk());
    let nodes = launches.each_ref().map(Launch::start);
    settled(&nodes.each_ref(), secs(20.0));
    clawster_with(&launches[0], &["send", "-"], b"\xEF\xBB\xBF{\"n\": 1}\r\n", secs(20.0)).expect(0);
    let looked = clawster(&launches[1], &["recv", "--no-ack", "--wait", "10s"]).expect(0).stdout;
    assert!(looked.contains("{\"n\": 1}") && looked.contains("Not acknowledged"), "{looked}");
    let taken = clawster(&launches[1], &["recv", "--wait", "10s"]).expect(0).stdout;
    assert!(taken.contains("{\"n\": 1}") && taken.contains("do not receive them"), "{taken}");
}

#[test]
fn members_that_came_and_went_can_be_forgotten() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "stays").redis(&redis).brisk();
    let node = launch.start();
    for pod in ["pod-1", "pod-2", "pod-3"] {
        let pod = Launch::new(dir.path(), pod).redis(&redis).brisk().start();
        pod.until("it joined", secs(20.0), |state| state["role"] != "observer");
        pod.close_stdin();
        pod.exit_clean(secs(10.0));
    }
    let ids = |state: &serde_json::Value| {
        state["nodes"].as_array().expect("a list").iter().map(|node| node["node_id"].clone()).collect::<Vec<_>>()
    };
    node.until("all are listed", secs(20.0), |state| ids(state).len() == 4);
    let one = clawster(&launch, &["nodes", "forget", "pod-2", "--json"]).expect(0).json();
    assert_eq!(one["forgotten"], json!(["pod-2"]));
    let refused = clawster(&launch, &["nodes", "forget", "stays", "nobody"]).expect(4).stderr;
    assert!(refused.contains("stays: alive") && refused.contains("nobody: not a member"), "{refused}");
    clawster(&launch, &["nodes", "forget", "--away", "1h"]).expect(0);
    node.until("nothing was away for an hour", secs(20.0), |state| ids(state).len() == 3);
    clawster(&launch, &["nodes", "forget", "--away", "0"]).expect(0);
    let left = node.until("the rest is gone", secs(20.0), |state| ids(state).len() == 1);
    assert_eq!(ids(&left), [json!("stays")]);
    clawster(&launch, &["nodes", "forget"]).expect(2);
    assert!(clawster(&launch, &["nodes", "--json"]).expect(0).json().is_array());
}
