//! The judges, and what they allow under which faults.
//!
//! Each verdict is definite: a history that a correct cluster could have made is never refused. What is allowed:
//!
//! 1. Always, whatever happens: E2 (a term belongs to one life, terms rise in everybody's events), tokens of leases and
//!    tasks rise, L3 (commands of `run --lease` never beside each other), M3, S1 (delivered, or a gap was told), S2 (nothing again
//!    after an acknowledgement that was answered, nothing of one's own), S3 (one order, each sender's own kept), M1 for each subscriber by itself.
//! 2. E1 (one leader at an instant) in mode `exclusive`; not where the cluster's mode is `fenced`, or may become so when the
//!    data is lost and the first node back has it in its file.
//! 3. After a loss of data (a lost tail, an empty restart, FLUSHALL, a promotion) leases, `run_once` keys and tasks of before may
//!    be gone, or be as they were earlier: they are judged within each era between two losses. Messages that were accepted may be
//!    lost with it: then every receiver must have been told a gap. Event numbers may be given twice where the server
//!    came back without its newest ones (a lost tail, a promotion): there two nodes may know one number differently.
//!    A process with a fresh state directory that joins under a node's id after a loss (an impostor) begins at the newest message;
//!    what the node was meant to get before that counts as the impostor's. Without a loss, or a full Redis, no gap may be told.
//! 4. A lease ends early, and a task is taken from its worker early, only where something happened to the node (any fault of its
//!    process or its network) or to Redis, or the host did not let processes run: for two TTLs and a bit afterwards.
//! 5. M2: a node is told to have left only when something happened to it itself, not to Redis alone.
//! 6. Where Redis is full, or a disk is, calls may be refused; what was accepted counts as ever.
//! 7. Of a node that was of another version at some time, what it was told and got itself is not judged, nor that it was late with
//!    heartbeats, nor that a message never left its outbox: that version has faults of its own.
//! 8. Where the clock of Redis went back before all its data was lost, tokens, terms and incarnations need not rise: whoever knew the numbers of
//!    before may be away when the new data set begins (README, what is not promised).
//! 9. Progress: when the last fault is over, all of it works again within a bound.
//!
//! Not here: times without a leader (`leaderless.rs`), which are measured and compared with a bound, but only in long runs.

pub mod events;
pub mod leases;
pub mod linear;
pub mod messages;
pub mod once;
pub mod roles;
pub mod self_check;
pub mod tasks;
pub mod wrappers;

use crate::history::{History, touches};
use crate::plan::Plan;
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::Stamp;
use testkit::stamps::Stamped;

/// What a judge looks at besides the history.
#[derive(Debug)]
pub struct Case<'a> {
    pub plan: &'a Plan,
    pub history: &'a History,
    /// How long a fault's consequences last.
    pub settle: Duration,
    /// What the commands of the wrappers left.
    pub stamps: &'a [Stamped],
}

/// All that is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let mut problems: Vec<String> = case.history.seen().clone();
    let losses = case.history.losses(Stamp::ZERO);
    let unless_lost = case.history.seen_unless_lost();
    let stand = unless_lost.iter().filter(|(_, begun, ended)| !touches(&losses, *begun, *ended));
    problems.extend(stand.map(|(text, ..)| text.clone()));
    drop(unless_lost);
    problems.extend(roles::judge(case));
    problems.extend(events::judge(case));
    problems.extend(messages::judge(case));
    problems.extend(leases::judge(case));
    problems.extend(once::judge(case));
    problems.extend(tasks::judge(case));
    problems.extend(wrappers::judge(case));
    let other = case.history.other_versions(case.plan);
    problems.retain(|problem| !is_another_version_s(problem, &other));
    problems
}

/// Whether it is about what the process of another version got, read or was late with: that version's own faults are known. What it
/// does to others counts.
fn is_another_version_s(problem: &str, other: &BTreeSet<usize>) -> bool {
    let Some((rule, what)) = problem.split_once(": ") else { return false };
    let subject = what.split([' ', ':']).next().and_then(crate::slot::place_of);
    matches!(rule, "M1" | "M2" | "S1" | "S2" | "S3") && subject.is_some_and(|place| other.contains(&place))
}

/// The eras of a run: how often data had been lost for certain before a time, or `None` while it may be lost at this moment.
pub fn era(losses: &[(Stamp, Stamp)], begun: Stamp, ended: Stamp) -> Option<usize> {
    if losses.iter().any(|(from, to)| *from <= ended && begun <= *to) {
        return None;
    }
    Some(losses.iter().filter(|(_, to)| *to < begun).count())
}
