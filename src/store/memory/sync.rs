//! Messages: put into the stream once, kept for those who have not read them, acknowledged.
//!
//! 1. Positions are given without holes, and the producer's mark moves with them.
//! 2. A cursor never moves back.

use super::state::Step;
use crate::cluster::ids::MessageSeq;
use crate::cluster::protocol::{Entry, Identity, Life, Publish, PublishReply};

/// For how long a backlog is kept for a member that is away, in milliseconds.
const AWAY: i64 = 3_600_000;

/// How many members that were away for longer one call looks at.
const LOOKED_AT: usize = 8;

/// How many entries one call trims, besides as many as it put.
const TRIMMED: usize = 128;

impl Step<'_> {
    pub(super) fn publish(&mut self, publish: &Publish) -> PublishReply {
        let identity = self.identify(&publish.life, &publish.epoch);
        if identity != Identity::Ok {
            return PublishReply::Refused(identity);
        }
        let (mut mark, mark_seq) = self.data.producers.get(&publish.producer).copied().unwrap_or_default();
        if publish.entries.first().is_none_or(|entry| entry.first <= mark) {
            return PublishReply::Marked { producer_seq: mark, seq: MessageSeq(mark_seq) };
        }
        let first = self.data.numbers.message + 1;
        let mut last = self.data.numbers.message;
        for entry in publish.entries.iter().filter(|entry| entry.count > 0) {
            last += entry.count;
            mark = entry.first + entry.count - 1;
            self.data.messages.push_back(Entry {
                last: MessageSeq(last),
                producer: publish.producer.clone(),
                from: publish.life.node_id.clone(),
                first_own: entry.first,
                count: entry.count,
                at: self.now,
                body: entry.body.clone(),
            });
        }
        self.data.numbers.message = last;
        self.data.producers.insert(publish.producer.clone(), (mark, last));
        if let Some(floor) = self.keep_from(last, publish.keep) {
            for _ in 0..TRIMMED + publish.entries.len() {
                if self.data.messages.front().is_none_or(|entry| entry.last.0 > floor) {
                    break;
                }
                self.data.messages.pop_front();
            }
        }
        PublishReply::Written { first: MessageSeq(first), now: self.now }
    }

    /// Up to where messages may go: `keep` stay, and up to 100 times as many for members whose backlog is kept, those
    /// online or away for less than an hour. Positions of an earlier data set lie far below; they go when this one alone
    /// has enough.
    fn keep_from(&mut self, last: u64, keep: u64) -> Option<u64> {
        let start = self.data.message_start;
        let all_but = |count: u64| last.checked_sub(count).filter(|floor| *floor > start);
        let floor = all_but(keep)?;
        let most = all_but(keep.saturating_mul(100)).unwrap_or(0);
        for _ in 0..LOOKED_AT {
            let Some((slowest, cursor)) = self.data.acks.first() else {
                return Some(floor);
            };
            let away = self.data.away.score(&slowest);
            if away.is_some_and(|since| self.cluster_now().saturating_sub(since) > AWAY) {
                self.data.acks.remove(&slowest);
            } else {
                let needed = u64::try_from(cursor).unwrap_or(0);
                return Some(most.max(floor.min(needed)));
            }
        }
        None
    }

    pub(super) fn acknowledge(&mut self, life: &Life, epoch: &str, seq: MessageSeq) -> Identity {
        let identity = self.identify(life, epoch);
        if identity == Identity::Ok {
            self.acknowledge_up_to(&life.node_id, seq);
        }
        identity
    }
}
