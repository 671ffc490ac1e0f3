//! L1, L2 and E3 over what clients asked of leases.
//!
//! Tokens rise with every grant, so they put the grants of a lease in order. What remains is to see that every answer fits
//! between two grants: that is left to `linear.rs`, which tries the orders that the times allow.

use super::{Case, era, linear};
use crate::history::{LeaseAnswer, LeaseAsk, LeaseOp, touches};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::Stamp;

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let ops = case.history.leases().clone();
    let losses = case.history.losses(case.settle);
    let mut problems = if case.history.numbers_may_fall() { Vec::new() } else { rising(&ops) };
    problems.extend(fenced(case));
    let mut parts: BTreeMap<(String, usize), Vec<LeaseOp>> = BTreeMap::new();
    for op in ops {
        if let Some(era) = era(&losses, op.sent, op.answered) {
            parts.entry((op.name.clone(), era)).or_default().push(op);
        }
    }
    for ((name, era), ops) in &parts {
        let ends = |op: &LeaseOp| earliest_end(case, ops, op);
        if let Err(why) = linear::check(ops, ends) {
            problems.push(format!("L1: {name}, era {era}: {why}"));
        }
    }
    problems
}

/// Tokens rise in real time, across everything; and none is granted to two.
fn rising(ops: &[LeaseOp]) -> Vec<String> {
    let mut grants: Vec<(u64, &LeaseOp)> = ops
        .iter()
        .filter_map(|op| if let LeaseAnswer::Granted(token) = op.answer { Some((token, op)) } else { None })
        .collect();
    grants.sort_by_key(|(_, op)| op.answered);
    let mut problems = Vec::new();
    for (at, (token, op)) in grants.iter().enumerate() {
        for (later, other) in &grants[at + 1..] {
            if later == token && (other.place, &other.name) != (op.place, &op.name) {
                problems.push(format!("L2: token {token} was granted to n{} and to n{}", op.place, other.place));
            } else if other.sent > op.answered && later < token {
                problems.push(format!("L2: token {token} ({}) was followed by {later} ({})", op.name, other.name));
            }
        }
    }
    problems
}

/// E3: what a fencing thing took never came under a token below one that it had seen. That is its own doing; what is judged is
/// that a holder that was not disturbed is never refused.
fn fenced(case: &Case<'_>) -> Vec<String> {
    let anything = case.history.risks(None, true, case.settle);
    let writes = case.history.writes();
    let refused =
        writes.iter().filter(|write| !write.taken && !touches(&anything, write.at - Duration::from_secs(5), write.at));
    refused
        .map(|write| format!("E3: {} refused the token {} of an undisturbed holder", write.name, write.token))
        .collect()
}

/// The earliest time at which a grant may have ended by itself.
fn earliest_end(case: &Case<'_>, ops: &[LeaseOp], grant: &LeaseOp) -> Stamp {
    let (LeaseAsk::Acquire { ttl_ms }, LeaseAnswer::Granted(token)) = (grant.ask, grant.answer) else {
        return Stamp::MAX;
    };
    // A hundredth less, because Redis counts by its own clock.
    let lasts = |sent: Stamp, ttl_ms: u64| sent + Duration::from_millis(ttl_ms) * 99 / 100;
    let mut end = lasts(grant.sent, ttl_ms);
    for op in ops {
        match op.ask {
            // A renewal sets the time anew, also to less; one of which no answer is known may have.
            LeaseAsk::Renew { token: of, ttl_ms } if of == token => {
                let renewed = lasts(op.sent, ttl_ms);
                if op.answer == LeaseAnswer::Yes && op.sent < end {
                    end = renewed
                } else {
                    end = end.min(renewed.max(op.sent))
                }
            }
            _ => {}
        }
    }
    for (begun, ended) in case.history.risks(Some(grant.place), true, case.settle) {
        if begun <= end && grant.sent <= ended {
            end = end.min(begun.max(grant.sent));
        }
    }
    end
}
