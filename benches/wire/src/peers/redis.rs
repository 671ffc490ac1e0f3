//! One stream of Redis with the redis crate: XADD in pipelines, XREAD.
//!
//! 1. A batch is one pipeline; as many batches are under way as with every other subject.
//!
//! Not here: `redis-benchmark` (`redis_benchmark.rs`).

use super::{ages, round, start, tell};
use crate::load::{IN_FLIGHT, Load, Run, Subject};
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{Connection, TypedCommands};
use std::time::Duration;
use testkit::{RedisServer, stamp};

const KEY: &str = "bench:stream";

/// XADD and XREAD.
pub struct Streams<'a> {
    redis: &'a RedisServer,
    server: u32,
}

impl<'a> Streams<'a> {
    pub fn on(redis: &'a RedisServer) -> Self {
        Self { redis, server: redis.info("server", "process_id").unwrap().parse().unwrap() }
    }
}

impl Subject for Streams<'_> {
    fn name(&self) -> &'static str {
        "redis crate, XADD → XREAD"
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        self.redis.cli(&["DEL", KEY]);
        let run = round("redis", self.redis.port(), self.server, load);
        self.redis.cli(&["DEL", KEY]);
        Some(run)
    }
}

fn connect(port: &str) -> Connection {
    redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap().get_connection().expect("Redis answers")
}

fn xadd(batch: usize, message: &str) -> Vec<u8> {
    let mut pipeline = redis::pipe();
    for _ in 0..batch {
        pipeline.cmd("XADD").arg(KEY).arg("*").arg("m").arg(message);
    }
    pipeline.get_packed_pipeline()
}

pub fn send(port: &str, load: &Load) {
    let mut connection = connect(port);
    let began = start();
    if load.paced > 0 {
        for number in 0..load.count {
            load.pace(began.0, number);
            connection.send_packed_command(&xadd(1, &load.message(stamp()))).unwrap();
            connection.recv_response().unwrap();
        }
        return tell(began, Vec::new());
    }
    let message = load.message(Duration::ZERO);
    let mut unanswered = std::collections::VecDeque::new();
    let answers = |connection: &mut Connection, count: usize| {
        (0..count).for_each(|_| drop(connection.recv_response().expect("XADD succeeds")));
    };
    for size in load.batches() {
        if unanswered.len() == IN_FLIGHT {
            answers(&mut connection, unanswered.pop_front().unwrap());
        }
        connection.send_packed_command(&xadd(size, &message)).unwrap();
        unanswered.push_back(size);
    }
    unanswered.into_iter().for_each(|size| answers(&mut connection, size));
    tell(began, Vec::new());
}

pub fn receive(port: &str, load: &Load) {
    let mut connection = connect(port);
    let options = StreamReadOptions::default().block(1_000).count(1_000);
    let (mut last, mut received, mut latencies) = ("0".to_owned(), 0, Vec::new());
    let began = start();
    while received < load.count {
        let reply: Option<StreamReadReply> =
            connection.xread_options(&[KEY], &[&last], &options).expect("XREAD succeeds");
        let Some(stream) = reply.and_then(|reply| reply.keys.into_iter().next()) else { continue };
        received += stream.ids.len();
        last.clone_from(&stream.ids.last().expect("an entry").id);
        if load.paced > 0 {
            let texts = stream.ids.iter().map(|entry| entry.get::<Vec<u8>>("m").expect("the message"));
            latencies.extend(texts.flat_map(|text| ages(&text).collect::<Vec<_>>()));
        }
    }
    tell(began, latencies);
}
