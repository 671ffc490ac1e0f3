//! What a node may ask of the shared store, and what the store answers: one pair for each transition.
//!
//! 1. Every call is one atomic transition of the cluster's state; a lost answer leaves it unknown whether it happened.
//! 2. Every call of a member names its life (id and incarnation); the store refuses another life inside the transition.
//!
//! Not here: how a store does it (`crate::store`), when a node asks (`node/`).

use super::ids::{EventSeq, Incarnation, MessageSeq, NodeId, Nonce, Term};
use super::member::{Member, PresenceKind};
use super::message::Producer;
use super::settings::Timing;
use super::time::ServerTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The identity of a server process; the same data on another server has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ServerId(pub String);

/// The highest numbers of a data set, or the highest that a node has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Numbers {
    /// The one counter of terms, lease tokens and incarnations.
    pub token: u64,
    /// The last event.
    pub event: u64,
    /// The last message.
    pub message: u64,
}

impl Numbers {
    /// For each number the higher one.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            token: self.token.max(other.token),
            event: self.event.max(other.event),
            message: self.message.max(other.message),
        }
    }
}

/// The life of a member that makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// Who.
    pub node_id: NodeId,
    /// Which life.
    pub incarnation: Incarnation,
}

/// Where the data set stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Its name; a new one after a loss of data. Empty: there is no data at all.
    pub epoch: String,
    /// Its numbers.
    pub numbers: Numbers,
    /// Events up to here belong to an earlier data set.
    pub event_start: EventSeq,
    /// Messages up to here belong to an earlier data set.
    pub message_start: MessageSeq,
    /// The cluster's times; `None` before the first member.
    pub timing: Option<Timing>,
}

/// The leader's record as the store holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderRecord {
    /// Who holds it; `None` when it is vacant.
    pub holder: Option<Life>,
    /// The term of the last grant.
    pub term: Term,
    /// When the lease ends.
    pub expires_at: ServerTime,
    /// A fresh text at every renewal.
    pub nonce: String,
    /// The nonce of the holder's registered presence.
    pub presence: Option<String>,
    /// Whom the holder shall make room for.
    pub handing_to: Option<NodeId>,
    /// Whether that presence is subscribed.
    pub present: bool,
}

/// What changed in the member table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delta {
    /// Forget what is known first.
    pub reset: bool,
    /// The version that this leads to.
    pub version: u64,
    /// More has changed than fits.
    pub more: bool,
    /// The new rows; `last_seen` is not filled in.
    pub rows: Vec<Member>,
}

/// Whether the caller is the life that the member table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// It is.
    Ok,
    /// The table has no such node: data was lost, or the node was forgotten.
    Unknown,
    /// Another life holds the id.
    Replaced,
    /// This life was declared dead, or left.
    Gone,
    /// The caller speaks of another data set.
    Epoch,
}

/// Asks to become a member.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Under which id.
    pub node_id: NodeId,
    /// A random name of the calling process.
    pub process: Nonce,
    /// How the process shows that it lives.
    pub kind: PresenceKind,
    /// [`super::member::Metadata`] as JSON text.
    pub metadata: String,
    /// Whether it stands for leader.
    pub candidate: bool,
    /// The times to write when this is the first member.
    pub timing: Timing,
    /// The highest numbers that the node has seen.
    pub known: Numbers,
    /// The name of the data set, should it be empty.
    pub fresh_epoch: Nonce,
    /// Take the id from a live process.
    pub force: bool,
    /// The holder's presence that was seen gone for the grace time.
    pub dead_presence: Option<String>,
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

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Who beats.
    pub life: Life,
    /// The data set that the caller's view is of.
    pub epoch: String,
    /// The version that the caller's view has.
    pub version: u64,
    /// The highest numbers that the node has seen.
    pub known: Numbers,
    /// The name of the data set, should it be empty.
    pub fresh_epoch: Nonce,
    /// The term to renew.
    pub renew: Option<Term>,
    /// The nonce of that renewal.
    pub nonce: Nonce,
    /// Whether the caller leads at this instant.
    pub leads: bool,
    /// The connection that is registered as the leader's.
    pub presence: Option<Nonce>,
    /// What the caller acknowledged.
    pub acknowledged: Option<MessageSeq>,
}

/// What became of the lease in a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseNews {
    /// No renewal was asked for.
    None,
    /// It was renewed.
    Renewed,
    /// The caller holds it no more.
    Lost,
}

/// The answer to [`Tick`].
#[derive(Debug, Clone, PartialEq)]
pub struct TickReply {
    /// Whether the caller is known.
    pub identity: Identity,
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// The lease.
    pub lease: LeaseNews,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// Changed rows.
    pub delta: Delta,
    /// Last beats of live members, oldest first, at most 32.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// Until the next member is overdue.
    pub due: Duration,
    /// How many members are alive.
    pub alive: u64,
}

/// Reads without being a member.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The data set that the caller's view is of.
    pub epoch: String,
    /// The version that the caller's view has.
    pub version: u64,
    /// How many rows at most.
    pub rows: u64,
    /// How many beats at most.
    pub beats: u64,
}

/// The answer to [`View`].
#[derive(Debug, Clone, PartialEq)]
pub struct ViewReply {
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub data: DataSet,
    /// The leader's record.
    pub leader: Option<LeaderRecord>,
    /// Changed rows.
    pub delta: Delta,
    /// Last beats, oldest first.
    pub beats: Vec<(NodeId, ServerTime)>,
    /// How many members are alive.
    pub alive: u64,
}

/// Why a term may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The record is vacant.
    Vacant,
    /// The lease is over, and the record was unchanged for one lease on the candidate's own clock.
    Expired {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The server process that granted or confirmed the record is gone, and the record was unchanged on a later one for the
    /// grace on the candidate's own clock.
    Restarted {
        /// The nonce that was unchanged.
        nonce: String,
    },
    /// The leader's presence was gone for the grace on the candidate's own clock.
    Presence {
        /// The presence that was gone.
        nonce: String,
    },
    /// Mode `fenced`: the leader's presence is gone, the grace is not over. It costs the leadership, not the membership.
    Fenced {
        /// The presence that was gone.
        nonce: String,
    },
    /// There is no record, and the leader channel had no subscriber for the grace.
    Absent,
    /// There was no record for one lease on the candidate's own clock.
    AbsentLease,
}

/// Asks for the leadership.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Who asks.
    pub life: Life,
    /// Under which rule.
    pub rule: Rule,
    /// The term that the candidate saw; 0 without a record.
    pub seen: Term,
    /// The nonce of the grant.
    pub nonce: Nonce,
    /// The candidate's presence.
    pub presence: Option<Nonce>,
    /// How long a vacancy is kept for the one it was made for.
    pub grace: Duration,
    /// The highest token that the candidate has seen.
    pub known_token: u64,
}

/// The answer to [`Campaign`].
#[derive(Debug, Clone, PartialEq)]
pub struct CampaignReply {
    /// Whether the caller is known.
    pub identity: Identity,
    /// Server time.
    pub now: ServerTime,
    /// The granted term.
    pub granted: Option<Term>,
    /// Why not.
    pub refused: String,
    /// The record after the call.
    pub leader: Option<LeaderRecord>,
    /// The token counter after the call.
    pub token: u64,
}

/// The answer to a look at the leader.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchReply {
    /// Server time.
    pub now: ServerTime,
    /// The data set.
    pub epoch: String,
    /// The record.
    pub leader: Option<LeaderRecord>,
    /// Whether the leader registered on this server process.
    pub same_server: bool,
    /// Whether anybody holds the leader channel.
    pub leader_channel: bool,
}

/// The answer to a forced handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOver {
    /// The leader was asked.
    Asked,
    /// The candidate leads already.
    Same,
    /// Nobody leads; the candidate may take it.
    Vacant,
    /// The candidate is no live member.
    Unknown,
    /// The candidate does not stand for leader.
    Barred,
}

/// Several messages in one entry of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Packed {
    /// The place of the first one among its producer's own.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// A JSON array of [`super::message::Message`].
    pub body: String,
}

/// Puts messages into the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Publish {
    /// Who sends.
    pub life: Life,
    /// The data set that the caller speaks of.
    pub epoch: String,
    /// The outbox's identity.
    pub producer: Producer,
    /// How many messages the stream keeps.
    pub keep: u64,
    /// What to put.
    pub entries: Vec<Packed>,
}

/// The answer to [`Publish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishReply {
    /// Written; the first message has this position, the others follow without holes.
    Written {
        /// The position of the first message.
        first: MessageSeq,
        /// Server time.
        now: ServerTime,
    },
    /// The first entry begins at or below the producer's mark: nothing was written.
    Marked {
        /// The mark.
        producer_seq: u64,
        /// The position of the message at the mark.
        seq: MessageSeq,
    },
    /// The caller is not the life that the table knows.
    Refused(Identity),
}

/// An entry of the message stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The position of its last message.
    pub last: MessageSeq,
    /// Whose outbox it came from.
    pub producer: Producer,
    /// Who sent it.
    pub from: NodeId,
    /// The place of the first message among its producer's own.
    pub first_own: u64,
    /// How many messages.
    pub count: u64,
    /// When the stream took it.
    pub at: ServerTime,
    /// A JSON array of [`super::message::Message`].
    pub body: String,
}

/// A transition of the cluster's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// See [`Join`].
    Join(Box<Join>),
    /// See [`Tick`].
    Tick(Box<Tick>),
    /// See [`View`].
    View(View),
    /// Ends the membership, gives up leadership.
    Leave {
        /// Who leaves.
        life: Life,
        /// What it acknowledged.
        acknowledged: Option<MessageSeq>,
    },
    /// Gives up a term, stays a member.
    Resign {
        /// Who resigns.
        life: Life,
        /// Which term.
        term: Term,
    },
    /// Asks the leader to make room.
    HandOver {
        /// For whom.
        candidate: NodeId,
    },
    /// See [`Campaign`].
    Campaign(Box<Campaign>),
    /// Stores which connection proves that the caller lives.
    Register {
        /// Who.
        life: Life,
        /// The connection's nonce.
        presence: Nonce,
        /// The term that the caller holds.
        term: Option<Term>,
    },
    /// Looks at the leader.
    Watch,
    /// The leader looks at all members' presence, and declares dead whose was gone for the grace.
    Sweep {
        /// Who leads.
        life: Life,
        /// Under which term.
        term: Term,
        /// Members and their gone presence, at most 16.
        dead: Vec<(NodeId, String)>,
    },
    /// See [`Publish`].
    Publish(Box<Publish>),
    /// Moves the caller's cursor forward.
    Acknowledge {
        /// Who.
        life: Life,
        /// The data set that the caller speaks of.
        epoch: String,
        /// Up to here.
        seq: MessageSeq,
    },
}

/// The store's answer, of the same name as its [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Call::Join`].
    Join(Box<JoinReply>),
    /// To [`Call::Tick`].
    Tick(Box<TickReply>),
    /// To [`Call::View`].
    View(Box<ViewReply>),
    /// To [`Call::Leave`] and [`Call::Resign`].
    Left {
        /// Whether the caller is known.
        identity: Identity,
        /// Server time.
        now: ServerTime,
        /// Whether a leadership was given up.
        resigned: bool,
    },
    /// To [`Call::HandOver`].
    HandOver {
        /// What came of it.
        outcome: HandOver,
        /// Server time.
        now: ServerTime,
        /// The record.
        leader: Option<LeaderRecord>,
    },
    /// To [`Call::Campaign`].
    Campaign(Box<CampaignReply>),
    /// To [`Call::Register`].
    Registered {
        /// Whether the caller is known.
        identity: Identity,
        /// Whether the presence was stored.
        registered: bool,
        /// Whether it was stored as the leader's, too.
        leads: bool,
    },
    /// To [`Call::Watch`].
    Watch(Box<WatchReply>),
    /// To [`Call::Sweep`].
    Sweep {
        /// Whether the caller leads.
        leads: bool,
        /// Members whose presence is gone now, with its nonce.
        gone: Vec<(NodeId, String)>,
    },
    /// To [`Call::Publish`].
    Publish(PublishReply),
    /// To [`Call::Acknowledge`].
    Acknowledge(Identity),
}

/// Why a call has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store did not answer, or the connection was lost: whether the call happened is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// The store answered with an error; nothing happened.
    #[error("{0}")]
    Refused(String),
}
