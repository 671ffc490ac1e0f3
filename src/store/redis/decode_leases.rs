//! The replies of the scripts of leases, in the order of each script's header.
//!
//! Not here: which script answers (`encode.rs`), the other replies (`decode.rs`).

use super::fields::{Fields, Malformed, identity, named_identity, time};
use crate::cluster::ids::{Incarnation, NodeId, Nonce, Term};
use crate::cluster::protocol::{
    AcquireReply, Acquired, DrainReply, LeaseCall, LeaseRecord, LeaseReply, Once, OnceGrant, Owner, Refusal, Renewed,
};
use crate::cluster::time::ServerTime;
use std::time::Duration;

pub(super) fn reply(call: &LeaseCall, f: &mut Fields) -> Result<LeaseReply, Malformed> {
    let now = time(f)?;
    Ok(match call {
        LeaseCall::Acquire(_) => LeaseReply::Acquired(Box::new(acquired(now, f)?)),
        LeaseCall::Renew { .. } => {
            let outcome = f.text("outcome")?;
            let until = time(f)?;
            let outcome = match outcome.as_str() {
                "renewed" => Renewed::Until(until),
                "stale" => Renewed::Stale,
                "no presence" => Renewed::NoPresence,
                other => return Err(Malformed(format!("unknown outcome {other:?}"))),
            };
            LeaseReply::Renewed { now, outcome, grace: grace(f)? }
        }
        LeaseCall::Release { .. } => LeaseReply::Released { released: f.flag("released")? },
        LeaseCall::Check { .. } => LeaseReply::Checked { valid: f.flag("valid")? },
        LeaseCall::Forget { .. } => LeaseReply::Forgotten { waited: f.flag("waited")? },
        LeaseCall::Withdraw { .. } => LeaseReply::Withdrawn { granted: f.flag("granted")? },
        LeaseCall::Watch { .. } => LeaseReply::Watched { now, epoch: f.text("epoch")?, record: record(f)? },
    })
}

fn acquired(now: ServerTime, f: &mut Fields) -> Result<AcquireReply, Malformed> {
    let (epoch, token) = (f.text("epoch")?, f.number("token")?);
    let outcome = f.text("outcome")?;
    let number = f.number("number")?;
    let expires_at = time(f)?;
    let told_again = f.flag("told again")?;
    let again = u64::try_from(f.signed("again")?).ok().map(Duration::from_millis);
    let outcome = match outcome.as_str() {
        "granted" => Acquired::Granted { token: Term(number), expires_at, again: told_again },
        "queued" => Acquired::Queued { before: number },
        "held" => Acquired::Refused(Refusal::Held),
        "draining" => Acquired::Refused(Refusal::Draining),
        "no presence" => Acquired::Refused(Refusal::NoPresence),
        "unsettled" => Acquired::Refused(Refusal::Unsettled),
        "overloaded" => Acquired::Refused(Refusal::Overloaded),
        "leadership" => Acquired::Refused(Refusal::Leadership),
        status => Acquired::Refused(Refusal::NoMember(named_identity(status)?)),
    };
    Ok(AcquireReply { now, epoch, token, outcome, again, record: record(f)?, grace: grace(f)? })
}

/// The cluster's grace, where the data set says.
fn grace(f: &mut Fields) -> Result<Option<Duration>, Malformed> {
    let grace = f.number("grace of the cluster")?;
    Ok((grace > 0).then_some(Duration::from_millis(grace)))
}

fn record(f: &mut Fields) -> Result<Option<LeaseRecord>, Malformed> {
    let mut l = f.list("record")?;
    if l.len() == 0 {
        return Ok(None);
    }
    let id = l.optional("holder")?;
    let incarnation = Incarnation(l.number("incarnation")?);
    let token = Term(l.number("token")?);
    let expires_at = time(&mut l)?;
    let nonce = l.text("nonce")?;
    let presence = l.optional("presence")?;
    let presence = presence.map(Nonce::new).transpose().map_err(|why| Malformed(why.to_string()))?;
    let node_id = id.map(NodeId::new).transpose().map_err(|why| Malformed(why.to_string()))?;
    Ok(Some(LeaseRecord {
        holder: node_id.map(|node_id| Owner { node_id, incarnation, presence }),
        token,
        expires_at,
        nonce,
        ttl: Duration::from_millis(l.number("ttl")?),
        present: l.flag("present")?,
        same_server: l.flag("same server")?,
        offered_to: l.optional("offered to")?,
        waiters: l.number("waiters")?,
        grace: Duration::from_millis(l.number("grace")?),
    }))
}

pub(super) fn once(once: &Once, f: &mut Fields) -> Result<Vec<OnceGrant>, Malformed> {
    let now = time(f)?;
    let mut list = f.list("answers")?;
    let mut grants = Vec::with_capacity(list.len());
    while list.len() > 0 {
        let answer = list.text("answer")?;
        if answer.is_empty() {
            grants.push(OnceGrant { granted: true, by: once.by.clone(), at: now });
            continue;
        }
        let bad = || Malformed(format!("whose a key is: {:?}", answer.chars().take(100).collect::<String>()));
        let mut words = answer.split(' ');
        let mut word = || words.next().ok_or_else(bad);
        let granted = word()? == "1";
        let by = NodeId::new(word()?).map_err(|_| bad())?;
        grants.push(OnceGrant { granted, by, at: ServerTime(word()?.parse().map_err(|_| bad())?) });
    }
    Ok(grants)
}

pub(super) fn drain(f: &mut Fields) -> Result<DrainReply, Malformed> {
    Ok(DrainReply {
        identity: identity(f)?,
        now: time(f)?,
        resigned: f.flag("resigned")?,
        running_tasks: f.number("running tasks")?,
        leases: f.number("leases")?,
    })
}
