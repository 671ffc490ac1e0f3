//! A view's pure model of the cluster: states and events in, a picture out.
//!
//! 1. No clock, no I/O: times come with the inputs.
//! 2. Terms only rise: an answer from before an election does not undo the election.
//!
//! Not here: drawing (`paint.rs`, `nodes.rs`), calls (the views).

use super::events::Events;
use crate::cli::terminal::Tint;
use crate::cluster::time::{Moment, millis};
use crate::rpc::wire::node::{Node, Role, Status};
use crate::rpc::wire::state::{ClusterState, RedisStatus};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// What is known about one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// Its name, if that differs from its id.
    pub(crate) name: Option<String>,
    /// `None`: no state with this node has arrived yet.
    pub(crate) status: Option<Status>,
    pub(crate) leads: bool,
    pub(crate) incarnation: u64,
    pub(crate) joined_at_ms: u64,
    pub(crate) last_seen_ms: u64,
    pub(crate) version: String,
    pub(crate) capabilities: String,
    pub(crate) labels: String,
    /// The round trip of its newest heartbeat, if the history has one.
    pub(crate) latency: Option<Duration>,
}

impl Row {
    fn take(&mut self, node: &Node) {
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        *self = Self {
            name: (node.name != node.node_id).then(|| node.name.clone()),
            status: Some(node.status),
            leads: node.role == Role::Leader,
            incarnation: node.incarnation,
            joined_at_ms: node.joined_at_ms,
            last_seen_ms: node.last_seen_ms,
            version: node.version.clone(),
            capabilities: node.capabilities.join(","),
            labels: labels.join(","),
            latency: self.latency,
        };
    }
}

/// How long a change of the leader took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// Measured from the end of the old leader to the first report of the new one.
    Exactly(Duration),
    /// The time from the old leader's last heartbeat to the election; the old leader ended in between.
    AtMost(Duration),
    /// It is not known when the old leader ended.
    Unknown,
}

/// A change of the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Takeover {
    /// The old leader.
    pub(crate) from: String,
    /// How it ended, as text.
    pub(crate) how: String,
    /// When it ended, if this process stopped it.
    pub(crate) begun: Option<Moment>,
    /// The new leader, its term, and how long it took.
    pub(crate) to: Option<(String, u64, Took)>,
    /// When the new leader was elected, in milliseconds of the Redis server's clock; 0: not known.
    pub(crate) at_ms: u64,
}

/// The picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    /// The nodes by id.
    pub(crate) rows: BTreeMap<String, Row>,
    pub(crate) leader: Option<String>,
    pub(crate) term: u64,
    pub(crate) lease_ends_ms: Option<u64>,
    /// The longest remaining time seen of this term's lease: the full length of its bar.
    pub(crate) lease_span: Duration,
    /// The time of the last state, in milliseconds of the Redis server's clock.
    pub(crate) as_of_ms: u64,
    /// A time on the Redis server's clock, and the local moment it arrived, to extrapolate from.
    clock: (u64, Moment),
    pub(crate) redis_ok: bool,
    /// What gossip says, in one sentence; `None`: it does not run.
    pub(crate) gossip: Option<(Tint, String)>,
    pub(crate) redis_mode: String,
    pub(crate) events: Events,
    pub(crate) takeover: Option<Takeover>,
    /// The leader that lost leadership, and when, until the next one is elected.
    vacant: Option<(String, u64)>,
}

impl Picture {
    /// A picture of these nodes, with nothing known about them.
    pub(crate) fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Self { rows: ids.into_iter().map(|id| (id, Row::default())).collect(), ..Self::default() }
    }

    /// Applies a state; only its nodes remain in the picture.
    pub(crate) fn take_state(&mut self, state: &ClusterState, now: Moment) {
        let known = std::mem::take(&mut self.rows);
        let mut known: BTreeMap<String, Row> = known;
        for node in &state.nodes {
            let row = known.remove(&node.node_id).unwrap_or_default();
            self.rows.entry(node.node_id.clone()).insert_entry(row).get_mut().take(node);
        }
        self.take_rest(state, now);
    }

    /// Applies a state, but only to nodes that are in the picture already.
    pub(crate) fn take_known(&mut self, state: &ClusterState, now: Moment) {
        for node in &state.nodes {
            if let Some(row) = self.rows.get_mut(&node.node_id) {
                row.take(node);
            }
        }
        self.take_rest(state, now);
    }

    fn take_rest(&mut self, state: &ClusterState, now: Moment) {
        self.redis_ok = state.redis.status == RedisStatus::Ok;
        self.gossip = crate::cli::peers::summary(state);
        self.redis_mode.clone_from(&state.redis.mode);
        if let Some(primary) = &state.redis.primary {
            self.redis_mode = format!("{} {primary}", state.redis.mode);
        }
        // A clock that goes back belongs to another server, or was set.
        if state.as_of_ms < self.as_of_ms {
            self.clock = (0, now);
        }
        self.as_of_ms = state.as_of_ms;
        self.update_clock(state.as_of_ms.saturating_add(state.age_ms), now);
        if state.term < self.term {
            self.mark_leader();
            return;
        }
        if state.term > self.term {
            self.lease_span = Duration::ZERO;
        }
        self.term = state.term;
        self.leader.clone_from(&state.leader_id);
        self.lease_ends_ms = state.lease_expires_at_ms;
        self.lease_span = self.lease_span.max(self.lease_left(now).unwrap_or_default());
        if let Some(leader) = state.leader_id.clone() {
            self.took_over(&leader, state.term, now);
        }
    }

    /// Reported times are never ahead of the server's clock but often behind it, because a node's view gets older between two
    /// heartbeats: so the latest report is the most accurate.
    fn update_clock(&mut self, at_ms: u64, now: Moment) {
        if at_ms > self.server_now_ms(now) {
            self.clock = (at_ms, now);
        }
    }

    fn mark_leader(&mut self) {
        for (id, row) in &mut self.rows {
            row.leads = self.leader.as_ref() == Some(id);
        }
    }

    /// Applies an event; false if it is a duplicate.
    pub(crate) fn take_event(&mut self, event: &Value, now: Moment) -> bool {
        if !self.events.take(event) {
            return false;
        }
        let text = |name: &str| event.get(name).and_then(Value::as_str);
        let number = |name: &str| event.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.update_clock(number("at_ms"), now);
        match (text("event"), text("leader_id")) {
            (Some("cluster.leader_lost"), Some(leader)) => self.vacant = Some((leader.to_owned(), number("at_ms"))),
            (Some("cluster.leader_elected"), Some(leader)) => {
                let (term, at_ms) = (number("term"), number("at_ms"));
                if term >= self.term {
                    self.leader = Some(leader.to_owned());
                    self.term = term;
                    self.mark_leader();
                    self.took_over(leader, term, now);
                }
                if let Some(before) = text("previous_leader_id").filter(|before| *before != leader) {
                    self.elected(before, text("reason").unwrap_or("-"), leader, term, at_ms);
                }
                self.vacant = None;
            }
            _ => {}
        }
        true
    }

    /// Starts to time a change of the leader: this process is about to stop it.
    pub(crate) fn ending(&mut self, leader: &str, how: &str, now: Moment) {
        let (from, how) = (leader.to_owned(), how.to_owned());
        self.takeover = Some(Takeover { from, how, begun: Some(now), to: None, at_ms: 0 });
    }

    fn took_over(&mut self, leader: &str, term: u64, now: Moment) {
        if let Some(takeover) = &mut self.takeover
            && takeover.to.is_none()
            && takeover.from != leader
            && let Some(begun) = takeover.begun
        {
            takeover.to = Some((leader.to_owned(), term, Took::Exactly(now.since(begun))));
        }
    }

    /// Records a change of the leader from the cluster's events, unless this process timed it itself.
    fn elected(&mut self, from: &str, why: &str, to: &str, term: u64, at_ms: u64) {
        let known = self.takeover.as_ref().and_then(|takeover| takeover.to.as_ref());
        if known.is_some_and(|(_, known, _)| *known >= term) {
            return;
        }
        let given_up = self.vacant.as_ref().filter(|(leader, _)| leader == from).map(|(_, at)| *at);
        let last_seen = self.rows.get(from).map_or(0, |row| row.last_seen_ms);
        let took = match (given_up, last_seen) {
            (Some(at), _) => Took::Exactly(Duration::from_millis(at_ms.saturating_sub(at))),
            // Heartbeats after the election belong to the old leader's next incarnation.
            (None, seen) if seen > 0 && seen <= at_ms => Took::AtMost(Duration::from_millis(at_ms - seen)),
            (None, _) => Took::Unknown,
        };
        let how = why.replace('_', " ");
        self.takeover =
            Some(Takeover { from: from.to_owned(), how, begun: None, to: Some((to.to_owned(), term, took)), at_ms });
    }

    /// The estimated time on the Redis server's clock; 0: not known.
    pub(crate) fn server_now_ms(&self, now: Moment) -> u64 {
        let (at_ms, heard) = self.clock;
        if at_ms == 0 { 0 } else { at_ms.saturating_add(millis(now.since(heard))) }
    }

    /// The remaining time of the leader's lease; `None` without a leader.
    pub(crate) fn lease_left(&self, now: Moment) -> Option<Duration> {
        let end = self.lease_ends_ms.filter(|_| self.leader.is_some())?;
        Some(Duration::from_millis(end.saturating_sub(self.server_now_ms(now))))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub(crate) fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    pub(crate) fn node(id: &str, leads: bool, seen: u64) -> Value {
        json!({"node_id": id, "name": id, "status": "online", "incarnation": 1, "endpoint": null,
            "role": if leads { "leader" } else { "follower" }, "capabilities": [], "labels": {},
            "version": "0.1.0", "joined_at_ms": 1, "last_seen_ms": seen})
    }

    pub(crate) fn state(leader: &str, term: u64, as_of: u64, ids: &[&str]) -> ClusterState {
        let nodes: Vec<Value> = ids.iter().map(|id| node(id, *id == leader, as_of)).collect();
        let state = json!({"cluster": "demo", "node_id": ids[0], "role": "follower", "leader_id": leader, "term": term,
            "lease_expires_at_ms": as_of + 30_000, "redis": {"status": "ok", "mode": "standalone"},
            "as_of_ms": as_of, "nodes": nodes});
        serde_json::from_value(state).expect("a state")
    }

    pub(crate) fn elected(leader: &str, term: u64, seq: u64, before: Option<&str>, at_ms: u64) -> Value {
        json!({"event": "cluster.leader_elected", "seq": seq, "at_ms": at_ms, "node_id": leader,
            "leader_id": leader, "term": term, "previous_leader_id": before, "reason": "process_died"})
    }

    #[test]
    fn the_lease_runs_down_between_views() {
        let mut picture = Picture::default();
        picture.take_state(&state("a", 5, 1_000, &["a", "b"]), at(100));
        assert_eq!(picture.lease_left(at(1_100)), Some(Duration::from_secs(29)));
        assert_eq!(picture.lease_left(at(99_000)), Some(Duration::ZERO));
        assert_eq!(picture.lease_span, Duration::from_secs(30));
    }

    #[test]
    fn the_clock_goes_on_while_a_view_gets_older() {
        let mut picture = Picture::default();
        assert_eq!(picture.server_now_ms(at(50)), 0, "nothing was heard of it");
        for later in [0, 1_000, 2_000] {
            picture.take_state(&state("a", 5, 10_000, &["a"]), at(later));
        }
        assert_eq!(picture.server_now_ms(at(2_000)), 12_000);
        picture.take_event(&elected("a", 5, 1, None, 13_000), at(2_000));
        assert_eq!(picture.server_now_ms(at(2_500)), 13_500, "an event told better");
        picture.take_state(&state("a", 5, 9_000, &["a"]), at(3_000));
        assert_eq!(picture.server_now_ms(at(3_000)), 9_000, "another server");
    }

    #[test]
    fn nodes_that_are_gone_from_the_state_are_gone_and_latencies_stay() {
        let mut picture = Picture::default();
        picture.take_state(&state("a", 5, 1_000, &["a", "b"]), at(0));
        picture.rows.get_mut("b").expect("b").latency = Some(Duration::from_millis(2));
        picture.take_state(&state("b", 6, 2_000, &["b", "c"]), at(1_000));
        assert_eq!(picture.rows.keys().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(picture.rows["b"].latency, Some(Duration::from_millis(2)));
        assert!(picture.rows["b"].leads);
    }

    #[test]
    fn a_view_from_before_the_election_does_not_undo_it() {
        let mut picture = Picture::default();
        picture.take_state(&state("a", 5, 1_000, &["a", "b"]), at(0));
        assert!(picture.take_event(&elected("b", 6, 9, Some("a"), 1_800), at(800)));
        picture.take_state(&state("a", 5, 1_700, &["a", "b"]), at(900));
        assert_eq!((picture.leader.as_deref(), picture.term), (Some("b"), 6));
        assert!(picture.rows["b"].leads && !picture.rows["a"].leads);
    }

    #[test]
    fn a_takeover_is_told_as_exactly_as_it_is_known() {
        let took = |picture: &Picture| picture.takeover.clone().and_then(|takeover| takeover.to).map(|(.., took)| took);
        let mut picture = Picture::default();
        picture.take_state(&state("a", 5, 1_000, &["a", "b"]), at(0));
        picture.take_event(&elected("b", 6, 9, Some("a"), 2_200), at(1_300));
        assert_eq!(took(&picture), Some(Took::AtMost(Duration::from_millis(1_200))), "since its last heartbeat");
        let lost =
            json!({"event": "cluster.leader_lost", "seq": 10, "at_ms": 3_000, "leader_id": "b", "reason": "handover"});
        picture.take_event(&lost, at(2_000));
        picture.take_event(&elected("a", 7, 11, Some("b"), 3_030), at(2_050));
        assert_eq!(took(&picture), Some(Took::Exactly(Duration::from_millis(30))));
        picture.take_event(&elected("b", 8, 12, Some("a"), 900), at(2_060));
        assert_eq!(took(&picture), Some(Took::Unknown), "it beats again");
        picture.ending("b", "was killed", at(5_000));
        picture.take_state(&state("a", 9, 6_000, &["a", "b"]), at(6_234));
        picture.take_event(&elected("a", 9, 13, Some("b"), 6_100), at(6_300));
        assert_eq!(took(&picture), Some(Took::Exactly(Duration::from_millis(1_234))), "timed here");
    }
}
