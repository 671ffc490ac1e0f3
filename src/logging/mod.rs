//! Log output: console, rotated file and syslog.
//!
//! 1. Logging never blocks or stops the program: queues are bounded, a line that does not fit is dropped and counted, and a failing
//!    sink is reported once and retried.
//! 2. One event is one line: control characters are escaped, so that no text can forge a line or control a terminal.
//! 3. Nothing is written to standard output.
//! 4. A loop cannot fill the disk: repeated lines of one place are limited, and dropped lines are counted (`flood.rs`).
//!
//! Log fields have one name each: `error` (the cause), `node_id`, `cluster`, `term`, `lease`, `task_id`, `attempt`, `wait_ms`, `file` and
//! `folder` (paths), `new_file` and `new_node_id` (after a rename).
//!
//! Not here: what is logged at which level (the modules themselves).

mod collect;
mod flood;
mod line;
#[cfg(feature = "otel")]
mod otel;
mod queue;
mod rotate;
mod syslog;

use crate::clock;
use crate::config::{LogFormat, LogLevel, LoggingConfig};
use flood::Flood;
use line::{Context, Line, Style};
pub use queue::dropped_lines;
use queue::{Queue, Sink};
use rotate::RotatedFile;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use syslog::Syslog;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Logging is already set up in this process.
    #[error("internal error: logging is already set up in this process")]
    Twice,
    /// A thread for a sink cannot be started.
    #[error("cannot start a thread for the log: {0}; free memory, or raise the limit of processes")]
    Thread(#[from] std::io::Error),
    /// Standard error cannot be duplicated.
    #[error("cannot use standard error for the log: {0}; leave it open, or raise the limit of open files")]
    Console(std::io::Error),
}

/// How long the end of the process waits for all sinks together.
const END_TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps the logging running. Dropping it writes the queued lines, for at most 500 ms in total, after waiting at most 1 s for the
/// export of spans, if that is on.
#[derive(Debug)]
#[must_use = "the log is flushed when the guard is dropped"]
pub struct Guard {
    queues: Vec<Queue>,
    flood: Arc<Flood>,
    #[cfg(feature = "otel")]
    export: Option<otel::Export>,
}

impl Guard {
    /// Waits until everything logged so far is written, at most 2 s per sink.
    pub fn flush(&self) {
        self.queues.iter().for_each(Queue::flush);
    }

    /// Sets the cluster and the node id that exported spans carry from now on.
    pub fn node_is(&self, cluster: &str, node_id: &str) {
        tracing::debug!(cluster, node_id, "this process has a node id");
        #[cfg(feature = "otel")]
        if let Some(export) = &self.export {
            export.node_is(cluster, node_id);
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // First, so that its warnings are still logged.
        #[cfg(feature = "otel")]
        drop(self.export.take());
        for line in self.flood.rest(clock::now()) {
            self.queues.iter().for_each(|queue| queue.sender().send(&line));
        }
        // The file first: its warnings go to the console.
        let begun = clock::now();
        for queue in self.queues.iter().rev() {
            queue.stop(END_TIMEOUT.saturating_sub(clock::now().since(begun)));
        }
    }
}

/// Sets up the logging of this process: the console on standard error (coloured on a terminal unless NO_COLOR is set), the rotated
/// file and syslog as configured. `component` names the command in every line (`serve`, `mcp`, …).
///
/// If the file or syslog cannot be written, that is reported once on standard error, and the other sinks continue.
///
/// # Errors
/// [`InitError`] when called twice, or when no thread can be started.
pub fn init(config: &LoggingConfig, component: &str) -> Result<Guard, InitError> {
    let stderr = std::io::stderr();
    let colour = stderr.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|text| text.is_empty());
    // Not through std's handle: a write that blocks would hold its lock and block others.
    let console = File::from(stderr.as_fd().try_clone_to_owned().map_err(InitError::Console)?);
    let (subscriber, guard) = build(config, component, Box::new(console), colour, Path::new("/dev/log"))?;
    subscriber.try_init().map_err(|_| InitError::Twice)?;
    Ok(guard)
}

/// Builds the subscriber, with a given console and syslog socket.
fn build(
    config: &LoggingConfig,
    component: &str,
    console: Box<dyn Write + Send>,
    colour: bool,
    syslog: &Path,
) -> std::io::Result<(impl Subscriber + Send + Sync + use<>, Guard)> {
    let context = Context { component: component.to_owned(), pid: std::process::id() };
    let style = |colour| match config.format {
        LogFormat::Text => Style::Text { colour },
        LogFormat::Json => Style::Json,
    };
    let console = Console { out: console, style: style(colour), context: context.clone() };
    let mut queues = vec![Queue::start("log-console", console)?];
    if config.file.is_some() || config.syslog {
        let file = config.file.clone().map(|path| RotatedFile::new(path, config.max_bytes, config.backup_count));
        let syslog = config.syslog.then(|| Syslog::new(PathBuf::from(syslog), context.pid));
        let consoles = queues.iter().map(Queue::sender).collect();
        queues.push(Queue::start("log-file", Files { file, syslog, style: style(false), context, consoles })?);
    }
    let senders = queues.iter().map(Queue::sender).collect();
    let filter = filter(config.level);
    let flood = Arc::new(Flood::new());
    let collect = collect::Collect { senders, flood: Arc::clone(&flood) };
    #[cfg(not(feature = "otel"))]
    return Ok((tracing_subscriber::registry().with(filter).with(collect), Guard { queues, flood }));
    #[cfg(feature = "otel")]
    {
        let (layer, export) = match otel::layer(component, config.level) {
            Ok(made) => made.unzip(),
            Err(why) => {
                let why = format!("spans are not exported: {why}; correct or unset the OTEL_ variables");
                queues.iter().map(Queue::sender).for_each(|queue| queue.send(&Line::warning(why.clone())));
                (None, None)
            }
        };
        let collect = tracing_subscriber::Layer::with_filter(collect, filter);
        Ok((tracing_subscriber::registry().with(collect).with(layer), Guard { queues, flood, export }))
    }
}

/// clawster at its level, libraries at warn or a higher severity.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("clawster", level)
}

/// Standard error. Write errors are ignored, because there is no other place to report them.
struct Console {
    out: Box<dyn Write + Send>,
    style: Style,
    context: Context,
}

impl Sink for Console {
    fn write(&mut self, line: &Line) {
        let text = line.render(self.style, &self.context);
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// The file and syslog, in a separate thread: a console that nobody reads does not block them.
struct Files {
    file: Option<RotatedFile>,
    syslog: Option<Syslog>,
    style: Style,
    context: Context,
    /// Where warnings about the file go.
    consoles: Vec<queue::Sender>,
}

impl Sink for Files {
    fn write(&mut self, line: &Line) {
        if let Some(file) = &mut self.file
            && let Some(warning) = file.write(line.render(self.style, &self.context).as_bytes())
        {
            let line = Line::warning(warning);
            self.consoles.iter().for_each(|console| console.send(&line));
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.write(line);
        }
    }
}

#[cfg(test)]
mod tests;
