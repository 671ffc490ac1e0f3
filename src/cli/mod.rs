//! The commands, one file per group.
//!
//! 1. Reading commands never join the cluster and never start anything.
//! 2. Results go to standard output, everything else to standard error; a reader that closes the pipe is no failure.
//!
//! Not here: what the node does (`crate::engine`), the methods (`crate::rpc`).

mod alerts;
pub mod arguments;
mod charset;
mod check;
mod config_check;
mod config_push;
mod doctor;
mod documents;
mod drain;
mod events;
mod forget;
mod history;
mod internal;
mod leases;
mod limits;
mod mcp;
mod membership;
mod messages;
mod node_access;
mod notify;
mod once;
mod openclaw;
mod options;
pub mod outcome;
mod peers;
mod program;
mod redis;
mod run;
mod schedules;
mod serve;
mod settings;
mod settle;
mod signals;
mod state;
mod tasks;
mod terminal;
mod tui;
mod ui;
mod watch;
mod work;

use arguments::{Arguments, Command, ConfigAction, Global, NodesAction};
use clap::Parser;
use outcome::{Failure, Outcome};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use terminal::Output;

/// How long a message to standard error may take to be written before the process goes on.
const STDERR_TIMEOUT: Duration = Duration::from_secs(1);

/// The process's environment: its variables and working directory.
#[derive(Clone, Default)]
pub struct Environment {
    /// The environment variables. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub variables: BTreeMap<String, String>,
    /// The working directory, which relative paths start from.
    pub folder: PathBuf,
}

impl std::fmt::Debug for Environment {
    /// Shows the variables' names only: values such as `REDIS_PASSWORD` are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        f.debug_struct("Environment").field("variables", &names).field("folder", &self.folder).finish()
    }
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let sources = crate::config::Sources::from_process(None);
        Self { variables: sources.env, folder: sources.cwd }
    }

    /// A variable's value; an empty one counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// What every command gets: global options, environment and output.
#[derive(Debug)]
struct Session<'a> {
    global: &'a Global,
    environment: &'a Environment,
    output: Output<'a>,
}

/// Runs the command line: `arguments` with the program's name in front.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to standard output, wrong usage to standard error; it fails only when that is closed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let outcome = execute(parsed, environment);
    if let Err(failure) = &outcome
        && let Some(message) = failure.message()
    {
        print_error(format!("clawster: {message}\n"));
    }
    outcome::exit_code(&outcome)
}

/// Handles SIGXFSZ, so that a write beyond the file size limit (`ulimit -f`) fails like on a full disk instead of killing the
/// process.
fn handle_file_size_limit() {
    let number = rustix::process::Signal::XFSZ.as_raw();
    // The handler stays installed for the life of the process, even after the returned stream is dropped.
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(number)) {
        tracing::debug!(%error, "cannot handle SIGXFSZ; exceeding the file size limit would kill this process");
    }
}

/// Writes a message to standard error, but waits at most [`STDERR_TIMEOUT`] for a pipe that nobody reads.
fn print_error(text: String) {
    let text = crate::config::escape_json_lines(&text);
    let (done, written) = std::sync::mpsc::sync_channel(1);
    let write = move || {
        let mut stderr = std::io::stderr().lock();
        // It fails only when standard error is closed.
        let _ = stderr.write_all(text.as_bytes());
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("stderr".to_owned()).spawn(write).is_ok() {
        let _ = written.recv_timeout(STDERR_TIMEOUT);
    }
}

fn execute(parsed: Arguments, environment: &Environment) -> Outcome {
    let Arguments { global, command } = parsed;
    let mut builder = match command {
        Command::Serve { .. } | Command::Mcp { .. } | Command::Demo { .. } => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    // More threads do not make a node faster, and each costs memory.
    let workers = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 4));
    let runtime = builder.worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start the async runtime: {error}")))?;
    let output = Output::stdout(environment);
    let mut session = Session { global: &global, environment, output };
    let outcome = runtime.block_on(async {
        handle_file_size_limit();
        let done = dispatch(&mut session, command).await;
        let written = session.output.flush();
        done.and(written.map_err(Failure::from))
    });
    // A thread that blocks on standard input cannot be interrupted and must not delay the exit.
    runtime.shutdown_timeout(Duration::from_millis(50));
    outcome
}

async fn dispatch(session: &mut Session<'_>, command: Command) -> Outcome {
    match command {
        Command::Serve { stay } => serve::run(session, stay).await,
        Command::Mcp { tools } => mcp::run(session, tools.into()).await,
        Command::Status { form, check: true, .. } => check::run(session, form).await,
        Command::Status { form, watch: true, every, .. } => watch::run(session, form, every).await,
        Command::Status { form, fresh, metrics, .. } => state::status(session, form, fresh, metrics).await,
        Command::Alerts { action } => alerts::run(session, action).await,
        Command::Ui { print } => ui::run(session, print).await,
        Command::Top { interval } => tui::top::run(session, interval).await,
        Command::Nodes { action: None, form, fresh } => state::nodes(session, form, fresh).await,
        Command::Nodes { action: Some(NodesAction::Forget { ids, away, form }), .. } => {
            forget::run(session, &ids, away, form).await
        }
        Command::Elect { candidate, force, form } => membership::elect(session, candidate, force, form).await,
        Command::Join(arguments) => membership::join(session, arguments).await,
        Command::Leave { form } => membership::leave(session, form).await,
        Command::Heartbeat { form } => membership::heartbeat(session, form).await,
        Command::Send(arguments) => messages::send(session, arguments).await,
        Command::Notify(arguments) => notify::run(session, arguments).await,
        Command::Recv(arguments) => messages::recv(session, arguments).await,
        Command::Events { follow, after, messages, form } => {
            events::run(session, events::EventFilter { follow, after, messages }, form).await
        }
        Command::Run(arguments) => run::run(session, arguments).await,
        Command::Once(arguments) => once::run(session, arguments).await,
        Command::Internal(command) => internal::run(command).await,
        Command::Lease { action } => leases::run(session, action).await,
        Command::Permits { action } => limits::permits(session, action).await,
        Command::Slots { action } => limits::slots(session, action).await,
        Command::Tasks { action } => tasks::run(session, action).await,
        Command::Schedule(action) => schedules::run(session, action).await,
        Command::Work(arguments) => work::run(session, arguments).await,
        Command::Drain { off, wait, timeout, form } => drain::run(session, off, wait, timeout, form).await,
        Command::History(arguments) => history::run(session, arguments).await,
        Command::Config { action: ConfigAction::Check { form } } => config_check::run(session, form),
        Command::Config { action: ConfigAction::Push { dry_run, form } } => {
            config_push::run(session, dry_run, form).await
        }
        Command::Redis(action) => self::redis::run(session, action).await,
        Command::Schema { name, write } => documents::schema(session, name.as_deref(), write.as_deref()),
        Command::Openclaw(action) => openclaw::run(session, action).await,
        Command::Doctor { form } => doctor::run(session, form).await,
        Command::Completions { shell } => documents::completions(session, shell),
        Command::Man { write } => documents::manual(session, write.as_deref()),
        Command::Demo { plain, nodes } => tui::demo::run(session, plain, usize::from(nodes)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_names_variables_and_shows_no_values() {
        let variables = [("REDIS_PASSWORD".to_owned(), "hunter2".to_owned())].into();
        let shown = format!("{:?}", Environment { variables, folder: PathBuf::new() });
        assert!(shown.contains("REDIS_PASSWORD") && !shown.contains("hunter2"), "{shown}");
    }
}
