//! `mcp`: a session of an MCP host, on the node of this host, whoever runs it.
//!
//! 1. Several sessions on one host are one member: the first one runs the node where none runs, the others attach to it.
//! 2. Standard output carries only the protocol; every word of this folder goes to the log.
//! 3. A signal and the end of standard input end the session, and a node that it runs, within 5 s; a second signal at once.
//!
//! In reading order: this file puts a session together, `keeper` finds or runs the node, `news` brings what it tells.
//!
//! Not here: the protocol (`crate::rpc::mcp`), putting a node together (`crate::cli::node_access::own_node`).

mod attachment;
mod news;

use super::outcome::{Failure, Outcome};
use super::serve::{leave_redis, prepare, why_gone};
use super::signals::Signals;
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

/// How long answers in flight are waited for at the end.
const DRAIN: Duration = Duration::from_millis(200);

/// Runs `mcp`.
///
/// # Errors
/// See [`Failure`]: a configuration that cannot be used, several nodes and no choice, a node that cannot be started at first.
pub(super) async fn run(session: &mut Session<'_>) -> Outcome {
    let mut signals = Signals::listen()?;
    let (config, log) = prepare(session, "mcp")?;
    if let Some(id) = &config.node.id {
        log.node_is(config.cluster.as_str(), id.as_str());
    }
    // What is wrong with the command is told before the host is answered.
    attach::find(session.global, &config).await?;
    let (attachment, attached) = watch::channel(Attachment::Seeking);
    let (tell, notices) = mpsc::channel(HAPPENINGS_QUEUED);
    let (stop, stopped) = watch::channel(false);
    let bounds = Limits { drain: DRAIN, ..limits(&config) };
    let mut host = JoinSet::new();
    let to_host = stopped.clone();
    host.spawn(async move { serve_mcp(&bounds, attached, notices, to_host).await });
    let seek = settings::seek(&config, session.environment);
    let mut keeper = SessionNode::new(session.global, config, seek, News::new(attachment, tell), stopped);
    let outcome = {
        let kept = keeper.keep();
        tokio::pin!(kept);
        let early = tokio::select! {
            outcome = &mut kept => Some(outcome),
            () = signals.next() => {
                tracing::info!("a signal asks for the end");
                None
            }
            ended = host.join_next() => {
                match ended {
                    Some(Ok(ended)) => tracing::info!("{}", why_gone(ended)),
                    Some(Err(_)) | None => tracing::error!("serving standard input failed"),
                }
                None
            }
        };
        stop.send_replace(true);
        match early {
            Some(outcome) => outcome,
            // What it is starting needs somebody to stop it.
            None => tokio::select! {
                kept = tokio::time::timeout(LEAVE_WITHIN, kept) => kept.unwrap_or(Ok(())),
                () = signals.next() => Err(Failure::Said(130)),
            },
        }
    };
    let (own, redis) = keeper.into_parts();
    let drain = async { while host.join_next().await.is_some() {} };
    let end = async {
        match own {
            Some(own) => own.end(drain, Duration::ZERO).await,
            // What is not drained by then is dropped with its set.
            None => drop(tokio::time::timeout(DRAIN + DRAIN / 2, drain).await),
        }
    };
    let hurried = matches!(outcome, Err(Failure::Said(_))) || {
        tokio::select! {
            () = end => false,
            () = signals.next() => true,
        }
    };
    if leave_redis(redis, hurried, &mut signals).await { Err(Failure::Said(130)) } else { outcome }
}
