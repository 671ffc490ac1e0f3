//! `clawster work`: a command for each task.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use testkit::cluster::{settled, stage};
use testkit::command::clawster_with;
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, clawster, eventually};

struct Stage {
    node: Serve,
    other: Serve,
    launch: Launch,
    _dir: tempfile::TempDir,
}

fn two(redis: &RedisServer) -> Stage {
    let dir = stage();
    let [launch, second] = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(redis).brisk());
    let (node, other) = (launch.start(), second.start());
    settled(&[&node, &other], secs(20.0));
    Stage { node, other, launch, _dir: dir }
}

fn submit(node: &Serve, params: Value) -> String {
    node.ok("distributed.submit_task", params)["task_id"].as_str().expect("an id").to_owned()
}

fn task(node: &Serve, id: &str) -> Value {
    node.ok("distributed.get_task", json!([id]))
}

fn until(node: &Serve, id: &str, state: &str) -> Value {
    eventually(&format!("{id} is {state}"), secs(20.0), || {
        let task = task(node, id);
        if task["state"] == state { Ok(task) } else { Err(task) }
    })
}

/// A worker that runs until it is ended.
fn worker(launch: &Launch, args: &[&str]) -> Child {
    Command::new(testkit::program())
        .arg("work")
        .args(args)
        .env_clear()
        .envs(launch.environment())
        .current_dir(&launch.home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the worker starts")
}

fn ends(child: &mut Child) -> Option<i32> {
    eventually("the worker ends", secs(20.0), || child.try_wait().unwrap().ok_or("it runs")).code()
}

#[test]
fn the_exit_code_decides_and_the_output_is_the_result() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let script = r#"read payload
        case $payload in
            '"json"') echo '{"id": "'$CLAWSTER_TASK_ID'", "n": '$CLAWSTER_TASK_ATTEMPT'}';;
            '"text"') echo hello; echo there;;
            '"none"') ;;
            '"again"') echo first >&2; echo "no luck" >&2; exit 1;;
            '"never"') echo "$CLAWSTER_TASK_KIND is wrong" >&2; exit 65;;
            '"much"') head -c 1100000 /dev/zero | tr '\0' x;;
            '"signal"') kill -9 $$;;
        esac"#;
    for what in ["json", "text", "none", "again", "never", "much", "signal"] {
        submit(&s.other, json!({"id": what, "kind": "k", "payload": what, "max_attempts": 1}));
    }
    submit(&s.other, json!({"id": "retried", "kind": "k", "payload": "again", "max_attempts": 3}));
    let args = ["work", "--kind", "k", "--jobs", "3", "--once", "--json", "--", "sh", "-c", script];
    let lines = clawster_with(&s.launch, &args, b"", secs(60.0)).expect(0).json_lines();
    assert!(lines.len() >= 8, "{lines:?}");
    let state = |id: &str| task(&s.node, id);
    let json = state("json");
    assert_eq!((&json["state"], &json["result"]), (&json!("done"), &json!({"id": "json", "n": 1})));
    assert_eq!(state("text")["result"], "hello\nthere");
    assert_eq!((&state("none")["state"], &state("none")["result"]), (&json!("done"), &Value::Null));
    let again = state("again");
    assert_eq!((&again["state"], &again["error"]), (&json!("dead"), &json!("first\nno luck")), "{again}");
    let never = state("never");
    assert_eq!((&never["state"], &never["error"]), (&json!("failed"), &json!("k is wrong")), "{never}");
    assert_eq!(state("much")["state"], "failed");
    assert!(state("signal")["error"].as_str().unwrap().contains("signal"), "{}", state("signal"));
    assert!(["delayed", "waiting"].contains(&state("retried")["state"].as_str().unwrap()), "{}", state("retried"));
}

#[test]
fn a_long_job_is_extended_and_a_lost_one_is_killed_with_its_children() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let marker = s.launch.home.join("alive");
    let script = format!("sleep 600 & echo $! > {}; wait", marker.display());
    let long = submit(&s.other, json!({"kind": "long", "payload": 1, "timeout_ms": 600}));
    let mut child = worker(&s.launch, &["--kind", "long", "--", "sh", "-c", &script]);
    until(&s.node, &long, "running");
    testkit::hold(secs(2.0), "more than three times the timeout passes");
    let running = task(&s.node, &long);
    assert_eq!((&running["state"], &running["attempts"]), (&json!("running"), &json!(1)), "{running}");
    let sleeper: i32 = std::fs::read_to_string(&marker).unwrap().trim().parse().unwrap();
    let lives = || std::fs::read_to_string(format!("/proc/{sleeper}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(lives());
    s.other.ok("distributed.cancel_task", json!([long]));
    eventually("its children are killed", secs(10.0), || if lives() { Err("they live") } else { Ok(()) });
    assert_eq!(task(&s.node, &long)["state"], "failed");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(ends(&mut child), Some(0));
}

#[test]
fn a_signal_lets_what_runs_finish_and_claims_no_more() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let gate = s.launch.home.join("gate");
    let started = s.launch.home.join("started");
    let (mark, open) = (started.display(), gate.display());
    let script = format!("touch {mark}; while [ ! -e {open} ]; do sleep 0.05; done; echo '\"done\"'");
    let first = submit(&s.other, json!({"kind": "k", "payload": 1}));
    let second = submit(&s.other, json!({"kind": "k", "payload": 2}));
    let mut child = worker(&s.launch, &["--kind", "k", "--", "sh", "-c", &script]);
    // A task is running from its claim on, a little before its command is.
    eventually("the command runs", secs(20.0), || if started.exists() { Ok(()) } else { Err("not yet") });
    assert_eq!(task(&s.node, &first)["state"], "running");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    testkit::hold(secs(0.5), "the worker takes the signal while its job runs");
    assert!(child.try_wait().unwrap().is_none(), "it waits for what runs");
    std::fs::write(&gate, "").unwrap();
    assert_eq!(ends(&mut child), Some(0));
    assert_eq!(task(&s.node, &first)["result"], "done");
    assert_eq!(task(&s.node, &second)["state"], "waiting");
}

#[test]
fn a_killed_worker_takes_its_command_with_it() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let marker = s.launch.home.join("alive");
    let script = format!("echo $$ > {}; exec sleep 600", marker.display());
    let long = submit(&s.other, json!({"kind": "k", "payload": 1, "timeout_ms": 1_500}));
    let mut child = worker(&s.launch, &["--kind", "k", "--", "sh", "-c", &script]);
    let sleeper: i32 = eventually("the command runs", secs(20.0), || {
        std::fs::read_to_string(&marker).unwrap_or_default().trim().parse().map_err(|error| format!("{error}"))
    });
    let lives = || std::fs::read_to_string(format!("/proc/{sleeper}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(lives());
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the command is killed", secs(10.0), || if lives() { Err("it lives") } else { Ok(()) });
    assert_eq!(task(&s.node, &long)["attempts"], 1, "before the task is another's");
    let again = eventually("the task is handed out again", secs(20.0), || {
        s.other.ok("distributed.claim_tasks", json!({"wait_ms": 1_000}))["tasks"].get(0).cloned().ok_or("none")
    });
    assert_eq!((&again["task_id"], &again["attempt"]), (&json!(long), &json!(2)));
}

#[test]
fn a_worker_goes_on_when_its_node_comes_back() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let mut child = worker(&s.launch, &["--kind", "k", "--", "cat"]);
    let first = submit(&s.other, json!({"kind": "k", "payload": 1}));
    until(&s.other, &first, "done");
    s.node.kill9();
    let again = s.launch.start();
    let second = submit(&s.other, json!({"kind": "k", "payload": 2}));
    assert_eq!(until(&s.other, &second, "done")["result"], 2);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(ends(&mut child), Some(0));
    drop(again);
}

#[test]
fn tasks_are_looked_after_from_the_command_line() {
    let redis = RedisServer::start();
    let s = two(&redis);
    let l = &s.launch;
    let submitted = clawster(l, &["tasks", "submit", "mail", "--id", "m1", "--json", "{\"n\": 1}"]).expect(0).json();
    assert_eq!(submitted, json!({"task_id": "m1", "duplicate": false}));
    assert!(clawster(l, &["tasks", "submit", "mail", "--id", "m1", "x"]).expect(0).stdout.contains("already"));
    clawster_with(l, &["tasks", "submit", "mail", "--delay", "1h", "--on", "b"], b"from a pipe", secs(10.0)).expect(0);
    let text = clawster(l, &["tasks", "list"]).expect(0).stdout;
    assert!(text.contains("m1") && text.contains("delayed"), "{text}");
    let claimed = clawster(l, &["tasks", "claim", "--kind", "mail", "--json"]).expect(0).json();
    let token = claimed["tasks"][0]["token"].to_string();
    clawster(l, &["tasks", "claim", "--kind", "mail"]).expect(4);
    clawster(l, &["tasks", "complete", "m1", "1"]).expect(4);
    clawster(l, &["tasks", "fail", "m1", &token, "no address", "--no-retry"]).expect(0);
    let text = clawster(l, &["tasks", "get", "m1"]).expect(0).stdout;
    assert!(text.contains("failed") && text.contains("no address"), "{text}");
    assert!(clawster(l, &["tasks", "redrive", "m1"]).expect(0).stdout.contains("waiting"));
    clawster(l, &["tasks", "cancel", "m1"]).expect(0);
    clawster(l, &["tasks", "get", "ghost"]).expect(4);
    clawster(l, &["tasks", "list", "--state", "lost"]).expect(2);
    clawster(l, &["work", "--kind", "k"]).expect(2);
}
