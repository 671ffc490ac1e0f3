//! `run`: runs a command only while this host holds a lease; with the two hidden commands that it uses.
//!
//! 1. No node has to run, and this process does not join: the lease is bound to this process's own connection.
//! 2. Standard output belongs to the command; messages go to standard error and never block anything.
//!
//! Not here: when the command may run (`crate::cluster::lease::holder`), how it is stopped (`crate::guard`), the messages
//! (`report.rs`).

pub(super) mod arguments;
mod report;

use super::options::Global;
use super::outcome::{Failure, Outcome};
use super::{Session, settings, settle};
use crate::cli::node_access::attach::{Found, find};
use crate::cli::node_access::direct;
use crate::clock;
use crate::cluster::ids::{LeaseName, NodeId};
use crate::cluster::lease::holder::{End, Terms, Wait, Why};
use crate::cluster::protocol::{LEASE_TTL, PushSettings};
use crate::config::Config;
use crate::engine::leases::holder;
use crate::engine::state_dir::StateDir;
use crate::guard::{Launch, Owner, Signals, guard, launch};
use crate::store::redis::RedisStore;
use arguments::{GuardArguments, LaunchArguments, RunArguments};
use report::RunReport;
use std::sync::Arc;
use std::time::Duration;

/// How long the private Redis may take to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// How long Redis may take to answer with the cluster's settings.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(1);
/// The environment variable with the lease's name.
const NAME_VARIABLE: &str = "CLAWSTER_LEASE_NAME";

/// Runs `run`.
///
/// # Errors
/// The command's exit code, and see [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, arguments: RunArguments) -> Outcome {
    let name = lease_name(&arguments.lease)?;
    let mut config = settings::load(session.global, session.environment)?;
    let own = settle::own_redis(&config);
    let what = format!("lease {name}");
    let alone = own.map(|own| settle::exclusion(&what, own, arguments.require_shared)).transpose()?;
    let node_id = node_id(session.global, &config).await?;
    let seek = settings::seek(&config, session.environment);
    let redis = settle::settle_redis(&mut config, seek, SETTLE_WITHIN).await?;
    settle::refuse_eviction(&config, &redis).await?;
    let report = RunReport::start(&name, arguments.quiet, arguments.json);
    if let Some(alone) = &alone {
        report.not_shared(alone);
    }
    if let Some(trouble) = &redis.trouble {
        report.trouble(trouble);
    }
    let store = Arc::new(RedisStore::new(settings::target(&config), &config.cluster));
    let grace = grace(&config, &store, &report).await;
    check_ttl(arguments.ttl, grace)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot set up the guardian of the command: {error}"));
    let signals = Signals::listen().map_err(failed)?;
    // After the private Redis was started: it must not become a descendant that the guardian stops.
    let owner = Owner::prepare().map_err(failed)?;
    let wait = match arguments.wait {
        _ if arguments.no_wait => Wait::Not,
        Some(time) => Wait::Until(clock::now() + time),
        None => Wait::Forever,
    };
    let terms = Terms {
        name: name.clone(),
        node_id,
        ttl: arguments.ttl,
        grace,
        stop_timeout: arguments.stop_timeout,
        wait,
        exit_when_lost: arguments.exit_when_lost,
        random: direct::random()?,
    };
    let variables = vec![(NAME_VARIABLE.to_owned(), name.to_string())];
    let hidden = config.secret_variables.clone();
    let launch = Launch { command: arguments.command, variables, hidden, stop_timeout: arguments.stop_timeout };
    let target = store.target().to_string();
    let watched = Arc::clone(&store);
    let watching = tokio::spawn(async move { watched.watch_primary().await });
    let held = holder::hold(owner, store, terms, launch, signals, |news| report.news(news)).await;
    watching.abort();
    report.end();
    // Kept until here, so that the private Redis outlives the lease.
    drop(redis);
    match held {
        Ok(end) => outcome(&name, &target, end),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// Runs the guardian of a command: the hidden `guard-command`.
///
/// # Errors
/// When this was not started by `run`, or the command cannot be started.
pub(super) async fn guard_command(arguments: GuardArguments) -> Outcome {
    let guarded = guard(Duration::from_millis(arguments.stop_timeout), arguments.home, &arguments.command).await;
    guarded
        .map_err(|error| Failure::Failed(format!("cannot guard the command (`run` starts this internally): {error}")))
}

/// Replaces this process with a command: the hidden `launch-command`.
///
/// # Errors
/// Whenever it returns: with the exit code of a shell that cannot run a command.
pub(super) fn launch_command(arguments: &LaunchArguments) -> Outcome {
    let (code, message) = launch(arguments.guardian, &arguments.command);
    if !message.is_empty() {
        super::print_error(format!("clawster: {message}\n"));
    }
    Err(Failure::Reported(code))
}

/// The cluster's `leader.presence_grace`: from Redis, else as this host last saw it, else as configured.
async fn grace(config: &Config, store: &RedisStore, report: &RunReport) -> Duration {
    let dir = StateDir::open(&config.state_dir, &config.cluster).ok();
    let call = PushSettings { known: 0, wanted: None };
    let found = match tokio::time::timeout(SETTINGS_TIMEOUT, store.ask(&call)).await {
        Ok(Ok(answer)) => answer.reply.after,
        _ => None,
    };
    let remembered = dir.and_then(|dir| dir.settings());
    // After a loss of data this host may know newer settings than Redis.
    let known = found.filter(|found| remembered.is_none_or(|known| known.version <= found.version)).or(remembered);
    let configured = config.leader.presence_grace;
    let grace = known.map_or(configured, |known| known.settings.presence_grace);
    if grace != configured {
        let (cluster, own) = (grace.as_secs_f64(), configured.as_secs_f64());
        report.trouble(&format!(
            "using the cluster's leader.presence_grace of {cluster} s instead of {own} s from this host's configuration; \
             to change it for the cluster, run clawster config push"
        ));
    }
    grace
}

fn lease_name(text: &str) -> Result<LeaseName, Failure> {
    let name = LeaseName::new(text).map_err(|error| Failure::Usage(format!("--lease: {error}")))?;
    if name.is_leadership() {
        let why = "--lease: the name leader is reserved for the cluster's leadership; choose another name";
        return Err(Failure::Usage(why.to_owned()));
    }
    Ok(name)
}

fn check_ttl(ttl: Duration, grace: Duration) -> Result<(), Failure> {
    let least = LEASE_TTL.0.max(grace);
    if (least..=LEASE_TTL.1).contains(&ttl) {
        return Ok(());
    }
    let least = least.as_millis();
    Err(Failure::Usage(format!("--ttl: use {least}ms (leader.presence_grace) to 24h, such as 30s")))
}

/// The node id that holds the lease: the running node's, else the configured or a generated one.
///
/// # Errors
/// [`Failure::Usage`] when several nodes run here and none is chosen.
pub(super) async fn node_id(global: &Global, config: &Config) -> Result<NodeId, Failure> {
    if let Found::Running { node_id, .. } = find(global, config).await? {
        return Ok(node_id);
    }
    if let Some(id) = &config.node.id {
        return Ok(id.clone());
    }
    let dir = StateDir::open(&config.state_dir, &config.cluster).map_err(|error| Failure::Failed(error.to_string()))?;
    // The lock is released at once: only the name is needed, and the id stays free for a node.
    Ok(direct::claim(None, &dir)?.0)
}

fn outcome(name: &LeaseName, target: &str, end: End) -> Outcome {
    match end {
        End::Code(0) => Ok(()),
        End::Code(code) => Err(Failure::Reported(code)),
        End::Held(Some(holder)) => Err(Failure::Refused(format!("lease {name} is held by {holder}"))),
        End::Held(None) => Err(Failure::Refused(format!("lease {name} is held by another process"))),
        End::Draining => Err(Failure::Refused(
            "this node is draining and takes no new work; end it with clawster drain --off".to_owned(),
        )),
        End::Lost(Why::Silence) => Err(Failure::RedisUnreachable(format!(
            "gave lease {name} up: Redis at {target} did not confirm it in time"
        ))),
        End::Lost(_) => Err(Failure::Refused(format!("lease {name} was lost"))),
        End::Away(why) => Err(Failure::RedisUnreachable(format!(
            "cannot use Redis at {target}: {why}; check the redis section of the configuration, or run clawster doctor"
        ))),
        End::Refused(why) => Err(Failure::Usage(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_that_cannot_work_are_wrong_usage() {
        for name in ["", " a", "leader", "x{y}"] {
            assert_eq!(lease_name(name).map_err(|why| why.code()), Err(2), "{name}");
        }
        assert!(lease_name("bots/telegram:main").is_ok() && lease_name("+49 151 bot@home").is_ok());
        let grace = Duration::from_secs(1);
        for ttl in [0, 50, 999, 90_000_000] {
            assert!(check_ttl(Duration::from_millis(ttl), grace).is_err(), "{ttl}");
        }
        assert!(check_ttl(grace, grace).is_ok());
    }

    #[test]
    fn an_end_is_an_exit_code() {
        let name = LeaseName::new("bot").expect("a name");
        let code = |end| outcome(&name, "redis://x", end).map_err(|why| why.code());
        assert_eq!(code(End::Code(0)), Ok(()));
        assert_eq!(code(End::Code(7)), Err(7));
        assert_eq!(code(End::Held(None)), Err(4));
        assert_eq!(code(End::Lost(Why::Silence)), Err(3));
        assert_eq!(code(End::Lost(Why::Lost)), Err(4));
        assert_eq!(code(End::Away("gone".to_owned())), Err(3));
    }
}
