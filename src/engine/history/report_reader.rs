//! Reads what a window of history says from the store that keeps it.
//!
//! 1. Two readings of the store are enough, however long the window is; a third one follows where nothing shows how far back
//!    events are kept.
//!
//! Not here: what a report says (`crate::cluster::history::report`), single heartbeats, writing history.

use crate::cluster::history::report::{Evidence, LOOK_BACK, Report, Window};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::members::member::Member;
use crate::cluster::time::{ServerTime, millis};
use crate::store::history::{HistoryFault, HistoryStore};
use std::time::Duration;

/// The cluster as it is now, as far as it is known.
#[derive(Debug, Clone, Default)]
pub struct Present {
    /// The server's time.
    pub as_of: ServerTime,
    /// The rows of all members; `None`: Redis did not answer.
    pub members: Option<Vec<Member>>,
    /// Who holds the leader's lease, and under which term.
    pub leader: Option<(NodeId, Term)>,
    /// The cluster's heartbeat interval.
    pub interval: Option<Duration>,
}

/// The report of the time since `length` before the present.
///
/// # Errors
/// [`HistoryFault`] of the store.
pub async fn report<S: HistoryStore>(store: &S, length: Duration, present: &Present) -> Result<Report, HistoryFault> {
    let to = present.as_of;
    let from = ServerTime(to.0.saturating_sub(millis(length)));
    let looked_back = ServerTime(from.0.saturating_sub(millis(LOOK_BACK)));
    let (summaries, events) = futures_util::try_join!(store.summaries(from), store.events(looked_back))?;
    // In a cluster that was quiet for long, older events show that nothing is missing.
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
