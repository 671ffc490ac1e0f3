//! Messages: put into the stream once, kept for those who have not read them, acknowledged.
//!
//! 1. Positions are given without holes, and the producer's mark moves with them.
//! 2. A cursor never moves back.
//! 3. Messages that members have not read are never removed because of lack of space: the sender waits.

use super::state::Step;
use clawster::cluster::ids::{MessageSeq, NodeId};
use clawster::cluster::messages::message::Producer;
use clawster::cluster::protocol::{Entry, Identity, Instance, Publish, PublishReply};

/// For how long a backlog is kept for a member that is away, in milliseconds.
const AWAY: i64 = 3_600_000;

/// How many members that were away for longer one call looks at.
const LOOKED_AT: usize = 8;

/// How many runs one call trims, in addition to the number of entries it wrote.
const TRIMMED: usize = 64;

/// About how many bytes a run has.
const RUN: u64 = 65_536;

/// How many times that numbers were left out are remembered.
const LIFTS: usize = 17;

/// What an entry counts besides its body.
const ENTRY: u64 = 64;

/// Entries of one producer: how many bytes the stream took before and up to the last of them.
#[derive(Debug, Clone)]
pub(super) struct Run {
    last: u64,
    before: u64,
    behind: u64,
    producer: Producer,
}

impl Step<'_> {
    pub(super) fn publish(&mut self, publish: &Publish) -> PublishReply {
        if self.data.server.as_ref() != Some(&self.server.id) {
            self.guard_stall();
        }
        let identity = self.identify(&publish.instance, &publish.epoch);
        if identity != Identity::Ok {
            return PublishReply::Refused(identity);
        }
        let (mut mark, mark_seq) = self.data.producers.get(&publish.producer).copied().unwrap_or_default();
        if publish.entries.first().is_none_or(|entry| entry.first <= mark) {
            return PublishReply::Marked { producer_seq: mark, seq: MessageSeq(mark_seq) };
        }
        let filled = publish.entries.iter().filter(|entry| entry.count > 0);
        let coming = filled.map(|entry| entry.body.len() as u64 + ENTRY).sum();
        if !self.has_room(publish, coming) {
            let slowest = self.trim_acknowledged();
            if !self.has_room(publish, coming) {
                return self.no_room(publish.max_bytes, slowest);
            }
        }
        let before = self.data.numbers.message;
        let mut last = before.max(self.data.message_lift);
        let first = last + 1;
        // The first message after skipped numbers says so: a reader up to there has missed nothing.
        let mut after = (last > before).then_some(MessageSeq(before));
        if after.is_some() {
            let old = (self.data.left_out.len() + 1).saturating_sub(LIFTS);
            self.data.left_out.drain(..old);
            self.data.left_out.push((before, last));
        }
        let mut written = Vec::new();
        for entry in publish.entries.iter().filter(|entry| entry.count > 0) {
            last += entry.count;
            written.push((last, entry.body.len() as u64 + ENTRY));
            mark = entry.first + entry.count - 1;
            self.data.messages.push_back(Entry {
                last: MessageSeq(last),
                producer: publish.producer.clone(),
                from: publish.instance.node_id.clone(),
                first_own: entry.first,
                count: entry.count,
                at: self.now,
                body: entry.body.clone().into(),
                after: after.take(),
            });
        }
        self.data.numbers.message = last;
        self.data.producers.insert(publish.producer.clone(), (mark, last));
        self.note_runs(&publish.producer, &written);
        let start = self.data.message_start.max(self.data.left_out.last().map_or(0, |(_, to)| *to));
        let all_but = |count: u64| last.checked_sub(count).filter(|floor| *floor > start);
        if let Some(floor) = all_but(publish.keep)
            && let Some((_, needed)) = self.slowest()
        {
            let most = all_but(publish.keep.saturating_mul(100)).unwrap_or(0);
            self.trim(most.max(floor.min(needed)), TRIMMED + written.len());
        }
        PublishReply::Written { first: MessageSeq(first), now: self.now }
    }

    /// One sender may use three quarters, so that it does not keep the others out. What is alone is always taken.
    fn has_room(&self, publish: &Publish, coming: u64) -> bool {
        let (held, bound) = (self.bytes_held(), publish.max_bytes);
        let own = self.data.sent.get(&publish.producer).copied().unwrap_or(0);
        held == 0 || held + coming <= bound && (own == 0 || own + coming <= bound.saturating_mul(3) / 4)
    }

    /// A member whose cursor has not moved for an hour no longer blocks others that wait for it.
    fn no_room(&mut self, bound: u64, slowest: Option<(Option<NodeId>, u64)>) -> PublishReply {
        let now = self.cluster_now();
        let slowest = slowest.and_then(|(who, needed)| who.map(|who| (who, needed)));
        if let Some((who, needed)) = slowest.clone().filter(|(_, needed)| *needed < self.data.numbers.message) {
            match &self.data.stuck {
                Some((known, at, since)) if *known == who && *at == needed => {
                    if now.saturating_sub(*since) > AWAY {
                        self.data.acks.remove(&who);
                    }
                }
                _ => self.data.stuck = Some((who, needed, now)),
            }
        }
        let slowest = slowest.map(|(who, _)| who);
        PublishReply::Full { held: self.bytes_held(), bound: Some(bound).filter(|bound| *bound > 0), slowest }
    }

    fn bytes_held(&self) -> u64 {
        let ends = self.data.runs.front().zip(self.data.runs.back());
        ends.map_or(0, |(first, newest)| newest.behind.saturating_sub(first.before))
    }

    /// Notes entries that were just written, by their positions and sizes.
    fn note_runs(&mut self, producer: &Producer, entries: &[(u64, u64)]) {
        if self.data.runs.is_empty() {
            self.data.sent.clear();
        }
        for (last, bytes) in entries {
            let behind = self.data.runs.back().map_or(0, |run| run.behind);
            match self.data.runs.back_mut() {
                Some(run) if run.producer == *producer && run.behind - run.before < RUN => {
                    (run.last, run.behind) = (*last, behind + bytes);
                }
                _ => {
                    let (producer, last) = (producer.clone(), *last);
                    self.data.runs.push_back(Run { last, before: behind, behind: behind + bytes, producer });
                }
            }
            *self.data.sent.entry(producer.clone()).or_default() += bytes;
        }
    }

    /// Removes entries up to `floor`, at most about `most` runs of them.
    fn trim(&mut self, floor: u64, most: usize) {
        let far = self.data.runs.get(most - 1).map_or(floor, |run| run.last);
        let floor = floor.min(far);
        while self.data.messages.front().is_some_and(|entry| entry.last.0 <= floor) {
            self.data.messages.pop_front();
        }
        while let Some(run) = self.data.runs.pop_front_if(|run| run.last <= floor) {
            if let Some(sent) = self.data.sent.get_mut(&run.producer) {
                *sent = sent.saturating_sub(run.behind - run.before);
                if *sent == 0 {
                    self.data.sent.remove(&run.producer);
                }
            }
        }
    }

    /// The member that acknowledged least of those whose backlog is kept (online, or away for less than an hour) and up to
    /// where; nobody and everything when there is none, `None` while more of those who are away for longer have to be passed over.
    fn slowest(&mut self) -> Option<(Option<NodeId>, u64)> {
        for _ in 0..LOOKED_AT {
            let Some((slowest, cursor)) = self.data.acks.first() else { return Some((None, u64::MAX)) };
            let away = self.data.away.score(&slowest);
            if away.is_none_or(|since| self.cluster_now().saturating_sub(since) <= AWAY) {
                return Some((Some(slowest), u64::try_from(cursor).unwrap_or(0)));
            }
            self.data.acks.remove(&slowest);
        }
        None
    }

    /// Removes what everybody has acknowledged, however new it is.
    fn trim_acknowledged(&mut self) -> Option<(Option<NodeId>, u64)> {
        let (who, needed) = self.slowest()?;
        let needed = needed.min(self.data.numbers.message);
        self.trim(needed, TRIMMED);
        Some((who, needed))
    }

    pub(super) fn acknowledge(&mut self, instance: &Instance, epoch: &str, seq: MessageSeq) -> Identity {
        let identity = self.identify(instance, epoch);
        if identity == Identity::Ok {
            self.acknowledge_up_to(&instance.node_id, seq);
        }
        identity
    }
}
