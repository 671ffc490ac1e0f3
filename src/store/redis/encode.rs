//! Encodes calls as script invocations, with the arguments in the order of each script's header.
//!
//! Not here: the replies (`decode.rs`).

use super::keys::Keys;
use super::samples::Recent;
use super::scripts::{self, Script};
use super::task;
use crate::cluster::ids::{MessageSeq, NodeId, Nonce, Term};
use crate::cluster::members::member::PresenceKind;
use crate::cluster::protocol::{
    Acquire, Call, Campaign, Claim, Instance, Join, LeaseCall, MOST_LANES, Owner, Publish, Rule, Tick,
};
use crate::cluster::settings::{Promise, Shared};
use crate::cluster::task::Jitter;
use crate::cluster::time::millis;

/// A script with its arguments.
pub(super) struct Invocation {
    pub(super) script: &'static Script,
    /// Further keys, after those that every script gets.
    pub(super) own_keys: Vec<String>,
    pub(super) arguments: Vec<String>,
}

fn flag(value: bool) -> String {
    u8::from(value).to_string()
}

fn text(nonce: Option<&Nonce>) -> String {
    nonce.map(ToString::to_string).unwrap_or_default()
}

fn seq(value: Option<MessageSeq>) -> String {
    value.map(|s| s.to_string()).unwrap_or_default()
}

/// The cluster's settings in the format of the scripts.
fn shared(settings: &Shared) -> String {
    let Shared { timing, presence_grace, mode } = settings;
    let times = [timing.heartbeat_interval, timing.heartbeat_ttl, timing.lease_ttl, *presence_grace];
    let [interval, ttl, lease, grace] = times.map(millis);
    format!("{interval} {ttl} {lease} {grace} {}", mode.word())
}

/// A leader's promise, and when it stated it.
fn promise(promise: &Promise, stated: u64) -> String {
    format!("{} {} {} {stated}", millis(promise.grace), millis(promise.lease), promise.mode.word())
}

fn instance(instance: &Instance) -> [String; 2] {
    [instance.node_id.to_string(), instance.incarnation.to_string()]
}

pub(super) fn invocation(call: &Call, keys: &Keys, recent: Recent) -> Invocation {
    let (script, arguments): (&'static Script, Vec<String>) = match call {
        Call::Join(join) => (&scripts::JOIN, join_arguments(join)),
        Call::Tick(tick) => (&scripts::TICK, tick_arguments(tick, recent)),
        Call::View(view) => (
            &scripts::VIEW,
            vec![
                view.epoch.clone(),
                view.version.to_string(),
                view.rows.to_string(),
                view.beats.to_string(),
                view.floor.to_string(),
            ],
        ),
        Call::Leave { instance: who, acknowledged } => {
            let [id, incarnation] = instance(who);
            (&scripts::LEAVE, vec![id, incarnation, seq(*acknowledged)])
        }
        Call::Resign { instance: who, term } => {
            let [id, incarnation] = instance(who);
            (&scripts::RESIGN, vec![id, incarnation, term.to_string()])
        }
        Call::HandOver { candidate } => (&scripts::HAND_OVER, vec![candidate.to_string()]),
        Call::Campaign(campaign) => (&scripts::CAMPAIGN, campaign_arguments(campaign)),
        Call::Register { instance: who, presence, term } => {
            let [id, incarnation] = instance(who);
            (&scripts::REGISTER, vec![id, incarnation, presence.to_string(), term.unwrap_or(Term(0)).to_string()])
        }
        Call::Watch => (&scripts::WATCH, Vec::new()),
        Call::Sweep { instance: who, term, dead } => {
            let [id, incarnation] = instance(who);
            let mut arguments = vec![id, incarnation, term.to_string()];
            for (node, nonce) in dead {
                arguments.push(node.to_string());
                arguments.push(nonce.clone());
            }
            (&scripts::SWEEP, arguments)
        }
        Call::Publish(publish) => (&scripts::PUBLISH, publish_arguments(publish)),
        Call::Lease(lease) => lease_invocation(lease),
        Call::Once(once) => {
            let (by, request) = (once.by.to_string(), once.request_id.clone());
            let attempt = once.attempt.as_ref();
            let process = attempt.map(|attempt| attempt.incarnation.to_string()).unwrap_or_default();
            let number = attempt.map_or(0, |attempt| attempt.number).to_string();
            let supersedes = flag(attempt.is_some_and(|attempt| attempt.supersedes));
            let (ttl, back) = (millis(once.ttl).to_string(), flag(once.give_back));
            let seen = once.seen.as_ref();
            let expected = seen.map(|seen| seen.expected.0.to_string()).unwrap_or_default();
            let jumps = seen.map_or(&[][..], |seen| &seen.jumps);
            let jumps: Vec<String> = jumps.iter().map(|(at, by)| format!("{}:{}", at.0, millis(*by))).collect();
            (&scripts::ONCE, vec![by, request, ttl, back, process, number, supersedes, expected, jumps.join(" ")])
        }
        Call::Drain(drain) => {
            let [id, incarnation] = instance(&drain.instance);
            (&scripts::DRAIN, vec![id, incarnation, flag(drain.enabled), drain.revision.to_string()])
        }
        Call::Acknowledge { instance: who, epoch, seq } => {
            let [id, incarnation] = instance(who);
            (&scripts::ACKNOWLEDGE, vec![id, incarnation, epoch.clone(), seq.to_string()])
        }
        Call::Task(task) => task::invocation(task),
        Call::Census => (&scripts::CENSUS, vec![MOST_LANES.to_string()]),
        Call::Settings { known, wanted } => {
            (&scripts::SETTINGS, vec![known.to_string(), wanted.as_ref().map(shared).unwrap_or_default()])
        }
    };
    let own_keys = match call {
        Call::Once(once) => once.keys.iter().map(|key| keys.once(key)).collect(),
        _ => Vec::new(),
    };
    Invocation { script, own_keys, arguments }
}

fn lease_invocation(call: &LeaseCall) -> (&'static Script, Vec<String>) {
    let name = call.name().to_string();
    match call {
        LeaseCall::Acquire(acquire) => (&scripts::ACQUIRE, acquire_arguments(acquire)),
        LeaseCall::Renew { token, ttl, nonce, owner, ticket, holds, grace, stated, .. } => {
            let [id, incarnation, presence] = parts(owner);
            let ttl = ttl.map(|ttl| millis(ttl).to_string()).unwrap_or_default();
            let (nonce, grace) = (nonce.to_string(), millis(*grace).to_string());
            let (token, ticket) = (token.to_string(), text(ticket.as_ref()));
            let (holds, stated) = (flag(*holds), stated.to_string());
            (&scripts::RENEW, vec![name, token, ttl, nonce, id, incarnation, presence, holds, grace, ticket, stated])
        }
        LeaseCall::Release { token, owner, ticket, .. } => {
            let [id, incarnation, presence] = parts(owner);
            (&scripts::RELEASE, vec![name, token.to_string(), id, incarnation, presence, text(ticket.as_ref())])
        }
        LeaseCall::Check { token, .. } => (&scripts::CHECK, vec![name, token.to_string()]),
        LeaseCall::Forget { ticket, .. } => (&scripts::FORGET, vec![name, ticket.to_string()]),
        LeaseCall::Withdraw { owner, ticket, request_id, .. } => {
            let [id, incarnation, presence] = parts(owner);
            (&scripts::WITHDRAW, vec![name, ticket.to_string(), request_id.clone(), id, incarnation, presence])
        }
        LeaseCall::Watch { .. } => (&scripts::WATCH_LEASE, vec![name]),
    }
}

fn parts(owner: &Owner) -> [String; 3] {
    [owner.node_id.to_string(), owner.incarnation.to_string(), text(owner.presence.as_ref())]
}

fn acquire_arguments(acquire: &Acquire) -> Vec<String> {
    let [id, incarnation, presence] = parts(&acquire.owner);
    let (claim, token, seen) = match &acquire.claim {
        None => ("", Term(0), String::new()),
        Some(Claim::Presence { token, presence }) => ("presence", *token, presence.clone()),
        Some(Claim::Expired { token, nonce }) => ("expired", *token, nonce.clone()),
    };
    let (server, epoch, span) = match &acquire.served {
        None => (String::new(), String::new(), 0),
        Some(served) => (served.server.0.clone(), served.epoch.clone(), millis(served.span)),
    };
    vec![
        acquire.name.to_string(),
        id,
        incarnation,
        presence,
        acquire.ticket.to_string(),
        acquire.request_id.clone(),
        millis(acquire.ttl).to_string(),
        flag(acquire.wait),
        millis(acquire.grace).to_string(),
        claim.to_owned(),
        token.to_string(),
        seen,
        server,
        epoch,
        span.to_string(),
        acquire.nonce.to_string(),
        acquire.known.token.to_string(),
        acquire.known.event.to_string(),
        acquire.known.message.to_string(),
        acquire.fresh_epoch.to_string(),
        millis(acquire.seen_for).to_string(),
        acquire.stated.to_string(),
    ]
}

fn join_arguments(join: &Join) -> Vec<String> {
    let (cursor, cursor_epoch) = match &join.cursor {
        Some((seq, epoch)) => (seq.to_string(), epoch.clone()),
        None => (String::new(), String::new()),
    };
    let kind = match join.kind {
        PresenceKind::Connection => "connection",
        PresenceKind::None => "none",
    };
    vec![
        join.node_id.to_string(),
        join.process.to_string(),
        kind.to_owned(),
        join.metadata.clone(),
        flag(join.candidate),
        join.settings.version.to_string(),
        shared(&join.settings.settings),
        millis(join.dead_for).to_string(),
        join.known.token.to_string(),
        join.known.event.to_string(),
        join.known.message.to_string(),
        join.fresh_epoch.to_string(),
        flag(join.force),
        join.dead_presence.clone().unwrap_or_default(),
        join.own.to_string(),
        text(join.presence.as_ref()),
        join.producer.to_string(),
        cursor,
        cursor_epoch,
        join.rename_from.as_ref().map(ToString::to_string).unwrap_or_default(),
        text(join.former.as_ref()),
        join.draining.map(flag).unwrap_or_default(),
        join.revision.to_string(),
        join.aliases.iter().map(NodeId::as_str).collect::<Vec<_>>().join(" "),
        join.stood.as_ref().map(|(seq, _)| seq.to_string()).unwrap_or_default(),
        join.stood.as_ref().map(|(_, epoch)| epoch.clone()).unwrap_or_default(),
        flag(join.elsewhere),
    ]
}

fn tick_arguments(tick: &Tick, recent: Recent) -> Vec<String> {
    let [id, incarnation] = instance(&tick.instance);
    let mut arguments = vec![
        id,
        incarnation,
        tick.epoch.clone(),
        tick.version.to_string(),
        tick.known.token.to_string(),
        tick.known.event.to_string(),
        tick.known.message.to_string(),
        tick.fresh_epoch.to_string(),
        tick.renew.unwrap_or(Term(0)).to_string(),
        tick.nonce.to_string(),
        flag(tick.leads),
        text(tick.presence.as_ref()),
        seq(tick.acknowledged),
        tick.floor.to_string(),
        Jitter::from_text(tick.nonce.as_str()).thousandths().to_string(),
        tick.settings.version.to_string(),
        shared(&tick.settings.settings),
        promise(&tick.promise, tick.stated),
        tick.revision.to_string(),
    ];
    arguments.extend(recent.arguments(&tick.samples));
    arguments
}

fn campaign_arguments(campaign: &Campaign) -> Vec<String> {
    let [id, incarnation] = instance(&campaign.instance);
    let (rule, seen_nonce) = match &campaign.rule {
        Rule::Vacant => ("vacant", String::new()),
        Rule::Expired { nonce } => ("expired", nonce.clone()),
        Rule::Restarted { nonce } => ("restarted", nonce.clone()),
        Rule::Fenced { nonce } => ("fenced", nonce.clone()),
        Rule::Presence { nonce } => ("presence", nonce.clone()),
        Rule::Absent => ("absent", String::new()),
        Rule::AbsentLease => ("absent_lease", String::new()),
    };
    vec![
        id,
        incarnation,
        rule.to_owned(),
        campaign.seen.to_string(),
        seen_nonce,
        campaign.nonce.to_string(),
        text(campaign.presence.as_ref()),
        promise(&campaign.promise, campaign.stated),
        campaign.known_token.to_string(),
        millis(campaign.seen_for).to_string(),
    ]
}

/// The index of the argument of `publish` with the server process of the connection.
pub(super) const PUBLISH_SERVER: usize = 6;

fn publish_arguments(publish: &Publish) -> Vec<String> {
    let [id, incarnation] = instance(&publish.instance);
    let mut arguments =
        vec![id, incarnation, publish.epoch.clone(), publish.producer.to_string(), publish.keep.to_string()];
    arguments.push(publish.max_bytes.to_string());
    // The server process, once the connection is known.
    arguments.push(String::new());
    for entry in &publish.entries {
        arguments.push(entry.first.to_string());
        arguments.push(entry.count.to_string());
        arguments.push(entry.body.clone());
    }
    arguments
}
