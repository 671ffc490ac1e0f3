//! Tasks per second beside BullMQ on the same Redis, in turns: `make bench-tasks`.
//!
//! 1. Both do the same: one process submits jobs in batches of 100, four on their way at a time; eight processes work on up to 100 at a time, and each
//!    job is completed with a small result. The clock runs from the first submission to the last accepted completion.
//! 2. The rounds alternate and medians are compared, so that what else the machine does falls on both.
//! 3. It fails when clawster does less than three times as many.
//!
//! Not here: that no task is lost or done twice (`tests/process/tasks.rs`).

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, stamp};

const WORKERS: usize = 8;
const BATCH: usize = 100;
/// How many batches are on their way to be submitted.
const IN_FLIGHT: usize = 4;
const ROUNDS: usize = 5;
const LEAST: f64 = 3.0;
const WITHIN: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let jobs: usize = std::env::var("JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let peer = std::env::var("CLAWSTER_BENCH_BULLMQ").expect("the folder with BullMQ: run `make bench-tasks`");
    let redis = RedisServer::alone();
    let cluster = Cluster::on(&redis);
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|round| {
            let ours = cluster.round(round, jobs);
            let theirs = bullmq(Path::new(&peer), redis.port(), jobs);
            println!("round {round}: clawster {ours:>8.0} tasks/s, BullMQ {theirs:>8.0} jobs/s");
            (ours, theirs)
        })
        .collect();
    let (ours, theirs): (Vec<f64>, Vec<f64>) = rounds.into_iter().unzip();
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    println!("medians of {ROUNDS}: clawster {ours:.0} tasks/s, BullMQ {theirs:.0} jobs/s, {ratio:.1} times as many");
    if ratio < LEAST {
        println!("BROKEN: at least {LEAST} times as many");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One node that submits, and the nodes that work.
struct Cluster {
    producer: Serve,
    workers: Vec<Serve>,
    _dir: tempfile::TempDir,
}

impl Cluster {
    fn on(redis: &RedisServer) -> Self {
        let dir = stage();
        let node = |id: String| Launch::new(dir.path(), &id).redis(redis).start();
        let producer = node("producer".to_owned());
        let workers: Vec<Serve> = (0..WORKERS).map(|number| node(format!("worker-{number}"))).collect();
        settled(&workers.iter().chain([&producer]).collect::<Vec<_>>(), secs(30.0));
        Self { producer, workers, _dir: dir }
    }

    /// Tasks per second of one round.
    fn round(&self, round: usize, jobs: usize) -> f64 {
        let kind = format!("bench-{round}");
        let done = AtomicUsize::new(0);
        let began = stamp();
        std::thread::scope(|scope| {
            for worker in &self.workers {
                scope.spawn(|| work(worker, &kind, jobs, &done));
            }
            submit(&self.producer, &kind, jobs);
        });
        assert_eq!(done.into_inner(), jobs, "every task was completed once");
        jobs as f64 / (stamp() - began).as_secs_f64()
    }
}

/// Sends one batch and does not wait.
fn send(node: &Serve, method: &str, params: impl Iterator<Item = Value>) {
    let calls: Vec<Value> = params
        .enumerate()
        .map(|(id, params)| json!({"jsonrpc": "2.0", "id": format!("b{id}"), "method": method, "params": params}))
        .collect();
    node.send_raw(format!("{}\n", Value::from(calls)).as_bytes()).expect("the node reads");
}

/// Waits for the answers to one batch, which must all be results.
fn answers(node: &Serve) -> Vec<Value> {
    let answers = node.mailbox().wait(WITHIN, |inbox| inbox.batches.pop()).expect("the batch is answered");
    answers.into_iter().map(|answer| testkit::wire::result_of(answer).expect("the call succeeds")).collect()
}

fn submit(node: &Serve, kind: &str, jobs: usize) {
    let mut unanswered = 0;
    for first in (0..jobs).step_by(BATCH) {
        let numbers = first..(first + BATCH).min(jobs);
        send(node, "distributed.submit_task", numbers.map(|n| json!({"kind": kind, "payload": {"n": n}})));
        unanswered += 1;
        if unanswered == IN_FLIGHT {
            answers(node);
            unanswered -= 1;
        }
    }
    (0..unanswered).for_each(|_| drop(answers(node)));
}

fn work(node: &Serve, kind: &str, jobs: usize, done: &AtomicUsize) {
    while done.load(Ordering::Relaxed) < jobs {
        let asked = json!({"kinds": [kind], "limit": BATCH, "wait_ms": 100});
        let claimed = node.ok("distributed.claim_tasks", asked);
        let tasks = claimed["tasks"].as_array().expect("tasks").clone();
        if tasks.is_empty() {
            continue;
        }
        let completions = tasks.iter().map(
            |task| json!({"task_id": task["task_id"], "token": task["token"], "result": {"ok": task["payload"]["n"]}}),
        );
        send(node, "distributed.complete_task", completions);
        done.fetch_add(answers(node).len(), Ordering::Relaxed);
    }
}

/// Jobs per second of one round of BullMQ.
fn bullmq(folder: &Path, port: u16, jobs: usize) -> f64 {
    let node = std::env::var("CLAWSTER_BENCH_NODE").unwrap_or_else(|_| "node".to_owned());
    let arguments = [port.into(), jobs, WORKERS, BATCH, IN_FLIGHT].map(|number: usize| number.to_string());
    let output = Command::new(node).arg(folder.join("peer.mjs")).args(arguments).output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
    told["jobs"].as_f64().unwrap() / told["seconds"].as_f64().unwrap()
}
