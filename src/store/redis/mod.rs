//! The cluster's state in Redis 5 or newer.
//!
//! 1. Every transition is one script over one hash slot.
//! 2. What Redis holds is never trusted: a reply of another shape is an error, not a panic.

mod decode;
mod decode_leases;
mod encode;
mod fields;
mod follow;
mod history;
mod keys;
mod link;
mod presence;
mod samples;
mod scripts;
mod streams;
mod target;
mod task;

pub use follow::{Follower, News};
pub use history::RedisHistory;
pub use keys::Keys;
pub use presence::{PresenceNotices, PresenceSink};
pub use target::{Address, DEADLINE, Target};

pub use super::Notice;
use super::{Answer, Store};
use crate::cluster::event::ClusterEvent;
use crate::cluster::ids::{ClusterName, EventSeq, MessageSeq, Nonce};
use crate::cluster::protocol::{Call, Entry, Fault, ServerId};
use redis::Value;
use std::time::Duration;

/// A cluster's state on a Redis server.
pub struct RedisStore {
    target: Target,
    keys: Keys,
    link: link::Link,
    recent: samples::Recent,
}

impl RedisStore {
    /// A store that connects when it is first used.
    #[must_use]
    pub fn new(target: Target, cluster: &ClusterName) -> Self {
        Self {
            keys: Keys::new(cluster),
            link: link::Link::new(target.clone()),
            target,
            recent: samples::Recent::default(),
        }
    }

    /// How long the heartbeats that ticks bring are kept, instead of a day; zero: not at all.
    #[must_use]
    pub fn keep_history(mut self, window: Duration) -> Self {
        self.recent = samples::Recent(window);
        self
    }

    /// Opens a reader of both streams.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the connection does not stand in time.
    pub async fn follow(&self) -> Result<Follower, Fault> {
        Follower::open(&self.target, self.keys.clone()).await
    }

    /// Opens a connection that proves this process's life.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the connection does not stand in time.
    pub async fn presence(&self, nonce: &Nonce) -> Result<(PresenceSink, PresenceNotices), Fault> {
        presence::open(&self.target, self.keys.clone(), nonce).await
    }

    /// Where this store is, without credentials.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    async fn range(&self, key: &str, after: u64, count: usize) -> Result<Value, Fault> {
        // The position behind `after`: entry ids end in -0, so -1 lies between two of them.
        let mut range = redis::cmd("XRANGE");
        range.arg(key).arg(format!("{after}-1")).arg("+").arg("COUNT").arg(count);
        self.ask(&range).await
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<Value, Fault> {
        let mut standing = self.link.get().await?;
        let outcome = command.query_async::<Value>(&mut standing.connection).await;
        self.link.judge(&standing, outcome).await
    }

    async fn run(&self, invocation: &encode::Invocation) -> Result<(Value, ServerId), Fault> {
        let mut prepared = invocation.script.prepare_invoke();
        for key in self.keys.all().iter().chain(&invocation.own_keys) {
            prepared.key(key);
        }
        for argument in &invocation.arguments {
            prepared.arg(argument);
        }
        let mut standing = self.link.get().await?;
        let outcome = prepared.invoke_async::<Value>(&mut standing.connection).await;
        let value = self.link.judge(&standing, outcome).await?;
        Ok((value, (*standing.server).clone()))
    }
}

impl Store for RedisStore {
    async fn call(&self, call: Call) -> Result<Answer, Fault> {
        let (value, server) = self.run(&encode::invocation(&call, &self.keys, self.recent)).await?;
        let reply = decode::reply(&call, value).map_err(|why| Fault::Refused(why.to_string()))?;
        Ok(Answer { reply, server })
    }

    async fn events(&self, after: EventSeq, count: usize) -> Result<Vec<ClusterEvent>, Fault> {
        let value = self.range(self.keys.events(), after.0, count).await?;
        streams::entries(value, streams::event).map_err(|why| Fault::Refused(why.to_string()))
    }

    async fn messages(&self, after: MessageSeq, count: usize) -> Result<Vec<Entry>, Fault> {
        let value = self.range(self.keys.messages(), after.0, count).await?;
        streams::entries(value, streams::message).map_err(|why| Fault::Refused(why.to_string()))
    }
}
