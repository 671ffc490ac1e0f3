//! Publishing messages, and acknowledging them.

use super::{Context, Grants, Scripted};
use crate::cluster::ids::{MessageSeq, NodeId};
use crate::cluster::protocol::{Acknowledge, Identity, Publish, PublishReply};
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity, named_identity, time};
use crate::store::redis::scripts::{self, Script};

impl Scripted for Publish {
    const SCRIPT: &'static Script = &scripts::PUBLISH;

    fn arguments(&self, arguments: &mut Arguments, context: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("epoch", &self.epoch);
        arguments.put("producer", &self.producer);
        arguments.put("keep", &self.keep);
        arguments.put("max_bytes", &self.max_bytes);
        arguments.put("server", context.server);
        let entries =
            self.entries.iter().map(|entry| [entry.first.to_string(), entry.count.to_string(), entry.body.clone()]);
        arguments.list("entries", &["first_own", "count", "body"], entries);
    }

    fn is_bulky(&self) -> bool {
        true
    }

    fn grants(&self) -> Grants {
        Grants::Messages
    }

    fn read(&self, f: &mut Fields) -> Result<PublishReply, Malformed> {
        let status = f.text("status")?;
        let now = time(f)?;
        let producer_seq = f.number("mark")?;
        let seq = MessageSeq(f.number("mark seq")?);
        let first = MessageSeq(f.number("first seq")?);
        Ok(match status.as_str() {
            "ok" => PublishReply::Written { first, now },
            "mark" => PublishReply::Marked { producer_seq, seq },
            "full" => {
                let (held, bound) = (f.number("held")?, f.number("bound")?);
                let slowest = NodeId::new(f.text("slowest")?).ok();
                PublishReply::Full { held, bound: Some(bound).filter(|bound| *bound > 0), slowest }
            }
            other => PublishReply::Refused(named_identity(other)?),
        })
    }
}

impl Scripted for Acknowledge {
    const SCRIPT: &'static Script = &scripts::ACKNOWLEDGE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("epoch", &self.epoch);
        arguments.put("seq", &self.seq);
    }

    fn read(&self, f: &mut Fields) -> Result<Identity, Malformed> {
        identity(f)
    }
}
