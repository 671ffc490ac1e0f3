//! The inputs and effects of a node.
//!
//! Not here: processing them (`mod.rs` and its parts).

use super::link::Trouble;
use super::recording::Beaten;
use super::requests::{Refusal, Request, Response};
use super::{Numbers, Ticket};
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::Sample;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce, Term};
use crate::cluster::messages::message::Producer;
use crate::cluster::protocol::{Call, DataSet, Fault, Instance, Reply, ServerId};
use crate::cluster::settings::{Shared, Versioned};
use crate::cluster::time::{Moment, ServerTime};
use std::time::Duration;

/// An input of a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time passed, as requested by [`super::Node::wake_at`].
    Wake,
    /// A call was answered.
    Answered {
        /// The ticket of the call.
        ticket: Ticket,
        /// When it was sent, taken just before sending.
        sent: Moment,
        /// The answer, and the server that gave it.
        outcome: Result<(Reply, ServerId), Fault>,
    },
    /// The presence connection with this nonce is up.
    PresenceUp(Nonce),
    /// It is down, or never was up.
    PresenceDown(Nonce),
    /// The connection could not be opened.
    PresenceRefused {
        /// The nonce of the connection.
        nonce: Nonce,
        /// Why.
        error: String,
    },
    /// This connection holds the leader channel.
    LeaderChannelHeld(Nonce),
    /// A ping was answered.
    Pong {
        /// The nonce of the connection.
        nonce: Nonce,
        /// When the ping was sent, taken just before sending.
        sent: Moment,
    },
    /// Another process found an empty data set, or took over an id: the node should register.
    CalledToRegister,
    /// The leader is asked to make room for another leader.
    CalledToHandOver,
    /// Another node knows a higher term, by gossip.
    HeardTerm(Term),
    /// An event was read from the stream.
    Event(ClusterEvent),
    /// A client makes a request.
    Asked(Ticket, Request),
    /// The node's store on disk was opened, with the state of an earlier process.
    Resumed {
        /// The identity of the outbox.
        producer: Producer,
        /// The highest sequence numbers that were seen.
        known: Numbers,
        /// The acknowledged position, and its data set.
        cursor: Option<(MessageSeq, String)>,
        /// The id that the position belongs to; `None`: this id.
        cursor_of: Option<NodeId>,
    },
    /// This node acknowledged messages up to here, in the data set with this epoch.
    Acknowledged(MessageSeq, String),
    /// A sample of a heartbeat of this node, for the next heartbeat to carry into Redis' history.
    Record(Box<Sample>),
}

/// An effect of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make this call; its answer comes with this ticket.
    Call(Ticket, Call),
    /// Open a presence connection, and drop the previous one.
    OpenPresence(Nonce),
    /// Drop the presence connection.
    ClosePresence,
    /// Ping on this connection; without an answer within the duration it is down.
    Ping(Nonce, Duration),
    /// Subscribe this connection to the leader channel, or unsubscribe it.
    HoldLeaderChannel(Nonce, bool),
    /// Answer a client.
    Reply(Ticket, Box<Result<Response, Refusal>>),
    /// The node became a member.
    Joined(Box<Admission>),
    /// The data set changed.
    DataSet(Box<DataSet>),
    /// The node is not a member any more.
    Departed,
    /// Redis stopped working for this node.
    Degraded(Trouble),
    /// Redis works for this node again.
    Recovered,
    /// Redis accepts this node's writes again: notifications in between may have been missed.
    Reconnected,
    /// A heartbeat was accepted.
    Beaten(Box<Beaten>),
    /// These are the settings of the cluster: save them for use after a loss of data.
    Settings(Versioned),
    /// A note for the log.
    Note(Note),
}

/// A membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// The incarnation.
    pub instance: Instance,
    /// The position after which receiving continues.
    pub cursor: MessageSeq,
    /// Where receiving had stopped under the id that a rename took, if that id was known.
    pub stood: Option<MessageSeq>,
    /// The ids that the node had before.
    pub aliases: Vec<NodeId>,
    /// When it joined.
    pub joined_at: ServerTime,
    /// The data set.
    pub data: DataSet,
}

/// A note for the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A heartbeat attempt failed; the next one follows after `wait`.
    BeatFailed {
        /// The number of the attempt, from 1.
        attempt: u32,
        /// The number of attempts.
        of: u32,
        /// Why.
        error: String,
        /// The time until the next attempt.
        wait: Duration,
    },
    /// A heartbeat succeeded after failed attempts.
    BeatRecovered {
        /// The number of attempts that it took.
        attempts: u32,
    },
    /// A join failed; it is retried after `wait`.
    JoinFailed {
        /// Why.
        error: String,
        /// The time until the next attempt.
        wait: Duration,
    },
    /// The node became a member.
    Joined(Instance),
    /// Another process holds the id.
    Refused {
        /// The id.
        node_id: NodeId,
        /// The holder.
        holder: String,
    },
    /// This node became leader in this term.
    Elected(Term),
    /// This node lost leadership in this term.
    SteppedDown(Term),
    /// The cluster has other settings than this node's configuration; those of the cluster apply.
    SettingsDiffer {
        /// The configured settings.
        configured: Box<Shared>,
        /// The settings of the cluster.
        adopted: Box<Shared>,
    },
    /// The settings of the cluster changed.
    SettingsChanged {
        /// The previous settings.
        before: Box<Shared>,
        /// The current settings.
        after: Box<Shared>,
    },
    /// Redis still does not work for this node, for another reason than before.
    StillDegraded(Trouble),
    /// A call was refused.
    CallRefused {
        /// The name of the call.
        call: &'static str,
        /// Why.
        error: String,
    },
}
