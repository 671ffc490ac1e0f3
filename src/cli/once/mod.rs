//! `once`: runs a command on exactly one host per key, until the key's TTL has passed.
//!
//! 1. All attempts to get the key use one request id, so that a lost answer does not lose the grant.
//! 2. The command replaces this process: exit code, signals and streams are the command's own.
//! 3. Nothing runs unless Redis granted the key.
//! 4. A program that cannot be started does not use up the key: the program is checked before the key is requested, and if the
//!    start fails later, the key is released.
//!
//! Not here: the decision who gets the key (the store's script).

pub(super) mod arguments;

use super::outcome::{Failure, Outcome};
use super::terminal::utc;
use super::{Session, program, settings, settle};
use crate::cli::node_access::attach::{ANSWER, Found, answer, find};
use crate::cli::node_access::direct;
use crate::cluster::ids::NodeId;
use crate::cluster::protocol::{Fault, LONGEST_ONCE, ONCE_KEYS, Once, WatchLeader};
use crate::cluster::settings::Retry;
use crate::cluster::time::{ServerTime, millis};
use crate::config::Config;
use crate::rpc::client::Client;
use crate::rpc::wire::once::OnceParams;
use crate::rpc::wire::state::RedisInfo;
use crate::store::redis::RedisStore;
use arguments::OnceArguments;
use serde::Deserialize;
use serde_json::json;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

/// How long the private Redis may take to start.
const SETTLE_WITHIN: Duration = Duration::from_secs(15);

/// Whether the key was granted, to which node, and when.
#[derive(Debug, Deserialize)]
struct Granted {
    granted: bool,
    by: String,
    at_ms: u64,
}

/// Runs `once`.
///
/// # Errors
/// [`Failure::RedisUnreachable`] when Redis cannot decide whether the command may run. If the command runs, it replaces this process.
pub(super) async fn run(session: &mut Session<'_>, arguments: OnceArguments) -> Outcome {
    // Finds an invalid pattern before anything is requested.
    expand(&arguments.key, ServerTime(0))?;
    check_ttl(arguments.ttl)?;
    let Some(name) = arguments.command.first() else {
        return Err(Failure::Usage("no command was given".to_owned()));
    };
    if let Err(error) = program::look(name, session.environment.get("PATH")) {
        super::print_error(format!("clawster: cannot run {}: {error}; the key was not used\n", name.display()));
        return Err(Failure::Reported(program::exit_code(&error)));
    }
    let config = settings::load(session.global, session.environment)?;
    let own = settle::own_redis(&config);
    let request_id = direct::random()?.to_string();
    let (key, granted) = match find(session.global, &config).await? {
        Found::Running { client, .. } => by_node(&client, config.node.retry, &request_id, &arguments).await?,
        Found::Absent(_) => {
            own.map_or(Ok(()), |own| not_shared(own, &arguments))?;
            directly(session, config.clone(), &request_id, &arguments).await?
        }
    };
    if granted.granted {
        // Returns only when it failed.
        let error = become_command(&arguments.command, &config.secret_variables);
        let kept = match release_key(session, config, &granted.by, &request_id, &key).await {
            Ok(()) => format!("key {key} was released"),
            Err(why) => format!("key {key} could not be released and stays used until its TTL has passed: {why}"),
        };
        super::print_error(format!("clawster: cannot run {}: {error}; {kept}\n", name.display()));
        return Err(Failure::Reported(program::exit_code(&error)));
    }
    if !arguments.quiet {
        let text = match arguments.json {
            true => json!({"event": "already_done", "key": key, "by": granted.by, "at_ms": granted.at_ms}).to_string(),
            false => format!("clawster: {key}: already done by {} at {}", granted.by, stamp(granted.at_ms)),
        };
        super::print_error(format!("{text}\n"));
    }
    Ok(())
}

/// Asks the running node of this host.
async fn by_node(
    client: &Client,
    retry: Retry,
    request_id: &str,
    arguments: &OnceArguments,
) -> Result<(String, Granted), Failure> {
    #[derive(Deserialize)]
    struct State {
        as_of_ms: u64,
        redis: RedisInfo,
    }
    // The time is needed for a pattern only, and then it must be the current one.
    let asking = client.call("distributed.get_cluster_state", json!({"fresh": is_pattern(&arguments.key)}));
    let state: State = answer(ANSWER, asking).await?;
    // The node may use another Redis than this command would: what counts is the node's.
    if state.redis.mode == "embedded" {
        not_shared("this host's node uses a private Redis", arguments)?;
    }
    let key = expand(&arguments.key, ServerTime(state.as_of_ms))?;
    let params = OnceParams {
        key: Some(key.clone()),
        ttl_ms: millis(arguments.ttl),
        request_id: Some(request_id.to_owned()),
        keys: None,
    };
    let mut left = retry.count;
    loop {
        let asked: Result<Granted, Failure> = answer(ANSWER, client.call("distributed.run_once", params.clone())).await;
        match asked {
            // The key may have been granted and the answer lost: the same request id gets the same answer.
            Err(Failure::RedisUnreachable(_)) if left > 0 => left -= 1,
            Err(Failure::RedisUnreachable(why)) => {
                return Err(Failure::RedisUnreachable(format!("{why}; the command was not run")));
            }
            asked => return Ok((key, asked?)),
        }
        tokio::time::sleep(retry.delay).await;
    }
}

/// Says that the key excludes no other host.
///
/// # Errors
/// [`Failure::Refused`] with `--require-shared`.
fn not_shared(own: &str, arguments: &OnceArguments) -> Outcome {
    let key = &arguments.key;
    let text = settle::exclusion(&format!("key {key}"), own, arguments.require_shared)?;
    if !arguments.quiet {
        let text = match arguments.json {
            true => json!({"event": "not_shared", "key": key, "detail": text}).to_string(),
            false => format!("clawster: {text}"),
        };
        super::print_error(format!("{text}\n"));
    }
    Ok(())
}

/// Asks Redis directly, with this host's node id, without joining.
async fn directly(
    session: &Session<'_>,
    mut config: Config,
    request_id: &str,
    arguments: &OnceArguments,
) -> Result<(String, Granted), Failure> {
    let by = super::run::node_id(session.global, &config).await?;
    let seek = settings::seek(&config, session.environment);
    let redis = settle::settle_redis(&mut config, seek, SETTLE_WITHIN).await?;
    settle::refuse_eviction(&config, &redis).await?;
    let store = RedisStore::new(settings::target(&config), &config.cluster);
    let mut failed = String::new();
    for attempt in 0..=config.node.retry.count {
        if attempt > 0 {
            tokio::time::sleep(config.node.retry.delay).await;
        }
        match ask(&store, &by, request_id, arguments).await {
            Ok(asked) => {
                // Kept until here, so that the private Redis runs until it has answered.
                drop(redis);
                return asked;
            }
            Err(Fault::Unavailable(why) | Fault::Unwritable(why) | Fault::Refused(why)) => failed = why,
        }
    }
    Err(Failure::RedisUnreachable(format!(
        "cannot use Redis at {}: {failed}; the command was not run. Check the redis section of the configuration, or run \
         clawster doctor",
        store.target()
    )))
}

async fn ask(
    store: &RedisStore,
    by: &NodeId,
    request_id: &str,
    arguments: &OnceArguments,
) -> Result<Result<(String, Granted), Failure>, Fault> {
    let mut at = ServerTime(0);
    if is_pattern(&arguments.key) {
        at = store.ask(&WatchLeader).await?.reply.now;
    }
    let key = match expand(&arguments.key, at) {
        Ok(key) => key,
        Err(failure) => return Ok(Err(failure)),
    };
    let (by, request_id, keys) = (by.clone(), request_id.to_owned(), vec![key.clone()]);
    let once = Once { by, request_id, ttl: arguments.ttl, keys, give_back: false, attempt: None, seen: None };
    let grants = store.ask(&once).await?.reply;
    let missing = || Fault::Refused("internal error: the store's reply holds no grant".to_owned());
    let grant = grants.into_iter().next().ok_or_else(missing)?;
    Ok(Ok((key, Granted { granted: grant.granted, by: grant.by.to_string(), at_ms: grant.at.0 })))
}

/// Replaces this process with the command; returns only if that fails. Variables that hold secrets are removed.
fn become_command(command: &[OsString], hidden: &[String]) -> std::io::Error {
    let Some((program, rest)) = command.split_first() else { return std::io::ErrorKind::NotFound.into() };
    let mut command = Command::new(program);
    command.args(rest);
    for name in hidden {
        command.env_remove(name);
    }
    command.exec()
}

/// Releases the key that this request was granted, directly on Redis, because an older node has no such call.
///
/// # Errors
/// Why the key could not be released.
async fn release_key(
    session: &Session<'_>,
    mut config: Config,
    by: &str,
    request_id: &str,
    key: &str,
) -> Result<(), String> {
    let by = NodeId::new(by).map_err(|error| error.to_string())?;
    let seek = settings::seek(&config, session.environment);
    let redis = settle::settle_redis(&mut config, seek, SETTLE_WITHIN).await.map_err(|failure| failure.to_string())?;
    let store = RedisStore::new(settings::target(&config), &config.cluster);
    let mut failed = String::new();
    for attempt in 0..=config.node.retry.count {
        if attempt > 0 {
            tokio::time::sleep(config.node.retry.delay).await;
        }
        let (by, request_id, keys) = (by.clone(), request_id.to_owned(), vec![key.to_owned()]);
        let once = Once { by, request_id, ttl: LONGEST_ONCE, keys, give_back: true, attempt: None, seen: None };
        match store.ask(&once).await {
            Ok(_) => {
                drop(redis);
                return Ok(());
            }
            Err(fault) => failed = fault.to_string(),
        }
    }
    Err(failed)
}

fn is_pattern(key: &str) -> bool {
    key.contains('%')
}

fn stamp(at_ms: u64) -> String {
    utc(at_ms).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The key with the time in its pattern.
fn expand(key: &str, at: ServerTime) -> Result<String, Failure> {
    let wrong = |why: String| Failure::Usage(format!("--key: {why}"));
    let expanded = match is_pattern(key) {
        true => jiff::fmt::strtime::format(key, &utc(at.0))
            .map_err(|error| wrong(format!("{error}; see `clawster once --help` for the patterns allowed after %")))?,
        false => key.to_owned(),
    };
    if (1..=ONCE_KEYS.1).contains(&expanded.len()) {
        return Ok(expanded);
    }
    Err(wrong(format!("the expanded key must have 1 to {} bytes", ONCE_KEYS.1)))
}

fn check_ttl(ttl: Duration) -> Result<(), Failure> {
    if (Duration::from_millis(1)..=LONGEST_ONCE).contains(&ttl) {
        return Ok(());
    }
    Err(Failure::Usage("--ttl: use 1ms to 30d, such as 10m, 24h or 7d".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_the_servers_time_in_utc() {
        let at = ServerTime(1_700_000_000_123);
        let expanded = |key| expand(key, at).map_err(|why| why.code());
        assert_eq!(expanded("report-%Y-%m-%d").as_deref(), Ok("report-2023-11-14"));
        assert_eq!(expanded("%Y-%m-%dT%H:%M|%j|%G-W%V").as_deref(), Ok("2023-11-14T22:13|318|2023-W46"));
        assert_eq!(expanded("100%%").as_deref(), Ok("100%"));
        assert_eq!(expanded("plain").as_deref(), Ok("plain"));
    }

    #[test]
    fn what_is_no_pattern_or_too_long_is_wrong_usage() {
        let long = "x".repeat(ONCE_KEYS.1 + 1);
        for key in ["%", "a-%", "%!", "%E", "%&x", "", &long] {
            assert_eq!(expand(key, ServerTime(0)).map_err(|why| why.code()), Err(2), "{key}");
        }
        assert!(check_ttl(Duration::ZERO).is_err());
        assert!(check_ttl(LONGEST_ONCE).is_ok());
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!(stamp(1_700_000_000_123), "2023-11-14 22:13:20 UTC");
    }
}
