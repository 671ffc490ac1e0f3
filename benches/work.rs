//! What leases and tasks carry, measured on the built binary: `make bench`. Each figure stands beside its limit.
//!
//! 1. Everything goes over the nodes' unix sockets, as commands and programs of the host do it, with a private Redis.
//!
//! Not here: what a node costs (`limits.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, stamp};

/// How many tasks are done, and by how many workers on how many nodes.
const TASKS: usize = 60_000;
const WORKERS: usize = 8;
const NODES: usize = 2;
/// How many calls a client has under way at most: the node reads no more of one connection.
const PIPELINE: usize = 256;

fn main() -> ExitCode {
    let (redis, dir) = (RedisServer::alone(), stage());
    let launches: Vec<Launch> = (0..NODES).map(|n| Launch::new(dir.path(), &format!("n{n}")).redis(&redis)).collect();
    let nodes: Vec<Serve> = launches.iter().map(Launch::start).collect();
    settled(&nodes.iter().collect::<Vec<_>>(), secs(30.0));
    let sockets: Vec<PathBuf> =
        launches.iter().map(|launch| launch.home.join(format!("state/openclaw/{}.sock", launch.label))).collect();
    let mut broken = false;
    let mut show = |what: &str, value: f64, limit: f64| {
        let verdict = if value >= limit { "ok" } else { "BROKEN" };
        broken |= value < limit;
        println!("{what:<52} {value:>9.0} /s (at least {limit} /s) {verdict}");
    };
    show("run_once, checks in batches of 1,000", once(&sockets[0]), 50_000.0);
    let began = stamp();
    submit(&sockets[0]);
    show("submit_task, pipelined", rate(TASKS, began), 10_000.0);
    let began = stamp();
    work(&sockets);
    show("claim_tasks of 100 and complete_task, 8 workers", rate(TASKS, began), 30_000.0);
    ExitCode::from(u8::from(broken))
}

fn rate(count: usize, began: testkit::Stamp) -> f64 {
    count as f64 / (stamp() - began).as_secs_f64()
}

/// One client of a node.
struct Client {
    output: UnixStream,
    input: BufReader<UnixStream>,
}

impl Client {
    fn connect(socket: &PathBuf) -> Self {
        let output = UnixStream::connect(socket).expect("the node listens");
        let input = BufReader::with_capacity(1 << 18, output.try_clone().unwrap());
        Self { output, input }
    }

    fn send(&mut self, lines: &str) {
        self.output.write_all(lines.as_bytes()).expect("the node reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.input.read_line(&mut line).expect("the node answers") > 0, "the node is gone");
        assert!(!line.contains("\"error\""), "{line}");
        line
    }
}

fn request(lines: &mut String, id: usize, method: &str, params: &str) {
    writeln!(lines, r#"{{"jsonrpc":"2.0","id":{id},"method":"distributed.{method}","params":{params}}}"#).unwrap();
}

fn once(socket: &PathBuf) -> f64 {
    let mut client = Client::connect(socket);
    let began = stamp();
    for batch in 0..200 {
        let keys: Vec<String> = (0..1_000).map(|n| format!("\"k{}\"", batch * 1_000 + n)).collect();
        let mut lines = String::new();
        request(&mut lines, batch, "run_once", &format!(r#"{{"keys":[{}],"ttl_ms":60000}}"#, keys.join(",")));
        client.send(&lines);
        assert!(!client.line().contains("\"granted\":false"));
    }
    rate(200_000, began)
}

fn submit(socket: &PathBuf) {
    let mut client = Client::connect(socket);
    for first in (0..TASKS).step_by(PIPELINE) {
        let mut lines = String::new();
        let count = PIPELINE.min(TASKS - first);
        for n in first..first + count {
            request(&mut lines, n, "submit_task", &format!(r#"{{"id":"t{n}","kind":"job","payload":{{"n":{n}}}}}"#));
        }
        client.send(&lines);
        (0..count).for_each(|_| drop(client.line()));
    }
}

/// The ids and tokens in a claim's answer.
fn claimed(line: &str) -> Vec<(&str, &str)> {
    let tasks = line.split(r#""task_id":""#).skip(1);
    tasks
        .map(|rest| {
            let (id, rest) = rest.split_once('"').unwrap();
            let token = rest.split_once(r#""token":"#).unwrap().1;
            (id, token.split_once(',').unwrap().0)
        })
        .collect()
}

fn work(sockets: &[PathBuf]) {
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (done, socket) = (&done, &sockets[worker % sockets.len()]);
            scope.spawn(move || {
                let mut client = Client::connect(socket);
                let mut lines = String::new();
                request(&mut lines, 0, "claim_tasks", r#"{"kinds":["job"],"limit":100}"#);
                client.send(&lines);
                while done.load(Ordering::Relaxed) < TASKS {
                    let line = client.line();
                    let tasks = claimed(&line);
                    lines.clear();
                    for (n, (id, token)) in tasks.iter().enumerate() {
                        request(&mut lines, n + 1, "complete_task", &format!(r#"["{id}",{token},{n}]"#));
                    }
                    client.send(&lines);
                    tasks.iter().for_each(|_| drop(client.line()));
                    done.fetch_add(tasks.len(), Ordering::Relaxed);
                    lines.clear();
                    request(&mut lines, 0, "claim_tasks", r#"{"kinds":["job"],"limit":100}"#);
                    client.send(&lines);
                }
            });
        }
    });
}
