//! The parameters and the result of `distributed.get_history`.
//!
//! 1. An answer fits one line: heartbeats beyond about 3 MiB, the oldest first, are left out, and `more` says so.
//!
//! Not here: one heartbeat (`history_entry.rs`), the report about a window (`history_report.rs`).

use super::history_entry::HistoryEntry;
use super::history_report::{FEW, HistoryReport};
use crate::cluster::history::MAX_HISTORY_LIMIT;
use crate::cluster::ids::NodeId;
use crate::engine::node::handle;
use crate::rpc::errors::RpcError;
use crate::store::history::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The default of `limit`.
const DEFAULT_LIMIT: usize = 1_000;
/// The approximate bound on the bytes of all heartbeats in one answer.
const MOST_BYTES: usize = 3 << 20;

/// The parameters of `distributed.get_history`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryParams {
    /// Only heartbeats of this node. Default: all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}$"))]
    pub node_id: Option<String>,
    /// Only what happened within this many milliseconds before now. Default: as far back as history is kept; for a report:
    /// one day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// The maximum number of heartbeats; the newest are returned. 1 to 10000. Default 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub limit: Option<u64>,
    /// Also report availability, gaps, flaps, leaders and failovers. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<bool>,
}

/// The store that answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistorySource {
    /// MongoDB, as configured.
    Mongodb,
    /// Redis, which keeps one day or as long as configured.
    Redis,
}

/// The result of `distributed.get_history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryResult {
    /// The store that answered.
    pub source: HistorySource,
    /// The heartbeats, newest last.
    pub entries: Vec<HistoryEntry>,
    /// Whether older heartbeats were left out.
    pub more: bool,
    /// The report, if it was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<HistoryReport>,
}

impl TryFrom<HistoryParams> for handle::HistoryRequest {
    type Error = RpcError;

    fn try_from(params: HistoryParams) -> Result<Self, RpcError> {
        let HistoryParams { node_id, since_ms, limit, report } = params;
        let node_id = node_id.map(NodeId::new).transpose().map_err(|why| RpcError::parameter("node_id", why))?;
        let wanted = limit.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if !(1..=MAX_HISTORY_LIMIT).contains(&wanted) {
            let problem = format!("{wanted} is not between 1 and {MAX_HISTORY_LIMIT}");
            return Err(RpcError::parameter("limit", problem));
        }
        let since = since_ms.map(Duration::from_millis);
        Ok(Self { node_id, since, limit: wanted, report: report.unwrap_or(false) })
    }
}

impl From<Source> for HistorySource {
    fn from(source: Source) -> Self {
        match source {
            Source::Mongodb => Self::Mongodb,
            Source::Redis => Self::Redis,
        }
    }
}

impl HistoryResult {
    /// Converts an answer; of a report only `node_id`'s part of the nodes is shown, where one was asked for.
    #[must_use]
    pub fn new(answer: &handle::HistoryAnswer, node_id: Option<&str>) -> Self {
        let mut bytes = 0;
        let fits = |entry: &HistoryEntry| {
            bytes += serde_json::to_string(entry).map_or(0, |text| text.len() + 1);
            bytes <= MOST_BYTES
        };
        let mut entries: Vec<HistoryEntry> =
            answer.samples.iter().rev().map(HistoryEntry::from).take_while(fits).collect();
        entries.reverse();
        let more = answer.more || entries.len() < answer.samples.len();
        let report = answer.report.as_ref().map(|report| {
            let mut report = HistoryReport::new(report, FEW);
            report.nodes.retain(|node| node_id.is_none_or(|id| id == node.node_id));
            report
        });
        Self { source: answer.source.into(), entries, more, report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::history::Sample;
    use crate::cluster::ids::{Incarnation, Term};
    use crate::cluster::time::ServerTime;

    #[test]
    fn an_answer_fits_a_line_and_holds_the_newest() {
        let sample = |number: u64| Sample {
            node_id: NodeId::new("n".repeat(64)).expect("an id"),
            incarnation: Incarnation(1 << 52),
            number,
            at: ServerTime(1_800_000_000_000 + number),
            leads: false,
            term: Term(1 << 52),
            leader_id: Some(NodeId::new("m".repeat(64)).expect("an id")),
            round_trip: Duration::from_micros(123_456),
            attempts: 1,
            delay: Duration::from_micros(123_456),
            lag: 1 << 40,
            memory: 1 << 40,
            peers: None,
            version: "10.20.30-alpha.1".to_owned(),
            interval: Duration::from_secs(10),
        };
        let samples: Vec<Sample> = (1..=MAX_HISTORY_LIMIT as u64).map(sample).collect();
        let answer = handle::HistoryAnswer { source: Source::Redis, samples, more: false, report: None };
        let result = HistoryResult::new(&answer, None);
        assert!(result.more && result.entries.len() > 5_000, "{}", result.entries.len());
        assert_eq!(result.entries.last().map(|entry| entry.number), Some(MAX_HISTORY_LIMIT as u64));
        assert!(serde_json::to_string(&result).expect("JSON").len() < 4 << 20);
    }
}
