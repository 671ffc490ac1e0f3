//! Reads a report about a window of history from the store.
//!
//! 1. It takes two queries, however long the window is, and a third one if nothing shows how far back events are kept.
//!
//! Not here: computing the report (`crate::cluster::history::report`), single heartbeats, writing history.

use crate::cluster::history::report::{Evidence, LOOK_BACK, Report, Window};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::members::member::Member;
use crate::cluster::time::{ServerTime, millis};
use crate::store::history::{HistoryFault, HistoryStore};
use std::time::Duration;

/// The present state of the cluster, as far as known.
#[derive(Debug, Clone, Default)]
pub struct Present {
    /// The server's time.
    pub as_of: ServerTime,
    /// All members; `None`: Redis did not answer.
    pub members: Option<Vec<Member>>,
    /// The holder of the leader's lease, and its term.
    pub leader: Option<(NodeId, Term)>,
    /// The cluster's heartbeat interval.
    pub interval: Option<Duration>,
}

/// A report about the last `length` of time.
///
/// # Errors
/// [`HistoryFault`] if the store fails.
pub async fn report<S: HistoryStore>(store: &S, length: Duration, present: &Present) -> Result<Report, HistoryFault> {
    let to = present.as_of;
    let from = ServerTime(to.0.saturating_sub(millis(length)));
    let looked_back = ServerTime(from.0.saturating_sub(millis(LOOK_BACK)));
    let (summaries, events) = futures_util::try_join!(store.summaries(from), store.events(looked_back))?;
    // In a cluster without recent events, an older event shows that none are missing.
    let events = match events.iter().any(|event| event.at <= from) {
        true => events,
        false => store.events(ServerTime(0)).await?,
    };
    let evidence = Evidence {
        summaries: &summaries,
        events: &events,
        members: present.members.as_deref(),
        leader: present.leader.as_ref(),
        interval: present.interval,
    };
    Ok(Report::of(Window { from, to }, &evidence))
}
