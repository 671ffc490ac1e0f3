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
use super::signals;
use super::{Session, settings};
use crate::cli::node_access::attach;
use crate::cli::node_access::own_node::{LEAVE_WITHIN, limits};
use crate::rpc::connection::Limits;
use crate::rpc::mcp::{Attachment, HAPPENINGS_QUEUED};
use crate::rpc::stdio::serve_mcp;
use attachment::SessionNode;
use news::News;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// How long the end waits for answers in flight.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// Runs `mcp`.
///
/// # Errors
/// See [`Failure`]: an invalid configuration, several nodes and none chosen, a node that cannot be started.
pub(super) async fn run(session: &mut Session<'_>) -> Outcome {
    let mut signals = signals::ending()?;
    let (config, log) = prepare(session, "mcp")?;
    if let Some(id) = &config.node.id {
        log.node_is(config.cluster.as_str(), id.as_str());
    }
    // Errors of the command itself are reported before the host gets an answer.
    attach::find(session.global, &config).await?;
    let (attachment, attached) = watch::channel(Attachment::Seeking);
    let (notify, notices) = mpsc::channel(HAPPENINGS_QUEUED);
    let (stop, stopped) = watch::channel(false);
    let bounds = Limits { drain: DRAIN_TIMEOUT, ..limits(&config) };
    let mut host = JoinSet::new();
    let to_host = stopped.clone();
    host.spawn(async move { serve_mcp(&bounds, attached, notices, to_host).await });
    let seek = settings::seek(&config, session.environment);
    let mut node = SessionNode::new(session.global, config, seek, News::new(attachment, notify), stopped);
    let outcome = {
        let kept = node.keep();
        tokio::pin!(kept);
        let early = tokio::select! {
            outcome = &mut kept => Some(outcome),
            _ = signals.next() => {
                tracing::info!("received a signal; ending the session");
                None
            }
            ended = host.join_next() => {
                match ended {
                    Some(Ok(ended)) => tracing::info!("{}", why_gone(ended)),
                    Some(Err(_)) | None => tracing::error!("the task that serves standard input failed; ending the session"),
                }
                None
            }
        };
        stop.send_replace(true);
        match early {
            Some(outcome) => outcome,
            // A node that is being started must be stopped, too.
            None => tokio::select! {
                kept = tokio::time::timeout(LEAVE_WITHIN, kept) => kept.unwrap_or(Ok(())),
                _ = signals.next() => Err(Failure::Reported(130)),
            },
        }
    };
    let (own, redis) = node.into_parts();
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
