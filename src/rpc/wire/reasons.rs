//! Why a membership or leadership changed, as subscribers see it.
//!
//! Not here: the events that carry the reasons (`event.rs`).

use crate::cluster::event::{ElectedReason, LeftReason, LostReason};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a node is no longer a live member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeftWhy {
    /// It left.
    Left,
    /// Its heartbeat deadline passed.
    HeartbeatTimeout,
    /// Its process died.
    ProcessDied,
    /// Another process took over its node id.
    Replaced,
    /// A reason that only a newer version knows.
    Other,
}

/// Why a leader was elected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ElectedWhy {
    /// There was no leader.
    Vacant,
    /// The lease of the old leader expired.
    Expired,
    /// The old leader's process died.
    ProcessDied,
    /// Leadership was handed over on request.
    Handover,
    /// The old leader left.
    Resigned,
    /// A reason that only a newer version knows.
    Other,
}

/// Why leadership became vacant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostWhy {
    /// The leader makes room for another leader on request.
    Handover,
    /// The leader left.
    Resigned,
    /// Another process took over the node id of the leader.
    Replaced,
    /// A reason that only a newer version knows.
    Other,
}

/// What is wrong with Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DegradedWhy {
    /// Redis does not answer.
    #[default]
    Unreachable,
    /// Redis answers, but refuses the heartbeats of this node.
    RefusesWrites,
    /// Redis accepts heartbeats, but nothing that needs more memory.
    Full,
}

impl DegradedWhy {
    /// The value for a word of `crate::cluster::node::Trouble`.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "full" => Self::Full,
            "refuses_writes" => Self::RefusesWrites,
            _ => Self::Unreachable,
        }
    }
}

impl From<LeftReason> for LeftWhy {
    fn from(reason: LeftReason) -> Self {
        match reason {
            LeftReason::Left => Self::Left,
            LeftReason::HeartbeatTimeout => Self::HeartbeatTimeout,
            LeftReason::ProcessDied => Self::ProcessDied,
            LeftReason::Replaced => Self::Replaced,
            LeftReason::Other => Self::Other,
        }
    }
}

impl From<ElectedReason> for ElectedWhy {
    fn from(reason: ElectedReason) -> Self {
        match reason {
            ElectedReason::Vacant => Self::Vacant,
            ElectedReason::Expired => Self::Expired,
            ElectedReason::ProcessDied => Self::ProcessDied,
            ElectedReason::Handover => Self::Handover,
            ElectedReason::Resigned => Self::Resigned,
            ElectedReason::Other => Self::Other,
        }
    }
}

impl From<LostReason> for LostWhy {
    fn from(reason: LostReason) -> Self {
        match reason {
            LostReason::Handover => Self::Handover,
            LostReason::Resigned => Self::Resigned,
            LostReason::Replaced => Self::Replaced,
            LostReason::Other => Self::Other,
        }
    }
}
