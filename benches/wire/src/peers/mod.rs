//! The peers: other ways from one process to another, and other servers over standard input and output.
//!
//! 1. An end of a peer says `ready`, waits for a line, works, and tells one [`Report`] as JSON.
//!
//! Not here: what they are compared with (`pair.rs`).

pub mod bullmq;
pub mod disk;
pub mod echo;
pub mod jetstream;
pub mod redis;
pub mod redis_benchmark;

use crate::cpu;
use crate::load::{Load, Report, Run};
use crate::pipes::{Pipes, text};
use std::io::{BufRead, Write};
use std::process::Command;
use std::time::Duration;
use testkit::stamp;

/// Runs one end of a peer in this process.
pub fn run(name: &str, words: &[&str]) {
    match (name, words) {
        ("redis-send", [port, load]) => redis::send(port, &serde_json::from_str(load).unwrap()),
        ("redis-receive", [port, load]) => redis::receive(port, &serde_json::from_str(load).unwrap()),
        ("jetstream-send", [port, load]) => jetstream::send(port, &serde_json::from_str(load).unwrap()),
        ("jetstream-receive", [port, load]) => jetstream::receive(port, &serde_json::from_str(load).unwrap()),
        ("echo", []) => echo::lines(),
        ("rmcp", []) => echo::rmcp(),
        _ => panic!("no such peer: {name} {words:?}"),
    }
}

/// Says that this end is ready, waits for the start, and returns the time and the processor time of it.
fn start() -> (Duration, Duration) {
    println!("ready");
    text(&mut std::io::stdin().lock());
    (stamp(), cpu::own())
}

/// Tells what this end did since its start.
fn tell((began, cpu): (Duration, Duration), latencies_ns: Vec<u64>) {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap();
    let spent = ns(cpu::own() - cpu);
    let report = Report { began_ns: ns(began), ended_ns: ns(stamp()), cpu_ns: spent, latencies_ns };
    println!("{}", serde_json::to_string(&report).unwrap());
    std::io::stdout().flush().unwrap();
}

/// How long the messages in these bytes were on their way.
fn ages(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let now = stamp();
    crate::load::sent_at(bytes).map(move |at| u64::try_from((now - at).as_nanos()).unwrap())
}

/// This program as one end of a peer.
pub fn end(words: &[&str]) -> Pipes {
    Pipes::start(Command::new(std::env::current_exe().unwrap()).arg("peer").args(words))
}

/// One round of two ends, with the process of the server between them.
fn round(name: &str, port: u16, server: u32, load: &Load) -> Run {
    let (port, told) = (port.to_string(), serde_json::to_string(load).unwrap());
    // The receiver first: it makes the stream.
    let [mut receiver, mut sender] = ["receive", "send"].map(|role| {
        let mut end = end(&[&format!("{name}-{role}"), &port, &told]);
        assert_eq!(text(&mut end.output), "ready\n");
        end
    });
    let before = cpu::of(server);
    for end in [&mut receiver, &mut sender] {
        end.input.write_all(b"go\n").unwrap();
    }
    let [received, sent] = [&mut receiver, &mut sender].map(|end| report(&mut end.output));
    let server = cpu::of(server).saturating_sub(before);
    let seconds = (received.ended_ns - sent.began_ns) as f64 / 1e9;
    let [sender, receiver] = [&sent, &received].map(|end| Duration::from_nanos(end.cpu_ns));
    Run::new(load, seconds, [Some(sender), Some(receiver), Some(server)], &received.latencies_ns)
}

fn report(output: &mut impl BufRead) -> Report {
    serde_json::from_str(&text(output)).expect("a report")
}
