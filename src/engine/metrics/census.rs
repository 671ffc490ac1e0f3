//! The number of leases and tasks of the cluster, counted by Redis on request.
//!
//! 1. Redis is asked at most once per [`REUSED_FOR`], however many ask and whether it answers or not; no heartbeat waits for it.
//! 2. Nobody waits longer than [`CENSUS_TIMEOUT`]: then the last counts are used, if they are not too old.
//!
//! Not here: the counting (`crate::store`).

use crate::clock;
use crate::cluster::protocol::{Call, Census, Reply};
use crate::cluster::time::Moment;
use crate::store::Store;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long counts are reused before Redis is asked again.
const REUSED_FOR: Duration = Duration::from_secs(5);
/// How long counts are used while Redis does not answer.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How long a caller waits for Redis.
const CENSUS_TIMEOUT: Duration = Duration::from_millis(250);

/// The last counts, and when Redis was last asked.
#[derive(Debug, Default)]
struct Known {
    counts: Option<(Moment, Census)>,
    asked: Option<Moment>,
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    known: Mutex<Known>,
    /// Held by the caller that asks Redis; other callers wait for its answer.
    asking: tokio::sync::Mutex<()>,
}

impl Counted {
    /// The newest counts; `None`: there are none, or only old ones.
    pub(crate) async fn newest<S: Store>(&self, store: &S) -> Option<Census> {
        if self.is_due(clock::now()) {
            // An answer after the timeout is used for the next caller.
            let _ = tokio::time::timeout(CENSUS_TIMEOUT, self.ask(store)).await;
        }
        self.last()
    }

    /// The last counts, unless they are old.
    pub(crate) fn last(&self) -> Option<Census> {
        let now = clock::now();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.counts.as_ref().filter(|(at, _)| now.since(*at) < MAX_AGE).map(|(_, census)| census.clone())
    }

    fn is_due(&self, now: Moment) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.asked.is_none_or(|asked| now.since(asked) >= REUSED_FOR)
    }

    async fn ask<S: Store>(&self, store: &S) {
        let _turn = self.asking.lock().await;
        let now = clock::now();
        if !self.is_due(now) {
            return;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).asked = Some(now);
        if let Ok(answer) = store.call(Call::Census).await
            && let Reply::Census(census) = answer.reply
        {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).counts = Some((now, census));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::event::ClusterEvent;
    use crate::cluster::ids::{EventSeq, MessageSeq};
    use crate::cluster::protocol::{Entry, Fault, ServerId};
    use crate::store::Answer;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Counts how often it is asked; answers never while it hangs.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU64,
        hangs: bool,
    }

    impl Store for Counting {
        async fn call(&self, _: Call) -> Result<Answer, Fault> {
            let asked = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            if self.hangs {
                std::future::pending::<()>().await;
            }
            let reply = Reply::Census(Census { leases: Some(asked), ..Census::default() });
            Ok(Answer { reply, server: ServerId::default() })
        }

        async fn events(&self, _: EventSeq, _: usize) -> Result<Vec<ClusterEvent>, Fault> {
            Ok(Vec::new())
        }

        async fn messages(&self, _: MessageSeq, _: usize) -> Result<Vec<Entry>, Fault> {
            Ok(Vec::new())
        }
    }

    #[tokio::test]
    async fn redis_is_asked_once_however_many_ask() {
        let (counted, store) = (Counted::default(), Counting::default());
        let all = futures_util::future::join_all((0..64).map(|_| counted.newest(&store))).await;
        assert!(all.iter().all(|census| census.as_ref().is_some_and(|census| census.leases == Some(1))), "{all:?}");
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_silent_redis_costs_one_of_all_who_ask_a_moment() {
        let (counted, store) = (Counted::default(), Counting { hangs: true, ..Counting::default() });
        assert_eq!(counted.newest(&store).await, None);
        let began = clock::now();
        assert_eq!(counted.newest(&store).await, None);
        assert!(clock::now().since(began) < CENSUS_TIMEOUT, "the second one waited, too");
        assert_eq!(store.asked.load(Ordering::SeqCst), 1);
    }
}
