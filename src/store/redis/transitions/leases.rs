//! Named leases, and keys that are granted once.

use super::{Context, Grants, Scripted};
use crate::cluster::ids::{Incarnation, LeaseName, NodeId, Nonce, Term};
use crate::cluster::protocol::{
    Acquire, AcquireReply, Acquired, Check, Claim, Forget, LeaseRecord, ListLeases, ListedLease, Once, OnceGrant,
    Owner, Refusal, Release, Renew, Renewal, Renewed, WatchLease, Watched, Withdraw,
};
use crate::cluster::time::{ServerTime, millis};
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, named_identity, time};
use crate::store::redis::keys::Keys;
use crate::store::redis::scripts::{self, Script};
use std::time::Duration;

impl Scripted for Acquire {
    const SCRIPT: &'static Script = &scripts::ACQUIRE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        let (claim, token, seen) = match &self.claim {
            None => ("", Term(0), ""),
            Some(Claim::Presence { token, presence }) => ("presence", *token, presence.as_str()),
            Some(Claim::Expired { token, nonce }) => ("expired", *token, nonce.as_str()),
        };
        let served = self.served.as_ref();
        arguments.put("name", &self.name);
        arguments.put_owner(&self.owner);
        arguments.put("ticket", &self.ticket);
        arguments.put("request_id", &self.request_id);
        arguments.put("ttl", &self.ttl);
        arguments.put("wait", &self.wait);
        arguments.put("grace", &self.grace);
        arguments.put("claim", claim);
        arguments.put("seen_token", &token);
        arguments.put("seen_text", seen);
        arguments.put("seen_for", &self.seen_for);
        arguments.put("server", &served.map(|served| served.server.0.as_str()));
        arguments.put("server_epoch", &served.map(|served| served.epoch.as_str()));
        arguments.put("served_for", &served.map_or(Duration::ZERO, |served| served.span));
        arguments.put("nonce", &self.nonce);
        arguments.put_known(&self.known, &self.fresh_epoch);
        arguments.put("stated", &self.stated);
    }

    fn grants(&self) -> Grants {
        Grants::Term
    }

    fn read(&self, f: &mut Fields) -> Result<AcquireReply, Malformed> {
        let now = time(f)?;
        let (epoch, token) = (f.text("epoch")?, f.number("token")?);
        let outcome = f.text("outcome")?;
        let number = f.number("number")?;
        let expires_at = time(f)?;
        let repeated = f.flag("repeated")?;
        let again = u64::try_from(f.signed("again")?).ok().map(Duration::from_millis);
        let outcome = match outcome.as_str() {
            "granted" => Acquired::Granted { token: Term(number), expires_at, again: repeated },
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
}

impl Scripted for Renew {
    const SCRIPT: &'static Script = &scripts::RENEW;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
        arguments.put("token", &self.token);
        arguments.put("ttl", &self.ttl);
        arguments.put("nonce", &self.nonce);
        arguments.put_owner(&self.owner);
        arguments.put("ticket", &self.ticket);
        arguments.put("holds", &self.holds);
        arguments.put("grace", &self.grace);
        arguments.put("stated", &self.stated);
    }

    fn grants(&self) -> Grants {
        Grants::Term
    }

    fn read(&self, f: &mut Fields) -> Result<Renewal, Malformed> {
        let now = time(f)?;
        let outcome = f.text("outcome")?;
        let until = time(f)?;
        let outcome = match outcome.as_str() {
            "renewed" => Renewed::Until(until),
            "stale" => Renewed::Stale,
            "no presence" => Renewed::NoPresence,
            other => return Err(Malformed(format!("unknown outcome {other:?}"))),
        };
        Ok(Renewal { now, outcome, grace: grace(f)? })
    }
}

impl Scripted for Release {
    const SCRIPT: &'static Script = &scripts::RELEASE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
        arguments.put("token", &self.token);
        arguments.put_owner(&self.owner);
        arguments.put("ticket", &self.ticket);
    }

    fn read(&self, f: &mut Fields) -> Result<bool, Malformed> {
        time(f)?;
        f.flag("released")
    }
}

impl Scripted for Check {
    const SCRIPT: &'static Script = &scripts::CHECK;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
        arguments.put("token", &self.token);
    }

    fn read(&self, f: &mut Fields) -> Result<bool, Malformed> {
        time(f)?;
        f.flag("valid")
    }
}

impl Scripted for ListLeases {
    const SCRIPT: &'static Script = &scripts::LEASE_LIST;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("limit", &self.limit);
    }

    fn read(&self, f: &mut Fields) -> Result<Vec<ListedLease>, Malformed> {
        time(f)?;
        let mut list = f.list("leases")?;
        let mut leases = Vec::with_capacity(list.len() / 2);
        while list.len() > 0 {
            let name = list.text("name")?;
            // A damaged lease is left out.
            let record = record(&mut list).ok().flatten();
            let found = LeaseName::new(name).ok().zip(record);
            leases.extend(found.map(|(name, record)| ListedLease { name, record }));
        }
        Ok(leases)
    }
}

impl Scripted for Forget {
    const SCRIPT: &'static Script = &scripts::FORGET;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
        arguments.put("ticket", &self.ticket);
    }

    fn read(&self, f: &mut Fields) -> Result<bool, Malformed> {
        time(f)?;
        f.flag("waited")
    }
}

impl Scripted for Withdraw {
    const SCRIPT: &'static Script = &scripts::WITHDRAW;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
        arguments.put_owner(&self.owner);
        arguments.put("ticket", &self.ticket);
        arguments.put("request_id", &self.request_id);
    }

    fn read(&self, f: &mut Fields) -> Result<bool, Malformed> {
        time(f)?;
        f.flag("granted")
    }
}

impl Scripted for WatchLease {
    const SCRIPT: &'static Script = &scripts::WATCH_LEASE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("name", &self.name);
    }

    fn read(&self, f: &mut Fields) -> Result<Watched, Malformed> {
        Ok(Watched { now: time(f)?, epoch: f.text("epoch")?, record: record(f)? })
    }
}

impl Scripted for Once {
    const SCRIPT: &'static Script = &scripts::ONCE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        let attempt = self.attempt.as_ref();
        let jumps = self.seen.as_ref().map_or(&[][..], |seen| &seen.jumps);
        let jumps: Vec<String> = jumps.iter().map(|(at, by)| format!("{}:{}", at.0, millis(*by))).collect();
        arguments.put("node_id", &self.by);
        arguments.put("request_id", &self.request_id);
        arguments.put("ttl", &self.ttl);
        arguments.put("give_back", &self.give_back);
        arguments.put("incarnation", &attempt.map(|attempt| attempt.incarnation));
        arguments.put("attempt", &attempt.map_or(0, |attempt| attempt.number));
        arguments.put("supersedes", &attempt.is_some_and(|attempt| attempt.supersedes));
        arguments.put("expected_time", &self.seen.as_ref().map(|seen| seen.expected.0));
        arguments.put("jumps", &jumps.join(" "));
    }

    fn own_keys(&self, keys: &Keys) -> Vec<String> {
        self.keys.iter().map(|key| keys.once(key)).collect()
    }

    fn read(&self, f: &mut Fields) -> Result<Vec<OnceGrant>, Malformed> {
        let now = time(f)?;
        let mut list = f.list("answers")?;
        let mut grants = Vec::with_capacity(list.len());
        while list.len() > 0 {
            let answer = list.text("answer")?;
            if answer.is_empty() {
                grants.push(OnceGrant { granted: true, by: self.by.clone(), at: now });
                continue;
            }
            let bad =
                || Malformed(format!("invalid holder of a key: {:?}", answer.chars().take(100).collect::<String>()));
            let mut words = answer.split(' ');
            let mut word = || words.next().ok_or_else(bad);
            let granted = word()? == "1";
            let by = NodeId::new(word()?).map_err(|_| bad())?;
            grants.push(OnceGrant { granted, by, at: ServerTime(word()?.parse().map_err(|_| bad())?) });
        }
        if grants.len() != self.keys.len() {
            return Err(Malformed(format!("{} answers for {} keys", grants.len(), self.keys.len())));
        }
        Ok(grants)
    }
}

/// The cluster's grace, if the data set has one.
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
