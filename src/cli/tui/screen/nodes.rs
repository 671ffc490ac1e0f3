//! The table of nodes.
//!
//! 1. Only the visible rows are processed, so that drawing does not get slower with more nodes.
//! 2. The nodes' texts are shown without control characters, and cut by display width, not by characters.
//!
//! Not here: which rows in which order (the views).

use super::paint::Theme;
use super::picture::{Picture, Row};
use crate::cli::state::{is_alive, status_word};
use crate::cli::terminal::{Tint, age, clean, span};
use crate::cluster::time::Moment;
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Modifier;
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row as TableRow, Table};
use std::time::Duration;

/// The most characters of a text that are processed; no column is wider.
const MAX_CELL: usize = 200;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Node,
    Status,
    Role,
    /// The age of the last heartbeat.
    Seen,
    /// The round trip of the newest heartbeat.
    Latency,
    /// The time since this incarnation joined.
    Up,
    Version,
    Name,
    Capabilities,
    Labels,
    /// A column of one view only: its index for [`NodeTable::own`], its title and width.
    Own(usize, &'static str, u16),
}

impl Column {
    /// The column's heading.
    #[must_use]
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Node => "NODE",
            Self::Status => "STATUS",
            Self::Role => "ROLE",
            Self::Seen => "SEEN",
            Self::Latency => "LATENCY",
            Self::Up => "UP",
            Self::Version => "VERSION",
            Self::Name => "NAME",
            Self::Capabilities => "CAPABILITIES",
            Self::Labels => "LABELS",
            Self::Own(_, title, _) => title,
        }
    }

    /// The column's width, if its content does not decide it.
    #[must_use]
    pub(crate) fn width(self) -> u16 {
        match self {
            Self::Node | Self::Capabilities | Self::Labels => 12,
            Self::Status | Self::Role | Self::Latency => 9,
            Self::Seen => 10,
            Self::Up => 7,
            Self::Version => 8,
            Self::Name => 16,
            Self::Own(_, _, width) => width,
        }
    }
}

/// The table to draw.
pub(crate) struct NodeTable<'a> {
    pub(crate) picture: &'a Picture,
    pub(crate) columns: &'a [(Column, Constraint)],
    /// The visible nodes, in order.
    pub(crate) ids: &'a [String],
    /// The index of the selected node among them.
    pub(crate) marked: Option<usize>,
    /// The column that rows are sorted by, and whether the order is reversed.
    pub(crate) sorted: Option<(Column, bool)>,
    pub(crate) title: Line<'a>,
    pub(crate) theme: Theme,
    /// A node's status, if the view knows it better than the cluster.
    pub(crate) word: &'a dyn Fn(&str) -> Option<(Tint, &'static str)>,
    /// The text of a column of this view.
    pub(crate) own: &'a dyn Fn(&str, usize) -> String,
}

impl NodeTable<'_> {
    /// How many rows fit into an area of this height, below the title and the headings.
    #[must_use]
    pub(crate) fn room(height: u16) -> usize {
        usize::from(height.saturating_sub(2))
    }

    /// Draws the table.
    pub(crate) fn draw(self, frame: &mut Frame<'_>, area: Rect, now: Moment) {
        let server_now = self.picture.server_now_ms(now);
        let nothing = Row::default();
        let rows = self.ids.iter().take(Self::room(area.height)).enumerate().map(|(place, id)| {
            let row = self.picture.rows.get(id).unwrap_or(&nothing);
            let cells = self.columns.iter().map(|(column, _)| {
                let (tint, text) = self.cell(*column, id, row, server_now);
                Cell::from(self.theme.span(tint, text))
            });
            let marked = self.marked == Some(place);
            TableRow::new(cells).style(if marked { Modifier::REVERSED } else { Modifier::empty() })
        });
        let headings = self.columns.iter().map(|(column, _)| match self.sorted {
            Some((by, reversed)) if by == *column => {
                let arrow = if reversed { '▼' } else { '▲' };
                self.theme.span(Tint::Bold, format!("{}{arrow}", column.title()))
            }
            _ => self.theme.span(Tint::Dim, column.title()),
        });
        let headings = TableRow::new(headings.map(Cell::from));
        let widths = self.columns.iter().map(|(_, width)| *width);
        let table = Table::new(rows, widths).header(headings).column_spacing(1);
        frame.render_widget(table.block(self.theme.part(self.title)), area);
    }

    fn cell(&self, column: Column, id: &str, row: &Row, server_now: u64) -> (Tint, String) {
        let passed = |at: u64| Duration::from_millis(server_now.saturating_sub(at));
        let or_dash = |text: &str| (Tint::Plain, if text.is_empty() { "-".to_owned() } else { clean(text, MAX_CELL) });
        match column {
            Column::Node => (if row.leads { Tint::Bold } else { Tint::Plain }, clean(id, MAX_CELL)),
            Column::Status => {
                let (tint, word) = (self.word)(id).or(row.status.map(status_word)).unwrap_or((Tint::Dim, "-"));
                (tint, word.to_owned())
            }
            Column::Role if row.leads => (Tint::Bold, "LEADER".to_owned()),
            Column::Role => (Tint::Plain, "follower".to_owned()),
            Column::Seen if row.last_seen_ms == 0 => or_dash(""),
            Column::Seen => (Tint::Plain, age(passed(row.last_seen_ms))),
            Column::Latency => (Tint::Plain, row.latency.map_or_else(|| "-".to_owned(), latency)),
            Column::Up if row.status.is_some_and(is_alive) => (Tint::Plain, span(passed(row.joined_at_ms))),
            Column::Up => or_dash(""),
            Column::Version => or_dash(&row.version),
            Column::Name => or_dash(row.name.as_deref().unwrap_or_default()),
            Column::Capabilities => or_dash(&row.capabilities),
            Column::Labels => or_dash(&row.labels),
            Column::Own(place, ..) => (Tint::Plain, (self.own)(id, place)),
        }
    }
}

/// A round trip as text.
fn latency(round_trip: Duration) -> String {
    let millis = round_trip.as_secs_f64() * 1_000.0;
    if millis < 100.0 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}
