//! The report as text for people.
//!
//! 1. On a narrow terminal the less important columns are left out; a column is never cut.
//! 2. Each list shows its newest rows and the number of older ones.
//!
//! Not here: the picture (`picture/`), JSON (`crate::rpc::wire::history_report`).

use super::read::Read;
use super::store;
use crate::cli::history::format;
use crate::cli::terminal::{Output, Tint, clean};
use crate::cluster::history::HistoryPage;
use crate::cluster::history::report::{NodeReport, ReignEnd, Report, Standing};
use crate::cluster::time::ServerTime;
use crate::config::Config;
use crate::store::history::Source;
use std::time::Duration;

/// The most rows of a list.
const MAX_ROWS: usize = 20;
const STAMP: &str = "%m-%d %H:%M:%S";

type Cell = (Tint, String);

/// A column: its heading, its rank (1: always shown; the highest is left out first), its cells.
struct Column {
    heading: &'static str,
    rank: u8,
    cells: Vec<Cell>,
}

/// Prints the report.
///
/// # Errors
/// Of the output.
pub(super) fn print(output: &mut Output<'_>, read: &Read, config: &Config) -> std::io::Result<()> {
    let report = &read.report;
    let (from, to) = (report.window.from, report.window.to);
    let span = format!("{} to {} UTC", format::time(from, "%Y-%m-%d %H:%M"), format::time(to, "%Y-%m-%d %H:%M"));
    let length = format::window(report.window.length());
    output.line(format!("History    {}, the last {length}: {span}, from {}", config.cluster, store(read.source)))?;
    for note in notes(read, config) {
        output.line(format!("           {note}"))?;
    }
    if report.nodes.is_empty() {
        return Ok(());
    }
    output.line("")?;
    nodes(output, report)?;
    absences(output, report)?;
    failovers(output, report)?;
    reigns(output, report)
}

/// Notes above the tables: gaps in the record, losses of data, clock changes.
fn notes(read: &Read, config: &Config) -> Vec<String> {
    let report = &read.report;
    let mut notes = Vec::new();
    let since = |at: ServerTime| format!("{} UTC", format::time(at, "%Y-%m-%d %H:%M:%S"));
    if report.nodes.is_empty() {
        notes.push(
            "No node was a member during this time; start one with `clawster serve`, or look further back.".to_owned(),
        );
    }
    match report.unrecorded.as_slice() {
        [] => {}
        [(_, to)] if *to >= report.window.to => notes.push("No events are recorded for this time.".to_owned()),
        [(from, to), rest @ ..] if *from == report.window.from => {
            notes.push(format!("Events are recorded since {}.", since(*to)));
            holes(rest, &mut notes);
        }
        all => holes(all, &mut notes),
    }
    let off = read.source == Source::Redis && config.history.recent.is_zero();
    match report.beats_since {
        None if report.nodes.is_empty() => {}
        None if off => notes.push("Heartbeats are not recorded: history.recent_hours is 0.".to_owned()),
        None => notes.push("No heartbeat is recorded yet; a running node records its next one.".to_owned()),
        Some(at) if at.since(report.window.from) > Duration::from_mins(1) => {
            notes.push(format!("Heartbeats are recorded since {}.", since(at)));
        }
        Some(_) => {}
    }
    for at in report.data_lost.iter().rev().take(3) {
        notes.push(format!("Redis lost its data; the cluster started over at {}.", since(*at)));
    }
    if report.set_back > Duration::from_secs(1) {
        let by = format::lasting(report.set_back);
        notes.push(format!("The Redis server's clock was set back by {by}; times around that are not exact."));
    }
    if let Some(at) = report.leaderless_since {
        notes.push(format!("There has been no leader since {}.", since(at)));
    }
    if let Some(why) = &read.without_redis {
        notes.push(format!(
            "Redis does not answer ({}): the current members are taken from the record.",
            clean(why, 100)
        ));
    }
    notes
}

fn holes(holes: &[(ServerTime, ServerTime)], notes: &mut Vec<String>) {
    for (from, to) in holes.iter().rev().take(3) {
        let (from, to) = (format::time(*from, STAMP), format::time(*to, STAMP));
        notes.push(format!("Events are missing from {from} to {to} UTC."));
    }
}

fn nodes(output: &mut Output<'_>, report: &Report) -> std::io::Result<()> {
    let column = |heading, rank, cell: &dyn Fn(&NodeReport) -> Cell| Column {
        heading,
        rank,
        cells: report.nodes.iter().map(cell).collect(),
    };
    let plain = |text: String| (Tint::Plain, text);
    let spread = |delay: Option<Duration>| plain(delay.map_or_else(dash, format::delay));
    let columns = [
        column("NODE", 1, &|node| plain(clean(node.node_id.as_str(), 64))),
        column("NOW", 1, &|node| standing(node.now)),
        column("AVAILABLE", 1, &|node| {
            let share = node.availability();
            (if share.is_some_and(|share| share < 1.0) { Tint::Yellow } else { Tint::Plain }, format::share(share))
        }),
        column("DOWN", 1, &|node| down(node)),
        column("FLAPS", 1, &|node| number(node.flaps())),
        column("GAPS", 2, &|node| gaps(node)),
        column("BEATS", 5, &|node| plain(node.beats.to_string())),
        column("RETRIED", 6, &|node| plain(node.retried.to_string())),
        column("DELAY p50", 4, &|node| spread(node.delay(0.5))),
        column("p95", 3, &|node| spread(node.delay(0.95))),
        column("p99", 4, &|node| spread(node.delay(0.99))),
        column("max", 5, &|node| {
            plain(if node.delays.count() == 0 { dash() } else { format::delay(node.longest_delay) })
        }),
        column("ROUND TRIP p95", 6, &|node| spread(node.round_trips.quantile(0.95))),
        column("VERSION", 7, &|node| plain(clean(&node.versions.join(" → "), 24))),
        column("NAME", 8, &|node| {
            plain(if node.name == node.node_id.as_str() { dash() } else { clean(&node.name, 24) })
        }),
    ];
    columns_of(output, columns.into())
}

fn dash() -> String {
    "-".to_owned()
}

fn standing(now: Standing) -> Cell {
    match now {
        Standing::Online => (Tint::Green, "online".to_owned()),
        Standing::Offline => (Tint::Red, "offline".to_owned()),
        Standing::Left => (Tint::Dim, "left".to_owned()),
    }
}

fn number(number: usize) -> Cell {
    (if number > 0 { Tint::Yellow } else { Tint::Plain }, number.to_string())
}

fn down(node: &NodeReport) -> Cell {
    let lasting = format::lasting(node.down_for());
    match node.away.iter().filter(|absence| absence.is_down()).count() {
        0 => (Tint::Plain, dash()),
        1 => (Tint::Red, lasting),
        times => (Tint::Red, format!("{lasting} ({times} times)")),
    }
}

fn gaps(node: &NodeReport) -> Cell {
    let missed: u64 = node.gaps.iter().map(|gap| gap.missed).sum();
    match (node.gaps.len(), node.gaps_cut) {
        (0, _) if node.beats == 0 => (Tint::Plain, dash()),
        (0, _) => (Tint::Plain, "0".to_owned()),
        (count, cut) => {
            let least = if cut { "≥ " } else { "" };
            (Tint::Yellow, format!("{least}{count} ({least}{missed} missed)"))
        }
    }
}

fn absences(output: &mut Output<'_>, report: &Report) -> std::io::Result<()> {
    let mut all: Vec<_> =
        report.nodes.iter().flat_map(|node| node.away.iter().map(move |absence| (absence, node))).collect();
    if all.is_empty() {
        return Ok(());
    }
    all.sort_by_key(|(absence, node)| (absence.from, absence.to, &node.node_id));
    title(output, "Away", all.len())?;
    let rows: Vec<Vec<Cell>> = newest(&all)
        .iter()
        .map(|(absence, node)| {
            let lasting = format::lasting(absence.to.since(absence.from));
            let (tint, back) = match (absence.is_down(), absence.flap, absence.back) {
                (_, true, _) => (Tint::Yellow, "back (flap)"),
                (true, false, true) => (Tint::Yellow, "back"),
                (true, false, false) => (Tint::Red, "still down"),
                (false, _, true) => (Tint::Plain, "back"),
                (false, _, false) => (Tint::Dim, "gone"),
            };
            let from = if absence.from == report.window.from {
                "before".to_owned()
            } else {
                format::time(absence.from, STAMP)
            };
            let cell = |text: String| (Tint::Plain, text);
            let why = (if absence.is_down() { Tint::Red } else { Tint::Dim }, format::gone(absence.reason).to_owned());
            vec![cell(from), cell(clean(node.node_id.as_str(), 64)), cell(lasting), why, (tint, back.to_owned())]
        })
        .collect();
    output.table(&["FROM", "NODE", "FOR", "WHY", "NOW"], &rows)
}

fn failovers(output: &mut Output<'_>, report: &Report) -> std::io::Result<()> {
    title(output, "Failovers and handovers", report.failovers.len())?;
    if report.failovers.is_empty() {
        return output.line("none");
    }
    let rows: Vec<Vec<Cell>> = newest(&report.failovers)
        .iter()
        .map(|change| {
            let cell = |text: String| (Tint::Plain, text);
            let tint = if change.is_planned() { Tint::Plain } else { Tint::Yellow };
            vec![
                cell(format::time(change.at, STAMP)),
                cell(clean(change.previous.as_str(), 64)),
                (Tint::Bold, clean(change.node_id.as_str(), 64)),
                (tint, format::elected(change.reason).to_owned()),
                cell(format::vacancy(change)),
                cell(change.term.to_string()),
            ]
        })
        .collect();
    output.table(&["AT", "FROM", "TO", "WHY", "WITHOUT A LEADER", "TERM"], &rows)
}

fn reigns(output: &mut Output<'_>, report: &Report) -> std::io::Result<()> {
    if report.reigns.is_empty() {
        return Ok(());
    }
    title(output, "Leadership", report.reigns.len())?;
    let rows: Vec<Vec<Cell>> = newest(&report.reigns)
        .iter()
        .map(|reign| {
            let cell = |text: String| (Tint::Plain, text);
            let from =
                if reign.from == report.window.from { "before".to_owned() } else { format::time(reign.from, STAMP) };
            let (tint, until) = match reign.end {
                ReignEnd::Leads => (Tint::Green, "still leader".to_owned()),
                ReignEnd::Unknown => (Tint::Dim, "not recorded".to_owned()),
                _ => (Tint::Plain, format::time(reign.until, STAMP)),
            };
            let lasting = format::lasting(reign.until.since(reign.from));
            let term = reign.term.map_or_else(dash, |term| term.to_string());
            vec![cell(from), (tint, until), (Tint::Bold, clean(reign.node_id.as_str(), 64)), cell(lasting), cell(term)]
        })
        .collect();
    output.table(&["FROM", "UNTIL", "LEADER", "FOR", "TERM"], &rows)
}

/// Prints heartbeats one by one. `apart`: with a heading, because other output comes above.
///
/// # Errors
/// Of the output.
pub(super) fn print_beats(output: &mut Output<'_>, page: &HistoryPage, apart: bool) -> std::io::Result<()> {
    if apart {
        let more = if page.more { ", the newest ones" } else { "" };
        let count = page.samples.len();
        output.line("")?;
        output.line(output.paint(Tint::Bold, &format!("Heartbeats ({count}{more})")))?;
    }
    if page.samples.is_empty() {
        return output.line("none recorded");
    }
    let column = |heading, rank, cell: &dyn Fn(&crate::cluster::history::Sample) -> String| Column {
        heading,
        rank,
        cells: page.samples.iter().map(|sample| (Tint::Plain, cell(sample))).collect(),
    };
    let columns = [
        column("AT", 1, &|sample| format::time(sample.at, "%m-%d %H:%M:%S%.3f")),
        column("NODE", 1, &|sample| clean(sample.node_id.as_str(), 64)),
        column("NUMBER", 3, &|sample| sample.number.to_string()),
        column("ROLE", 1, &|sample| if sample.leads { "leader" } else { "follower" }.to_owned()),
        column("DELAY", 1, &|sample| format::delay(sample.delay)),
        column("ROUND TRIP", 1, &|sample| format::delay(sample.round_trip)),
        column("ATTEMPTS", 2, &|sample| sample.attempts.to_string()),
        column("LAG", 3, &|sample| sample.lag.to_string()),
        column("MEMORY", 4, &|sample| match sample.memory {
            0 => dash(),
            bytes => format!("{} MiB", bytes / 1_048_576),
        }),
        column("PEERS", 4, &|sample| sample.peers.map_or_else(dash, |peers| peers.to_string())),
        column("TERM", 5, &|sample| sample.term.to_string()),
        column("INCARNATION", 6, &|sample| sample.incarnation.to_string()),
        column("VERSION", 6, &|sample| clean(&sample.version, 16)),
    ];
    columns_of(output, columns.into())
}

fn title(output: &mut Output<'_>, title: &str, count: usize) -> std::io::Result<()> {
    let older = match count.saturating_sub(MAX_ROWS) {
        0 => String::new(),
        more => format!(" (the newest {MAX_ROWS}; --json shows {more} older ones)"),
    };
    output.line("")?;
    output.line(output.paint(Tint::Bold, &format!("{title}{older}")))
}

fn newest<T>(all: &[T]) -> &[T] {
    all.get(all.len().saturating_sub(MAX_ROWS)..).unwrap_or(all)
}

/// Prints the columns that fit into the terminal, by rank.
fn columns_of(output: &mut Output<'_>, mut columns: Vec<Column>) -> std::io::Result<()> {
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|(_, text)| text.chars().count());
        cells.chain([column.heading.chars().count()]).max().unwrap_or(0) + 2
    };
    if let Some(room) = output.width() {
        while columns.iter().map(width).sum::<usize>() > room + 2 {
            let Some(least) = columns.iter().map(|column| column.rank).max().filter(|rank| *rank > 1) else { break };
            let Some(at) = columns.iter().rposition(|column| column.rank == least) else { break };
            columns.remove(at);
        }
    }
    let headings: Vec<&str> = columns.iter().map(|column| column.heading).collect();
    let count = columns.first().map_or(0, |column| column.cells.len());
    let row = |at: usize| columns.iter().filter_map(|column| column.cells.get(at).cloned()).collect();
    let rows: Vec<Vec<Cell>> = (0..count).map(row).collect();
    output.table(&headings, &rows)
}
