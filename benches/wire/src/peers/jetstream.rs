//! NATS JetStream: one stream with one replica in files, an ordered consumer.
//!
//! 1. The server is the one that `CLAWSTER_BENCH_NATS` names, with its defaults, which sync its files every two minutes.
//!
//! Not here: how it is installed (`scripts/bench-wire`).

use super::{ages, round, start, tell};
use crate::load::{IN_FLIGHT, Load, Run, Subject};
use async_nats::jetstream::{self, consumer, stream};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::VecDeque;
use std::future::IntoFuture;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use testkit::{eventually, stamp};

const STREAM: &str = "bench";
const SUBJECT: &str = "bench.messages";
/// More unanswered messages than this make neither the server nor the crate faster.
const MOST_UNANSWERED: usize = 8_192;

/// A server of the bench's own.
pub struct JetStream {
    server: Child,
    port: u16,
    _dir: TempDir,
}

impl JetStream {
    /// Starts the server, if there is one.
    pub fn start() -> Option<Self> {
        let program = std::env::var_os("CLAWSTER_BENCH_NATS").filter(|path| !path.is_empty())?;
        let dir = testkit::cluster::stage();
        let port = testkit::redis_server::free_port();
        let mut command = Command::new(program);
        command.args(["-js", "-a", "127.0.0.1", "-p", &port.to_string(), "-sd"]).arg(dir.path());
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nats-server starts");
        eventually("nats-server listens", Duration::from_secs(10), || {
            std::net::TcpStream::connect(("127.0.0.1", port))
        });
        Some(Self { server, port, _dir: dir })
    }
}

impl Drop for JetStream {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}

impl Subject for JetStream {
    fn name(&self) -> &'static str {
        "NATS JetStream, R1, files"
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        Some(round("jetstream", self.port, self.server.id(), load))
    }
}

fn block_on(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work);
}

async fn connect(port: &str) -> jetstream::Context {
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await.expect("nats-server answers");
    jetstream::context::ContextBuilder::new().max_ack_inflight(MOST_UNANSWERED * 2).build(client)
}

pub fn send(port: &str, load: &Load) {
    block_on(async {
        let context = connect(port).await;
        let began = start();
        if load.paced > 0 {
            for number in 0..load.count {
                tokio::task::block_in_place(|| load.pace(began.0, number));
                let sent = context.publish(SUBJECT, load.message(stamp()).into()).await.expect("it is sent");
                sent.await.expect("it is stored");
            }
            return tell(began, Vec::new());
        }
        let message = Bytes::from(load.message(Duration::ZERO));
        let most = (load.batch * IN_FLIGHT).min(MOST_UNANSWERED);
        let mut unanswered = VecDeque::new();
        for _ in 0..load.count {
            if unanswered.len() == most {
                let oldest: jetstream::context::PublishAckFuture = unanswered.pop_front().unwrap();
                oldest.into_future().await.expect("it is stored");
            }
            unanswered.push_back(context.publish(SUBJECT, message.clone()).await.expect("it is sent"));
        }
        for sent in unanswered {
            sent.await.expect("it is stored");
        }
        tell(began, Vec::new());
    });
}

pub fn receive(port: &str, load: &Load) {
    block_on(async {
        let context = connect(port).await;
        context.delete_stream(STREAM).await.ok();
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec![SUBJECT.to_owned()],
            storage: stream::StorageType::File,
            num_replicas: 1,
            ..Default::default()
        };
        // The files of the round before are removed behind the server's answer.
        let stream = loop {
            match context.create_stream(config.clone()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let consumer = stream.create_consumer(consumer::pull::OrderedConfig::default()).await.expect("a consumer");
        let mut messages = consumer.messages().await.expect("messages");
        let mut latencies = Vec::new();
        let began = start();
        for _ in 0..load.count {
            let message = messages.next().await.expect("a message").expect("a message");
            if load.paced > 0 {
                latencies.extend(ages(&message.payload));
            }
        }
        tell(began, latencies);
    });
}
