//! `history`: members, leaders and failures of the past, read from the store of the history.
//!
//! 1. The table, the JSON and the picture show the same report.
//! 2. An empty history comes with the reason why it is empty.
//!
//! `arguments.rs` the arguments · `read.rs` reads the history · `table.rs` the table · `picture/` the timeline · `file.rs` writes
//! it to a file · `format.rs` durations and reasons.
//!
//! Not here: how the report is computed (`crate::cluster::history::report`).

pub(super) mod arguments;
mod file;
mod format;
mod picture;
mod read;
mod table;

use super::outcome::{Failure, Outcome};
use super::terminal::many;
use super::{Session, settings};
use crate::cluster::history::report::Report;
use crate::cluster::ids::NodeId;
use crate::config::Config;
use crate::rpc::wire::history::HistorySource;
use crate::rpc::wire::history_entry::HistoryEntry;
use crate::rpc::wire::history_report::HistoryReport;
use crate::store::history::Source;
use arguments::HistoryArguments;
use read::{HistoryRequest, Read};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The most entries in each list of `--json`.
const MAX_LISTED: usize = 10_000;

/// What `--json` prints: the result of `distributed.get_history`, with the report.
#[derive(Debug, Serialize)]
struct Answer {
    cluster: String,
    source: HistorySource,
    entries: Vec<HistoryEntry>,
    more: bool,
    report: HistoryReport,
}

/// Runs `history`.
///
/// # Errors
/// See [`read::read`]; [`Failure::Refused`] for a node that was not a member.
pub(super) async fn run(session: &mut Session<'_>, arguments: HistoryArguments) -> Outcome {
    let to_stdout = arguments.svg.as_deref() == Some(Path::new("-"));
    if to_stdout && arguments.form.json {
        return Err(Failure::Usage(
            "--json and --svg - cannot both write to standard output; give --svg a file name".to_owned(),
        ));
    }
    let config = settings::load(session.global, session.environment)?;
    let node_id = arguments.of.as_deref().map(NodeId::new).transpose();
    let node_id = node_id.map_err(|error| Failure::Usage(format!("--of: {error}")))?;
    // Heartbeats are not read when only the picture goes to standard output.
    let listed = if to_stdout { None } else { arguments.beats };
    let beats = listed.and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
    let request = HistoryRequest { since: arguments.since, beats, node_id: node_id.as_ref() };
    let mut read = read::read(&config, request).await?;
    if let Some(id) = &node_id {
        narrow(&mut read.report, id)?;
    }
    if let Some(path) = &arguments.svg {
        let drawn = picture::draw(&read.report, &caption(&config, &read));
        if to_stdout {
            return Ok(session.output.raw(drawn.as_bytes())?);
        }
        let path = session.environment.folder.join(path);
        file::replace(&path, drawn.as_bytes()).map_err(Failure::Failed)?;
        if !arguments.form.json {
            let nodes = many(read.report.nodes.len(), "node");
            let text = format!("Wrote {} ({nodes}, {}).", path.display(), format::window(arguments.since));
            session.output.line(text)?;
        }
    }
    if arguments.form.json {
        let answer = Answer {
            cluster: config.cluster.as_str().to_owned(),
            source: read.source.into(),
            entries: read.beats.samples.iter().map(HistoryEntry::from).collect(),
            more: read.beats.more,
            report: HistoryReport::new(&read.report, MAX_LISTED),
        };
        return Ok(session.output.json(&answer)?);
    }
    if arguments.svg.is_none() {
        table::print(&mut session.output, &read, &config)?;
    }
    if listed.is_some() {
        table::print_beats(&mut session.output, &read.beats, arguments.svg.is_none())?;
    }
    Ok(())
}

/// The timeline of a window before now, as an SVG picture.
///
/// # Errors
/// See [`read::read`].
pub(super) async fn timeline(config: &Config, since: Duration) -> Result<String, Failure> {
    let read = read::read(config, HistoryRequest { since, beats: 0, node_id: None }).await?;
    Ok(picture::draw(&read.report, &caption(config, &read)))
}

/// Keeps only the entries of one node.
///
/// # Errors
/// [`Failure::Refused`] when the node was not a member within the window.
fn narrow(report: &mut Report, id: &NodeId) -> Outcome {
    if report.nodes.iter().all(|node| node.node_id != *id) {
        let known: Vec<&str> = report.nodes.iter().map(|node| node.node_id.as_str()).take(20).collect();
        let known = if known.is_empty() {
            "there were no members".to_owned()
        } else {
            format!("the members were {}", known.join(", "))
        };
        return Err(Failure::Refused(format!(
            "{id} was not a member within this window ({known}); choose another node, or look further back with --since"
        )));
    }
    report.nodes.retain(|node| node.node_id == *id);
    report.reigns.retain(|reign| reign.node_id == *id);
    report.failovers.retain(|change| change.node_id == *id || change.previous == *id);
    Ok(())
}

/// The picture's title.
fn caption(config: &Config, read: &Read) -> picture::Caption {
    picture::Caption { cluster: config.cluster.as_str().to_owned(), store: store(read.source) }
}

/// A store's name for people.
fn store(source: Source) -> &'static str {
    match source {
        Source::Mongodb => "MongoDB",
        Source::Redis => "Redis",
    }
}
