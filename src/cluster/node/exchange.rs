//! What goes into a node and what comes out of it.
//!
//! Not here: what the node makes of it (`mod.rs` and its parts).

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

/// What happens to a node.
#[derive(Debug, Clone)]
pub enum Input {
    /// Time passed, as asked for by [`super::Node::wake_at`].
    Wake,
    /// A call's answer, and when the call was sent.
    Answered {
        /// Which call.
        ticket: Ticket,
        /// When it was sent, before it was sent.
        sent: Moment,
        /// The answer, and which server gave it.
        outcome: Result<(Reply, ServerId), Fault>,
    },
    /// The presence connection with this nonce stands.
    PresenceUp(Nonce),
    /// It is gone, or never stood.
    PresenceDown(Nonce),
    /// The connection could not be opened.
    PresenceRefused {
        /// Which one.
        nonce: Nonce,
        /// Why.
        error: String,
    },
    /// It holds the leader channel.
    LeaderChannelHeld(Nonce),
    /// A ping sent at `sent` was answered.
    Pong {
        /// On which connection.
        nonce: Nonce,
        /// When it was sent, before it was sent.
        sent: Moment,
    },
    /// Somebody found an empty data set, or took an id over.
    CalledToRegister,
    /// Somebody asks the leader to make room.
    CalledToHandOver,
    /// An event was read from the stream.
    Event(ClusterEvent),
    /// A client asks.
    Asked(Ticket, Request),
    /// The node's store on disk was taken over from an earlier process.
    Resumed {
        /// The outbox's identity.
        producer: Producer,
        /// The highest numbers that were seen.
        known: Numbers,
        /// Where receiving stopped, and in which data set.
        cursor: Option<(MessageSeq, String)>,
        /// Under which id that was; `None`: under this one.
        cursor_of: Option<NodeId>,
    },
    /// This node acknowledged messages up to here, in the data set of this name.
    Acknowledged(MessageSeq, String),
    /// A sample of a beat of this node, for the next tick to carry into Redis' history.
    Record(Box<Sample>),
}

/// What a node wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make this call and answer with its ticket.
    Call(Ticket, Call),
    /// Open a presence connection; drop the one before.
    OpenPresence(Nonce),
    /// Drop the presence connection.
    ClosePresence,
    /// Ping on it; no answer within the duration: it is down.
    Ping(Nonce, Duration),
    /// Take the leader channel on it, or give it back.
    HoldLeaderChannel(Nonce, bool),
    /// Answer a client.
    Reply(Ticket, Box<Result<Response, Refusal>>),
    /// The node became a member, or is one again.
    Joined(Box<Admission>),
    /// The data set is another one than before.
    DataSet(Box<DataSet>),
    /// The node is no member any more.
    Departed,
    /// Redis is not well any more.
    Degraded(Trouble),
    /// Redis is well again.
    Recovered,
    /// Redis takes this node's writes again: what was called and announced meanwhile may have been missed.
    Reconnected,
    /// A heartbeat was taken.
    Beaten(Box<Beaten>),
    /// The settings of the cluster are these: to be remembered for after a loss of data.
    Settings(Versioned),
    /// Something for the log.
    Note(Note),
}

/// A membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Admission {
    /// Which life.
    pub instance: Instance,
    /// Where receiving goes on.
    pub cursor: MessageSeq,
    /// Where receiving stood under the id that a rename took, when that was a known one.
    pub stood: Option<MessageSeq>,
    /// Ids that it had before.
    pub aliases: Vec<NodeId>,
    /// Since when.
    pub joined_at: ServerTime,
    /// The data set.
    pub data: DataSet,
}

/// What an operator should find in the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Note {
    /// A heartbeat failed; the next attempt follows after `wait`.
    BeatFailed {
        /// Which attempt, from 1.
        attempt: u32,
        /// How many attempts there are.
        of: u32,
        /// Why.
        error: String,
        /// Until the next one.
        wait: Duration,
    },
    /// A heartbeat succeeded after failed attempts.
    BeatRecovered {
        /// How many attempts it took.
        attempts: u32,
    },
    /// A join failed; it is tried again after `wait`.
    JoinFailed {
        /// Why.
        error: String,
        /// Until the next attempt.
        wait: Duration,
    },
    /// The node is a member.
    Joined(Instance),
    /// The id belongs to another process.
    Refused {
        /// The id.
        node_id: NodeId,
        /// Who holds it.
        holder: String,
    },
    /// This node was granted a term.
    Elected(Term),
    /// This node does not hold its term any more.
    SteppedDown(Term),
    /// The cluster has other settings than this node's configuration; the cluster's count.
    SettingsDiffer {
        /// As this node is configured.
        configured: Box<Shared>,
        /// As they are.
        adopted: Box<Shared>,
    },
    /// The settings of the cluster changed while this node ran.
    SettingsChanged {
        /// As they were.
        before: Box<Shared>,
        /// As they are now.
        after: Box<Shared>,
    },
    /// Redis is not well still, for another reason than before.
    StillDegraded(Trouble),
    /// A call was refused.
    CallRefused {
        /// Which.
        call: &'static str,
        /// Why.
        error: String,
    },
}
