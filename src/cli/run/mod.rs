//! `run`: a command that runs only while this host holds a lease; and the two hidden commands that it consists of.
//!
//! 1. No node has to run, and none is joined: the lease is bound to this process's own connection.
//! 2. Standard output is the command's alone; what is to be said goes to standard error, and never holds anything up.
//!
//! Not here: when the command may run (`crate::cluster::lease::holder`), how it is ended (`crate::guard`), the words (`say.rs`).

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
use crate::cluster::protocol::{Call, LEASE_TTL, Reply};
use crate::config::Config;
use crate::engine::leases::holder;
use crate::engine::state_dir::StateDir;
use crate::guard::{Launch, Owner, Signals, guard, launch};
use crate::store::redis::RedisStore;
use crate::store::{Answer, Store};
use arguments::{GuardArguments, LaunchArguments, RunArguments};
use report::RunReport;
use std::sync::Arc;
use std::time::Duration;

/// How long the private server may take to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);
/// How long the data set is asked for the settings of the cluster.
const SETTINGS_WITHIN: Duration = Duration::from_secs(1);
/// The variable that holds the lease's name.
const NAME: &str = "CLAWSTER_LEASE_NAME";

/// Runs `run`.
///
/// # Errors
/// The command's exit code, and see [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, arguments: RunArguments) -> Outcome {
    let name = lease_name(&arguments.lease)?;
    let mut config = settings::load(session.global, session.environment)?;
    let node_id = node_id(session.global, &config).await?;
    let seek = settings::seek(&config, session.environment);
    let redis = settle::settle_redis(&mut config, seek, SETTLE_WITHIN).await?;
    settle::refuse_eviction(&config, &redis).await?;
    let say = RunReport::start(&name, arguments.quiet, arguments.json);
    if let Some(trouble) = &redis.trouble {
        say.trouble(trouble);
    }
    let store = Arc::new(RedisStore::new(settings::target(&config), &config.cluster));
    let grace = grace(&config, &store, &say).await;
    check_ttl(arguments.ttl, grace)?;
    let failed = |error: std::io::Error| Failure::Failed(format!("cannot prepare to guard a command: {error}"));
    let signals = Signals::listen().map_err(failed)?;
    // After the private server was started: it shall be nobody's orphan here.
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
        patience: arguments.stop_timeout,
        wait,
        exit_when_lost: arguments.exit_when_lost,
        random: direct::random()?,
    };
    let variables = vec![(NAME.to_owned(), name.to_string())];
    let hidden = config.secret_variables.clone();
    let launch = Launch { command: arguments.command, variables, hidden, patience: arguments.stop_timeout };
    let target = store.target().to_string();
    let held = holder::hold(owner, store, terms, launch, signals, |news| say.news(news)).await;
    say.end();
    // Held until here, so that the private server outlives the lease.
    drop(redis);
    match held {
        Ok(end) => outcome(&name, &target, end),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// Runs the guardian of a command.
///
/// # Errors
/// When it was not started by `run`, or the command cannot be started.
pub(super) async fn guard_command(arguments: GuardArguments) -> Outcome {
    let guarded = guard(Duration::from_millis(arguments.patience), arguments.home, &arguments.command).await;
    guarded.map_err(|error| Failure::Failed(format!("cannot guard the command (this is a part of `run`): {error}")))
}

/// Becomes a command.
///
/// # Errors
/// Always, if it returns at all: with the exit code of a shell that cannot run a command.
pub(super) fn launch_command(arguments: &LaunchArguments) -> Outcome {
    let (code, message) = launch(arguments.guardian, &arguments.command);
    if !message.is_empty() {
        super::tell(format!("clawster: {message}\n"));
    }
    Err(Failure::Said(code))
}

/// The cluster's grace: as the data set says, else as this host remembers it, else as it is configured.
async fn grace(config: &Config, store: &RedisStore, say: &RunReport) -> Duration {
    let dir = StateDir::open(&config.state_dir, &config.cluster).ok();
    let look = store.call(Call::Settings { known: 0, wanted: None });
    let found = match tokio::time::timeout(SETTINGS_WITHIN, look).await {
        Ok(Ok(Answer { reply: Reply::Settings(shown), .. })) => shown.after,
        _ => None,
    };
    let remembered = dir.and_then(|dir| dir.settings());
    // After a loss of data the host may know more than the data set.
    let known = found.filter(|found| remembered.is_none_or(|known| known.version <= found.version)).or(remembered);
    let configured = config.leader.presence_grace;
    let grace = known.map_or(configured, |known| known.settings.presence_grace);
    if grace != configured {
        let (cluster, own) = (grace.as_secs_f64(), configured.as_secs_f64());
        say.trouble(&format!(
            "the cluster's leader.presence_grace is {cluster} s (configured here: {own} s) and is used instead; \
             clawster config push makes this host's configuration the cluster's"
        ));
    }
    grace
}

fn lease_name(text: &str) -> Result<LeaseName, Failure> {
    let name = LeaseName::new(text).map_err(|error| Failure::Usage(format!("--lease: {error}")))?;
    if name.is_leadership() {
        let why = "--lease: the lease named leader is the leadership of the cluster; choose another name";
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
    Err(Failure::Usage(format!("--ttl: use {least}ms (leader.presence_grace) to 24h, as in 30s")))
}

/// The id that the lease is taken under: the running node's of this host, else the configured or generated one.
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
    // Only the name is wanted: the id stays free for a node.
    Ok(direct::claim(None, &dir)?.0)
}

fn outcome(name: &LeaseName, target: &str, end: End) -> Outcome {
    match end {
        End::Code(0) => Ok(()),
        End::Code(code) => Err(Failure::Said(code)),
        End::Held(Some(holder)) => Err(Failure::Refused(format!("lease {name} is held by {holder}"))),
        End::Held(None) => Err(Failure::Refused(format!("lease {name} is taken"))),
        End::Draining => Err(Failure::Refused("the node drains and takes no new work".to_owned())),
        End::Lost(Why::Silence) => Err(Failure::RedisUnreachable(format!(
            "lease {name} was given up because Redis at {target} did not answer in time"
        ))),
        End::Lost(_) => Err(Failure::Refused(format!("lease {name} was lost"))),
        End::Away(why) => Err(Failure::RedisUnreachable(format!(
            "Redis at {target} cannot be used: {why}; check the redis section of the configuration, or run clawster doctor"
        ))),
        End::Refused(why) => Err(Failure::Usage(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_times_that_cannot_work_are_wrong_usage() {
        for name in ["", "a b", "leader", "x{y}"] {
            assert_eq!(lease_name(name).map_err(|why| why.code()), Err(2), "{name}");
        }
        assert!(lease_name("bots/telegram:main").is_ok());
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
