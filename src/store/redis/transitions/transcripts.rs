//! The transitions of copies of transcripts as scripts.
//!
//! 1. What the scripts return of an item may be another program's: an item that cannot be read is skipped.

use super::{Context, Scripted};
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::{
    AppendReply, AppendTranscript, ReadTranscript, TRANSCRIPT_BYTES, TranscriptItem, TranscriptPage,
};
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity};
use crate::store::redis::scripts::{self, Script};
use crate::store::redis::unreadable::What;
use serde_json::value::RawValue;

impl Scripted for AppendTranscript {
    const SCRIPT: &'static Script = &scripts::TRANSCRIPT_APPEND;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("session", &self.session);
        arguments.put("nonce", &self.nonce);
        arguments.put("restart", &self.restart);
        arguments.put("keep_items", &self.keep_items);
        arguments.put("keep_bytes", &TRANSCRIPT_BYTES);
        arguments.put("keep_for", &self.keep_for);
        arguments.list("items", &["item"], self.items.iter().map(|item| [item.clone()]));
    }

    fn is_bulky(&self) -> bool {
        self.items.iter().map(String::len).sum::<usize>() > 65_536
    }

    fn read(&self, f: &mut Fields) -> Result<AppendReply, Malformed> {
        Ok(AppendReply { identity: identity(f)?, position: f.optional("position")?, kept: f.number("entries")? })
    }
}

fn item_of(position: String, node: Option<String>, item: Option<String>) -> Option<TranscriptItem> {
    let (node_id, item) = (NodeId::new(node?).ok()?, item.filter(|item| item.starts_with('{'))?);
    let valid = serde_json::from_str::<&RawValue>(&item).is_ok();
    valid.then_some(TranscriptItem { position, node_id, item })
}

impl Scripted for ReadTranscript {
    const SCRIPT: &'static Script = &scripts::TRANSCRIPT_READ;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("session", &self.session);
        arguments.put("after", &self.after);
        arguments.put("limit", &self.limit);
    }

    fn read(&self, f: &mut Fields) -> Result<TranscriptPage, Malformed> {
        let (from_start, more, last) = (f.flag("from start")?, f.flag("more")?, f.optional("last")?);
        let mut list = f.list("items")?;
        let mut items = Vec::with_capacity(list.len() / 3);
        while list.len() > 0 {
            let position = list.text("position")?;
            let (node, item) = (list.foreign_text("node id")?, list.foreign_text("item")?);
            match item_of(position.clone(), node, item) {
                Some(item) => items.push(item),
                None => What::Transcript.left_out(&position, "it is no item of a transcript"),
            }
        }
        Ok(TranscriptPage { from_start, more, last, items })
    }
}
