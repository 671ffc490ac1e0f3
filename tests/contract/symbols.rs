//! Replies as texts that are the same on every store: numbers relative to their data set, times as distances.
//!
//! 1. Time goes forward by even numbers of seconds, limits are odd ones: so less than a second of real time shows nowhere.
//!
//! Not here: which calls are made (`differential.rs`).

use clawster::cluster::event::{ClusterEvent, ClusterFact};
use clawster::cluster::ids::{EventSeq, MessageSeq};
use clawster::cluster::protocol::{
    Acquired, DataSet, Delta, DrainReply, Entry, HandOverReply, Instance, JoinReply, LeaderRecord, LeaseRecord,
    LeaseReply, LeaveReply, OnceGrant, PublishReply, Renewal, Renewed, Reply, Swept, WatchReply, Watched,
};
use clawster::cluster::time::ServerTime;
use std::cell::RefCell;
use std::time::Duration;

/// Where the numbers of each data set begin.
#[derive(Debug, Default)]
pub struct Symbols {
    epochs: Vec<String>,
    /// Tokens in the order of their first sight: how far a lift goes hangs on the store's clock, which token is which does
    /// not.
    tokens: RefCell<Vec<u64>>,
    events: Vec<u64>,
    messages: Vec<u64>,
}

/// A number as the distance to the nearest start below it.
fn symbol(starts: &[u64], number: u64) -> String {
    let below = starts.iter().enumerate().filter(|(_, start)| **start <= number).max_by_key(|(_, start)| **start);
    match below {
        _ if number == 0 => "0".to_owned(),
        // Another server process lifted it, as far as its clock says.
        Some((at, start)) if number - start >= 900 => format!("{at}+lifted"),
        Some((at, start)) => format!("{at}+{}", number - start),
        None => format!("?{number}"),
    }
}

/// A time that is left: an odd number of seconds, more or less.
pub fn left(time: Duration) -> u128 {
    time.as_millis() / 2000 * 2 + 1
}

/// A time that has passed: an even number of seconds, more or less.
fn passed(time: Duration) -> u128 {
    (time.as_millis() + 1000) / 2000 * 2
}

impl Symbols {
    /// Learns where a data set begins, on its first sight.
    pub fn learn(&mut self, data: &DataSet) {
        if !data.epoch.is_empty() && !self.epochs.contains(&data.epoch) {
            self.epochs.push(data.epoch.clone());
            self.events.push(data.event_start.0);
            self.messages.push(data.message_start.0);
        }
    }

    pub fn token(&self, number: u64) -> String {
        if number == 0 {
            return "0".to_owned();
        }
        let mut tokens = self.tokens.borrow_mut();
        let at = tokens.iter().position(|known| *known == number).unwrap_or(tokens.len());
        if at == tokens.len() {
            tokens.push(number);
        }
        format!("token {at}")
    }

    pub fn event(&self, seq: EventSeq) -> String {
        symbol(&self.events, seq.0)
    }

    pub fn message(&self, seq: MessageSeq) -> String {
        symbol(&self.messages, seq.0)
    }

    fn instance(&self, instance: &Instance) -> String {
        format!("{}#{}", instance.node_id, self.token(instance.incarnation.0))
    }

    fn data(&self, data: &DataSet) -> String {
        let (token, event) = (self.token(data.numbers.token), self.event(EventSeq(data.numbers.event)));
        let message = self.message(MessageSeq(data.numbers.message));
        let starts = (self.event(data.event_start), self.message(data.message_start));
        format!(
            "{} token {token} event {event} message {message} {starts:?} {:?} {:?}",
            data.epoch, data.timing, data.settings
        )
    }

    fn leader(&self, leader: Option<&LeaderRecord>, now: ServerTime) -> String {
        let Some(record) = leader else { return "no record".to_owned() };
        let holder = record.holder.as_ref().map(|instance| self.instance(instance));
        let nonce = match record.nonce.strip_prefix("vacant-") {
            Some(term) => format!("vacant {}", self.token(term.parse().unwrap())),
            None => record.nonce.clone(),
        };
        format!(
            "record {holder:?} term {} {} s {nonce} {:?} {:?} {} {:?} {}",
            self.token(record.term.0),
            left(record.expires_at.since(now)),
            record.presence,
            record.handing_to,
            record.present,
            record.promise,
            record.stated
        )
    }

    fn lease_record(&self, record: Option<&LeaseRecord>, now: ServerTime) -> String {
        let Some(record) = record else { return "no lease".to_owned() };
        let holder = record
            .holder
            .as_ref()
            .map(|owner| format!("{}#{} {:?}", owner.node_id, self.token(owner.incarnation.0), owner.presence));
        let nonce = if record.nonce.starts_with("vacant-") { "vacant" } else { &record.nonce };
        format!(
            "lease {holder:?} {} {} s of {:?} {nonce} {:?} {} {} {:?} {}",
            self.token(record.token.0),
            left(record.expires_at.since(now)),
            record.ttl,
            record.grace,
            record.present,
            record.same_server,
            record.offered_to,
            record.waiters
        )
    }

    pub fn lease(&self, reply: &LeaseReply) -> String {
        match reply {
            LeaseReply::Acquired(reply) => {
                let outcome = match reply.outcome {
                    // What was told stays, though the test puts what is stored back.
                    Acquired::Granted { token, again: true, .. } => format!("granted {} again", self.token(token.0)),
                    Acquired::Granted { token, expires_at, .. } => {
                        format!("granted {} {}", self.token(token.0), left(expires_at.since(reply.now)))
                    }
                    other => format!("{other:?}"),
                };
                let record = self.lease_record(reply.record.as_ref(), reply.now);
                format!("{outcome} {:?} {} {} {record}", reply.again.map(left), reply.epoch, self.token(reply.token))
            }
            LeaseReply::Renewed(Renewal { now, outcome: Renewed::Until(until), .. }) => {
                format!("until {}", left(until.since(*now)))
            }
            LeaseReply::Renewed(Renewal { outcome, .. }) => format!("{outcome:?}"),
            LeaseReply::Watched(Watched { now, epoch, record }) => {
                format!("{epoch} {}", self.lease_record(record.as_ref(), *now))
            }
            other => format!("{other:?}"),
        }
    }

    fn delta(&self, delta: &Delta) -> String {
        let told = |row: &clawster::cluster::members::member::Member| {
            let name = (&row.node_id, self.token(row.incarnation.0), &row.metadata.name);
            format!("{name:?} {:?} {:?}", row.status, row.presence)
        };
        let mut rows: Vec<String> = delta.rows.iter().map(told).collect();
        rows.sort();
        format!("reset {} version {} more {} {rows:?}", delta.reset, delta.version, delta.more)
    }

    fn beats(beats: &[(clawster::cluster::ids::NodeId, ServerTime)], now: ServerTime) -> String {
        let mut ages: Vec<_> = beats.iter().map(|(id, at)| (passed(now.since(*at)), id.as_str())).collect();
        ages.sort();
        format!("{ages:?}")
    }

    fn join(&self, reply: &JoinReply) -> String {
        match reply {
            JoinReply::Joined { incarnation, cursor, aliases, data, registered, .. } => {
                let (instance, cursor) = (self.token(incarnation.0), self.message(*cursor));
                format!("joined {instance} cursor {cursor} {aliases:?} {registered} {}", self.data(data))
            }
            JoinReply::Held { incarnation, presence, present, provable, left, metadata } => {
                let left = self::left(*left);
                let instance = self.token(incarnation.0);
                format!("held {instance} {presence:?} {present} {provable} {left} s {metadata}")
            }
            JoinReply::Replaced => "replaced".to_owned(),
        }
    }

    pub fn watch(&self, watch: &WatchReply) -> String {
        let leader = self.leader(watch.leader.as_ref(), watch.now);
        format!("{} {leader} {} {}", watch.epoch, watch.same_server, watch.leader_channel)
    }

    pub fn reply(&self, reply: &Reply) -> String {
        match reply {
            Reply::Join(reply) => self.join(reply),
            Reply::Tick(r) => format!(
                "{:?} {:?} [{}] [{}] [{}] {} due {} s alive {}",
                r.identity,
                r.lease,
                self.data(&r.data),
                self.leader(r.leader.as_ref(), r.now),
                self.delta(&r.delta),
                Self::beats(&r.beats, r.now),
                left(r.due),
                r.alive
            ),
            Reply::View(r) => format!(
                "[{}] [{}] [{}] {} alive {}",
                self.data(&r.data),
                self.leader(r.leader.as_ref(), r.now),
                self.delta(&r.delta),
                Self::beats(&r.beats, r.now),
                r.alive
            ),
            Reply::Left(LeaveReply { identity, resigned, .. }) => format!("{identity:?} resigned {resigned}"),
            Reply::HandOver(HandOverReply { outcome, now, leader }) => {
                format!("{outcome:?} {}", self.leader(leader.as_ref(), *now))
            }
            Reply::Campaign(r) => {
                let granted = r.granted.map(|term| self.token(term.0));
                let leader = self.leader(r.leader.as_ref(), r.now);
                format!("{:?} {granted:?} {:?} {leader} {}", r.identity, r.refused, self.token(r.token))
            }
            Reply::Lease(reply) => self.lease(reply),
            Reply::Leases(list) => {
                let told: Vec<String> = list.iter().map(|listed| listed.name.to_string()).collect();
                told.join(" ")
            }
            // Not among the random steps; see `limits.rs`, `schedules.rs` and `transcripts.rs`.
            Reply::Limit(_) | Reply::Schedule(_) | Reply::Transcript(_) => String::new(),
            Reply::Once(grants) => {
                let told = |grant: &OnceGrant| format!("{} {}", grant.granted, grant.by);
                format!("{:?}", grants.iter().map(told).collect::<Vec<_>>())
            }
            Reply::Drain(DrainReply { now: _, identity, resigned, running_tasks, leases }) => {
                format!("{identity:?} {resigned} {running_tasks} {leases}")
            }
            Reply::Registered { .. }
            | Reply::Acknowledge(_)
            | Reply::Task(_)
            | Reply::Census(_)
            | Reply::ForgotMembers(_) => {
                format!("{reply:?}")
            }
            Reply::Settings(shown) => format!("{:?} {:?}", shown.before, shown.after),
            Reply::Watch(reply) => self.watch(reply),
            Reply::Sweep(Swept { leads, gone }) => {
                let mut gone = gone.clone();
                gone.sort();
                format!("{leads} {gone:?}")
            }
            Reply::Publish(reply) => match reply {
                PublishReply::Written { first, .. } => format!("written {}", self.message(*first)),
                PublishReply::Marked { producer_seq, seq } => format!("marked {producer_seq} {}", self.message(*seq)),
                PublishReply::Full { held, bound, slowest } => format!("full {held} {bound:?} {slowest:?}"),
                PublishReply::Refused(identity) => format!("refused {identity:?}"),
            },
        }
    }

    /// All events as a set: members that were overdue together may have been ended in any order.
    pub fn events(&self, events: &[ClusterEvent]) -> Vec<String> {
        let told = |event: &ClusterEvent| match &event.fact {
            ClusterFact::NodeJoined { name, incarnation, rejoined } => {
                format!("{} joined {name} {} {rejoined}", event.node_id, self.token(incarnation.0))
            }
            ClusterFact::NodeLeft { incarnation, reason } => {
                format!("{} left {} {reason:?}", event.node_id, self.token(incarnation.0))
            }
            ClusterFact::LeaderElected { leader_id, term, previous_leader_id, reason } => {
                format!("{leader_id} elected {} {previous_leader_id:?} {reason:?}", self.token(term.0))
            }
            ClusterFact::LeaderLost { leader_id, term, reason } => {
                format!("{leader_id} lost {} {reason:?}", self.token(term.0))
            }
            ClusterFact::TaskAvailable { task_id, kind } => format!("{} offers {task_id} {kind}", event.node_id),
            ClusterFact::TaskDead { task_id, kind } => format!("{} buries {task_id} {kind}", event.node_id),
            ClusterFact::Other { name, .. } => format!("{} {name}", event.node_id),
        };
        let mut all: Vec<String> = events.iter().map(told).collect();
        all.sort();
        let ends = [events.first(), events.last()].map(|event| event.map(|event| self.event(event.seq)));
        all.push(format!("{ends:?}"));
        all
    }

    pub fn entries(&self, entries: &[Entry]) -> Vec<String> {
        let told = |e: &Entry| {
            format!("{} {} {} {} {} {}", self.message(e.last), e.producer, e.from, e.first_own, e.count, e.body)
        };
        entries.iter().map(told).collect()
    }
}
