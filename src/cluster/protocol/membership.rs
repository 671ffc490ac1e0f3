//! Joining: becoming a member, updating its metadata, renaming it.
//!
//! Not here: leaving, which has no parameters of its own (`mod.rs`).

use super::data_set::{DataSet, Numbers};
use crate::cluster::ids::{Incarnation, MessageSeq, NodeId, Nonce};
use crate::cluster::members::member::PresenceKind;
use crate::cluster::messages::message::Producer;
use crate::cluster::settings::Versioned;
use crate::cluster::time::ServerTime;
use std::time::Duration;

/// Asks to become a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// The node id to join under.
    pub node_id: NodeId,
    /// A random name of the calling process.
    pub process: Nonce,
    /// How the process proves that it is alive.
    pub kind: PresenceKind,
    /// [`crate::cluster::members::member::Metadata`] as JSON text.
    pub metadata: String,
    /// Whether it is a candidate for leader.
    pub candidate: bool,
    /// The settings of the cluster as the node knows them: written if this is the first member, or if they are newer.
    pub settings: Versioned,
    /// The highest sequence numbers that the node has seen.
    pub known: Numbers,
    /// The epoch for the data set if it is empty.
    pub fresh_epoch: Nonce,
    /// Whether to take the id from a live process.
    pub force: bool,
    /// The holder's presence that was observed to be gone.
    pub dead_presence: Option<String>,
    /// How long it has been gone, by the caller's own clock; the store compares that with the cluster's grace.
    pub dead_for: Duration,
    /// The incarnation of this node, if it was a member before.
    pub own: Incarnation,
    /// The presence that this process has subscribed.
    pub presence: Option<Nonce>,
    /// The identity of the outbox.
    pub producer: Producer,
    /// The position that this node knows it acknowledged, and its data set.
    pub cursor: Option<(MessageSeq, String)>,
    /// The id that this process had until now.
    pub rename_from: Option<NodeId>,
    /// A one-shot process of this host whose membership this process takes over.
    pub former: Option<Nonce>,
    /// Whether the node is draining; `None`: unchanged.
    pub draining: Option<bool>,
    /// The revision of its statement about itself: it rises whenever the node states something new.
    pub revision: u64,
    /// The ids that this process had before renames, as it remembers them.
    pub aliases: Vec<NodeId>,
    /// Where receiving under this very id stopped, and its data set, according to another store of this host.
    pub stood: Option<(MessageSeq, String)>,
    /// Whether `cursor` belongs to another id than the one to join under.
    pub elsewhere: bool,
}

/// The answer to [`Join`].
#[derive(Debug, Clone, PartialEq)]
pub enum JoinReply {
    /// The node is a member.
    Joined {
        /// The server's time.
        now: ServerTime,
        /// The incarnation.
        incarnation: Incarnation,
        /// When it joined.
        joined_at: ServerTime,
        /// The position after which receiving continues.
        cursor: MessageSeq,
        /// The ids that it had before renames.
        aliases: Vec<NodeId>,
        /// The data set.
        data: DataSet,
        /// Whether the presence was stored.
        registered: bool,
        /// Where receiving had stopped under the id that a rename took, if that id was known.
        stood: Option<MessageSeq>,
    },
    /// Another process holds the id.
    Held {
        /// The incarnation of the holder.
        incarnation: Incarnation,
        /// The presence of the holder, if it registered one.
        presence: Option<String>,
        /// Whether that presence is subscribed.
        present: bool,
        /// Whether it was registered on this server process.
        same_server: bool,
        /// The time until its deadline.
        left: Duration,
        /// Its metadata, as JSON text.
        metadata: String,
    },
    /// Another process took over the id from this incarnation.
    Replaced,
}
