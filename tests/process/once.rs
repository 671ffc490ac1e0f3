//! `clawster once`: one run for each key and window.

use std::path::Path;
use std::sync::Barrier;
use testkit::command::clawster_with;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster};

fn launches(dir: &Path, redis: &RedisServer, count: usize) -> Vec<Launch> {
    (0..count).map(|number| Launch::new(dir, &format!("n{number}")).redis(redis)).collect()
}

/// Each window, all processes at once; every run adds a line to a file.
#[track_caller]
fn rounds(processes: usize, windows: usize) {
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a folder");
    let ran = dir.path().join("ran");
    let script = format!("echo $1 >> {}", ran.display());
    let barrier = Barrier::new(processes);
    std::thread::scope(|scope| {
        for launch in launches(dir.path(), &redis, processes) {
            let (barrier, script) = (&barrier, &script);
            scope.spawn(move || {
                for window in 0..windows {
                    barrier.wait();
                    let (key, window) = (format!("job-%Y-{window}"), window.to_string());
                    let arguments = ["once", "--key", &key, "--ttl", "10m", "--", "sh", "-c", script, "sh", &window];
                    clawster_with(&launch, &arguments, b"", secs(60.0)).expect(0);
                }
            });
        }
    });
    let text = std::fs::read_to_string(ran).expect("something ran");
    let mut lines: Vec<usize> = text.lines().map(|line| line.parse().expect("a window")).collect();
    lines.sort_unstable();
    assert_eq!(lines, (0..windows).collect::<Vec<_>>());
}

#[test]
fn ten_processes_run_each_of_a_hundred_windows_once() {
    rounds(10, 100);
}

#[test]
fn the_others_say_who_did_it_and_the_exit_code_is_the_commands() {
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a folder");
    let all = launches(dir.path(), &redis, 2);
    let key = ["once", "--key", "report-%G-W%V", "--ttl", "7d"];
    let with = |more: &[&'static str]| key.iter().chain(more).copied().collect::<Vec<_>>();
    assert_eq!(clawster(&all[0], &with(&["--", "sh", "-c", "echo done; exit 9"])).expect(9).stdout, "done\n");
    let second = clawster(&all[1], &with(&["--", "echo", "twice"])).expect(0);
    assert_eq!(second.stdout, "");
    assert!(second.stderr.contains("already done by n0 at 2"), "{}", second.stderr);
    let quiet = clawster(&all[1], &with(&["--quiet", "--", "echo", "twice"])).expect(0);
    assert_eq!(quiet.stdout + &quiet.stderr, "");
    let json = clawster(&all[1], &with(&["--json", "--", "echo", "twice"])).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stderr).expect("JSON");
    assert_eq!(json["by"], "n0", "{json}");
    clawster(&all[1], &["once", "--key", "x%!", "--ttl", "1m", "--", "true"]).expect(2);
    clawster(&all[1], &["once", "--key", "other", "--ttl", "1m", "--", "no-such-command"]).expect(127);
}

#[test]
fn a_running_node_is_asked_and_named() {
    let redis = RedisServer::start();
    let dir = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    // Nobody told the command which node it is but the node itself.
    let unnamed = launch.clone().env("OPENCLAW_NODE_ID", "");
    let arguments = ["once", "--key", "k-%Y-%m-%d", "--ttl", "10m", "--", "echo", "ran"];
    assert_eq!(clawster(&unnamed, &arguments).expect(0).stdout, "ran\n");
    let again = clawster(&unnamed, &arguments).expect(0);
    assert!(again.stdout.is_empty() && again.stderr.contains("already done by a at "), "{}", again.stderr);
    let other = Launch::new(dir.path(), "b").redis(&redis);
    assert_eq!(clawster(&other, &arguments).expect(0).stdout, "", "with and without a node it is the same key");
}

#[test]
fn nothing_runs_while_redis_is_away() {
    let _turn = testkit::turn::beside();
    let dir = tempfile::tempdir().expect("a folder");
    let launch = Launch::new(dir.path(), "a").port(testkit::redis_server::free_port());
    let launch = launch.env("CLAWSTER__NODE__RETRY_COUNT", "1").env("CLAWSTER__NODE__RETRY_DELAY", "0.1");
    let away = clawster(&launch, &["once", "--key", "x", "--ttl", "1m", "--", "echo", "ran"]).expect(3);
    assert_eq!(away.stdout, "");
    assert!(away.stderr.contains("the command was not run"), "{}", away.stderr);
}

#[test]
fn a_lost_answer_runs_the_command_all_the_same_and_once() {
    let redis = RedisServer::start();
    let proxy = testkit::Proxy::start(redis.port());
    let dir = tempfile::tempdir().expect("a folder");
    let all = launches(dir.path(), &redis, 2);
    let bad = all[0].clone().port(proxy.port()).env("CLAWSTER__NODE__RETRY_DELAY", "0.1");
    for lost in 1..6 {
        let key = format!("k{lost}");
        proxy.drop_replies(lost);
        let arguments = ["once", "--key", &key, "--ttl", "1m", "--", "echo", "ran"];
        let first = clawster(&bad, &arguments);
        proxy.drop_replies(0);
        let second = clawster(&all[1], &arguments).expect(0);
        match first.code {
            Some(0) => assert_eq!((first.stdout.as_str(), second.stdout.as_str()), ("ran\n", "")),
            code => {
                assert_eq!(code, Some(3), "{}", first.stderr);
                assert_eq!(first.stdout, "");
            }
        }
    }
}
