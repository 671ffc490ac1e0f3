//! The demo's pure model of the cluster: inputs in, a picture out.
//!
//! 1. No clock, no I/O: times come with the inputs.
//!
//! Not here: the model that all views share (`crate::cli::tui::screen`), drawing (`view.rs`), calls to the nodes (`nodes.rs`).

use crate::cli::tui::screen::Picture;
use crate::cluster::time::Moment;
use crate::rpc::wire::node::Status;
use crate::rpc::wire::state::ClusterState;
use serde_json::Value;
use std::collections::BTreeMap;

/// Something that happened to the demo.
#[derive(Debug)]
pub(super) enum Input {
    /// A node's process was started.
    Started(String),
    /// A node's process is gone.
    Gone(String),
    /// The demo is about to kill or stop the leader.
    Ending {
        /// The leader.
        node: String,
        /// How, as text: "was killed".
        how: &'static str,
    },
    /// A node reported its state.
    State(Box<ClusterState>),
    /// A node reported an event.
    Event(Value),
    /// A node sent messages.
    Sent {
        /// The sender.
        node: String,
        /// Number of messages.
        count: u64,
    },
    /// A node received messages.
    Received {
        /// The receiver.
        node: String,
        /// The sender.
        from: String,
        /// Number of messages.
        count: u64,
    },
    /// A note for the user.
    Note(String),
}

/// A node's process and its message counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Process {
    pub(super) running: bool,
    pub(super) sent: u64,
    pub(super) received: BTreeMap<String, u64>,
}

impl Process {
    pub(super) fn received_in_all(&self) -> u64 {
        self.received.values().sum()
    }
}

/// The picture that all views share, and what only the demo knows: processes and messages.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) picture: Picture,
    pub(super) processes: BTreeMap<String, Process>,
    pub(super) note: String,
}

impl Model {
    pub(super) fn new(ids: impl IntoIterator<Item = String>) -> Self {
        let processes: BTreeMap<String, Process> = ids.into_iter().map(|id| (id, Process::default())).collect();
        Self { picture: Picture::of(processes.keys().cloned()), processes, note: String::new() }
    }

    /// Applies an input; true if it is an event or note to print in the plain demo.
    pub(super) fn take(&mut self, input: Input, now: Moment) -> bool {
        match input {
            Input::Started(node) => {
                self.processes.entry(node).or_default().running = true;
                false
            }
            Input::Gone(node) => {
                if let Some(row) = self.picture.rows.get_mut(&node) {
                    row.leads = false;
                }
                self.processes.entry(node).or_default().running = false;
                false
            }
            Input::Ending { node, how } => {
                self.picture.ending(&node, how, now);
                false
            }
            Input::State(state) => {
                // Several nodes report; only the newest view counts.
                if state.as_of_ms >= self.picture.as_of_ms && state.term >= self.picture.term {
                    self.picture.take_known(&state, now);
                }
                false
            }
            // Every node reports each cluster event: the first report counts. Local events would flood the list.
            Input::Event(event) => event.get("seq").is_some_and(Value::is_u64) && self.picture.take_event(&event, now),
            Input::Sent { node, count } => {
                self.processes.entry(node).or_default().sent += count;
                false
            }
            Input::Received { node, from, count } => {
                *self.processes.entry(node).or_default().received.entry(from).or_default() += count;
                false
            }
            Input::Note(note) => {
                self.note = note;
                true
            }
        }
    }

    /// Whether every node is an online member and one of them leads.
    pub(super) fn is_complete(&self) -> bool {
        let online = |(id, process): (&String, &Process)| {
            process.running && self.picture.rows.get(id).is_some_and(|row| row.status == Some(Status::Online))
        };
        let leader = self.picture.leader.as_ref().and_then(|leader| self.processes.get_key_value(leader));
        leader.is_some_and(online) && self.processes.iter().all(online)
    }

    /// Whether every node has received a message from every other node.
    pub(super) fn all_messages_arrived(&self) -> bool {
        self.processes.values().all(|process| process.received.len() + 1 >= self.processes.len())
    }

    /// Whether another node has taken over since the demo last stopped a leader.
    pub(super) fn is_taken_over(&self) -> bool {
        self.picture.takeover.as_ref().is_some_and(|takeover| takeover.to.is_some())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    pub(crate) use crate::cli::tui::screen::samples::at;
    use crate::cli::tui::screen::samples::{elected, state};
    use crate::cli::tui::screen::takeover_line;

    fn seen(leader: &str, term: u64, as_of: u64, ids: &[&str]) -> Input {
        Input::State(Box::new(state(leader, term, as_of, ids)))
    }

    pub(crate) fn three() -> Model {
        let ids = ["node-a", "node-b", "node-c"];
        let mut model = Model::new(ids.map(str::to_owned));
        for id in ids {
            model.take(Input::Started(id.to_owned()), at(0));
        }
        model.take(seen("node-a", 5, 1_000, &ids), at(100));
        model
    }

    #[test]
    fn a_takeover_is_timed_from_the_kill_to_the_first_report() {
        let shown = |model: &Model| model.picture.takeover.as_ref().map(takeover_line).expect("a takeover");
        let mut model = three();
        assert!(model.is_complete());
        model.take(Input::Ending { node: "node-a".to_owned(), how: "was killed" }, at(1_000));
        model.take(Input::Gone("node-a".to_owned()), at(1_001));
        assert_eq!(shown(&model), "node-a was killed; waiting for a new leader");
        // A view from before the kill does not end it, and neither does an old term.
        model.take(seen("node-a", 5, 1_500, &["node-b"]), at(1_500));
        assert!(!model.is_taken_over());
        let event = || Input::Event(elected("node-b", 6, 9, Some("node-a"), 1));
        assert!(model.take(event(), at(2_234)));
        assert_eq!(shown(&model), "node-b took over after 1234 ms (term 6)");
        model.take(seen("node-a", 5, 3_000, &["node-c"]), at(2_300));
        assert_eq!((model.picture.leader.as_deref(), model.picture.term), (Some("node-b"), 6));
        assert!(!model.take(event(), at(2_400)), "the same event counted twice");
        assert!(!model.is_complete());
    }

    #[test]
    fn messages_are_counted_by_sender() {
        let mut model = three();
        for node in ["node-a", "node-b", "node-c"] {
            for from in ["node-a", "node-b", "node-c"].into_iter().filter(|from| *from != node) {
                assert!(!model.all_messages_arrived());
                let input = Input::Received { node: node.to_owned(), from: from.to_owned(), count: 2 };
                model.take(input, at(0));
            }
        }
        assert!(model.all_messages_arrived());
        assert_eq!(model.processes["node-b"].received_in_all(), 4);
    }
}
