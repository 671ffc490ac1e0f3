//! Reasons in the words of events.

use super::{DegradedWhy, ElectedWhy, LeftWhy, LostWhy};
use crate::cluster::event::{ElectedReason, LeftReason, LostReason};

impl DegradedWhy {
    /// By the word of `crate::cluster::node::Trouble`.
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
        }
    }
}

impl From<LostReason> for LostWhy {
    fn from(reason: LostReason) -> Self {
        match reason {
            LostReason::Handover => Self::Handover,
            LostReason::Resigned => Self::Resigned,
            LostReason::Replaced => Self::Replaced,
        }
    }
}
