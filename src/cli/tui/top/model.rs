//! The pure model of `top`: news in, a picture with the user's sorting, filter and selection out.
//!
//! 1. No clock, no I/O: times come with the inputs.
//! 2. The selection belongs to a node, not to a row: it stays with the node when rows move.
//! 3. While paused the picture does not change; news is still collected and shown afterwards.
//!
//! Not here: keys (`keys.rs`), drawing (`view.rs`).

use super::counters::Counters;
use crate::cli::node_access::follow::{News, Source};
use crate::cli::state::{is_alive, role, status_word};
use crate::cli::terminal::Tint;
use crate::cli::tui::screen::{Column, Picture, Row};
use crate::cluster::time::Moment;
use crate::rpc::wire::node::{Role, Status};
use std::cmp::Ordering;
use std::time::Duration;

/// The columns that rows can be sorted by, in the order of the keys 1 to 8.
pub(super) const SORTABLE: [Column; 8] = [
    Column::Node,
    Column::Status,
    Column::Role,
    Column::Seen,
    Column::Latency,
    Column::Up,
    Column::Version,
    Column::Name,
];

/// An action on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NodeAction {
    /// Start or end draining it.
    Drain {
        /// The node's id.
        node: String,
        /// True: start draining; false: end it.
        enabled: bool,
    },
    /// Hand leadership over to it.
    Lead {
        /// The node's id.
        node: String,
    },
}

/// What the keys control.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Mode {
    /// The view.
    #[default]
    Look,
    /// The filter's text.
    Filter,
    /// The confirmation of an action.
    Ask(NodeAction),
    /// The help overlay.
    Help,
}

/// The part that the arrow keys move in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Focus {
    #[default]
    Nodes,
    Events,
}

/// What is known about the cluster, independent of sorting, filter and selection.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshot {
    pub(super) picture: Picture,
    pub(super) cluster: String,
    /// The node that the view comes from, and its role.
    pub(super) this: Option<(String, Role)>,
    pub(super) source: Option<Source>,
    pub(super) counters: Counters,
    /// Why there is no news at the moment.
    pub(super) trouble: Option<String>,
    /// Since when Redis does not answer.
    pub(super) redis_lost: Option<Moment>,
    /// When the last news arrived.
    taken: Moment,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Model {
    snapshot: Snapshot,
    frozen: Option<Box<Snapshot>>,
    pub(super) mode: Mode,
    pub(super) focus: Focus,
    pub(super) filter: String,
    /// The index in [`SORTABLE`], and whether the order is reversed.
    pub(super) sort: (usize, bool),
    /// The nodes in order, without those that the filter hides.
    pub(super) shown: Vec<String>,
    pub(super) selected: Option<String>,
    /// The first visible row.
    pub(super) first: usize,
    /// How many rows and how many events fit.
    room: (usize, usize),
    /// How many of the newest events are scrolled out of sight.
    pub(super) events_back: usize,
    /// The result of the last action, or a notice of [`Self::notify`].
    pub(super) note: Option<(Tint, String)>,
    /// When the current notice expires, and its text; meanwhile it hides the last takeover.
    notice: Option<(Moment, String)>,
}

/// How long a notice is shown.
const NOTICE_TIME: Duration = Duration::from_secs(10);

impl Model {
    /// Shows a notice for [`NOTICE_TIME`].
    fn notify(&mut self, tint: Tint, text: String, now: Moment) {
        self.notice = Some((now + NOTICE_TIME, text.clone()));
        self.note = Some((tint, text));
    }

    /// Removes an expired notice.
    pub(super) fn expire_notice(&mut self, now: Moment) {
        if let Some((_, text)) = self.notice.take_if(|(until, _)| *until <= now)
            && self.note.as_ref().is_some_and(|(_, noted)| *noted == text)
        {
            self.note = None;
        }
    }

    /// The state to show: the paused one, else the current one.
    pub(super) fn snapshot(&self) -> &Snapshot {
        self.frozen.as_deref().unwrap_or(&self.snapshot)
    }

    /// Whether the view is paused.
    pub(super) fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    /// The moment to show: ages do not advance while the view is paused.
    pub(super) fn moment(&self, now: Moment) -> Moment {
        self.frozen.as_ref().map_or(now, |snapshot| snapshot.taken)
    }

    /// The current source, even while the view is paused.
    pub(super) fn source(&self) -> Option<&Source> {
        self.snapshot.source.as_ref()
    }

    pub(super) fn pause(&mut self) {
        self.frozen = if self.frozen.is_none() { Some(Box::new(self.snapshot.clone())) } else { None };
        self.arrange();
    }

    /// Applies news.
    pub(super) fn take(&mut self, news: News, now: Moment) {
        self.snapshot.taken = now;
        match news {
            News::Source(source) => {
                let is_other = self.snapshot.source.as_ref().is_some_and(|known| *known != source);
                if is_other || self.snapshot.trouble.is_some() {
                    let (tint, text) = match &source {
                        Source::Node(id) => (Tint::Green, format!("connected to node {id}")),
                        Source::Redis(_) => (Tint::Yellow, "reading Redis directly from now on".to_owned()),
                    };
                    self.notify(tint, text, now);
                }
                (self.snapshot.source, self.snapshot.trouble) = (Some(source), None);
                self.snapshot.counters.take(None, now);
            }
            News::State(state, numbers) => {
                let snapshot = &mut self.snapshot;
                snapshot.cluster.clone_from(&state.cluster);
                snapshot.this = state.node_id.clone().map(|id| (id, state.role));
                snapshot.picture.take_state(&state, now);
                snapshot.counters.take(numbers, now);
                snapshot.trouble = None;
                self.redis(now);
                self.arrange();
            }
            News::Event(event) => {
                if self.snapshot.picture.take_event(&event, now) && self.events_back > 0 && self.frozen.is_none() {
                    // A user who has scrolled back keeps seeing the same events.
                    self.events_back += 1;
                    self.bound_events();
                }
            }
            News::Latencies(latencies) => {
                for (id, latency) in latencies {
                    if let Some(row) = self.snapshot.picture.rows.get_mut(&id) {
                        row.latency = Some(latency);
                    }
                }
            }
            News::RedisLost => {
                self.snapshot.picture.redis_ok = false;
                self.snapshot.trouble = None;
                self.redis(now);
            }
            News::Trouble(why) => self.snapshot.trouble = Some(why),
        }
    }

    fn redis(&mut self, now: Moment) {
        match (self.snapshot.picture.redis_ok, self.snapshot.redis_lost) {
            (true, Some(since)) => {
                let away = now.since(since).as_secs_f64();
                self.notify(Tint::Green, format!("Redis answers again after {away:.1} s"), now);
                self.snapshot.redis_lost = None;
            }
            (false, None) => self.snapshot.redis_lost = Some(now),
            _ => {}
        }
    }

    /// Sorts and filters the rows; the selection stays with its node.
    pub(super) fn arrange(&mut self) {
        let place = self.place();
        let (snapshot, needle) = (self.frozen.as_deref().unwrap_or(&self.snapshot), self.filter.to_lowercase());
        let mut rows: Vec<(&String, &Row)> =
            snapshot.picture.rows.iter().filter(|(id, row)| needle.is_empty() || matches(id, row, &needle)).collect();
        let (column, reversed) = (SORTABLE.get(self.sort.0).copied().unwrap_or(Column::Node), self.sort.1);
        rows.sort_by(|a, b| {
            let order = compare(column, a.1, b.1);
            let order = if column == Column::Node { a.0.cmp(b.0) } else { order };
            // Equal rows are ordered by id, also in reversed order.
            (if reversed { order.reverse() } else { order }).then_with(|| a.0.cmp(b.0))
        });
        self.shown = rows.into_iter().map(|(id, _)| id.clone()).collect();
        if self.place().is_none() {
            // The selected node is gone or hidden: select the node that has its place now.
            let at = place.unwrap_or(0).min(self.shown.len().saturating_sub(1));
            self.selected = self.shown.get(at).cloned();
        }
        self.follow();
    }

    /// The selected node's index among the shown nodes.
    pub(super) fn place(&self) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.shown.iter().position(|id| id == selected)
    }

    /// Sets how many rows and events fit.
    pub(super) fn fit(&mut self, rows: usize, events: usize) {
        if self.room != (rows, events) {
            self.room = (rows, events);
            self.bound_events();
            self.follow();
        }
    }

    /// Moves the selection, or the events, by this many lines; positive is down.
    pub(super) fn step(&mut self, by: isize) {
        match self.focus {
            Focus::Nodes => {
                let last = self.shown.len().saturating_sub(1);
                let to = self.place().unwrap_or(0).saturating_add_signed(by).min(last);
                self.selected = self.shown.get(to).cloned();
                self.follow();
            }
            Focus::Events => {
                self.events_back = self.events_back.saturating_add_signed(by.saturating_neg());
                self.bound_events();
            }
        }
    }

    /// The number of lines of a page in the focused part.
    pub(super) fn page(&self) -> isize {
        let room = if self.focus == Focus::Nodes { self.room.0 } else { self.room.1 };
        isize::try_from(room.saturating_sub(1)).unwrap_or(1).max(1)
    }

    fn bound_events(&mut self) {
        let most = self.snapshot().picture.events.len().saturating_sub(self.room.1);
        self.events_back = self.events_back.min(most);
    }

    /// Scrolls so that the selected row is visible.
    fn follow(&mut self) {
        let (place, room) = (self.place().unwrap_or(0), self.room.0.max(1));
        let most = self.shown.len().saturating_sub(room);
        self.first = self.first.min(most).min(place).max((place + 1).saturating_sub(room));
    }

    /// The visible rows.
    pub(super) fn visible(&self) -> &[String] {
        let end = self.shown.len().min(self.first + self.room.0);
        self.shown.get(self.first..end).unwrap_or_default()
    }

    /// The number of nodes that are alive, and of all nodes.
    pub(super) fn alive(&self) -> (usize, usize) {
        let rows = &self.snapshot().picture.rows;
        (rows.values().filter(|row| row.status.is_some_and(is_alive)).count(), rows.len())
    }

    /// The number of draining, suspect and offline nodes; nodes that left cleanly need no attention.
    pub(super) fn unwell(&self) -> impl Iterator<Item = (Status, usize)> {
        let of = |status| self.snapshot().picture.rows.values().filter(|row| row.status == Some(status)).count();
        [Status::Draining, Status::Suspect, Status::Offline]
            .into_iter()
            .map(move |status| (status, of(status)))
            .filter(|(_, count)| *count > 0)
    }
}

fn matches(id: &str, row: &Row, needle: &str) -> bool {
    let status = row.status.map_or("", |status| status_word(status).1);
    let part = role(if row.leads { Role::Leader } else { Role::Follower });
    let name = row.name.as_deref().unwrap_or_default();
    let texts = [id, name, status, part, &row.version, &row.capabilities, &row.labels];
    texts.iter().any(|text| text.to_lowercase().contains(needle))
}

fn compare(column: Column, a: &Row, b: &Row) -> Ordering {
    match column {
        Column::Status => a.status.map(|status| status as u8).cmp(&b.status.map(|status| status as u8)),
        Column::Role => b.leads.cmp(&a.leads),
        // The newest heartbeat first; reversed order shows the oldest.
        Column::Seen => b.last_seen_ms.cmp(&a.last_seen_ms),
        Column::Latency => a.latency.cmp(&b.latency),
        Column::Up => b.joined_at_ms.cmp(&a.joined_at_ms),
        Column::Version => a.version.cmp(&b.version),
        Column::Name => a.name.cmp(&b.name),
        _ => Ordering::Equal,
    }
}

#[cfg(test)]
pub(super) mod tests;
