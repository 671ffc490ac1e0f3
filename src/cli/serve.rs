//! `serve`: this gateway's node, from its start to its end.
//!
//! 1. Standard output carries only the protocol; every word of this file goes to the log.
//! 2. A signal, and the end of standard input (but with `--stay`), end the node within 5 s; a second signal at once.
//! 3. A private Redis that does not answer is waited for while the node is up, not before.
//! 4. The private Redis is left last, when nothing writes to it any more.
//!
//! Not here: which Redis it uses (`settle.rs`), putting the node together (`own_node/`), the methods (`crate::rpc`).

use super::outcome::{Failure, Outcome};
use super::settle::{SettledRedis, refuse_eviction, settle_redis};
use super::signals::Signals;
use super::{Session, settings};
use crate::cli::node_access::own_node::{Claim, LEAVE_WITHIN, OwnNode, release};
use crate::clock;
use crate::cluster::time::Moment;
use crate::config::Config;
use crate::embedded::Seek;
use crate::logging;
use crate::rpc::connection::Ended;
use crate::rpc::stdio::serve_stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the private Redis is waited for before the node starts without it; it is tried again ever after.
pub(super) const SETTLE_WITHIN: Duration = Duration::from_secs(1);

/// An end that is seen so soon after the input is read for the first time was there before.
const AT_ONCE: Duration = Duration::from_millis(300);

/// Runs `serve`.
///
/// # Errors
/// See [`Failure`]: a configuration that cannot be used, no private Redis, a Redis that may drop data; never one that is away.
pub(super) async fn run(session: &mut Session<'_>, stay: bool) -> Outcome {
    let mut signals = Signals::listen()?;
    let (mut config, log) = prepare(session, "serve")?;
    let seek = settings::seek(&config, session.environment);
    let began = clock::now();
    let (redis, wanted) = settle_unless_asked_to_end(&mut config, seek, &mut signals).await?;
    redis.tell();
    let served = match wanted {
        true => {
            let claim = Claim::take(&config, config.node.id.clone())?;
            log.node_is(config.cluster.as_str(), claim.id().as_str());
            serve(OwnNode::start(claim, &config, &redis)?, stay, &mut signals, began).await
        }
        false => Ok(()),
    };
    let hurried = matches!(served, Err(Failure::Said(_)));
    if leave_redis(redis, hurried, &mut signals).await { Err(Failure::Said(130)) } else { served }
}

/// The configuration of a command that runs a node, and the logs set up by it.
///
/// # Errors
/// [`Failure::Failed`] with all problems of the configuration, [`Failure::Usage`] for a `--node` that is no id.
pub(super) fn prepare(session: &Session<'_>, command: &str) -> Result<(Config, logging::Guard), Failure> {
    let loaded = settings::load_all(session.global, session.environment);
    let loaded = loaded.map_err(|problems| Failure::Failed(problems.to_string()))?;
    let config = settings::with_node(loaded.config, session.global)?;
    let log = logging::init(&config.logging, command).map_err(|error| Failure::Failed(error.to_string()))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok((config, log))
}

/// Leaves the private Redis, if it was used. True: the end is in a hurry, for the sake of a signal.
pub(super) async fn leave_redis(redis: SettledRedis, hurried: bool, signals: &mut Signals) -> bool {
    let Some(server) = redis.server else { return hurried };
    let hurried = hurried || {
        tokio::select! {
            () = release(Arc::clone(&server)) => false,
            () = signals.next() => true,
        }
    };
    // What is left to do when it is dropped would take its time.
    server.abandon();
    hurried
}

/// Settles which Redis is used. False: a signal asked for the end meanwhile, and what was started is to be left.
async fn settle_unless_asked_to_end(
    config: &mut Config,
    seek: Seek,
    signals: &mut Signals,
) -> Result<(SettledRedis, bool), Failure> {
    let settling = async {
        let settled = settle_redis(config, seek, SETTLE_WITHIN).await?;
        refuse_eviction(config, &settled).await?;
        Ok::<_, Failure>(settled)
    };
    tokio::pin!(settling);
    tokio::select! {
        settled = &mut settling => return Ok((settled?, true)),
        () = signals.next() => tracing::info!("a signal asks for the end"),
    }
    // A server that is being started needs somebody to stop it.
    tokio::select! {
        settled = tokio::time::timeout(LEAVE_WITHIN, settling) => match settled {
            Ok(settled) => Ok((settled?, false)),
            Err(_) => Ok((SettledRedis::default(), false)),
        },
        () = signals.next() => Err(Failure::Said(130)),
    }
}

/// Serves the host until it or a signal asks for the end, then ends the node.
async fn serve(own: OwnNode, stay: bool, signals: &mut Signals, began: Moment) -> Outcome {
    // Its threads are not waited for: a read that blocks for ever holds up nothing.
    let mut host = JoinSet::new();
    let (module, limits, stopped) = (own.module().clone(), own.limits().clone(), own.stopped());
    host.spawn(async move { serve_stdio(&module, &limits, stopped).await });
    let (mut broken, served) = (false, clock::now());
    tokio::select! {
        () = signals.next() => tracing::info!("a signal asks for the end"),
        () = own.broken() => broken = true,
        why = host_gone(&mut host, stay) => tracing::info!("{why}"),
    }
    // An input that had ended before anybody read it may have done so at the very start.
    let spent = if clock::now().since(served) < AT_ONCE { served.since(began) } else { Duration::ZERO };
    let end = own.end(async { while host.join_next().await.is_some() {} }, spent);
    tokio::select! {
        () = end => match broken {
            false => Ok(()),
            true => Err(Failure::Failed("a part of the node broke down; see the log, and start it again".to_owned())),
        },
        () = signals.next() => Err(Failure::Said(130)),
    }
}

/// Resolves when the host is gone and that counts; says why.
async fn host_gone(host: &mut JoinSet<std::io::Result<Ended>>, stay: bool) -> String {
    let why = match host.join_next().await {
        Some(Ok(ended)) => why_gone(ended),
        Some(Err(_)) | None => "serving standard input failed".to_owned(),
    };
    if stay {
        tracing::debug!("{why}; staying, as asked for by --stay");
        std::future::pending::<()>().await;
    }
    why
}

/// Why the host is gone, in words.
pub(super) fn why_gone(ended: std::io::Result<Ended>) -> String {
    match ended {
        Ok(Ended::InputClosed) => "standard input ended".to_owned(),
        Ok(Ended::OutputClosed) => "standard output was closed".to_owned(),
        Ok(Ended::Stopped) => "stopped".to_owned(),
        Err(error) => format!("standard input or output cannot be used: {error}"),
    }
}
