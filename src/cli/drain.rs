//! `drain`: the running node takes no new work; `--wait` waits until nothing runs there.
//!
//! Not here: what a draining node refuses (`crate::engine`).

use super::Session;
use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::signals::interrupted;
use super::terminal::many;
use super::work::Progress;
use crate::cli::node_access::attach::{ANSWER, answer, require};
use crate::clock;
use crate::rpc::client::Client;
use crate::rpc::wire::drain::{DrainParams, DrainResult};
use crate::rpc::wire::node::{Node, Status};
use crate::rpc::wire::state::{ClusterState, StateParams};
use std::time::Duration;

/// How often `--wait` asks the node what still runs.
const DRAIN_POLL: Duration = Duration::from_millis(500);

async fn ask(client: &Client, enabled: bool) -> Result<DrainResult, Failure> {
    answer(ANSWER, client.call("distributed.drain", DrainParams { enabled })).await
}

/// What still runs on a node that drains.
pub(super) fn still(running_tasks: u64, leases: u64) -> String {
    format!("{} running, {} held", many(running_tasks, "task"), many(leases, "lease"))
}

fn left(drained: &DrainResult) -> String {
    still(drained.running_tasks, drained.leases)
}

/// Whether this node drains, for the reason of a refusal; false when that cannot be told.
pub(super) async fn drains(client: &Client) -> bool {
    let asked = client.call::<ClusterState>("distributed.get_cluster_state", StateParams::default()).await;
    asked.is_ok_and(|state| {
        let own = |node: &&Node| Some(&node.node_id) == state.node_id.as_ref();
        state.nodes.iter().find(own).is_some_and(|node| node.status == Status::Draining)
    })
}

/// Runs `drain`.
///
/// # Errors
/// [`Failure::Refused`] when something still runs after `timeout`; otherwise see [`Failure`].
pub(super) async fn run(
    session: &mut Session<'_>,
    off: bool,
    wait: bool,
    timeout: Option<Duration>,
    form: Form,
) -> Outcome {
    let (client, _) = require(session.global, session.environment).await?;
    let mut drained = ask(&client, !off).await?;
    if wait {
        let mut progress = Progress::new(session.environment);
        let end = timeout.map(|timeout| clock::now() + timeout);
        while drained.running_tasks + drained.leases > 0 {
            progress.show(&format!("draining {}: {}", drained.node_id, left(&drained)));
            if end.is_some_and(|end| clock::now() >= end) {
                progress.clear();
                let text = format!("{} is still draining: {}", drained.node_id, left(&drained));
                return Err(Failure::Refused(text));
            }
            tokio::select! {
                () = tokio::time::sleep(DRAIN_POLL) => {}
                asked = interrupted() => {
                    asked?;
                    progress.clear();
                    let text = format!("interrupted; {} keeps draining: {}", drained.node_id, left(&drained));
                    return Err(Failure::Failed(text));
                }
            }
            drained = ask(&client, true).await?;
        }
        progress.clear();
    }
    let node = &drained.node_id;
    let text = match drained.draining {
        false => format!("{node} takes new work again."),
        true if drained.running_tasks + drained.leases == 0 => format!("{node} is drained: nothing runs there."),
        true => format!("{node} is draining: {}.", left(&drained)),
    };
    Ok(session.output.result(form.json, &drained, text)?)
}
