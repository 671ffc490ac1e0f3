//! `work`: claims tasks through the running node and runs a command for each.
//!
//! 1. At most `--jobs` commands run at the same time, and only as many tasks are claimed as can run at once.
//! 2. The first signal: no new task is claimed and running commands finish. The second: running commands are killed and their tasks
//!    are reported as failed, to be retried.
//!
//! `arguments.rs` the arguments · `job.rs` one task · `output.rs` a command's output · `node_link.rs` the connection to the node ·
//! `progress.rs` the progress line.
//!
//! Not here: which tasks a node may run (`crate::store`).

pub(super) mod arguments;
mod job;
mod node_link;
mod output;
mod progress;

pub(super) use progress::Progress;

use super::Session;
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::signals::{self, EndSignals};
use super::terminal::{Output, Tint, clean};
use crate::cli::node_access::attach::{ANSWER, require};
use crate::clock;
use crate::cluster::time::{Moment, millis};
use crate::rpc::client::CallError;
use crate::rpc::wire::task::{ClaimParams, ClaimResult, ClaimedTask};
use arguments::WorkArguments;
use job::{Ended, Ending, Stop};
use node_link::NodeLink;
use serde::Serialize;
use std::ffi::OsString;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long one claim waits for a task.
const CLAIM_WAIT: Duration = Duration::from_secs(60);
/// The pause after a failed claim.
const CLAIM_RETRY_DELAY: Duration = Duration::from_millis(500);
/// How often the progress line is updated.
const PROGRESS_REFRESH: Duration = Duration::from_millis(500);

/// The numbers of tasks that ended so far.
#[derive(Debug)]
struct Counts {
    began: Moment,
    done: u64,
    failed: u64,
    lost: u64,
}

/// The JSON line of a task that ended.
#[derive(Serialize)]
struct Line<'a> {
    task_id: &'a str,
    kind: &'a str,
    attempt: u64,
    outcome: &'a str,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Runs `work`.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, arguments: WorkArguments) -> Outcome {
    let (client, config) = require(session.global, session.environment).await?;
    let node = Arc::new(NodeLink::new(session.global.clone(), config, client));
    let (stop, _) = watch::channel(Stop::No);
    let worker = Worker {
        claims: node.another(),
        node,
        command: Arc::new(arguments.command.into_iter().map(OsString::from).collect()),
        kinds: arguments.kinds,
        jobs: usize::from(arguments.jobs),
        once: arguments.once,
        form: arguments.form,
        stop,
        running: JoinSet::new(),
        counts: Counts { began: clock::now(), done: 0, failed: 0, lost: 0 },
        progress: Progress::new(session.environment),
    };
    worker.work(&mut session.output).await
}

type Claiming<'a> = Pin<Box<dyn Future<Output = Result<Vec<ClaimedTask>, CallError>> + 'a>>;

struct Worker {
    /// A connection for claims only: closing it ends a waiting claim.
    claims: NodeLink,
    node: Arc<NodeLink>,
    command: Arc<Vec<OsString>>,
    kinds: Vec<String>,
    jobs: usize,
    once: bool,
    form: Form,
    stop: watch::Sender<Stop>,
    running: JoinSet<Ended>,
    counts: Counts,
    progress: Progress,
}

impl Worker {
    async fn work(mut self, output: &mut Output<'_>) -> Outcome {
        let mut signals = signals::ending()?;
        let mut dry = false;
        while !dry && *self.stop.borrow() == Stop::No {
            let free = self.jobs.saturating_sub(self.running.len());
            if free == 0 {
                self.pass(output, None, &mut signals).await?;
                continue;
            }
            let params = ClaimParams {
                kinds: Some(self.kinds.clone()),
                limit: Some(u64::try_from(free).unwrap_or(1)),
                wait_ms: (!self.once).then(|| millis(CLAIM_WAIT)),
            };
            let within = ANSWER.saturating_add(CLAIM_WAIT);
            let claims = std::mem::replace(&mut self.claims, self.node.another());
            let mut claim: Claiming<'_> = Box::pin(async {
                let claimed = claims.call_within::<ClaimResult>(within, "distributed.claim_tasks", &params).await;
                claimed.map(|claimed| claimed.tasks)
            });
            let claimed = loop {
                if let Some(claimed) = self.pass(output, Some(&mut claim), &mut signals).await? {
                    break Some(claimed);
                }
                if *self.stop.borrow() > Stop::No {
                    break None;
                }
            };
            drop(claim);
            self.claims = claims;
            match claimed {
                None => {}
                Some(Ok(tasks)) => {
                    dry = self.once && tasks.is_empty() && self.running.is_empty();
                    if self.once && tasks.is_empty() && !dry {
                        self.pass(output, None, &mut signals).await?;
                    }
                    for task in tasks {
                        let (node, command) = (Arc::clone(&self.node), Arc::clone(&self.command));
                        self.running.spawn(job::run(node, command, task, self.stop.subscribe()));
                    }
                }
                Some(Err(error)) => self.claim_failed(error).await?,
            }
        }
        // Closes the connection for claims, so that the node stops to wait for tasks.
        self.claims = self.node.another();
        while !self.running.is_empty() {
            self.pass(output, None, &mut signals).await?;
        }
        self.progress.clear();
        self.summary(output)
    }

    /// Waits for the next event: a signal, the end of a job, an update of the progress line, or the claim's answer, which it returns.
    async fn pass(
        &mut self,
        output: &mut Output<'_>,
        claim: Option<&mut Claiming<'_>>,
        signals: &mut EndSignals,
    ) -> Result<Option<Result<Vec<ClaimedTask>, CallError>>, Failure> {
        self.show();
        let claiming = async {
            match claim {
                Some(claim) => claim.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = signals.next() => self.signalled(),
            Some(ended) = self.running.join_next() => match ended {
                Ok(ended) => self.ended(output, &ended)?,
                Err(error) => return Err(Failure::Failed(format!("internal error: a job panicked: {error}"))),
            },
            claimed = claiming => return Ok(Some(claimed)),
            () = tokio::time::sleep(PROGRESS_REFRESH) => {}
        }
        Ok(None)
    }

    fn signalled(&mut self) {
        let next = if *self.stop.borrow() == Stop::No { Stop::Finish } else { Stop::Kill };
        self.stop.send_replace(next);
        if next == Stop::Finish && !self.running.is_empty() {
            self.progress.clear();
            let text =
                format!("waiting for {} running commands; send the signal again to kill them", self.running.len());
            self.progress.show(&text);
        }
    }

    async fn claim_failed(&mut self, error: CallError) -> Result<(), Failure> {
        match Failure::from(error) {
            // The node or Redis may come back.
            passing @ (Failure::Failed(_) | Failure::RedisUnreachable(_) | Failure::Refused(_)) if !self.once => {
                self.progress.show(&format!("cannot claim tasks, retrying: {passing}"));
                tokio::time::sleep(CLAIM_RETRY_DELAY).await;
                Ok(())
            }
            other => Err(other),
        }
    }

    fn ended(&mut self, output: &mut Output<'_>, ended: &Ended) -> std::io::Result<()> {
        let (tint, outcome, error) = match &ended.ending {
            Ending::Done => (Tint::Green, "done", None),
            Ending::Failed { error, retry: true } => (Tint::Yellow, "failed", Some(error.as_str())),
            Ending::Failed { error, retry: false } => (Tint::Red, "failed", Some(error.as_str())),
            Ending::Lost(why) => (Tint::Red, "lost", Some(why.as_str())),
        };
        match ended.ending {
            Ending::Done => self.counts.done += 1,
            Ending::Failed { .. } => self.counts.failed += 1,
            Ending::Lost(_) => self.counts.lost += 1,
        }
        self.progress.clear();
        let Ended { task_id, kind, attempt, took, .. } = ended;
        if self.form.json {
            let took_ms = millis(*took);
            return output.json_line(&Line { task_id, kind, attempt: *attempt, outcome, took_ms, error });
        }
        let word = output.paint(tint, &format!("{outcome:<6}"));
        let why = error.map_or_else(String::new, |error| format!(": {}", clean(error, 200)));
        let (id, ms) = (clean(task_id, 128), millis(*took));
        output.line(format!("{word} {id} (attempt {attempt}, {ms} ms){why}"))?;
        output.raw(b"")
    }

    fn rate(&self) -> f64 {
        let seconds = clock::now().since(self.counts.began).as_secs_f64().max(0.001);
        let ended = self.counts.done + self.counts.failed;
        // For display only: counts stay far below the range where f64 is inexact.
        #[allow(clippy::cast_precision_loss)]
        let ended = ended as f64;
        ended / seconds
    }

    fn show(&mut self) {
        let Counts { done, failed, .. } = self.counts;
        let running = self.running.len();
        let text = format!("{running} running, {done} done, {failed} failed, {:.1}/s", self.rate());
        self.progress.show_on_terminal(&text);
    }

    fn summary(&self, output: &mut Output<'_>) -> Outcome {
        if self.form.json {
            return Ok(());
        }
        let Counts { done, failed, lost, .. } = self.counts;
        let lost = if lost > 0 { format!(", {lost} lost") } else { String::new() };
        Ok(output.line(format!("{done} done, {failed} failed{lost}; {:.1} per second.", self.rate()))?)
    }
}
