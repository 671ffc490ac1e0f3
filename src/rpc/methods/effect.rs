//! What a call of a method does to the cluster, for hosts that ask a person before some calls.
//!
//! 1. These are hints: nothing in clawster decides by them.
//!
//! Not here: how hosts are told (`crate::rpc::mcp`).

/// What a call does to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// It changes nothing.
    pub(crate) reads: bool,
    /// It may take something away from somebody: leadership, a membership, work.
    pub(crate) destroys: bool,
    /// The same call a second time changes nothing more.
    pub(crate) repeatable: bool,
}

impl Effect {
    /// Only looks.
    pub(crate) const READS: Self = Self { reads: true, destroys: false, repeatable: true };
    /// Adds something, and takes nothing from anybody.
    pub(crate) const ADDS: Self = Self { reads: false, destroys: false, repeatable: false };
    /// Adds something; the same call a second time adds nothing more.
    pub(crate) const ADDS_ONCE: Self = Self { reads: false, destroys: false, repeatable: true };
    /// May take something away; a second time, too.
    pub(crate) const CHANGES: Self = Self { reads: false, destroys: true, repeatable: false };
    /// May take something away; a second time changes nothing more.
    pub(crate) const SETTLES: Self = Self { reads: false, destroys: true, repeatable: true };
}
