//! `redis-benchmark` with XADD: what the server can take, without anybody who reads.
//!
//! Not here: one stream from end to end (`redis.rs`).

use crate::cpu;
use crate::load::{Load, Run, Subject};
use std::process::Command;
use std::time::Duration;
use testkit::{RedisServer, stamp};

const KEY: &str = "bench:benchmark";

/// `redis-benchmark -P 64 -c 8`, whatever the batch.
pub struct RedisBenchmark<'a> {
    redis: &'a RedisServer,
    server: u32,
}

impl<'a> RedisBenchmark<'a> {
    pub fn on(redis: &'a RedisServer) -> Self {
        Self { redis, server: redis.info("server", "process_id").unwrap().parse().unwrap() }
    }
}

impl Subject for RedisBenchmark<'_> {
    fn name(&self) -> &'static str {
        "redis-benchmark -P 64 -c 8, XADD"
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        if load.paced > 0 {
            return None;
        }
        let before = (cpu::of(self.server), cpu::ended_children(), stamp());
        let mut command = Command::new("redis-benchmark");
        command.args([
            "-p",
            &self.redis.port().to_string(),
            "-P",
            "64",
            "-c",
            "8",
            "-n",
            &load.count.to_string(),
            "-q",
        ]);
        command.args(["XADD", KEY, "*", "m", &load.message(Duration::ZERO)]);
        let output = command.output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let spent = [cpu::ended_children() - before.1, cpu::of(self.server) - before.0];
        let rate = rate(&String::from_utf8_lossy(&output.stdout)).expect("redis-benchmark tells its rate");
        self.redis.cli(&["DEL", KEY]);
        Some(Run::new(load, load.count as f64 / rate, [Some(spent[0]), None, Some(spent[1])], &[]))
    }
}

/// The last rate that it printed: lines are written over each other.
fn rate(text: &str) -> Option<f64> {
    let (before, _) = text.rsplit_once(" requests per second")?;
    before.rsplit([' ', ':']).next()?.parse().ok()
}
