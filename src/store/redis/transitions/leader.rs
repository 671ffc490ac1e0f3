//! The leader's record: campaigning, watching, handing over, resigning.

use super::replies::{leader, left};
use super::{Context, Grants, Scripted};
use crate::cluster::ids::Term;
use crate::cluster::protocol::{
    Campaign, CampaignReply, HandOver, HandOverReply, HandedOver, LeaveReply, Resign, Rule, WatchLeader, WatchReply,
};
use crate::cluster::settings::Promise;
use crate::cluster::time::millis;
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity, time};
use crate::store::redis::scripts::{self, Script};

/// A leader's promise, and when it stated it, in the format of the scripts.
pub(super) fn promise(promise: &Promise, stated: u64) -> String {
    format!("{} {} {} {stated}", millis(promise.grace), millis(promise.lease), promise.mode.word())
}

impl Scripted for Campaign {
    const SCRIPT: &'static Script = &scripts::CAMPAIGN;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        let (rule, seen_nonce) = match &self.rule {
            Rule::Vacant => ("vacant", None),
            Rule::Expired { nonce } => ("expired", Some(nonce)),
            Rule::Restarted { nonce } => ("restarted", Some(nonce)),
            Rule::Fenced { nonce } => ("fenced", Some(nonce)),
            Rule::Presence { nonce } => ("presence", Some(nonce)),
            Rule::Absent => ("absent", None),
            Rule::AbsentLease => ("absent_lease", None),
        };
        arguments.put_instance(&self.instance);
        arguments.put("rule", rule);
        arguments.put("seen_term", &self.seen);
        arguments.put("seen_nonce", &seen_nonce.cloned());
        arguments.put("seen_for", &self.seen_for);
        arguments.put("nonce", &self.nonce);
        arguments.put("presence", &self.presence);
        arguments.put("promise", &promise(&self.promise, self.stated));
        arguments.put("known_token", &self.known_token);
    }

    fn grants(&self) -> Grants {
        Grants::Term
    }

    fn read(&self, f: &mut Fields) -> Result<CampaignReply, Malformed> {
        // A refused campaign may carry the identity's own word as the reason.
        let identity = identity(f)?;
        let now = time(f)?;
        let granted = f.flag("granted")?;
        let term = Term(f.number("term")?);
        Ok(CampaignReply {
            identity,
            now,
            granted: granted.then_some(term),
            refused: f.text("why")?,
            leader: leader(f)?,
            token: f.number("token")?,
        })
    }
}

impl Scripted for WatchLeader {
    const SCRIPT: &'static Script = &scripts::WATCH;

    fn arguments(&self, _: &mut Arguments, _: &Context<'_>) {}

    fn read(&self, f: &mut Fields) -> Result<WatchReply, Malformed> {
        Ok(WatchReply {
            now: time(f)?,
            epoch: f.text("epoch")?,
            leader: leader(f)?,
            same_server: f.flag("same server")?,
            leader_channel: f.flag("leader channel")?,
        })
    }
}

impl Scripted for HandOver {
    const SCRIPT: &'static Script = &scripts::HAND_OVER;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("candidate", &self.candidate);
    }

    fn read(&self, f: &mut Fields) -> Result<HandOverReply, Malformed> {
        let outcome = match f.text("status")?.as_str() {
            "asked" => HandedOver::Asked,
            "same" => HandedOver::Same,
            "vacant" => HandedOver::Vacant,
            "unknown" => HandedOver::Unknown,
            "barred" => HandedOver::Barred,
            other => return Err(Malformed(format!("unknown status {other:?}"))),
        };
        Ok(HandOverReply { outcome, now: time(f)?, leader: leader(f)? })
    }
}

impl Scripted for Resign {
    const SCRIPT: &'static Script = &scripts::RESIGN;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("term", &self.term);
    }

    fn read(&self, f: &mut Fields) -> Result<LeaveReply, Malformed> {
        left(f)
    }
}
