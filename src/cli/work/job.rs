//! One task: runs its command, extends the task meanwhile, and reports the outcome.
//!
//! 1. A command runs in its own process group. The group is killed when the task belongs to another worker, or may belong to one:
//!    when the last confirmed extension expires. The kernel kills the command if the worker dies.
//! 2. A task ends when its command ends, not when its output is closed: processes left in its group are killed, and pipes that other
//!    processes keep open are read for at most [`OUTPUT_READ_TIMEOUT`].
//! 3. The outcome is reported again until the node accepts it, or says that the task belongs to another worker.
//!
//! Not here: claiming (`mod.rs`), the connection to the node (`node_link.rs`).

use super::output::Tail;
use crate::cli::work::node_link::NodeLink;
use crate::clock;
use crate::cluster::time::Moment;
use crate::guard::tied;
use crate::rpc::client::CallError;
use crate::rpc::errors::ErrorKind;
use crate::rpc::wire::task::{
    ClaimedTask, CompleteParams, ExtendResult, FailParams, StateResult, TaskDetails, TaskIdParams, TokenParams,
};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde_json::value::{RawValue, to_raw_value};
use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::unix::pipe::Sender;
use tokio::process::{Child, Command};
use tokio::sync::watch;

/// The maximum size of a result, in bytes.
const MAX_RESULT: usize = 1 << 20;
/// The exit code of a command that means: failed permanently, do not retry (EX_DATAERR).
const EXIT_NO_RETRY: i32 = 65;
/// How long a command runs before its task's timeout is looked up: most commands have ended by then.
const TIMEOUT_LOOKUP_DELAY: Duration = Duration::from_millis(30);
/// The pause before a failed call is retried.
const CALL_RETRY_DELAY: Duration = Duration::from_millis(200);

/// How long output is still read after the command has ended; the command's own output is in the pipe by then.
const OUTPUT_READ_TIMEOUT: Duration = Duration::from_millis(500);

/// How far the worker is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(super) enum Stop {
    /// Keep working.
    No,
    /// Finish the running commands, claim nothing.
    Finish,
    /// Kill the running commands.
    Kill,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// The task is done.
    Done,
    /// The task failed; the reason, and whether it is retried.
    Failed { error: String, retry: bool },
    /// The task belongs to another worker, or was cancelled; the text is the error that said so.
    Lost(String),
}

/// A task that ended in this worker.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) task_id: String,
    pub(super) kind: String,
    pub(super) attempt: u64,
    pub(super) took: Duration,
    pub(super) ending: Ending,
}

/// A command's process group; it is killed if this is dropped before the command has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self(pid)
    }

    /// Resolves once the command has ended, before it is reaped: until then its process and group ids are not reused. False at once if
    /// the system cannot tell (before Linux 5.3).
    async fn ended(&self) -> bool {
        let Some(Ok(handle)) = self.0.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return false };
        // The replacement is unsafe; it is not needed for a handle that is owned and dropped here.
        #[allow(deprecated)]
        let watched = AsyncFd::with_interest(handle, Interest::READABLE);
        let Ok(handle) = watched else { return false };
        // The handle becomes readable when the process ends, and stays readable.
        handle.readable().await.is_ok()
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It fails only if the group is gone already.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a task to its end.
pub(super) async fn run(
    node: Arc<NodeLink>,
    command: Arc<Vec<OsString>>,
    task: ClaimedTask,
    mut stop: watch::Receiver<Stop>,
) -> Ended {
    let began = clock::now();
    let ClaimedTask { task_id, token, attempt, kind, payload, .. } = task;
    let job = Job { node, task_id, token, began };
    let ending = match job.spawn(&command, &kind, attempt) {
        Ok((child, input)) => job.attend(child, input, &payload, &mut stop).await,
        Err(error) => Err(Ending::Failed { error, retry: true }),
    };
    let ending = match ending {
        Ok((status, output, errors)) => judge(status, output, &errors),
        Err(ending) => Judged::plain(ending),
    };
    let ending = job.report(ending, &mut stop).await;
    Ended { task_id: job.task_id, kind, attempt, took: clock::now().since(began), ending }
}

struct Job {
    node: Arc<NodeLink>,
    task_id: String,
    token: u64,
    began: Moment,
}

type Finished = (ExitStatus, Tail, Tail);

impl Job {
    fn spawn(&self, command: &[OsString], kind: &str, attempt: u64) -> Result<(Child, Sender), String> {
        let start = || {
            let (process, input) = tied(command, self.node.secret_variables())?;
            Ok((self.start(process, kind, attempt)?, Sender::from_owned_fd(input.into())?))
        };
        start().map_err(|error: io::Error| format!("cannot start the command: {error}"))
    }

    fn start(&self, process: std::process::Command, kind: &str, attempt: u64) -> io::Result<Child> {
        Command::from(process)
            .env("CLAWSTER_TASK_ID", &self.task_id)
            .env("CLAWSTER_TASK_KIND", kind)
            .env("CLAWSTER_TASK_ATTEMPT", attempt.to_string())
            .env("CLAWSTER_TASK_TOKEN", self.token.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Runs the command until it ends, the task is lost, or the worker is stopped.
    async fn attend(
        &self,
        mut child: Child,
        mut input: Sender,
        payload: &RawValue,
        stop: &mut watch::Receiver<Stop>,
    ) -> Result<Finished, Ending> {
        let mut group = Group::of(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (mut output, mut errors) = (Tail::first(MAX_RESULT), Tail::last(4_096));
        let finish = async {
            let feed = async {
                // It fails if the command does not read its input, which is allowed.
                let _ = input.write_all(payload.get().as_bytes()).await;
                drop(input);
            };
            let pipes = async { tokio::join!(feed, output.collect(stdout), errors.collect(stderr)) };
            let end = async {
                if group.ended().await {
                    group.kill();
                }
                child.wait().await
            };
            tokio::pin!(pipes, end);
            let mut open = true;
            let status = loop {
                tokio::select! {
                    status = &mut end => break status,
                    _ = &mut pipes, if open => open = false,
                }
            };
            if open {
                // Pipes that are still open belong to processes outside the task.
                let _ = tokio::time::timeout(OUTPUT_READ_TIMEOUT, pipes).await;
            }
            status
        };
        tokio::select! {
            finished = finish => {
                // The command has ended: its process id may be reused from now on.
                group.0 = None;
                let finished = finished.map(|status| (status, output, errors));
                finished.map_err(|error| Ending::Failed { error: format!("cannot wait for the command: {error}"), retry: true })
            }
            why = self.keep_extending() => {
                drop(group);
                Err(Ending::Lost(why))
            }
            _ = stop.wait_for(|stop| *stop == Stop::Kill) => {
                drop(group);
                Err(Ending::Failed { error: "the worker was stopped".to_owned(), retry: true })
            }
        }
    }

    /// Extends the task until it is lost; returns why.
    async fn keep_extending(&self) -> String {
        tokio::time::sleep(TIMEOUT_LOOKUP_DELAY).await;
        let timeout = loop {
            let id = TaskIdParams { task_id: self.task_id.clone() };
            match self.node.call::<TaskDetails>("distributed.get_task", &id).await {
                Ok(details) => break Duration::from_millis(details.task.timeout_ms.max(1)),
                Err(error) if lost(&error) => return error.to_string(),
                Err(_) => tokio::time::sleep(CALL_RETRY_DELAY).await,
            }
        };
        let mut confirmed = self.began;
        loop {
            tokio::time::sleep((timeout / 3).saturating_sub(clock::now().since(confirmed))).await;
            let sent = clock::now();
            let params = TokenParams { task_id: self.task_id.clone(), token: self.token };
            let left = timeout.saturating_sub(sent.since(confirmed));
            let asking = self.node.call::<ExtendResult>("distributed.extend_task", &params);
            match tokio::time::timeout(left, asking).await {
                Ok(Ok(_)) => confirmed = sent,
                Ok(Err(error)) if lost(&error) => return error.to_string(),
                Ok(Err(_)) => tokio::time::sleep(CALL_RETRY_DELAY.min(left)).await,
                Err(_) => {}
            }
            if clock::now().since(confirmed) >= timeout {
                return "the task could not be extended in time".to_owned();
            }
        }
    }

    /// Reports the outcome to the node, repeatedly until the node accepts it.
    async fn report(&self, judged: Judged, stop: &mut watch::Receiver<Stop>) -> Ending {
        let Judged { mut ending, result } = judged;
        loop {
            let reported = match &ending {
                Ending::Lost(_) => return ending,
                Ending::Done => {
                    let (task_id, token) = (self.task_id.clone(), self.token);
                    let params = CompleteParams { task_id, token, result: result.clone() };
                    self.node.call::<StateResult>("distributed.complete_task", &params).await
                }
                Ending::Failed { error, retry } => {
                    let (task_id, token) = (self.task_id.clone(), self.token);
                    let params = FailParams { task_id, token, error: error.clone(), retry: Some(*retry) };
                    self.node.call::<StateResult>("distributed.fail_task", &params).await
                }
            };
            match reported {
                Ok(_) => return ending,
                Err(error) if lost(&error) => return Ending::Lost(error.to_string()),
                Err(CallError::Rpc(refused)) if !refused.data.as_ref().is_some_and(|data| data.retryable) => {
                    // The node does not accept this result: report the task as failed instead.
                    if let Ending::Failed { .. } = ending {
                        return Ending::Lost(refused.message);
                    }
                    ending = Ending::Failed { error: refused.message, retry: false };
                }
                Err(error) if *stop.borrow() == Stop::Kill => return Ending::Lost(error.to_string()),
                Err(_) => tokio::time::sleep(CALL_RETRY_DELAY).await,
            }
        }
    }
}

/// Whether an error means that the task no longer belongs to this worker.
fn lost(error: &CallError) -> bool {
    let codes = [ErrorKind::StaleToken.code(), ErrorKind::NotFound.code()];
    matches!(error, CallError::Rpc(refused) if codes.contains(&refused.code))
}

/// An outcome, with the result if the task is done.
struct Judged {
    ending: Ending,
    result: Option<Box<RawValue>>,
}

impl Judged {
    fn plain(ending: Ending) -> Self {
        Self { ending, result: None }
    }
}

/// Turns a command's exit into an outcome.
fn judge(status: ExitStatus, output: Tail, errors: &Tail) -> Judged {
    if !status.success() {
        let error = errors.last_lines().unwrap_or_else(|| format!("the command ended with {status}"));
        return Judged::plain(Ending::Failed { error, retry: status.code() != Some(EXIT_NO_RETRY) });
    }
    let Some(text) = output.whole() else {
        let error = format!(
            "the command wrote more than {MAX_RESULT} bytes to standard output; write a reference to the content instead"
        );
        return Judged::plain(Ending::Failed { error, retry: false });
    };
    let trimmed = text.trim();
    let result = match RawValue::from_string(trimmed.to_owned()) {
        _ if trimmed.is_empty() => None,
        Ok(json) => Some(json),
        // A string can always be serialized as JSON.
        Err(_) => to_raw_value(text.trim_end_matches(['\r', '\n'])).ok(),
    };
    Judged { ending: Ending::Done, result }
}
