//! The names of all keys and channels of the cluster.
//!
//! 1. All keys of a cluster are in one hash slot, because of the tag `{<cluster>}`.
//!
//! Not here: the contents of the keys, and the keys of single leases, which scripts build (`scripts/shared/keys_and_clock.lua`).

use crate::cluster::ids::{ClusterName, NodeId, Nonce};

/// The keys and channels of one cluster.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    all: [String; 19],
    guard: Option<String>,
}

/// Key names in the order in which every script gets them.
const NAMES: [&str; 19] = [
    "meta",
    "members",
    "beats",
    "changes",
    "lease:leader",
    "events",
    "messages",
    "presence",
    "acks",
    "cursors",
    "producers",
    "away",
    "leases",
    "running",
    "delayed",
    "done",
    "lanes",
    "failed",
    "dead",
];

impl Keys {
    /// The keys of a cluster.
    #[must_use]
    pub fn new(cluster: &ClusterName) -> Self {
        let prefix = format!("clawster:{{{cluster}}}:");
        let all = NAMES.map(|name| format!("{prefix}{name}"));
        Self { prefix, all, guard: None }
    }

    /// The keys in the scripts' order.
    #[must_use]
    pub fn all(&self) -> &[String; 19] {
        &self.all
    }

    /// The same keys where several servers may be the primary, one after the other: every script gets a key more, which never exists.
    /// A Redis Cluster that is moving the slot then refuses every script (TRYAGAIN) instead of running it on a part of the keys, and
    /// the scripts know that the former server may still run.
    #[must_use]
    pub(super) fn guarded(self) -> Self {
        Self { guard: Some(format!("{}absent", self.prefix)), ..self }
    }

    /// The keys of one call, in the scripts' order.
    pub(super) fn with<'a>(&'a self, own: &'a [String]) -> Vec<&'a String> {
        self.all.iter().chain(own).chain(&self.guard).collect()
    }

    /// The numbers of the data set.
    #[must_use]
    pub fn meta(&self) -> &str {
        &self.all[0]
    }

    /// The stream of events.
    #[must_use]
    pub fn events(&self) -> &str {
        &self.all[5]
    }

    /// The stream of messages.
    #[must_use]
    pub fn messages(&self) -> &str {
        &self.all[6]
    }

    /// The stream of a node's newest heartbeats.
    #[must_use]
    pub fn history(&self, node: &NodeId) -> String {
        format!("{}history:{node}", self.prefix)
    }

    /// The sorted set of the nodes with such a stream.
    #[must_use]
    pub fn histories(&self) -> String {
        format!("{}histories", self.prefix)
    }

    /// A key without content, which is written where replicas must confirm a call.
    #[must_use]
    pub(super) fn written(&self) -> String {
        format!("{}written", self.prefix)
    }

    /// A key and channel for the doctor's probes only.
    #[must_use]
    pub fn doctor(&self) -> String {
        format!("{}doctor", self.prefix)
    }

    /// The pattern of all keys and channels of the cluster, for ACL rules.
    #[must_use]
    pub fn pattern(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// The channel of the presence connection with this nonce.
    #[must_use]
    pub fn presence_channel(&self, nonce: &Nonce) -> String {
        format!("{}presence:{nonce}", self.prefix)
    }

    /// The key that records which node ran `once` for this key.
    #[must_use]
    pub fn once(&self, key: &str) -> String {
        format!("{}once:{key}", self.prefix)
    }

    /// The channel that the leader subscribes to.
    #[must_use]
    pub fn leader_channel(&self) -> String {
        format!("{}leader", self.prefix)
    }

    /// The channel for notices to all nodes.
    #[must_use]
    pub fn all_channel(&self) -> String {
        format!("{}all", self.prefix)
    }
}
