//! BullMQ: one process adds jobs that carry the messages, one works on them.
//!
//! 1. It runs where `CLAWSTER_BENCH_BULLMQ` names the folder with it and `benches/bullmq/peer.mjs`.
//!
//! Not here: tasks (`benches/tasks.rs`).

use crate::cpu;
use crate::load::{IN_FLIGHT, Load, Run, Subject};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use testkit::RedisServer;

/// The most jobs of a round: it needs seconds for what others do at once.
const MOST: usize = 10_000;

/// A queue.
pub struct BullMq<'a> {
    redis: &'a RedisServer,
    folder: PathBuf,
    server: u32,
}

impl<'a> BullMq<'a> {
    /// The queue, if it is installed.
    pub fn on(redis: &'a RedisServer) -> Option<Self> {
        let folder = std::env::var_os("CLAWSTER_BENCH_BULLMQ").filter(|path| !path.is_empty())?;
        let server = redis.info("server", "process_id").unwrap().parse().unwrap();
        Some(Self { redis, folder: folder.into(), server })
    }
}

impl Subject for BullMq<'_> {
    fn name(&self) -> &'static str {
        "BullMQ"
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        if load.paced > 0 {
            return None;
        }
        let jobs = load.count.min(MOST);
        let node = std::env::var("CLAWSTER_BENCH_NODE").unwrap_or_else(|_| "node".to_owned());
        let numbers = [self.redis.port().into(), jobs, 1, load.batch, IN_FLIGHT, load.bytes];
        let before = cpu::of(self.server);
        let mut command = Command::new(node);
        command.arg(self.folder.join("peer.mjs")).args(numbers.map(|number: usize| number.to_string()));
        let output = command.output().expect("node runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let server = cpu::of(self.server).saturating_sub(before);
        let told: Value = serde_json::from_slice(&output.stdout).expect("one line of JSON");
        let seconds = told["seconds"].as_f64().unwrap() * load.count as f64 / jobs as f64;
        let server = server.mul_f64(load.count as f64 / jobs as f64);
        Some(Run::new(load, seconds, [None, None, Some(server)], &[]))
    }
}
