//! Becoming a member, updating it, renaming it.
//!
//! Not here: leaving, which is a bare call (`mod.rs`).

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
    /// Under which id.
    pub node_id: NodeId,
    /// A random name of the calling process.
    pub process: Nonce,
    /// How the process shows that it lives.
    pub kind: PresenceKind,
    /// [`crate::cluster::members::member::Metadata`] as JSON text.
    pub metadata: String,
    /// Whether it stands for leader.
    pub candidate: bool,
    /// The settings of the cluster as the node knows them: written when this is the first member, and where they are newer.
    pub settings: Versioned,
    /// The highest numbers that the node has seen.
    pub known: Numbers,
    /// The name of the data set, should it be empty.
    pub fresh_epoch: Nonce,
    /// Take the id from a live process.
    pub force: bool,
    /// The holder's presence that is seen gone.
    pub dead_presence: Option<String>,
    /// For how long it has been seen gone, by the caller's own clock; the store compares it with the cluster's grace.
    pub dead_for: Duration,
    /// This life's number, when it was a member before.
    pub own: Incarnation,
    /// The presence that this process has subscribed.
    pub presence: Option<Nonce>,
    /// The outbox's identity.
    pub producer: Producer,
    /// Where this node itself knows it stopped receiving, and in which data set.
    pub cursor: Option<(MessageSeq, String)>,
    /// The id that this process had until now.
    pub rename_from: Option<NodeId>,
    /// A one-shot process of this host whose membership this process takes over.
    pub former: Option<Nonce>,
    /// Whether the node takes no new work; `None` leaves it as it is.
    pub draining: Option<bool>,
    /// Which of its statements about itself this is: it rises whenever the node says something new.
    pub revision: u64,
    /// Ids that this process had before renames, as it remembers them.
    pub aliases: Vec<NodeId>,
    /// Where receiving under this very id stopped, and in which data set, as this host kept it beside the node's own.
    pub stood: Option<(MessageSeq, String)>,
    /// Whether `cursor` was kept under another id than the one to join under.
    pub elsewhere: bool,
}

/// The answer to [`Join`].
#[derive(Debug, Clone, PartialEq)]
pub enum JoinReply {
    /// It is a member.
    Joined {
        /// Server time.
        now: ServerTime,
        /// Its life.
        incarnation: Incarnation,
        /// Since when.
        joined_at: ServerTime,
        /// Where receiving goes on.
        cursor: MessageSeq,
        /// Ids that it had before a rename.
        aliases: Vec<NodeId>,
        /// The data set.
        data: DataSet,
        /// Whether the presence was stored.
        registered: bool,
        /// Where receiving stood under the id that a rename took, when that was a known one.
        stood: Option<MessageSeq>,
    },
    /// Another process holds the id.
    Held {
        /// Its life.
        incarnation: Incarnation,
        /// Its presence, if it registered one.
        presence: Option<String>,
        /// Whether that presence is subscribed.
        present: bool,
        /// Whether it was registered on this server process.
        same_server: bool,
        /// Until its deadline.
        left: Duration,
        /// Its metadata, JSON text.
        metadata: String,
    },
    /// Another process took the id over from this life.
    Replaced,
}
