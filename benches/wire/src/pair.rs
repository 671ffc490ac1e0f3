//! Messages between two nodes of clawster: `distributed.sync_messages` over their pipes, in text that was written before.
//!
//! Not here: what is compared (`messages.rs`).

use crate::cpu;
use crate::load::{IN_FLIGHT, Load, Run, Subject, sent_at};
use crate::node::{Node, cluster};
use crate::pipes::{self, Pipes};
use memchr::memmem;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use testkit::{RedisServer, stamp};

/// How many messages an answer may hold, and how many such calls are under way.
const LIMIT: usize = 10_000;
const RECEIVING: usize = 2;

/// A sender and a receiver.
pub struct Pair {
    name: String,
    nodes: Vec<Node>,
    server: u32,
}

impl Pair {
    /// Two nodes of this program.
    pub fn start(name: &str, cluster_name: &str, program: &Path, dir: &Path, redis: &RedisServer) -> Self {
        let server = redis.info("server", "process_id").unwrap().parse().unwrap();
        Self {
            name: name.to_owned(),
            nodes: cluster(program, dir, cluster_name, &["sender", "receiver"], redis),
            server,
        }
    }
}

impl Subject for Pair {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        let [sender, receiver] = self.nodes.as_mut_slice() else { unreachable!("two nodes") };
        let pids = [sender.pipes.child.id(), receiver.pipes.child.id(), self.server];
        let before = pids.map(cpu::of);
        let began = stamp();
        let (ended, latencies) = std::thread::scope(|scope| {
            let received = scope.spawn(|| receive(&mut receiver.pipes, load));
            if load.paced == 0 {
                send(&mut sender.pipes, load)
            } else {
                send_paced(&mut sender.pipes, load)
            }
            received.join().unwrap()
        });
        let mut after = pids.map(cpu::of).into_iter();
        let spent = before.map(|before| Some(after.next().unwrap().saturating_sub(before)));
        Some(Run::new(load, (ended - began).as_secs_f64(), spent, &latencies))
    }
}

/// A call that sends messages of this text, without its head.
fn sending(messages: &str) -> String {
    format!(r#","method":"distributed.sync_messages","params":{{"limit":0,"messages":[{messages}]}}}}"#)
}

fn head(id: usize) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id}"#)
}

fn check(answer: &[u8]) {
    let start = &answer[..answer.len().min(400)];
    assert!(memmem::find(start, b"\"error\"").is_none(), "{}", String::from_utf8_lossy(start));
}

/// Writes whole batches, and lets only so many go unanswered.
fn send(pipes: &mut Pipes, load: &Load) {
    let (input, output) = pipes.split();
    let one = load.message(Duration::ZERO);
    let of = |size: usize| sending(&vec![one.as_str(); size].join(",")) + "\n";
    let whole = of(load.batch);
    let (answered, credit) = mpsc::sync_channel(IN_FLIGHT);
    let batches = load.batches().count();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut answer = Vec::new();
            for _ in 0..batches {
                pipes::line(output, &mut answer);
                check(&answer);
                answered.send(()).unwrap();
            }
        });
        for (id, size) in load.batches().enumerate() {
            if id >= IN_FLIGHT {
                credit.recv().expect("the node answers");
            }
            let rest = if size == load.batch { &whole } else { &of(size) };
            input
                .write_all(head(id).as_bytes())
                .and_then(|()| input.write_all(rest.as_bytes()))
                .expect("the node reads");
        }
    });
}

/// Writes single messages at their time; the answers are read beside that.
fn send_paced(pipes: &mut Pipes, load: &Load) {
    let (input, output) = pipes.split();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut answer = Vec::new();
            for _ in 0..load.count {
                pipes::line(output, &mut answer);
                check(&answer);
            }
        });
        let began = stamp();
        for id in 0..load.count {
            load.pace(began, id);
            let line = format!("{}{}\n", head(id), sending(&load.message(stamp())));
            input.write_all(line.as_bytes()).expect("the node reads");
        }
    });
}

/// Receives all messages; tells when the last one came, and how long each was on its way if the load is paced.
fn receive(pipes: &mut Pipes, load: &Load) -> (Duration, Vec<u64>) {
    let (input, output) = pipes.split();
    let rest = format!(r#","method":"distributed.sync_messages","params":{{"limit":{LIMIT},"wait_ms":200}}}}"#);
    let mut call = |id: usize| input.write_all(format!("{}{rest}\n", head(id)).as_bytes()).expect("the node reads");
    (0..RECEIVING).for_each(&mut call);
    let (mut answer, mut latencies, mut received) = (Vec::new(), Vec::new(), 0);
    loop {
        pipes::line(output, &mut answer);
        let now = stamp();
        check(&answer);
        if load.paced > 0 {
            latencies.extend(sent_at(&answer).map(|at| u64::try_from((now - at).as_nanos()).unwrap()));
        }
        received += memmem::find_iter(&answer, b"\"sent_at_ms\":").count();
        if received >= load.count {
            assert_eq!(received, load.count, "each message came once");
            (1..RECEIVING).for_each(|_| pipes::line(output, &mut answer));
            return (now, latencies);
        }
        call(0);
    }
}
