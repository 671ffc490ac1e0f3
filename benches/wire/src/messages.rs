//! Messages from one process to another: throughput, processor time and latency beside the peers, in turns on one Redis.
//!
//! 1. `ONLY=200x1000` runs one load (bytes x batch), `ONLY=latency` the paced one; `SCALE` multiplies the counts.
//! 2. `PEERS=no` leaves all peers out but `redis-benchmark` and the redis crate.
//!
//! Not here: the loads themselves (`load.rs`), the subjects (`pair.rs`, `peers/`).

use crate::load::{IN_FLIGHT, Load, Run, Subject};
use crate::number;
use crate::pair::Pair;
use crate::peers::bullmq::BullMq;
use crate::peers::disk::Disk;
use crate::peers::jetstream::JetStream;
use crate::peers::redis::Streams;
use crate::peers::redis_benchmark::RedisBenchmark;
use crate::table::{Table, at, circumstances, grouped, median, publish, short, spread};
use std::fmt::Write as _;
use std::path::Path;
use testkit::cluster::stage;
use testkit::{RedisOptions, RedisServer};

/// Bytes of a message, messages in a batch, messages in a round.
const LOADS: [(usize, usize, usize); 6] = [
    (200, 1_000, 200_000),
    (200, 100, 100_000),
    (200, 1, 10_000),
    (4_096, 1_000, 20_000),
    (4_096, 100, 20_000),
    (4_096, 1, 5_000),
];

/// Messages a second, and for how many seconds.
const PACE: u64 = 1_000;
const PACED_SECONDS: usize = 5;

pub fn main() {
    let (rounds, scale) = (number("ROUNDS", 5), number("SCALE", 1));
    let only = std::env::var("ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only == name;
    let head = circumstances("make bench-messages");
    let (redis, dir) = (server(), stage());
    let mut subjects = subjects(&redis, dir.path());
    let mut section = head;
    writeln!(
        section,
        "Medians of {rounds} rounds in turns; {IN_FLIGHT} batches under way; Redis {}, AOF every second.\n",
        version(&redis)
    )
    .unwrap();
    for (bytes, batch, count) in LOADS {
        if wanted(&format!("{bytes}x{batch}")) {
            let load = Load { bytes, batch, count: count * scale, paced: 0 };
            let runs = turns(&mut subjects, &load, rounds);
            writeln!(section, "{}", throughput(&subjects, &load, &runs)).unwrap();
        }
    }
    if wanted("latency") {
        let load = Load { bytes: 200, batch: 1, count: PACE as usize * PACED_SECONDS * scale, paced: PACE };
        let runs = turns(&mut subjects, &load, rounds);
        writeln!(section, "{}", latency(&subjects, &load, &runs)).unwrap();
    }
    publish("messages", section.trim_end().to_owned().as_str());
}

fn server() -> RedisServer {
    let extra = ["appendonly yes", "appendfsync everysec"].map(str::to_owned).to_vec();
    RedisServer::with(RedisOptions { alone: true, extra, ..RedisOptions::default() })
}

fn version(redis: &RedisServer) -> String {
    redis.info("server", "redis_version").unwrap_or_default()
}

fn subjects<'a>(redis: &'a RedisServer, dir: &Path) -> Vec<Box<dyn Subject + 'a>> {
    let pair = |name: &str, program: &Path| Pair::start(name, &name.replace(' ', "-"), program, dir, redis);
    let mut subjects: Vec<Box<dyn Subject + 'a>> = vec![Box::new(pair("clawster", &testkit::program()))];
    if let Some(before) = std::env::var_os("BEFORE").filter(|path| !path.is_empty()) {
        subjects.push(Box::new(pair("clawster before", Path::new(&before))));
    }
    subjects.push(Box::new(RedisBenchmark::on(redis)));
    subjects.push(Box::new(Streams::on(redis)));
    subjects.push(Box::new(Disk::at(dir)));
    if std::env::var("PEERS").is_ok_and(|word| word == "no") {
        return subjects;
    }
    match JetStream::start() {
        Some(peer) => subjects.push(Box::new(peer)),
        None => eprintln!("without JetStream: CLAWSTER_BENCH_NATS names no nats-server"),
    }
    match BullMq::on(redis) {
        Some(peer) => subjects.push(Box::new(peer)),
        None => eprintln!("without BullMQ: CLAWSTER_BENCH_BULLMQ names no folder with it"),
    }
    subjects
}

/// The rounds of each subject, after one that does not count.
fn turns(subjects: &mut [Box<dyn Subject + '_>], load: &Load, rounds: usize) -> Vec<Vec<Run>> {
    let warm = Load { count: (load.count / 10).max(load.batch), ..*load };
    subjects.iter_mut().for_each(|subject| drop(subject.run(&warm)));
    let mut runs: Vec<Vec<Run>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (subject, runs) in subjects.iter_mut().zip(&mut runs) {
            runs.extend(subject.run(load));
            eprint!(".");
        }
    }
    eprintln!();
    runs
}

fn throughput(subjects: &[Box<dyn Subject + '_>], load: &Load, runs: &[Vec<Run>]) -> String {
    let rates = |runs: &[Run]| runs.iter().map(|run| load.count as f64 / run.seconds).collect::<Vec<f64>>();
    let first = median(&rates(&runs[0]));
    let title = format!("{} B, batches of {}", grouped(load.bytes as f64), grouped(load.batch as f64));
    let columns = [
        &title,
        "messages/s, median",
        "least – greatest",
        "clawster against it",
        "CPU µs: sender",
        "receiver",
        "server",
    ];
    let mut table = Table::new(&columns);
    for (subject, runs) in subjects.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()) {
        let rates = rates(runs);
        let cpu = |end: usize| {
            let known: Option<Vec<f64>> = runs.iter().map(|run| run.cpu[end]).collect();
            short(known.as_deref().map(median))
        };
        let ratio = format!("{:.2}", first / median(&rates));
        table.row(&[subject.name(), &grouped(median(&rates)), &spread(&rates), &ratio, &cpu(0), &cpu(1), &cpu(2)]);
    }
    table.text().to_owned()
}

fn latency(subjects: &[Box<dyn Subject + '_>], load: &Load, runs: &[Vec<Run>]) -> String {
    let title = format!("{} messages/s of {} B, one by one, µs", grouped(load.paced as f64), load.bytes);
    let mut table =
        Table::new(&[&title, "p50", "p99", "p99.9", "least – greatest p50", "CPU µs: sender", "receiver", "server"]);
    for (subject, runs) in subjects.iter().zip(runs).filter(|(_, runs)| !runs.is_empty()) {
        let of = |share: f64| runs.iter().map(|run| at(&run.latencies, share)).collect::<Vec<f64>>();
        let cpu = |end: usize| {
            let known: Option<Vec<f64>> = runs.iter().map(|run| run.cpu[end]).collect();
            short(known.as_deref().map(median))
        };
        let shares = [0.5, 0.99, 0.999].map(|share| grouped(median(&of(share))));
        let [p50, p99, p999] = &shares;
        table.row(&[subject.name(), p50, p99, p999, &spread(&of(0.5)), &cpu(0), &cpu(1), &cpu(2)]);
    }
    table.text().to_owned()
}
