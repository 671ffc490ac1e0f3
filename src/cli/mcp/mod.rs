//! `mcp`: a session of an MCP host, attached to this host's node.
//!
//! 1. Several sessions on one host are one member: if no node runs, the first session runs one and the others attach to it.
//! 2. Standard output carries only the protocol; all messages of this folder go to the log.
//! 3. A signal or the end of standard input ends the session, and the node if it runs one, within 5 s; a second signal ends it at
//!    once.
//!
//! In reading order: this file puts a session together, `attachment.rs` finds or runs the node, `news.rs` forwards its events.
//!
//! Not here: the protocol (`crate::rpc::mcp`), putting a node together (`crate::cli::node_access::own_node`).

mod attachment;
mod news;

use super::outcome::{Failure, Outcome};
use super::serve::{leave_redis, prepare, why_gone};
use super::signals::{self, EndSignals};
use super::{Session, settings};
use crate::cli::node_access::attach;
use crate::cli::node_access::own_node::{LEAVE_WITHIN, limits};
use crate::rpc::connection::Limits;
use crate::rpc::mcp::{Attachment, HAPPENINGS_QUEUED, ToolSet};
use crate::rpc::stdio::serve_mcp;
use attachment::SessionNode;
use futures_util::FutureExt;
use news::News;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long the end waits for answers in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// The sets of tools on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ToolsArgument {
    /// State, messages, leases, tasks and other agents
    Core,
    /// All methods
    All,
}

impl From<ToolsArgument> for ToolSet {
    fn from(argument: ToolsArgument) -> Self {
        match argument {
            ToolsArgument::Core => Self::Core,
            ToolsArgument::All => Self::All,
        }
    }
}

/// Runs `mcp`.
///
/// # Errors
/// See [`Failure`]: an invalid configuration, several nodes and none chosen, a node that cannot be started. The host is answered
/// nevertheless, until it goes away.
pub(super) async fn run(session: &mut Session<'_>, tools: ToolSet) -> Outcome {
    let mut signals = signals::ending()?;
    let (config, log) = match prepare(session, "mcp") {
        Ok(prepared) => prepared,
        Err(failure) => return only_say(failure, tools, &mut signals).await,
    };
    if let Some(id) = &config.node.id {
        log.node_is(config.cluster.as_str(), id.as_str());
    }
    // An error of the command itself, such as several nodes and none chosen, is its exit code if the host goes away at once.
    let early = attach::find(session.global, &config).await.err();
    let (attachment, attached) = watch::channel(Attachment::Seeking);
    let (notify, notices) = mpsc::channel(HAPPENINGS_QUEUED);
    let (stop, stopped) = watch::channel(false);
    let bounds = Limits { drain: DRAIN_TIMEOUT, ..limits(&config) };
    let mut host = JoinSet::new();
    let to_host = stopped.clone();
    host.spawn(async move { serve_mcp(&bounds, tools, attached, notices, to_host).await });
    let seek = settings::seek(&config, session.environment);
    let mut node = SessionNode::new(session.global, config, seek, News::new(attachment, notify), stopped);
    early.into_iter().for_each(|failure| node.failed(failure));
    let ended = {
        // Fused: it is waited for again after it was told to stop.
        let kept = node.keep().fuse();
        tokio::pin!(kept);
        tokio::select! {
            () = &mut kept => {}
            () = signals.next() => tracing::info!("received a signal; ending the session"),
            ended = host.join_next() => match ended {
                Some(Ok(ended)) => tracing::info!("{}", why_gone(ended)),
                Some(Err(_)) | None => tracing::error!("the task that serves standard input failed; ending the session"),
            },
        }
        stop.send_replace(true);
        // A node that is being started must be stopped, too.
        tokio::select! {
            _ = tokio::time::timeout(LEAVE_WITHIN, kept) => Ok(()),
            () = signals.next() => Err(Failure::Reported(130)),
        }
    };
    let (own, redis, kept) = node.into_parts();
    let outcome = ended.and(kept);
    let drain = async { while host.join_next().await.is_some() {} };
    let end = async {
        match own {
            Some(own) => own.end(drain, Duration::ZERO).await,
            // Answers that are not written by then are dropped.
            None => drop(tokio::time::timeout(DRAIN_TIMEOUT + DRAIN_TIMEOUT / 2, drain).await),
        }
    };
    let hurried = matches!(outcome, Err(Failure::Reported(_))) || {
        tokio::select! {
            () = end => false,
            _ = signals.next() => true,
        }
    };
    if leave_redis(redis, hurried, &mut signals).await { Err(Failure::Reported(130)) } else { outcome }
}

/// Answers a host of a session that cannot be set up, such as over a wrong configuration: each call gets the error, which a host that
/// only sees the process end would not show.
async fn only_say(failure: Failure, tools: ToolSet, signals: &mut EndSignals) -> Outcome {
    super::print_error(format!("clawster: {failure}\n"));
    let why = format!("{failure}. Correct it, then restart this MCP server");
    let (_attachment, attached) = watch::channel(Attachment::Trouble(why));
    let (_notify, notices) = mpsc::channel(HAPPENINGS_QUEUED);
    let (_stop, stopped) = watch::channel(false);
    let bounds = Limits { drain: DRAIN_TIMEOUT, ..Limits::default() };
    tokio::select! {
        _ = serve_mcp(&bounds, tools, attached, notices, stopped) => {}
        () = signals.next() => {}
    }
    Err(Failure::Reported(failure.code()))
}
