//! What a call of a method changes in the cluster, for hosts that ask a person before some calls.
//!
//! 1. These are hints: clawster itself does not use them for decisions.
//!
//! Not here: the annotations of MCP tools (`crate::rpc::mcp`).

/// What a call changes in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The call changes nothing.
    pub(crate) reads: bool,
    /// The call may take something away: leadership, a membership, work.
    pub(crate) destroys: bool,
    /// Repeating the call changes nothing more.
    pub(crate) repeatable: bool,
}

impl Effect {
    /// The call only reads.
    pub(crate) const READS: Self = Self { reads: true, destroys: false, repeatable: true };
    /// The call adds something, and takes nothing away.
    pub(crate) const ADDS: Self = Self { reads: false, destroys: false, repeatable: false };
    /// The call adds something; repeating it adds nothing more.
    pub(crate) const ADDS_ONCE: Self = Self { reads: false, destroys: false, repeatable: true };
    /// The call may take something away; repeating it may take more away.
    pub(crate) const CHANGES: Self = Self { reads: false, destroys: true, repeatable: false };
    /// The call may take something away; repeating it changes nothing more.
    pub(crate) const SETTLES: Self = Self { reads: false, destroys: true, repeatable: true };
}
