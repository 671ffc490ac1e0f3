//! Limits: permits and slots.

use super::{Context, Scripted};
use crate::cluster::ids::TaskToken;
use crate::cluster::protocol::{
    AcquireSlot, ForgetSlot, Permits, PermitsReply, ReleaseSlot, RenewSlot, Slot, SlotReply, TakePermits,
};
use crate::cluster::time::ServerTime;
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity, time};
use crate::store::redis::scripts::{self, Script};
use std::time::Duration;

impl Scripted for TakePermits {
    const SCRIPT: &'static Script = &scripts::PERMITS_TAKE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("name", &self.name);
        arguments.put("permits", &self.permits);
        arguments.put("rate", &self.rate);
        arguments.put("per", &self.per);
        arguments.put("burst", &self.burst);
        arguments.put("wait", &self.wait);
        arguments.put("request_id", &self.request_id);
    }

    fn read(&self, f: &mut Fields) -> Result<PermitsReply, Malformed> {
        let identity = identity(f)?;
        let (outcome, at, wait) = (f.text("outcome")?, time(f)?, Duration::from_millis(f.number("wait")?));
        let outcome = match outcome.as_str() {
            "granted" => Permits::Granted { at, wait },
            "refused" => Permits::Refused { retry_after: wait },
            "overloaded" => Permits::Overloaded,
            other => return Err(Malformed(format!("unknown outcome {other:?}"))),
        };
        Ok(PermitsReply { identity, outcome, remaining: f.number("remaining")? })
    }
}

impl Scripted for AcquireSlot {
    const SCRIPT: &'static Script = &scripts::SLOT_ACQUIRE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("name", &self.name);
        arguments.put("ticket", &self.ticket);
        arguments.put("request_id", &self.request_id);
        arguments.put("slots", &self.slots);
        arguments.put("ttl", &self.ttl);
        arguments.put("wait", &self.wait);
        arguments.put("grace", &self.grace);
    }

    fn read(&self, f: &mut Fields) -> Result<SlotReply, Malformed> {
        let identity = identity(f)?;
        let (outcome, token) = (f.text("outcome")?, TaskToken(f.number("token")?));
        let expires_at = time(f)?;
        let again = Duration::from_millis(f.number("again")?);
        let outcome = match outcome.as_str() {
            "granted" => Slot::Granted { token, expires_at },
            "full" => Slot::Full { again },
            "barred" => Slot::Barred,
            "overloaded" => Slot::Overloaded,
            other => return Err(Malformed(format!("unknown outcome {other:?}"))),
        };
        Ok(SlotReply { identity, outcome, in_use: f.number("in use")? })
    }
}

impl Scripted for RenewSlot {
    const SCRIPT: &'static Script = &scripts::SLOT_RENEW;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("name", &self.name);
        arguments.put("token", &self.token);
        arguments.put("ttl", &self.ttl);
    }

    fn read(&self, f: &mut Fields) -> Result<Option<ServerTime>, Malformed> {
        time(f)?;
        let until = time(f)?;
        Ok((until.0 > 0).then_some(until))
    }
}

impl Scripted for ReleaseSlot {
    const SCRIPT: &'static Script = &scripts::SLOT_RELEASE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("name", &self.name);
        arguments.put("token", &self.token);
    }

    fn read(&self, f: &mut Fields) -> Result<Option<u64>, Malformed> {
        time(f)?;
        let released = f.flag("released")?;
        let in_use = f.number("in use")?;
        Ok(released.then_some(in_use))
    }
}

impl Scripted for ForgetSlot {
    const SCRIPT: &'static Script = &scripts::SLOT_FORGET;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("name", &self.name);
        arguments.put("ticket", &self.ticket);
        arguments.put("request_id", &self.request_id);
    }

    fn read(&self, f: &mut Fields) -> Result<(), Malformed> {
        time(f).map(drop)
    }
}
