//! The recent history in Redis: one stream per node with its newest heartbeats, and the cluster's events.
//!
//! 1. It has a separate connection, so that a long read does not delay heartbeats.
//! 2. Memory is bounded: it reads pages of a thousand entries, and at most one node's stream at a time.
//! 3. Summaries are computed from the samples on demand; events are already in their own stream.
//!
//! Not here: samples recorded with ticks (`transitions/members.rs`), the format of an entry (`samples.rs`).

use super::fields::{Fields, Malformed};
use super::samples::{self, Recent};
use super::unreadable::What;
use super::{RedisStore, Target};
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::{HistoryPage, HistoryQuery, MAX_HISTORY_LIMIT, SPAN, Sample, Summary};
use crate::cluster::ids::{ClusterName, EventSeq, NodeId};
use crate::cluster::protocol::Fault;
use crate::cluster::time::{ServerTime, millis};
use crate::store::Store;
use crate::store::history::{Batch, HistoryFault, HistoryStore, Source};
use redis::Value;
use std::time::Duration;
use tokio::time::timeout;

/// The most entries in one reply.
const PAGE: usize = 1_000;
/// The most samples that one script call records.
const CHUNK: usize = 200;
/// How long a read may take in all; each of its commands also has the usual deadline.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The history of a cluster on a Redis server.
pub struct RedisHistory {
    store: RedisStore,
    recent: Recent,
}

impl std::fmt::Debug for RedisHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisHistory").field("target", self.store.target()).field("recent", &self.recent.0).finish()
    }
}

/// An entry of a stream: its id, and the sample if it is readable.
type Entry = (String, Option<Sample>);

impl RedisHistory {
    /// A history that keeps heartbeats for `window` (zero: not at all) and connects with its first use.
    #[must_use]
    pub fn new(target: Target, cluster: &ClusterName, window: Duration) -> Self {
        Self { store: RedisStore::new(target, cluster), recent: Recent(window) }
    }

    /// The nodes with a history, ordered by id.
    async fn nodes(&self) -> Result<Vec<NodeId>, HistoryFault> {
        let mut range = redis::cmd("ZRANGE");
        range.arg(self.store.keys.histories()).arg(0).arg(-1);
        let mut list = Fields::of("the list of histories", self.ask(&range).await?).map_err(odd)?;
        let mut nodes = Vec::with_capacity(list.len());
        while list.len() > 0 {
            if let Ok(id) = list.text("node id").map_err(|_| ()).and_then(|id| NodeId::new(id).map_err(|_| ())) {
                nodes.push(id);
            }
        }
        nodes.sort();
        Ok(nodes)
    }

    /// Up to `count` entries of a node between two ids, inclusive, in the order of the command.
    async fn entries(
        &self,
        command: &str,
        node: &NodeId,
        a: &str,
        b: &str,
        count: usize,
    ) -> Result<Vec<Entry>, HistoryFault> {
        let mut range = redis::cmd(command);
        range.arg(self.store.keys.history(node)).arg(a).arg(b).arg("COUNT").arg(count);
        read(node, self.ask(&range).await?).map_err(odd)
    }

    /// Whether a node's key is not a history stream; such a key is skipped when several nodes are read.
    async fn is_foreign(&self, node: &NodeId, why: &HistoryFault) -> bool {
        let key = self.store.keys.history(node);
        let mut about = redis::cmd("TYPE");
        about.arg(&key);
        let kind = self.ask(&about).await;
        let foreign = matches!(&kind, Ok(Value::SimpleString(kind)) if kind != "stream" && kind != "none");
        if foreign {
            What::Sample.left_out(&key, why);
        }
        foreign
    }

    async fn newest(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        // One more than requested, to know whether there are more.
        let wanted = query.limit.clamp(1, MAX_HISTORY_LIMIT) + 1;
        let nodes = match &query.node_id {
            Some(id) => vec![id.clone()],
            None => self.nodes().await?,
        };
        let mut since = query.since.unwrap_or_default();
        let mut kept: Vec<Sample> = Vec::new();
        for node in &nodes {
            let mut end = "+".to_owned();
            loop {
                let count = PAGE.min(wanted);
                let page = match self.entries("XREVRANGE", node, &end, &since.0.to_string(), count).await {
                    Err(why) if query.node_id.is_none() && self.is_foreign(node, &why).await => break,
                    page => page?,
                };
                let last = page.last().filter(|_| page.len() == count).and_then(|(id, _)| before(id));
                kept.extend(page.into_iter().filter_map(|(_, sample)| sample));
                if kept.len() > wanted {
                    kept.sort_by(|a, b| order(b).cmp(&order(a)));
                    kept.truncate(wanted);
                    // Entries older than all kept ones need not be read.
                    since = since.max(kept.last().map_or(since, |sample| sample.at));
                }
                match last {
                    Some(id) => end = id,
                    None => break,
                }
            }
        }
        kept.sort_by(|a, b| order(b).cmp(&order(a)));
        let more = kept.len() == wanted;
        kept.truncate(wanted - 1);
        kept.reverse();
        Ok(HistoryPage { samples: kept, more })
    }

    async fn summarized(&self, since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        let from = ServerTime(since.0 - since.0 % millis(SPAN));
        let mut all = Vec::new();
        for node in self.nodes().await? {
            // The heartbeat before the first summary shows whether there was a gap.
            let mut kept: Vec<Sample> = match from.0.checked_sub(1) {
                Some(end) => match self.entries("XREVRANGE", &node, &end.to_string(), "-", 1).await {
                    Err(why) if self.is_foreign(&node, &why).await => continue,
                    page => page?,
                },
                None => Vec::new(),
            }
            .into_iter()
            .filter_map(|(_, sample)| sample)
            .collect();
            let mut start = from.0.to_string();
            loop {
                let page = match self.entries("XRANGE", &node, &start, "+", PAGE).await {
                    Err(why) if self.is_foreign(&node, &why).await => break,
                    page => page?,
                };
                let last = page.last().filter(|_| page.len() == PAGE).and_then(|(id, _)| behind(id));
                kept.extend(page.into_iter().filter_map(|(_, sample)| sample));
                match last {
                    Some(id) => start = id,
                    None => break,
                }
            }
            all.extend(Summary::of_all(&kept).into_iter().filter(|summary| summary.from >= from));
        }
        Ok(all)
    }

    async fn events_since(&self, since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        let mut all = Vec::new();
        let mut after = EventSeq(0);
        loop {
            let page = Store::events(&self.store, after, PAGE).await.map_err(fault)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            all.extend(page.into_iter().filter(|event| event.at >= since));
        }
        all.sort_by_key(|event| (event.at, event.seq));
        Ok(all)
    }

    async fn ask(&self, command: &redis::Cmd) -> Result<Value, HistoryFault> {
        self.store.command(command).await.map_err(fault)
    }
}

impl HistoryStore for RedisHistory {
    fn source(&self) -> Source {
        Source::Redis
    }

    async fn record(&self, batch: &Batch) -> Result<(), HistoryFault> {
        let mut samples = batch.samples.clone();
        samples.sort_by(|a, b| order(a).cmp(&order(b)));
        for chunk in samples.chunks(CHUNK) {
            let value = self.store.record(self.recent, chunk).await.map_err(fault)?;
            let failed = Fields::of("the script's reply", value).and_then(|mut f| f.text("error")).map_err(odd)?;
            if !failed.is_empty() {
                let code: String = failed.chars().take_while(char::is_ascii_uppercase).take(20).collect();
                return Err(HistoryFault::Refused(format!(
                    "Redis refused to record a heartbeat in its history (error {code}); run clawster doctor"
                )));
            }
        }
        Ok(())
    }

    /// Does nothing: the events are already in Redis.
    async fn record_events(&self, _epoch: &str, _events: &[ClusterEvent]) -> Result<(), HistoryFault> {
        Ok(())
    }

    async fn last_event(&self, epoch: &str) -> Result<EventSeq, HistoryFault> {
        let mut get = redis::cmd("HMGET");
        get.arg(self.store.keys.meta()).arg("epoch").arg("event_seq");
        let mut pair = Fields::of("the numbers of the data set", self.ask(&get).await?).map_err(odd)?;
        // An empty Redis has neither.
        match (pair.text("epoch"), pair.number("event_seq")) {
            (Ok(own), Ok(seq)) if own == epoch => Ok(EventSeq(seq)),
            _ => Ok(EventSeq(0)),
        }
    }

    async fn samples(&self, query: &HistoryQuery) -> Result<HistoryPage, HistoryFault> {
        in_time(self.newest(query)).await
    }

    async fn summaries(&self, since: ServerTime) -> Result<Vec<Summary>, HistoryFault> {
        in_time(self.summarized(since)).await
    }

    async fn events(&self, since: ServerTime) -> Result<Vec<ClusterEvent>, HistoryFault> {
        in_time(self.events_since(since)).await
    }
}

async fn in_time<T>(reading: impl Future<Output = Result<T, HistoryFault>>) -> Result<T, HistoryFault> {
    let late = |_| {
        let text = format!("Redis did not return the history within {} s; read a shorter time", READ_TIMEOUT.as_secs());
        HistoryFault::Unavailable(text)
    };
    timeout(READ_TIMEOUT, reading).await.map_err(late)?
}

/// The order of samples: by time, then by name.
fn order(sample: &Sample) -> (ServerTime, &NodeId, u64) {
    (sample.at, &sample.node_id, sample.number)
}

fn fault(fault: Fault) -> HistoryFault {
    match fault {
        Fault::Unavailable(why) => HistoryFault::Unavailable(format!("Redis does not answer: {why}")),
        Fault::Unwritable(why) => HistoryFault::Unavailable(why),
        Fault::Refused(why) => HistoryFault::Refused(why),
    }
}

fn odd(why: Malformed) -> HistoryFault {
    HistoryFault::Refused(why.to_string())
}

fn read(node: &NodeId, value: Value) -> Result<Vec<Entry>, Malformed> {
    if value == Value::Nil {
        return Ok(Vec::new());
    }
    let mut list = Fields::of("a history", value)?;
    let mut all = Vec::with_capacity(list.len());
    while list.len() > 0 {
        let mut entry = list.list("entry")?;
        let id = entry.text("entry id")?;
        let sample = entry.list("fields").and_then(|mut pair| {
            let name = pair.text("name")?;
            let text = pair.text("value")?;
            if name == "s" { samples::read(node, &id, &text) } else { Err(Malformed(name)) }
        });
        if let Err(why) = &sample {
            What::Sample.left_out(&id, why);
        }
        all.push((id, sample.ok()));
    }
    Ok(all)
}

/// The entry id directly before this one; Redis 5 has no exclusive ranges.
fn before(id: &str) -> Option<String> {
    let (at, number) = parts(id)?;
    match number.checked_sub(1) {
        Some(number) => Some(format!("{at}-{number}")),
        None => at.checked_sub(1).map(|at| format!("{at}-{}", u64::MAX)),
    }
}

/// The entry id directly after this one.
fn behind(id: &str) -> Option<String> {
    let (at, number) = parts(id)?;
    match number.checked_add(1) {
        Some(number) => Some(format!("{at}-{number}")),
        None => at.checked_add(1).map(|at| format!("{at}-0")),
    }
}

fn parts(id: &str) -> Option<(u64, u64)> {
    let (at, number) = id.split_once('-')?;
    Some((at.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_ids_have_neighbours() {
        assert_eq!((before("5-3"), behind("5-3")), (Some("5-2".to_owned()), Some("5-4".to_owned())));
        assert_eq!(before("5-0"), Some(format!("4-{}", u64::MAX)));
        assert_eq!(behind(&format!("5-{}", u64::MAX)), Some("6-0".to_owned()));
        assert_eq!((before("0-0"), behind("x")), (None, None));
    }
}
