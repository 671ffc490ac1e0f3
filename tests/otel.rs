//! Spans on their way to an OpenTelemetry collector, with the feature `otel`: `make otel`.
//!
//! 1. The collector is a few lines in this file, on loopback; what it gets is read as the protocol's bytes.
//!
//! Not here: which spans there are (`tests/process/tracing.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, clawster, eventually, stamp};

/// What came in one post: the head and the body.
type Post = (String, Vec<u8>);

/// Takes every post, and answers that it was taken.
fn collector() -> (String, Arc<Mutex<Vec<Post>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let posts = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&posts);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = Vec::new();
            let mut chunk = [0; 4096];
            let post = loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                    let begins = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                    if bytes.len() >= begins + length.parse::<usize>().unwrap() {
                        break (head.to_owned(), bytes.split_off(begins));
                    }
                }
                match stream.read(&mut chunk).unwrap() {
                    0 => panic!("half a post"),
                    count => bytes.extend_from_slice(&chunk[..count]),
                }
            };
            kept.lock().unwrap().push(post);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        }
    });
    (endpoint, posts)
}

/// The fields of a message that hold bytes, by number, in order; of the others only the place is skipped.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (first, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(first & 127) << shift;
            if first & 128 == 0 {
                return value;
            }
        }
        unreachable!()
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let skip = match key & 7 {
            0 => {
                varint(&mut bytes);
                continue;
            }
            1 => 8,
            5 => 4,
            _ => usize::try_from(varint(&mut bytes)).unwrap(),
        };
        let (field, rest) = bytes.split_at(skip);
        if key & 7 == 2 {
            found.push((key >> 3, field));
        }
        bytes = rest;
    }
    found
}

fn of(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    fields(bytes).into_iter().filter(|(known, _)| *known == number).map(|(_, field)| field).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A span: its id, its parent's, its name, and its attributes that are texts.
#[derive(Debug, Clone)]
struct Span {
    id: Vec<u8>,
    parent: Vec<u8>,
    name: String,
    attributes: Vec<(String, String)>,
}

impl Span {
    fn is(&self, key: &str, value: &str) -> bool {
        self.attributes.iter().any(|(known, said)| known == key && said == value)
    }
}

fn attributes(all: &[&[u8]]) -> Vec<(String, String)> {
    let value =
        |pair: &[u8]| of(pair, 2).first().map(|any| of(any, 1).first().map(|said| text(said)).unwrap_or_default());
    all.iter().map(|pair| (text(of(pair, 1)[0]), value(pair).unwrap_or_default())).collect()
}

/// The resource's attributes and the spans of a post.
fn spans(body: &[u8]) -> (Vec<(String, String)>, Vec<Span>) {
    let (mut resource, mut found) = (Vec::new(), Vec::new());
    for group in of(body, 1) {
        resource = attributes(&of(of(group, 1)[0], 1));
        for span in of(group, 2).into_iter().flat_map(|scope| of(scope, 2)) {
            let one = |number| of(span, number).first().map(|field| field.to_vec()).unwrap_or_default();
            found.push(Span { id: one(2), parent: one(4), name: text(&one(5)), attributes: attributes(&of(span, 9)) });
        }
    }
    (resource, found)
}

#[test]
fn a_request_and_its_calls_arrive_with_their_node() {
    let (redis, dir) = (RedisServer::start(), stage());
    let (endpoint, posts) = collector();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    let launch = launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=k");
    let node = launch.env("OTEL_BSP_SCHEDULE_DELAY", "100").start();
    settled(&[&node], secs(20.0));
    node.refused("distributed.get_task", json!({"task_id": "hunter2"}), -32009);
    let found = eventually("the spans of a request arrive", secs(20.0), || {
        let all: Vec<Span> = posts.lock().unwrap().iter().flat_map(|(_, body)| spans(body).1).collect();
        let request = all.iter().find(|span| span.is("method", "distributed.get_task"));
        let call = request.and_then(|request| all.iter().find(|span| span.parent == request.id));
        call.map(|call| (request.cloned().unwrap(), call.clone())).ok_or_else(|| format!("{} spans", all.len()))
    });
    assert_eq!((found.0.name.as_str(), found.1.name.as_str()), ("request", "redis_call"));
    assert!(found.1.is("call", "task_get") && found.0.parent.is_empty());
    let (head, body) = posts.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1") && head.contains("x-key: k"), "{head}");
    let (resource, _) = spans(&body);
    for (key, value) in [("service.name", "clawster"), ("clawster.node_id", "a"), ("clawster.cluster", "openclaw")] {
        assert!(resource.contains(&(key.to_owned(), value.to_owned())), "{key} in {resource:?}");
    }
    assert!(!node.stderr().contains("ended"), "the log has its own level: {}", node.stderr());
    let whole: Vec<u8> = posts.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect();
    assert!(!text(&whole).contains("hunter"), "what requests carry is not sent");
}

#[test]
fn a_short_command_sends_its_spans_before_it_ends() {
    let (redis, dir) = (RedisServer::start(), stage());
    let (endpoint, posts) = collector();
    let launch = Launch::new(dir.path(), "cron").redis(&redis).env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    clawster(&launch.env("OTEL_SERVICE_NAME", "mine"), &["heartbeat"]).expect(0);
    let posts = posts.lock().unwrap();
    let (resource, spans) = spans(&posts[0].1);
    assert!(resource.contains(&("service.name".to_owned(), "mine".to_owned())), "{resource:?}");
    assert!(spans.iter().any(|span| span.name == "heartbeat"), "{spans:?}");
}

#[test]
fn a_collector_that_is_away_or_silent_holds_nobody_up() {
    let (redis, dir) = (RedisServer::start(), stage());
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = testkit::redis_server::free_port();
    for (at, port) in [silent.local_addr().unwrap().port(), away].into_iter().enumerate() {
        let launch = Launch::new(dir.path(), &format!("n{at}")).redis(&redis).brisk();
        let launch = launch.env("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://127.0.0.1:{port}"));
        let node = launch.env("OTEL_BSP_SCHEDULE_DELAY", "50").start();
        settled(&[&node], secs(20.0));
        for _ in 0..200 {
            let answer = node.ask("distributed.get_cluster_state", json!({}), secs(5.0)).unwrap();
            assert!(answer.result.is_ok());
        }
        if port == away {
            eventually("the log says so", secs(20.0), || {
                let said = node.stderr();
                if said.contains("cannot send spans to the OpenTelemetry collector") { Ok(()) } else { Err(said) }
            });
            assert_eq!(node.stderr().matches("cannot send spans to the OpenTelemetry collector").count(), 1);
        }
        node.close_stdin();
        node.exit_clean(secs(5.0));
    }
}
