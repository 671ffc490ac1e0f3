//! `redis export` and `redis import`: a cluster's data moves from one Redis to another.
//!
//! 1. Neither needs a running node, and neither joins.
//!
//! Not here: the file (`file.rs`), reading and writing the keys (`crate::store::redis::transfer`).

pub(super) mod arguments;
mod export;
mod file;
mod import;

use super::outcome::{Failure, Outcome};
use super::settle::SettledRedis;
use super::work::Progress;
use super::{Session, settings, settle};
use crate::cli::node_access::direct::unreachable_redis;
use crate::clock;
use crate::cluster::protocol::Fault;
use crate::cluster::time::Moment;
use crate::config::Config;
use crate::store::redis::RedisStore;
use crate::store::redis::transfer::{Transfer, TransferFault};
use arguments::RedisAction;
use std::time::Duration;

/// How long the private Redis may take to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// Work that takes longer than this shows its progress.
const SHOW_AFTER: Duration = Duration::from_secs(1);
/// How often it is shown again.
const SHOW_EVERY: Duration = Duration::from_millis(200);

/// Runs `redis`.
///
/// # Errors
/// See the subcommands.
pub(super) async fn run(session: &mut Session<'_>, action: RedisAction) -> Outcome {
    match action {
        RedisAction::Export { file, force, form } => export::run(session, &file, force, form).await,
        RedisAction::Import { file, form } => import::run(session, &file, form).await,
    }
}

/// The configured Redis with a connection for a transfer.
struct Open {
    transfer: Transfer,
    /// For errors, which name its target.
    store: RedisStore,
    /// The private Redis runs as long as this.
    settled: SettledRedis,
}

impl Open {
    /// Finds the Redis that the configuration leads to, starts the private one if it is that, and connects.
    async fn new(config: &mut Config, session: &Session<'_>) -> Result<Self, Failure> {
        let seek = settings::seek(config, session.environment);
        let settled = settle::settle_redis(config, seek, SETTLE_WITHIN).await?;
        if let Some(trouble) = &settled.trouble {
            return Err(Failure::RedisUnreachable(trouble.clone()));
        }
        let target = settings::target(config);
        let store = RedisStore::new(target.clone(), &config.cluster);
        let opened = Transfer::open(target, &config.cluster).await;
        let transfer = opened.map_err(|fault| unreachable_redis(&store, &fault))?;
        Ok(Self { transfer, store, settled })
    }

    /// The failure of a command whose transfer failed.
    fn failure(&self, why: &TransferFault) -> Failure {
        match why {
            TransferFault::Store(fault) => unreachable_redis(&self.store, fault),
            other => Failure::Failed(format!("Redis at {}: {other}", self.store.target())),
        }
    }

    /// The Redis, for people.
    fn place(&self) -> String {
        let kind = if self.settled.server.is_some() { "the private Redis" } else { "Redis" };
        format!("{kind} at {}", self.store.target())
    }
}

/// What a failed transfer says, without the exit code.
fn said(store: &RedisStore, why: &TransferFault) -> String {
    match why {
        TransferFault::Store(Fault::Unavailable(why)) => format!("Redis at {} cannot be used: {why}", store.target()),
        TransferFault::Store(Fault::Unwritable(why)) => why.clone(),
        other => format!("Redis at {}: {other}", store.target()),
    }
}

/// Shows how far long work is, on a terminal.
struct Shown {
    progress: Progress,
    /// When it was shown last, or the work began.
    last: Moment,
    /// How long after that it is shown again.
    pause: Duration,
}

impl Shown {
    fn new(session: &Session<'_>) -> Self {
        Self { progress: Progress::new(session.environment), last: clock::now(), pause: SHOW_AFTER }
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        let now = clock::now();
        if now.since(self.last) >= self.pause {
            self.progress.show_on_terminal(&text());
            (self.last, self.pause) = (now, SHOW_EVERY);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.progress.clear();
    }
}

/// A number of bytes, for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// How many processes of a cluster are connected, for people.
fn connected(count: usize, cluster: &str) -> String {
    match count {
        1 => format!("1 process of cluster {cluster} is connected (a node, or a command that holds a lease)"),
        _ => format!("{count} processes of cluster {cluster} are connected (nodes, or commands that hold a lease)"),
    }
}
