//! Joining, heartbeats, reading the cluster, draining, leaving, the cluster's settings.

use super::replies::{beats, data_set, delta, known_id, leader, left};
use super::{Context, Grants, Scripted};
use crate::cluster::ids::{Incarnation, MessageSeq, NodeId, Term};
use crate::cluster::members::member::PresenceKind;
use crate::cluster::protocol::{
    Census, Drain, DrainReply, ForgetMembers, Forgotten, Join, JoinReply, LeaseNews, Leave, LeaveReply, MOST_LANES,
    PushSettings, Register, Registered, SettingsReply, Sweep, Swept, TakeCensus, Tick, TickReply, View, ViewReply,
};
use crate::cluster::settings::Shared;
use crate::cluster::task::{Jitter, TaskState};
use crate::cluster::time::millis;
use crate::store::redis::arguments::Arguments;
use crate::store::redis::fields::{Fields, Malformed, identity, time};
use crate::store::redis::scripts::{self, Script};
use redis::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The cluster's settings in the format of the scripts.
fn shared(settings: &Shared) -> String {
    let Shared { timing, presence_grace, mode } = settings;
    let times = [timing.heartbeat_interval, timing.heartbeat_ttl, timing.lease_ttl, *presence_grace];
    let [interval, ttl, lease, grace] = times.map(millis);
    format!("{interval} {ttl} {lease} {grace} {}", mode.word())
}

impl Scripted for Join {
    const SCRIPT: &'static Script = &scripts::JOIN;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        let kind = match self.kind {
            PresenceKind::Connection => "connection",
            PresenceKind::None => "none",
        };
        let (cursor, cursor_epoch) = self.cursor.clone().unzip();
        let (stood, stood_epoch) = self.stood.clone().unzip();
        let aliases: Vec<&str> = self.aliases.iter().map(NodeId::as_str).collect();
        arguments.put("node_id", &self.node_id);
        arguments.put("process", &self.process);
        arguments.put("kind", kind);
        arguments.put("metadata", &self.metadata);
        arguments.put("candidate", &self.candidate);
        arguments.put("settings_version", &self.settings.version);
        arguments.put("settings", &shared(&self.settings.settings));
        arguments.put_known(&self.known, &self.fresh_epoch);
        arguments.put("force", &self.force);
        arguments.put("dead_presence", &self.dead_presence);
        arguments.put("dead_for", &self.dead_for);
        arguments.put("own_incarnation", &self.own);
        arguments.put("presence", &self.presence);
        arguments.put("producer", &self.producer);
        arguments.put("cursor", &cursor);
        arguments.put("cursor_epoch", &cursor_epoch);
        arguments.put("rename_from", &self.rename_from);
        arguments.put("former", &self.former);
        arguments.put("draining", &self.draining);
        arguments.put("revision", &self.revision);
        arguments.put("aliases", &aliases.join(" "));
        arguments.put("stood", &stood);
        arguments.put("stood_epoch", &stood_epoch);
        arguments.put("elsewhere", &self.elsewhere);
    }

    fn read(&self, f: &mut Fields) -> Result<JoinReply, Malformed> {
        let status = f.text("status")?;
        let now = time(f)?;
        Ok(match status.as_str() {
            "joined" => {
                let incarnation = Incarnation(f.number("incarnation")?);
                let joined_at = time(f)?;
                let cursor = MessageSeq(f.number("cursor")?);
                f.flag("rejoined")?;
                let aliases = f.text("aliases")?;
                let aliases = aliases.split_whitespace().filter_map(|id| NodeId::new(id).ok()).collect();
                let data = data_set(f)?;
                let registered = f.flag("registered")?;
                let stood = f.optional("stood")?.and_then(|seq| seq.parse().ok()).map(MessageSeq);
                JoinReply::Joined { now, incarnation, joined_at, cursor, aliases, data, registered, stood }
            }
            "held" => JoinReply::Held {
                incarnation: Incarnation(f.number("incarnation")?),
                presence: f.optional("presence")?,
                present: f.flag("present")?,
                provable: f.flag("provable")?,
                left: Duration::from_millis(f.number("left")?),
                metadata: f.text("metadata")?,
            },
            "replaced" => JoinReply::Replaced,
            other => return Err(Malformed(format!("unknown status {other:?}"))),
        })
    }
}

impl Scripted for Tick {
    const SCRIPT: &'static Script = &scripts::TICK;

    fn arguments(&self, arguments: &mut Arguments, context: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("epoch", &self.epoch);
        arguments.put("version", &self.version);
        arguments.put("floor", &self.floor);
        arguments.put_known(&self.known, &self.fresh_epoch);
        arguments.put("renew", &self.renew.unwrap_or(Term(0)));
        arguments.put("nonce", &self.nonce);
        arguments.put("leads", &self.leads);
        arguments.put("presence", &self.presence);
        arguments.put("acknowledged", &self.acknowledged);
        arguments.put("jitter", &Jitter::from_text(self.nonce.as_str()).thousandths());
        arguments.put("settings_version", &self.settings.version);
        arguments.put("settings", &shared(&self.settings.settings));
        arguments.put("promise", &super::leader::promise(&self.promise, self.stated));
        arguments.put("revision", &self.revision);
        context.recent.put(arguments, &self.samples);
    }

    fn grants(&self) -> Grants {
        if self.renew.is_some() { Grants::Term } else { Grants::Nothing }
    }

    /// The heartbeat counts; the renewal does not.
    fn ungranted(&self, mut reply: Value) -> Option<Value> {
        let Value::Array(parts) = &mut reply else { return None };
        *parts.get_mut(3)? = Value::BulkString(b"none".to_vec());
        Some(reply)
    }

    fn read(&self, f: &mut Fields) -> Result<TickReply, Malformed> {
        Ok(TickReply {
            identity: identity(f)?,
            now: time(f)?,
            data: data_set(f)?,
            lease: match f.text("lease")?.as_str() {
                "none" => LeaseNews::None,
                "renewed" => LeaseNews::Renewed,
                _ => LeaseNews::Lost,
            },
            leader: leader(f)?,
            delta: delta(f)?,
            beats: beats(f)?,
            due: Duration::from_millis(f.number("due")?),
            alive: f.number("alive")?,
            outdated: f.flag("outdated")?,
            full: f.flag("full")?,
        })
    }
}

impl Scripted for View {
    const SCRIPT: &'static Script = &scripts::VIEW;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("epoch", &self.epoch);
        arguments.put("version", &self.version);
        arguments.put("floor", &self.floor);
        arguments.put("rows", &self.rows);
        arguments.put("beats", &self.beats);
    }

    fn read(&self, f: &mut Fields) -> Result<ViewReply, Malformed> {
        Ok(ViewReply {
            now: time(f)?,
            data: data_set(f)?,
            leader: leader(f)?,
            delta: delta(f)?,
            beats: beats(f)?,
            alive: f.number("alive")?,
        })
    }
}

impl Scripted for Leave {
    const SCRIPT: &'static Script = &scripts::LEAVE;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("acknowledged", &self.acknowledged);
    }

    fn read(&self, f: &mut Fields) -> Result<LeaveReply, Malformed> {
        left(f)
    }
}

impl Scripted for Register {
    const SCRIPT: &'static Script = &scripts::REGISTER;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("presence", &self.presence);
        arguments.put("term", &self.term.unwrap_or(Term(0)));
    }

    fn read(&self, f: &mut Fields) -> Result<Registered, Malformed> {
        let identity = identity(f)?;
        time(f)?;
        Ok(Registered { identity, registered: f.flag("registered")?, leads: f.flag("leads")? })
    }
}

impl Scripted for Sweep {
    const SCRIPT: &'static Script = &scripts::SWEEP;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("term", &self.term);
        let dead = self.dead.iter().map(|(node, presence)| [node.to_string(), presence.clone()]);
        arguments.list("dead", &["node", "dead_presence"], dead);
    }

    fn read(&self, f: &mut Fields) -> Result<Swept, Malformed> {
        identity(f)?;
        time(f)?;
        let leads = f.flag("leads")?;
        let mut list = f.list("gone")?;
        let mut gone = Vec::with_capacity(list.len() / 2);
        while list.len() > 0 {
            let (id, nonce) = (list.text("node id")?, list.text("nonce")?);
            gone.extend(known_id(id).map(|id| (id, nonce)));
        }
        Ok(Swept { leads, gone })
    }
}

impl Scripted for Drain {
    const SCRIPT: &'static Script = &scripts::DRAIN;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put_instance(&self.instance);
        arguments.put("enabled", &self.enabled);
        arguments.put("revision", &self.revision);
    }

    fn read(&self, f: &mut Fields) -> Result<DrainReply, Malformed> {
        Ok(DrainReply {
            identity: identity(f)?,
            now: time(f)?,
            resigned: f.flag("resigned")?,
            running_tasks: f.number("running tasks")?,
            leases: f.number("leases")?,
        })
    }
}

impl Scripted for PushSettings {
    const SCRIPT: &'static Script = &scripts::SETTINGS;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("known", &self.known);
        arguments.put("wanted", &self.wanted.as_ref().map(shared));
    }

    fn read(&self, f: &mut Fields) -> Result<SettingsReply, Malformed> {
        time(f)?;
        Ok(SettingsReply { before: data_set(f)?.settings, after: data_set(f)?.settings, leader: leader(f)? })
    }
}

impl Scripted for TakeCensus {
    const SCRIPT: &'static Script = &scripts::CENSUS;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.put("most_lanes", &MOST_LANES);
    }

    fn read(&self, f: &mut Fields) -> Result<Census, Malformed> {
        let leases = u64::try_from(f.signed("leases")?).ok();
        let mut tasks = BTreeMap::new();
        for state in ["waiting", "delayed", "running", "done", "failed", "dead"] {
            let count = u64::try_from(f.signed(state)?).ok();
            tasks.extend(TaskState::from_word(state).zip(count));
        }
        Ok(Census { leases, tasks })
    }
}

impl Scripted for ForgetMembers {
    const SCRIPT: &'static Script = &scripts::FORGET_MEMBERS;

    fn arguments(&self, arguments: &mut Arguments, _: &Context<'_>) {
        arguments.list("members", &["member"], self.members.iter().map(|id| [id.to_string()]));
    }

    fn read(&self, f: &mut Fields) -> Result<Vec<(NodeId, Forgotten)>, Malformed> {
        time(f)?;
        let mut list = f.list("outcomes")?;
        let mut outcomes = Vec::with_capacity(list.len() / 2);
        while list.len() > 0 {
            let (id, outcome) = (list.text("node id")?, list.text("outcome")?);
            let outcome = match outcome.as_str() {
                "forgotten" => Forgotten::Forgotten,
                "alive" => Forgotten::Alive,
                _ => Forgotten::Unknown,
            };
            outcomes.extend(known_id(id).map(|id| (id, outcome)));
        }
        Ok(outcomes)
    }
}
