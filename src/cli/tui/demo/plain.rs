//! The demo as lines of text, for pipes, logs and tests: it ends by itself.
//!
//! 1. Exit code 0 only if every step happened.
//! 2. It ends within 20 s in any case.

use super::model::{Input, Model};
use super::nodes::{Nodes, ids, until};
use crate::cli::Session;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::signals::listen;
use crate::cli::terminal::Output;
use crate::cli::tui::screen::takeover_line;
use crate::clock;
use crate::cluster::time::Moment;
use crate::signals::{HANGUP, INTERRUPT, TERMINATE, exit_code};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long one step may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);
/// How long all steps together may take.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(18);

struct Story<'a, 'b> {
    output: &'a mut Output<'b>,
    model: Model,
    inputs: mpsc::Receiver<Input>,
    begun: Moment,
}

/// Runs the demo without a terminal.
///
/// # Errors
/// [`Failure::Failed`] with the step that did not happen in time.
pub(super) async fn run(session: &mut Session<'_>, count: usize) -> Outcome {
    let (reports, inputs) = mpsc::channel(1_024);
    // Before anything is created that must be removed again.
    let mut signals = listen([INTERRUPT, HANGUP, TERMINATE])?;
    let mut nodes = Nodes::prepare(session.environment, reports).await?;
    let model = Model::new(ids(count));
    let mut story = Story { output: &mut session.output, model, inputs, begun: clock::now() };
    let ran = tokio::select! {
        ran = tokio::time::timeout(TOTAL_TIMEOUT, story.run(&mut nodes, count)) => ran.unwrap_or_else(|_| {
            Err(Failure::Failed(format!("the demo did not finish within {} s", TOTAL_TIMEOUT.as_secs())))
        }),
        number = signals.next() => Err(Failure::Reported(exit_code(number))),
    };
    // Unread reports must not block the nodes' watchers while they stop.
    drop(story.inputs);
    nodes.shutdown().await;
    ran?;
    Ok(session
        .output
        .line("Done. Everything above was done by real processes on a private Redis, which are stopped now.")?)
}

impl Story<'_, '_> {
    async fn run(&mut self, nodes: &mut Nodes, count: usize) -> Outcome {
        self.print(&format!("Started a private Redis; starting {count} nodes."))?;
        for id in ids(count) {
            nodes.start(&id).await?;
        }
        self.catch_up(nodes);
        self.wait("all nodes to join and elect a leader", Model::is_complete).await?;
        let leader = self.model.picture.leader.clone().unwrap_or_default();
        self.print(&format!("{count} nodes are members; {leader} is the leader (term {}).", self.model.picture.term))?;

        self.wait("every node to receive messages from every other", Model::all_messages_arrived).await?;
        let totals: Vec<String> =
            self.model.processes.iter().map(|(id, process)| format!("{id} {}", process.received_in_all())).collect();
        self.print(&format!("Every node receives messages from every other; received so far: {}.", totals.join(", ")))?;

        self.print(&format!("Killing the leader {leader} (kill -9)."))?;
        self.model.take(Input::Ending { node: leader.clone(), how: "was killed" }, clock::now());
        nodes.kill(&leader).await;
        self.catch_up(nodes);
        self.wait("another node to take over", Model::is_taken_over).await?;
        let text = self.model.picture.takeover.as_ref().map(takeover_line).unwrap_or_default();
        self.print(&format!("{text}."))?;

        self.print(&format!("Restarting {leader}."))?;
        let before = self.model.picture.rows.get(&leader).map_or(0, |row| row.incarnation);
        nodes.start(&leader).await?;
        self.catch_up(nodes);
        let id = leader.clone();
        self.wait("the restarted node to join again", move |model| {
            model.is_complete() && model.picture.rows.get(&id).is_some_and(|row| row.incarnation > before)
        })
        .await?;
        let row = self.model.picture.rows.get(&leader).cloned().unwrap_or_default();
        let role = if row.leads { "leader" } else { "follower" };
        self.print(&format!("{leader} rejoined as a {role} (incarnation {}).", row.incarnation))
    }

    fn catch_up(&mut self, nodes: &mut Nodes) {
        for input in nodes.news() {
            self.model.take(input, clock::now());
        }
    }

    fn print(&mut self, text: &str) -> Outcome {
        let passed = clock::now().since(self.begun).as_secs_f64();
        self.output.line(format!("{passed:6.2} s  {text}"))?;
        Ok(self.output.raw(b"")?)
    }

    async fn wait(&mut self, what: &str, holds: impl Fn(&Model) -> bool) -> Outcome {
        let mut written = Ok(());
        let done = until(STEP_TIMEOUT, async |left| {
            if holds(&self.model) {
                return true;
            }
            let Ok(Some(input)) = tokio::time::timeout(left, self.inputs.recv()).await else { return false };
            if self.model.take(input, clock::now())
                && let Some(line) = self.model.picture.events.last()
            {
                let text = format!("event: {}", line.text);
                written = self.print(&text);
            }
            written.is_err()
        })
        .await;
        written?;
        if done {
            Ok(())
        } else {
            Err(Failure::Failed(format!("waited {STEP_TIMEOUT:?} for {what}, which did not happen")))
        }
    }
}
