//! Alerts of real nodes: once in the cluster, by whoever leads then, and without Redis by each node that it lost.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use testkit::command::clawster;
use testkit::wait::{always, secs};
use testkit::{Launch, RedisServer, Trio, eventually};

/// A webhook, and the alerts that it got.
struct Hook {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let (address, got) = (listener.local_addr().expect("it has one"), Arc::new(Mutex::new(Vec::new())));
        let sink = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                let mut text = String::new();
                let body = loop {
                    let mut bytes = [0; 4096];
                    let count = stream.read(&mut bytes).expect("it can be read");
                    text.push_str(std::str::from_utf8(&bytes[..count]).expect("it is UTF-8"));
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
                    if body.len() >= length.parse::<usize>().expect("a number") {
                        break body.to_owned();
                    }
                };
                sink.lock().unwrap().push(serde_json::from_str(&body).expect("it is JSON"));
                stream.write_all(b"HTTP/1.1 204 x\r\nconnection: close\r\n\r\n").expect("it reads");
            }
        });
        Self { address, got }
    }

    fn alerts(&self, kind: &str) -> Vec<Value> {
        self.got.lock().unwrap().iter().filter(|alert| alert["alert"] == kind).cloned().collect()
    }

    fn told(&self, launch: Launch) -> Launch {
        launch.env("CLAWSTER__ALERTS__WEBHOOK", &format!("http://{}/hook", self.address))
    }

    /// Waits for an alert.
    #[track_caller]
    fn wait(&self, kind: &str) -> Value {
        eventually(&format!("an alert {kind}"), secs(60.0), || {
            self.alerts(kind).pop().ok_or_else(|| format!("{:?}", self.got.lock().unwrap()))
        })
    }
}

#[test]
fn a_killed_leader_is_told_once_by_its_successor() {
    let (redis, hook) = (RedisServer::start(), Hook::start());
    let trio = Trio::with(|launch| hook.told(launch.redis(&redis).brisk()));
    let leader = trio.settled(secs(20.0));
    let name = trio.launches[leader].label.clone();
    trio.nodes[leader].kill9();
    let alert = hook.wait("node_left");
    assert_eq!(
        (&alert["subject"], &alert["cluster"]),
        (&Value::from(name.as_str()), &Value::from("openclaw")),
        "{alert}"
    );
    assert_eq!(alert["text"], format!("Node {name} is gone: its process died."));
    assert_ne!(alert["sent_by"], name.as_str());
    // Its successor first tells of the killed one's own election, where that one had not got to it.
    eventually("the successor's election is told", secs(60.0), || {
        let elected = hook.alerts("leader_elected");
        if elected.iter().any(|alert| alert["subject"] != name.as_str()) { Ok(()) } else { Err(format!("{elected:?}")) }
    });
    always("there is no second alert about the same node", secs(3.0), || {
        let alerts = hook.alerts("node_left");
        if alerts.len() == 1 { Ok(()) } else { Err(format!("{alerts:?}")) }
    });
}

#[test]
fn a_redis_that_is_gone_is_told_by_the_nodes_that_lost_it() {
    let (mut redis, hook) = (RedisServer::start(), Hook::start());
    let dir = testkit::cluster::stage();
    let node = hook.told(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    redis.kill9();
    let alert = hook.wait("redis_unavailable");
    assert_eq!((&alert["subject"], &alert["sent_by"]), (&Value::from("a"), &Value::from("a")), "{alert}");
}

#[test]
fn a_test_alert_goes_to_webhook_and_program_without_redis_or_node() {
    let hook = Hook::start();
    let dir = testkit::cluster::stage();
    let file = dir.path().join("told.json");
    let launch = hook.told(Launch::new(dir.path(), "a"));
    let command = format!(r#"["/bin/sh", "-c", "cat > '{}'"]"#, file.display());
    let launch = launch.env("CLAWSTER__ALERTS__COMMAND", &command);
    let outcome = clawster(&launch, &["alerts", "test"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(hook.alerts("test").len(), 1);
    assert!(std::fs::read_to_string(&file).expect("the program ran").contains("\"alert\":\"test\""));
    let silent = Launch::new(dir.path(), "b").env("CLAWSTER__ALERTS__WEBHOOK", "http://127.0.0.1:1/s3cret");
    let outcome = clawster(&silent, &["alerts", "test"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("cannot connect"), "{outcome:?}");
    assert!(!outcome.stderr.contains("s3cret"), "{outcome:?}");
    let outcome = clawster(&Launch::new(dir.path(), "c"), &["alerts", "test"]);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("alerts.webhook"), "{outcome:?}");
}
