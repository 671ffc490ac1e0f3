//! `once` keys: the counterpart of `scripts/leases/once.lua`.
//!
//! 1. A key lasts for its TTL in real time, as far as callers report how much time has passed on their own clocks.

use super::state::Step;
use clawster::cluster::ids::NodeId;
use clawster::cluster::protocol::{JUMP, KEPT_LONGER, Once, OnceGrant};
use clawster::cluster::time::{ServerTime, millis};

/// How far apart two callers may see the same jump, in milliseconds.
const SAME_JUMP_WITHIN_MS: u64 = 60_000;
/// How many jumps are remembered.
const REMEMBERED: usize = 8;

/// Who did what may be done once for a key.
#[derive(Debug, Clone)]
pub(super) struct Done {
    by: NodeId,
    at: ServerTime,
    request_id: String,
    /// Milliseconds.
    lasts: u64,
    /// When it is forgotten, on the server's clock.
    until: ServerTime,
}

impl Step<'_> {
    /// The jumps of the server's clock, with those that a caller tells of.
    fn jumps(&mut self, once: &Once) -> Vec<(u64, u64)> {
        let known = |jumps: &[(u64, u64)], at: u64, by: u64| {
            jumps.iter().any(|(a, b)| a.abs_diff(at) <= SAME_JUMP_WITHIN_MS && b.abs_diff(by) <= millis(JUMP))
        };
        let Some(seen) = &once.seen else { return self.data.jumps.clone() };
        for (at, by) in &seen.jumps {
            if !known(&self.data.jumps, at.0, millis(*by)) {
                self.data.jumps.push((at.0, millis(*by)));
            }
        }
        let old = self.data.jumps.len().saturating_sub(REMEMBERED);
        self.data.jumps.drain(..old);
        let mut jumps = self.data.jumps.clone();
        let fresh = self.now.0.saturating_sub(seen.expected.0);
        if fresh > millis(JUMP) && !known(&jumps, self.now.0, fresh) {
            jumps.push((self.now.0, fresh));
        }
        jumps
    }

    fn has_passed(&self, done: &Done, jumps: &[(u64, u64)]) -> bool {
        let before = |jump: &&(u64, u64)| done.at.0 <= jump.0.saturating_sub(jump.1);
        let jumped: u64 = jumps.iter().filter(before).map(|(_, by)| by).sum();
        self.now.0.saturating_sub(done.at.0).saturating_sub(jumped) >= done.lasts
    }

    pub(super) fn once(&mut self, once: &Once) -> Vec<OnceGrant> {
        let lasts = millis(once.ttl);
        let until = ServerTime(self.now.0.saturating_add(lasts + lasts.min(millis(KEPT_LONGER))));
        let jumps = self.jumps(once);
        let void = self.void(once);
        let mut grants = Vec::with_capacity(once.keys.len());
        for key in &once.keys {
            let known = self.data.once.get(key).filter(|done| self.now < done.until && !self.has_passed(done, &jumps));
            grants.push(if let Some(done) = known {
                let mine = done.by == once.by && !once.request_id.is_empty() && done.request_id == once.request_id;
                let same = mine && !(once.give_back && void);
                let (by, at) = (done.by.clone(), done.at);
                if same && once.give_back {
                    self.data.once.remove(key);
                    OnceGrant { granted: true, by, at: self.now }
                } else {
                    OnceGrant { granted: same, by, at }
                }
            } else if once.give_back || void {
                OnceGrant { granted: false, by: once.by.clone(), at: self.now }
            } else {
                let (by, at, request_id) = (once.by.clone(), self.now, once.request_id.clone());
                self.data.once.insert(key.clone(), Done { by: by.clone(), at, request_id, lasts, until });
                OnceGrant { granted: true, by, at }
            });
        }
        grants
    }
}
