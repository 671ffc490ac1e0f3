//! `serve`: runs this gateway's node from start to end.
//!
//! 1. Standard output carries only the protocol; all messages of this file go to the log.
//! 2. A signal, or the end of standard input without `--stay`, ends the node within 5 s; a second signal ends it at once.
//! 3. The node starts without waiting for a private Redis that does not answer, and keeps trying to reach it.
//! 4. Detaching from the private Redis is the last step, when nothing writes to it any longer.
//!
//! Not here: the choice of Redis (`settle.rs`), the node's parts (`node_access/own_node/`), the methods (`crate::rpc`).

use super::outcome::{Failure, Outcome};
use super::settle::{SettledRedis, refuse_eviction, settle_redis};
use super::signals::{self, EndSignals};
use super::{Session, settings};
use crate::cli::node_access::attach::running;
use crate::cli::node_access::own_node::{Claim, LEAVE_WITHIN, OwnNode, release};
use crate::clock;
use crate::cluster::ids::NodeId;
use crate::cluster::time::Moment;
use crate::config::Config;
use crate::embedded::Seek;
use crate::guard::Orphans;
use crate::logging;
use crate::rpc::connection::Ended;
use crate::rpc::stdio::serve_stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the start waits for the private Redis; after that the node starts without it and keeps trying.
pub(super) const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// If standard input ends this soon after the first read, it had probably ended before.
const INPUT_ALREADY_ENDED: Duration = Duration::from_millis(300);

/// How often process 1 looks for ended children that nobody waits for.
const REAP_INTERVAL: Duration = Duration::from_secs(2);

/// Runs `serve`.
///
/// # Errors
/// See [`Failure`]: an invalid configuration, no private Redis, a Redis that may evict data. An unreachable Redis is not an error.
pub(super) async fn run(session: &mut Session<'_>, stay: bool) -> Outcome {
    let mut signals = signals::ending()?;
    let (mut config, log) = prepare(session, "serve")?;
    let seek = settings::seek(&config, session.environment);
    let began = clock::now();
    let (redis, wanted) = settle_unless_asked_to_end(&mut config, seek, &mut signals).await?;
    redis.log();
    let served = match wanted {
        true => {
            let others = running(&config).await.unwrap_or_default();
            let claim = Claim::take(&config, config.node.id.clone())?;
            log.node_is(config.cluster.as_str(), claim.id().as_str());
            say_second(config.node.id.is_some(), claim.id(), &others);
            adopt_orphans();
            serve(OwnNode::start(claim, &config, &redis)?, stay, &mut signals, began).await
        }
        false => Ok(()),
    };
    let hurried = matches!(served, Err(Failure::Reported(_)));
    if leave_redis(redis, hurried, &mut signals).await { Err(Failure::Reported(130)) } else { served }
}

/// Warns of a second member on this host that nobody asked for by an id: it is often a second start by mistake.
fn say_second(named: bool, own: &NodeId, others: &[NodeId]) {
    if named || others.is_empty() {
        return;
    }
    let others = others.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ");
    tracing::warn!(
        node_id = %own,
        "another node of this cluster runs on this host ({others}); this process becomes a second member, {own}. If that is not \
         wanted, stop it, and use the running node: clawster status --node ID"
    );
}

/// As process 1 of a container this process inherits what others leave behind, and reaps it.
fn adopt_orphans() {
    if rustix::process::getpid().is_init() {
        tokio::spawn(async {
            let mut orphans = Orphans::default();
            loop {
                tokio::time::sleep(REAP_INTERVAL).await;
                orphans.reap();
            }
        });
    }
}

/// Loads the configuration of a command that runs a node, and sets up logging.
///
/// # Errors
/// [`Failure::Failed`] with all problems of the configuration, [`Failure::Usage`] for an invalid `--node`.
pub(super) fn prepare(session: &Session<'_>, command: &str) -> Result<(Config, logging::Guard), Failure> {
    let loaded = settings::load_all(session.global, session.environment);
    let loaded = loaded.map_err(|problems| Failure::Failed(problems.to_string()))?;
    let config = settings::with_node(loaded.config, session.global)?;
    let log = logging::init(&config.logging, command).map_err(|error| Failure::Failed(error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    match &config.config_dir {
        Some(dir) => tracing::info!("configuration read from {}", dir.display()),
        None => tracing::info!("no configuration files; using defaults and variables"),
    }
    Ok((config, log))
}

/// Detaches from the private Redis, if it was used. True: a signal asks to end at once.
pub(super) async fn leave_redis(redis: SettledRedis, hurried: bool, signals: &mut EndSignals) -> bool {
    let Some(server) = redis.server else { return hurried };
    let hurried = hurried || {
        tokio::select! {
            () = release(Arc::clone(&server)) => false,
            _ = signals.next() => true,
        }
    };
    // Dropping it normally would wait for the server to stop.
    server.abandon();
    hurried
}

/// Decides which Redis to use. False: a signal asked to end meanwhile, and what was started must be stopped.
async fn settle_unless_asked_to_end(
    config: &mut Config,
    seek: Seek,
    signals: &mut EndSignals,
) -> Result<(SettledRedis, bool), Failure> {
    let settling = async {
        let settled = settle_redis(config, seek, SETTLE_WITHIN).await?;
        refuse_eviction(config, &settled).await?;
        Ok::<_, Failure>(settled)
    };
    tokio::pin!(settling);
    tokio::select! {
        settled = &mut settling => return Ok((settled?, true)),
        _ = signals.next() => tracing::info!("received a signal; stopping the node"),
    }
    // A server that is being started must be stopped, too.
    tokio::select! {
        settled = tokio::time::timeout(LEAVE_WITHIN, settling) => match settled {
            Ok(settled) => Ok((settled?, false)),
            Err(_) => Ok((SettledRedis::default(), false)),
        },
        _ = signals.next() => Err(Failure::Reported(130)),
    }
}

/// Serves the host until standard input ends or a signal arrives, then ends the node.
async fn serve(own: OwnNode, stay: bool, signals: &mut EndSignals, began: Moment) -> Outcome {
    // Its threads are not joined: a read that blocks for ever must not delay the end.
    let mut host = JoinSet::new();
    let (module, limits, stopped) = (own.module().clone(), own.limits().clone(), own.stopped());
    host.spawn(async move { serve_stdio(&module, &limits, stopped).await });
    let (mut broken, served) = (false, clock::now());
    tokio::select! {
        _ = signals.next() => tracing::info!("received a signal; stopping the node"),
        () = own.broken() => broken = true,
        why = host_gone(&mut host, stay) => tracing::info!("{why}; stopping the node"),
    }
    // If the input had ended before the first read, it may have ended at the very start; count the time from there.
    let spent = if clock::now().since(served) < INPUT_ALREADY_ENDED { served.since(began) } else { Duration::ZERO };
    let end = own.end(async { while host.join_next().await.is_some() {} }, spent);
    tokio::select! {
        () = end => match broken {
            false => Ok(()),
            true => Err(Failure::Failed("a part of the node failed; check the log, then start the node again".to_owned())),
        },
        _ = signals.next() => Err(Failure::Reported(130)),
    }
}

/// Resolves with the reason when the host is gone; never with `--stay`.
async fn host_gone(host: &mut JoinSet<std::io::Result<Ended>>, stay: bool) -> String {
    let why = match host.join_next().await {
        Some(Ok(ended)) => why_gone(ended),
        Some(Err(_)) | None => "the task that serves standard input failed".to_owned(),
    };
    if stay {
        tracing::debug!("{why}; the node keeps running because of --stay");
        std::future::pending::<()>().await;
    }
    why
}

/// Why the host is gone, as text.
pub(super) fn why_gone(ended: std::io::Result<Ended>) -> String {
    match ended {
        Ok(Ended::InputClosed) => "standard input ended".to_owned(),
        Ok(Ended::OutputClosed) => "standard output was closed".to_owned(),
        Ok(Ended::Stopped) => "stopped".to_owned(),
        Err(error) => format!("cannot use standard input or output: {error}"),
    }
}
