//! Joining (becoming a member, updating its metadata, renaming it), registering a presence, leaving, and removing the dead.
//!
//! Not here: heartbeats (`beat.rs`), draining (`lease.rs`).

use super::data_set::{DataSet, Identity, Instance, Numbers};
use crate::cluster::ids::{Incarnation, MessageSeq, NodeId, Nonce, Term};
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
        /// Whether its absence can prove that the holder is dead: it was registered on this server process, or the caller holds the
        /// store on disk of the holder.
        provable: bool,
        /// The time until its deadline.
        left: Duration,
        /// Its metadata, as JSON text.
        metadata: String,
    },
    /// Another process took over the id from this incarnation.
    Replaced,
}

/// Ends the membership, and gives up leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct Leave {
    /// The caller.
    pub instance: Instance,
    /// The position that the caller acknowledged.
    pub acknowledged: Option<MessageSeq>,
}

/// The answer to [`Leave`] and [`super::Resign`].
#[derive(Debug, Clone, PartialEq)]
pub struct LeaveReply {
    /// Whether the store knows the caller.
    pub identity: Identity,
    /// The server's time.
    pub now: ServerTime,
    /// Whether leadership was given up.
    pub resigned: bool,
}

/// Stores the connection that proves that the caller is alive.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// The caller.
    pub instance: Instance,
    /// The nonce of the connection.
    pub presence: Nonce,
    /// The term that the caller holds.
    pub term: Option<Term>,
}

/// The answer to [`Register`].
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// Whether the store knows the caller.
    pub identity: Identity,
    /// Whether the presence was stored.
    pub registered: bool,
    /// Whether it was stored as the leader's, too.
    pub leads: bool,
}

/// Checks the presence of all members, and declares those dead whose presence was gone for the grace. Only the leader may
/// call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The leader.
    pub instance: Instance,
    /// The leader's term.
    pub term: Term,
    /// Members and their presence that is gone, at most 16.
    pub dead: Vec<(NodeId, String)>,
}

/// The answer to [`Sweep`].
#[derive(Debug, Clone, PartialEq)]
pub struct Swept {
    /// Whether the caller leads.
    pub leads: bool,
    /// Members whose presence is gone now, with its nonce.
    pub gone: Vec<(NodeId, String)>,
}

/// Removes members that are away, at once instead of after seven days, with the messages that they have not read.
#[derive(Debug, Clone, PartialEq)]
pub struct ForgetMembers {
    /// The members to remove.
    pub members: Vec<NodeId>,
}

/// What became of one member of [`ForgetMembers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It is removed.
    Forgotten,
    /// It is alive, and stays.
    Alive,
    /// There is no such member.
    Unknown,
}
