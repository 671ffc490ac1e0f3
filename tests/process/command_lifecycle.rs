//! A grant is for work that begins, and a task ends with its command.

use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use testkit::cluster::stage;
use testkit::redis_server::RedisServer;
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, Serve, clawster, eventually};

/// A file that looks like a program and cannot be started: its interpreter does not exist.
fn broken(dir: &Path) -> String {
    let path = dir.join("broken");
    std::fs::write(&path, "#!/nonexistent/interpreter\n").expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
    path.display().to_string()
}

#[test]
fn a_program_that_cannot_be_started_leaves_the_key_to_the_next_host() {
    let redis = RedisServer::start();
    let dir = stage();
    let [first, second] = ["a", "b"].map(|id| Launch::new(dir.path(), id).redis(&redis).brisk());
    let broken = broken(dir.path());
    let folder = dir.path().display().to_string();
    let try_all = |who: &str| {
        // Found before the key is asked for, and only at the start of the program.
        for (key, program, code) in [
            ("none", "/opt/no-such-report", 127),
            ("path", "no-such-report", 127),
            ("folder", folder.as_str(), 126),
            ("broken", broken.as_str(), 127),
        ] {
            let key = format!("{key}-{who}");
            let line = |program: &str| ["once", "--key", &key, "--ttl", "24h", "--", program].map(str::to_owned);
            let failed = clawster(&first, &line(program).each_ref().map(String::as_str)).expect(code);
            assert!(failed.stderr.contains("cannot run "), "{}", failed.stderr);
            let ran = clawster(&second, &["once", "--key", &key, "--ttl", "24h", "--", "echo", "ran"]).expect(0);
            assert_eq!(ran.stdout, "ran\n", "{key}: {} / {}", failed.stderr, ran.stderr);
            let again = clawster(&first, &["once", "--key", &key, "--ttl", "24h", "--", "echo", "ran"]).expect(0);
            assert_eq!(again.stdout, "", "{key} is taken by who ran it");
        }
    };
    try_all("alone");
    let node = first.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    try_all("node");
}

struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn worker(launch: &Launch, script: &str) -> Worker {
    let mut command = Command::new(testkit::program());
    command.args(["work", "--kind", "bg", "--", "sh", "-c", script]);
    command.env_clear().envs(launch.environment()).current_dir(&launch.home);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Worker(command.spawn().expect("the worker starts"))
}

fn done(node: &Serve, id: &str) -> Value {
    eventually(&format!("{id} is done"), secs(20.0), || {
        let task = node.ok("distributed.get_task", json!([id]));
        if task["state"] == "done" { Ok(task) } else { Err(task) }
    })
}

#[test]
fn a_task_ends_with_its_command_and_not_with_its_output() {
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    // One child stays in the command's process group, one leaves it; both keep its output open for longer than the test waits.
    let pids = dir.path().join("pids");
    let script = format!(
        "p={}-$CLAWSTER_TASK_ID; sleep 600 & echo $! >> $p; setsid sh -c \"echo \\$\\$ >> $p; exec sleep 600\" & \
         until [ $(wc -l < $p) -ge 2 ]; do :; done; echo ok",
        pids.display()
    );
    let mut worker = worker(&launch, &script);
    for id in ["1", "2"] {
        node.ok("distributed.submit_task", json!({"id": id, "kind": "bg", "payload": 1, "timeout_ms": 3000}));
    }
    for id in ["1", "2"] {
        let task = done(&node, id);
        assert_eq!((&task["result"], &task["attempts"]), (&json!("ok"), &json!(1)), "{task}");
    }
    let read = |id: &str| std::fs::read_to_string(format!("{}-{id}", pids.display())).expect("the numbers");
    let text = read("1") + &read("2");
    let numbers: Vec<&str> = text.lines().collect();
    assert_eq!(numbers.len(), 4, "{text}");
    let running = || {
        let sleeps = |pid: &&&str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        numbers.iter().filter(sleeps).count()
    };
    // Those of the group end with the task; those that left it are not the task's any more.
    eventually("the groups are gone", secs(10.0), || if running() == 2 { Ok(()) } else { Err(running()) });
    let pid = rustix::process::Pid::from_child(&worker.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
    let ended = eventually("the worker ends", secs(5.0), || worker.0.try_wait().unwrap().ok_or("it runs"));
    assert_eq!(ended.code(), Some(0));
    for number in numbers {
        if let Some(pid) = number.parse().ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// The variables that a command sees, by name.
fn names(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect()
}

#[test]
fn commands_get_no_variable_that_holds_a_secret() {
    let redis = RedisServer::with(RedisOptions { password: Some("hush".to_owned()), ..RedisOptions::default() });
    let dir = stage();
    let url = format!("redis://:hush@127.0.0.1:{}", redis.port());
    let launch = Launch::new(dir.path(), "a").port(redis.port()).brisk();
    let by_password = launch.clone().env("REDIS_PASSWORD", "hush").env("MONGODB_URI", "").env("PLAIN", "seen");
    let by_url = launch.clone().env("REDIS_HOST", "").env("REDIS_PORT", "").env("REDIS_URL", &url).env("PLAIN", "seen");
    let named = launch.env("MY_WORD", "hush").env("PLAIN", "seen");
    for (at, launch) in [by_password, by_url, named].iter().enumerate() {
        if at == 2 {
            launch.secrets(r#"{"redis": {"password": "${MY_WORD}"}}"#);
        }
        let key = format!("k{at}");
        let once = clawster(launch, &["once", "--key", &key, "--ttl", "1m", "--", "env"]).expect(0);
        let run = clawster(launch, &["run", "--lease", &key, "--", "env"]).expect(0);
        for (what, text) in [("once", &once.stdout), ("run", &run.stdout)] {
            assert!(!text.contains("hush"), "{what}: {text}");
            assert!(names(text).contains(&"PLAIN") && names(text).contains(&"PATH"), "{what}: {text}");
        }
        let node = launch.start();
        node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
        node.ok("distributed.submit_task", json!({"id": &key, "kind": "bg", "payload": 1}));
        let worker = worker(launch, "env");
        let result = done(&node, &key)["result"].as_str().unwrap_or_default().to_owned();
        assert!(!result.contains("hush") && names(&result).contains(&"PLAIN"), "work: {result}");
        drop(worker);
    }
}
