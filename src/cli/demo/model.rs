//! What the demo knows of the cluster, pure: inputs in, a picture out.
//!
//! 1. No clock, no I/O: times come with the inputs.
//! 2. Everything is bounded: the list of events keeps the newest.
//!
//! Not here: drawing (`view.rs`), asking the nodes (`nodes.rs`).

use crate::cli::events::describe;
use crate::cli::terminal::Tint;
use crate::cluster::time::Moment;
use crate::rpc::wire::node::{Role, Status};
use crate::rpc::wire::state::ClusterState;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const EVENTS_KEPT: usize = 200;

/// Something that happened to the demo.
#[derive(Debug)]
pub(super) enum Input {
    /// A node's process was started.
    Started(String),
    /// A node's process is gone.
    Gone(String),
    /// The demo is about to end the leader.
    Ending {
        /// Whom.
        node: String,
        /// How, in words.
        how: &'static str,
    },
    /// A node answered for its state.
    State(Box<ClusterState>),
    /// A node reported an event.
    Event(Value),
    /// A node sent messages.
    Sent {
        /// Who.
        node: String,
        /// How many.
        count: u64,
    },
    /// A node was handed messages.
    Received {
        /// Who.
        node: String,
        /// From whom.
        from: String,
        /// How many.
        count: u64,
    },
    /// Something to tell.
    Note(String),
}

/// What is known of one node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) running: bool,
    pub(super) status: Option<Status>,
    pub(super) leads: bool,
    pub(super) incarnation: u64,
    pub(super) last_seen_ms: u64,
    pub(super) sent: u64,
    pub(super) received: BTreeMap<String, u64>,
}

impl Row {
    pub(super) fn received_in_all(&self) -> u64 {
        self.received.values().sum()
    }
}

/// A change of leaders, from the moment in which the old one was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Takeover {
    pub(super) from: String,
    pub(super) how: &'static str,
    pub(super) begun: Moment,
    /// The new leader, its term, and how long it took.
    pub(super) to: Option<(String, u64, Duration)>,
}

/// The picture.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) leader: Option<String>,
    pub(super) term: u64,
    pub(super) lease_ends_ms: Option<u64>,
    pub(super) as_of_ms: u64,
    /// When `as_of_ms` came in, to go on from there.
    pub(super) as_of: Moment,
    pub(super) redis_ok: bool,
    pub(super) events: VecDeque<(u64, Tint, String)>,
    pub(super) takeover: Option<Takeover>,
    pub(super) note: String,
    newest_event: u64,
}

impl Model {
    pub(super) fn new(ids: impl IntoIterator<Item = String>) -> Self {
        Self { rows: ids.into_iter().map(|id| (id, Row::default())).collect(), ..Self::default() }
    }

    /// Takes an input in; true when it is news for a reader of lines.
    pub(super) fn take(&mut self, input: Input, now: Moment) -> bool {
        match input {
            Input::Started(node) => {
                self.rows.entry(node).or_default().running = true;
                false
            }
            Input::Gone(node) => {
                let row = self.rows.entry(node).or_default();
                row.running = false;
                row.leads = false;
                false
            }
            Input::Ending { node, how } => {
                self.takeover = Some(Takeover { from: node, how, begun: now, to: None });
                false
            }
            Input::State(state) => {
                self.take_state(&state, now);
                false
            }
            Input::Event(event) => self.take_event(&event, now),
            Input::Sent { node, count } => {
                self.rows.entry(node).or_default().sent += count;
                false
            }
            Input::Received { node, from, count } => {
                *self.rows.entry(node).or_default().received.entry(from).or_default() += count;
                false
            }
            Input::Note(note) => {
                self.note = note;
                true
            }
        }
    }

    fn take_state(&mut self, state: &ClusterState, now: Moment) {
        self.redis_ok = state.redis.status == crate::rpc::wire::state::RedisStatus::Ok;
        // Several nodes report; the newest view counts, and a term never goes back.
        if state.as_of_ms < self.as_of_ms || state.term < self.term {
            return;
        }
        (self.as_of_ms, self.as_of) = (state.as_of_ms, now);
        for node in &state.nodes {
            let Some(row) = self.rows.get_mut(&node.node_id) else { continue };
            row.status = Some(node.status);
            row.incarnation = node.incarnation;
            row.last_seen_ms = node.last_seen_ms;
            row.leads = node.role == Role::Leader;
        }
        self.lease_ends_ms = state.lease_expires_at_ms;
        self.term = state.term;
        self.leader.clone_from(&state.leader_id);
        if let Some(leader) = state.leader_id.clone() {
            self.took_over(&leader, state.term, now);
        }
    }

    fn take_event(&mut self, event: &Value, now: Moment) -> bool {
        let number = |name: &str| event.get(name).and_then(Value::as_u64);
        // Every node reports each event of the cluster: the first report counts. Local ones would only flood the list.
        let Some(seq) = number("seq").filter(|seq| *seq > self.newest_event) else { return false };
        self.newest_event = seq;
        let (tint, text) = describe(event);
        self.events.push_back((number("at_ms").unwrap_or(0), tint, text));
        if self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
        let leader = event.get("leader_id").and_then(Value::as_str);
        if event.get("event").and_then(Value::as_str) == Some("cluster.leader_elected")
            && let (Some(leader), Some(term)) = (leader, number("term"))
            && term >= self.term
        {
            self.leader = Some(leader.to_owned());
            self.term = term;
            for (id, row) in &mut self.rows {
                row.leads = id == leader;
            }
            self.took_over(leader, term, now);
        }
        true
    }

    fn took_over(&mut self, leader: &str, term: u64, now: Moment) {
        if let Some(takeover) = &mut self.takeover
            && takeover.to.is_none()
            && takeover.from != leader
        {
            takeover.to = Some((leader.to_owned(), term, now.since(takeover.begun)));
        }
    }

    /// The time on Redis's clock, as far as known.
    pub(super) fn server_now_ms(&self, now: Moment) -> u64 {
        self.as_of_ms.saturating_add(crate::cluster::time::millis(now.since(self.as_of)))
    }

    /// How long the leader's lease still stands.
    pub(super) fn lease_left(&self, now: Moment) -> Option<Duration> {
        let end = self.lease_ends_ms.filter(|_| self.leader.is_some())?;
        Some(Duration::from_millis(end.saturating_sub(self.server_now_ms(now))))
    }

    /// Whether every node is an online member and one of them leads.
    pub(super) fn is_complete(&self) -> bool {
        let online = |row: &Row| row.running && row.status == Some(Status::Online);
        self.leader.as_ref().is_some_and(|leader| self.rows.get(leader).is_some_and(online))
            && self.rows.values().all(online)
    }

    /// Whether every node has heard every other one.
    pub(super) fn all_heard_all(&self) -> bool {
        self.rows.values().all(|row| row.received.len() + 1 >= self.rows.len())
    }

    /// The last takeover in a sentence.
    pub(super) fn takeover_text(&self) -> Option<String> {
        let Takeover { from, how, to, .. } = self.takeover.as_ref()?;
        Some(match to {
            Some((leader, term, took)) => {
                format!("{leader} took over after {} ms (term {term})", took.as_millis())
            }
            None => format!("{from} {how}; who takes over?"),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    pub(in crate::cli::demo) fn at(millis: u64) -> Moment {
        Moment(Duration::from_millis(millis))
    }

    pub(in crate::cli::demo) fn state(leader: &str, term: u64, as_of: u64, ids: &[&str]) -> Input {
        let node = |id: &&str| {
            json!({"node_id": id, "name": id, "status": "online", "incarnation": 1, "endpoint": null,
                "role": if *id == leader { "leader" } else { "follower" }, "capabilities": [], "labels": {},
                "version": "0.1.0", "joined_at_ms": 1, "last_seen_ms": as_of})
        };
        let nodes: Vec<Value> = ids.iter().map(node).collect();
        let state = json!({"cluster": "demo", "node_id": ids[0], "role": "follower", "leader_id": leader, "term": term,
            "lease_expires_at_ms": as_of + 30_000, "redis": {"status": "ok", "mode": "standalone"},
            "as_of_ms": as_of, "nodes": nodes});
        Input::State(serde_json::from_value(state).expect("a state"))
    }

    fn elected(leader: &str, term: u64, seq: u64) -> Input {
        Input::Event(json!({"event": "cluster.leader_elected", "seq": seq, "at_ms": 1, "node_id": leader,
            "leader_id": leader, "term": term, "previous_leader_id": null, "reason": "process_died"}))
    }

    pub(in crate::cli::demo) fn three() -> Model {
        let ids = ["node-a", "node-b", "node-c"];
        let mut model = Model::new(ids.map(str::to_owned));
        for id in ids {
            model.take(Input::Started(id.to_owned()), at(0));
        }
        model.take(state("node-a", 5, 1_000, &ids), at(100));
        model
    }

    #[test]
    fn a_takeover_is_timed_from_the_kill_to_the_first_report() {
        let mut model = three();
        assert!(model.is_complete());
        model.take(Input::Ending { node: "node-a".to_owned(), how: "was killed" }, at(1_000));
        model.take(Input::Gone("node-a".to_owned()), at(1_001));
        assert_eq!(model.takeover_text().expect("a takeover"), "node-a was killed; who takes over?");
        // A view from before the kill does not end it, and neither does an old term.
        model.take(state("node-a", 5, 1_500, &["node-b"]), at(1_500));
        assert!(model.take(elected("node-b", 6, 9), at(2_234)));
        assert_eq!(model.takeover_text().expect("a takeover"), "node-b took over after 1234 ms (term 6)");
        model.take(state("node-a", 5, 3_000, &["node-c"]), at(2_300));
        assert_eq!((model.leader.as_deref(), model.term), (Some("node-b"), 6));
        assert!(!model.take(elected("node-b", 6, 9), at(2_400)), "the same event counted twice");
        assert!(!model.is_complete());
    }

    #[test]
    fn messages_are_counted_by_sender() {
        let mut model = three();
        for node in ["node-a", "node-b", "node-c"] {
            for from in ["node-a", "node-b", "node-c"].into_iter().filter(|from| *from != node) {
                assert!(!model.all_heard_all());
                let input = Input::Received { node: node.to_owned(), from: from.to_owned(), count: 2 };
                model.take(input, at(0));
            }
        }
        assert!(model.all_heard_all());
        assert_eq!(model.rows["node-b"].received_in_all(), 4);
    }

    #[test]
    fn the_lease_runs_down_between_views_and_the_events_are_bounded() {
        let mut model = three();
        assert_eq!(model.lease_left(at(1_100)), Some(Duration::from_secs(29)));
        assert_eq!(model.lease_left(at(99_000)), Some(Duration::ZERO));
        for seq in 1..=300 {
            model.take(elected("node-a", 5, seq), at(0));
        }
        assert_eq!(model.events.len(), EVENTS_KEPT);
    }
}
