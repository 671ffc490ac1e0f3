//! What gossip says about the cluster, in words for people.
//!
//! 1. It is marked as gossip: the members are those that Redis names.
//!
//! Not here: the table of the members (`state.rs`).

use super::terminal::{Output, Tint, age, clean};
use crate::rpc::wire::peer::Peer;
use crate::rpc::wire::state::{ClusterState, RedisStatus};
use std::time::Duration;

/// How many nodes a sentence names.
const NAMED: usize = 3;

/// Who has lost Redis, as far as gossip knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    /// Nobody.
    Nobody,
    /// Only the node that was asked.
    ThisNode,
    /// All nodes that answer.
    Everybody,
    /// Some of them.
    Some,
}

/// Names, shortened to the first few.
fn names<'p>(peers: impl Iterator<Item = &'p Peer>) -> (String, usize) {
    let all: Vec<String> = peers.map(|peer| clean(&peer.node_id, 64)).collect();
    let count = all.len();
    let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if count > NAMED {
        text = format!("{text} and {} more", count - NAMED);
    }
    (text, count)
}

/// Who has lost Redis. Nodes that do not answer do not count.
pub(super) fn away(state: &ClusterState) -> Option<Away> {
    let peers = state.peers.as_ref()?;
    let this = state.redis.status == RedisStatus::Unavailable;
    let heard: Vec<&Peer> = peers.iter().filter(|peer| peer.reachable).collect();
    let lost = heard.iter().filter(|peer| !peer.redis_reachable).count();
    Some(match (this, lost) {
        (false, 0) => Away::Nobody,
        (true, 0) if !heard.is_empty() => Away::ThisNode,
        (true, lost) if lost == heard.len() => Away::Everybody,
        _ => Away::Some,
    })
}

/// What gossip says, in one sentence; `None`: it does not run.
pub(crate) fn summary(state: &ClusterState) -> Option<(Tint, String)> {
    let peers = state.peers.as_ref()?;
    let heard = || peers.iter().filter(|peer| peer.reachable);
    let all = heard().count() + 1;
    let this = state.redis.status == RedisStatus::Unavailable;
    let lost = heard().filter(|peer| !peer.redis_reachable).count() + usize::from(this);
    let (reaching, reach) = names(heard().filter(|peer| peer.redis_reachable));
    let still = if reach == 1 { "still reaches" } else { "still reach" };
    let (tint, mut text) = match away(state)? {
        _ if peers.is_empty() => (Tint::Yellow, "no other node was heard yet".to_owned()),
        Away::Nobody => (Tint::Green, format!("{all} nodes answer and reach Redis")),
        Away::ThisNode => (Tint::Red, format!("Redis is away for this node only; {reaching} {still} it")),
        Away::Everybody if all == 1 => (Tint::Red, "no other node answers".to_owned()),
        Away::Everybody => (Tint::Red, format!("Redis is away for all {all} nodes that answer")),
        Away::Some if this => (Tint::Red, format!("Redis is away for {lost} of {all} nodes; {reaching} {still} it")),
        Away::Some => {
            let (without, _) = names(heard().filter(|peer| !peer.redis_reachable));
            (Tint::Yellow, format!("Redis is away for {lost} of {all} nodes: {without}"))
        }
    };
    let (silent, count) = names(peers.iter().filter(|peer| !peer.reachable));
    if count > 0 {
        let verb = if count == 1 { "does" } else { "do" };
        text = format!("{text}; {silent} {verb} not answer");
    }
    Some((if count > 0 && tint == Tint::Green { Tint::Yellow } else { tint }, text))
}

/// Prints the peers, for people.
pub(super) fn print(output: &mut Output<'_>, state: &ClusterState) -> std::io::Result<()> {
    let Some(peers) = state.peers.as_ref().filter(|peers| !peers.is_empty()) else { return Ok(()) };
    let now = state.as_of_ms.saturating_add(state.age_ms);
    let row = |peer: &Peer| {
        let answers = if peer.reachable { (Tint::Green, "yes") } else { (Tint::Red, "no") };
        let redis = if peer.redis_reachable { (Tint::Green, "reached") } else { (Tint::Red, "away") };
        let plain = |text: String| (Tint::Plain, text);
        vec![
            plain(clean(&peer.node_id, 64)),
            (answers.0, answers.1.to_owned()),
            (redis.0, redis.1.to_owned()),
            plain(peer.leader_id.as_ref().map_or_else(|| "-".to_owned(), |id| clean(id, 64))),
            plain(peer.term.to_string()),
            plain(age(Duration::from_millis(now.saturating_sub(peer.as_of_ms)))),
        ]
    };
    output.line("")?;
    output.table(
        &["BY GOSSIP", "ANSWERS", "REDIS", "LEADER", "TERM", "AS OF"],
        &peers.iter().map(row).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(this: bool, peers: &[(&str, bool, bool)]) -> (Away, String) {
        let peer = |(id, reachable, redis): &(&str, bool, bool)| {
            json!({"node_id": id, "reachable": reachable, "redis_reachable": redis, "redis_since_ms": 1, "leader_id": "a",
                "term": 3, "draining": false, "version": "0.1.0", "as_of_ms": 5, "source": "gossip"})
        };
        let status = if this { "ok" } else { "unavailable" };
        let state = json!({"cluster": "openclaw", "node_id": "a", "role": "follower", "leader_id": "a", "term": 3,
            "lease_expires_at_ms": 9, "redis": {"status": status, "mode": "standalone"}, "as_of_ms": 9, "nodes": [],
            "peers": peers.iter().map(peer).collect::<Vec<_>>()});
        let state: ClusterState = serde_json::from_value(state).expect("a state");
        (away(&state).expect("peers"), summary(&state).expect("peers").1)
    }

    #[test]
    fn the_sentence_says_who_has_lost_redis() {
        for (this, peers, away, text) in [
            (true, vec![("b", true, true)], Away::Nobody, "2 nodes answer and reach Redis"),
            (
                true,
                vec![("b", true, true), ("c", false, true)],
                Away::Nobody,
                "2 nodes answer and reach Redis; c does not answer",
            ),
            (
                false,
                vec![("b", true, true), ("c", true, true)],
                Away::ThisNode,
                "Redis is away for this node only; b, c still reach it",
            ),
            (
                false,
                vec![("b", true, false), ("c", true, false)],
                Away::Everybody,
                "Redis is away for all 3 nodes that answer",
            ),
            (
                false,
                vec![("b", true, true), ("c", true, false), ("d", true, false)],
                Away::Some,
                "Redis is away for 3 of 4 nodes; b still reaches it",
            ),
            (true, vec![("b", true, true), ("c", true, false)], Away::Some, "Redis is away for 1 of 3 nodes: c"),
            (false, vec![("b", false, true)], Away::Everybody, "no other node answers; b does not answer"),
            (true, vec![], Away::Nobody, "no other node was heard yet"),
        ] {
            assert_eq!(said(this, &peers), (away, text.to_owned()));
        }
    }
}
