//! Checks of Redis: whether it answers, its version, its settings.
//!
//! 1. Everything is read with PING, INFO, CONFIG GET and TIME; a forbidden command is reported.
//! 2. No finding contains a password.
//!
//! Not here: the permissions of the Redis user (`access.rs`).

use super::{Check, Level, access, text};
use crate::cli::settings;
use crate::cli::terminal::many;
use crate::clock;
use crate::config::{Config, RedisAddress, RedisMode};
use crate::embedded::{Remembered, Seek, find_program, remembered, socket_path};
use crate::store::redis::{Address, RedisStore, explain};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError};
use std::collections::HashMap;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How many pings the latency is measured with.
const PINGS: usize = 50;
/// The p99 latency from which on the check warns.
const SLOW_LATENCY: Duration = Duration::from_millis(50);

/// What a private Redis cannot do.
const PRIVATE: &str = "this Redis serves this host only; before a second host joins, stop the nodes, and move its data to a shared one with \
                       clawster redis export";

/// All checks of Redis; true when it cannot be reached.
pub(super) async fn checks(config: &Config, seek: &Seek, checks: &mut Vec<Check>) -> bool {
    let mut config = config.clone();
    let mut private = false;
    let address = match target(&config, seek) {
        Target::Private(socket) => {
            private = true;
            config.redis.use_private(socket);
            config.redis.address.clone()
        }
        Target::At(address) => address,
        Target::NotStarted(check) => {
            let missing = check.level == Level::Fail;
            checks.push(check);
            return missing;
        }
    };
    config.redis.address = address;
    let target = settings::target(&config);
    let located = match RedisStore::new(target.clone(), &config.cluster).locate().await {
        Ok(address) => target.client_at(&address).map(|client| (client, address)),
        Err(fault) => Err(fault),
    };
    let (client, address) = match located {
        Ok(located) => located,
        Err(fault) => {
            let fix = "start the servers; check redis.nodes, the network, and for containers redis.announce";
            checks.push(Check::fail("redis", format!("cannot use {target}: {fault}"), fix));
            return true;
        }
    };
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_TIMEOUT))
        .set_response_timeout(Some(ANSWER_TIMEOUT));
    let mut connection = match client.get_multiplexed_async_connection_with_config(&settings).await {
        Ok(connection) => connection,
        Err(error) => {
            checks.push(unreachable(&address, &error));
            return true;
        }
    };
    let latency = match latency(&mut connection, config.leader.presence_grace).await {
        Ok(check) => check,
        Err(error) => {
            checks.push(unreachable(&address, &error));
            return true;
        }
    };
    let tls = if config.redis.tls { " over TLS" } else { "" };
    let by = if target.is_one_server() { String::new() } else { format!(", the primary of {target}") };
    checks.push(Check::ok("redis", format!("answers at {address}{tls}{by}")));
    if private {
        checks.push(Check::info("private", PRIVATE));
    }
    checks.push(latency);
    match info(&mut connection).await {
        Ok(info) => {
            let fsync = config_value(&mut connection, "appendfsync").await;
            checks.extend([version(&info), role(&info, config.redis.confirmations), eviction(&info), memory(&info)]);
            checks.push(persistence(&info, fsync.as_deref()));
        }
        Err(error) => {
            let fix = "allow INFO for this user, which a node needs (ACL SETUSER … +info)";
            checks.push(Check::fail("info", format!("cannot call INFO: {}", text(&error)), fix));
        }
    }
    checks.push(clock_difference(&mut connection).await);
    checks.extend(access::checks(&client, &mut connection, &config.cluster, config.redis.confirmations).await);
    false
}

enum Target {
    Private(PathBuf),
    At(RedisAddress),
    NotStarted(Check),
}

/// The Redis that a node would use; starts none.
fn target(config: &Config, seek: &Seek) -> Target {
    let local = || RedisAddress::Tcp { host: seek.local.ip().to_string(), port: seek.local.port() };
    let private = || {
        let socket = socket_path(&config.state_dir);
        if UnixStream::connect(&socket).is_ok() {
            return Target::Private(socket);
        }
        Target::NotStarted(match find_program(seek) {
            Ok(program) => {
                let found =
                    format!("no Redis runs yet; the first node starts a private one with {}", program.display());
                Check::info("redis", found)
            }
            Err(error) => Check::fail("redis", error.to_string(), "install redis-server, or set REDIS_HOST"),
        })
    };
    if config.redis.mode == RedisMode::Embedded {
        return private();
    }
    if config.redis.configured {
        return Target::At(config.redis.address.clone());
    }
    match remembered(&config.state_dir) {
        Some(Remembered::Local) => Target::At(local()),
        Some(Remembered::Embedded) => private(),
        None if TcpStream::connect_timeout(&seek.local, Duration::from_millis(500)).is_ok() => Target::At(local()),
        None => private(),
    }
}

fn unreachable(address: &Address, error: &RedisError) -> Check {
    let said = explain(error);
    let fix = if said.contains("login") {
        "check REDIS_USERNAME and REDIS_PASSWORD, or redis.username and redis.password in secrets.json"
    } else if matches!(address, Address::Unix(_)) {
        "start that server, and check that this user may open its socket"
    } else {
        "start Redis there, or correct redis.host and redis.port (REDIS_HOST, REDIS_PORT); check firewall and TLS"
    };
    Check::fail("redis", format!("cannot use Redis at {address}: {said}"), fix)
}

async fn latency(connection: &mut MultiplexedConnection, grace: Duration) -> Result<Check, RedisError> {
    let mut times = Vec::with_capacity(PINGS);
    for _ in 0..PINGS {
        let sent = clock::now();
        let _: String = redis::cmd("PING").query_async(connection).await?;
        times.push(clock::now().since(sent));
    }
    times.sort_unstable();
    let at =
        |percent: usize| times.get((times.len() * percent / 100).min(times.len() - 1)).copied().unwrap_or_default();
    Ok(judge_latency(at(50), at(99), grace))
}

fn judge_latency(p50: Duration, p99: Duration, grace: Duration) -> Check {
    let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
    let found = format!("p50 {:.2} ms, p99 {:.2} ms over {PINGS} pings", millis(p50), millis(p99));
    if p99 > grace / 3 {
        let fix = format!(
            "move Redis closer to this host, or raise leader.presence_grace above {:.1} s",
            p99.as_secs_f64() * 4.0
        );
        Check::fail("latency", found, fix)
    } else if p99 > SLOW_LATENCY {
        Check::warn("latency", found, "check for high load on the Redis host and for a slow network to it")
    } else {
        Check::ok("latency", found)
    }
}

type Info = HashMap<String, String>;

async fn info(connection: &mut MultiplexedConnection) -> Result<Info, RedisError> {
    let text: String = redis::cmd("INFO").query_async(connection).await?;
    Ok(parse_info(&text))
}

fn parse_info(text: &str) -> Info {
    text.lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn field<'a>(info: &'a Info, name: &str) -> &'a str {
    info.get(name).map_or("", String::as_str)
}

fn number(info: &Info, name: &str) -> u64 {
    field(info, name).parse().unwrap_or(0)
}

async fn config_value(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    // A hosted Redis often forbids it; then the check shows less.
    let pair: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await.ok()?;
    pair.into_iter().nth(1)
}

fn version(info: &Info) -> Check {
    let found = field(info, "redis_version");
    let shown = match info.get("valkey_version") {
        Some(valkey) => format!("Valkey {valkey} (Redis {found})"),
        None => format!("Redis {found}"),
    };
    match found.split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(major) if major >= 5 => Check::ok("version", shown),
        Some(_) => Check::fail("version", shown, "install Redis 5.0 or newer; clawster needs streams"),
        None => Check::info("version", "the server does not report its version"),
    }
}

fn role(info: &Info, confirmations: u32) -> Check {
    let replicas = number(info, "connected_slaves");
    match field(info, "role") {
        "slave" => {
            let primary = format!("{}:{}", field(info, "master_host"), field(info, "master_port"));
            Check::fail("role", "this is a replica, which refuses writes", format!("connect to its primary {primary}"))
        }
        _ if replicas < u64::from(confirmations) => Check::fail(
            "role",
            format!("primary with {replicas} replicas; redis.wait_replicas needs {confirmations}, so nobody can lead"),
            "start the replicas, or lower redis.replicas on all nodes",
        ),
        _ => Check::ok("role", format!("primary with {}", many(replicas, "replica"))),
    }
}

fn eviction(info: &Info) -> Check {
    const FIX: &str = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf";
    let limited = number(info, "maxmemory") > 0;
    match field(info, "maxmemory_policy") {
        "noeviction" => Check::ok("eviction", "noeviction: Redis never drops data silently"),
        "" => Check::info("eviction", "the server does not report its policy; it must be noeviction"),
        other if limited => Check::fail("eviction", format!("{other}: Redis may drop the cluster's data"), FIX),
        other => Check::warn("eviction", format!("{other} is harmless only while maxmemory is 0"), FIX),
    }
}

fn memory(info: &Info) -> Check {
    let (used, limit) = (number(info, "used_memory"), number(info, "maxmemory"));
    let mib = |bytes: u64| bytes >> 20;
    if limit == 0 {
        return Check::ok("memory", format!("{} MiB used, no limit set", mib(used)));
    }
    let found = format!("{} of {} MiB used", mib(used), mib(limit));
    if used >= limit && field(info, "maxmemory_policy") == "noeviction" {
        let found = format!("{found}: Redis is full and refuses writes");
        return Check::fail(
            "memory",
            found,
            "raise maxmemory, or remove data; messages are removed once every member has read them",
        );
    }
    if used.saturating_mul(10) > limit.saturating_mul(8) {
        Check::warn(
            "memory",
            found,
            "raise maxmemory, or lower sync.max_stream_bytes; at the limit Redis refuses writes",
        )
    } else {
        Check::ok("memory", found)
    }
}

fn persistence(info: &Info, fsync: Option<&str>) -> Check {
    const NAME: &str = "persistence";
    const FIX: &str = "CONFIG SET appendonly yes (and appendfsync everysec), and the same in redis.conf";
    let aof = field(info, "aof_enabled") == "1";
    if aof && field(info, "aof_last_write_status") == "err" {
        return Check::fail(NAME, "the last write to the append-only file failed", "free disk space on the Redis host");
    }
    if aof {
        return match fsync {
            Some("no") => {
                let found = "append-only file, but the system decides when it is written (appendfsync no)";
                Check::warn(NAME, found, "CONFIG SET appendfsync everysec, so that a crash loses at most one second")
            }
            Some(policy) => Check::ok(NAME, format!("append-only file, appendfsync {policy}")),
            None => Check::ok(NAME, "append-only file (cannot read appendfsync)"),
        };
    }
    if number(info, "rdb_last_save_time") > 0 && number(info, "rdb_saves") > 0 {
        return Check::warn(NAME, "snapshots only: a crash of Redis loses everything since the last one", FIX);
    }
    Check::warn(NAME, "no append-only file: a restart of Redis loses unread messages", FIX)
}

async fn clock_difference(connection: &mut MultiplexedConnection) -> Check {
    const NAME: &str = "clock";
    let asked = clock::now();
    let answer: Result<(u64, u64), RedisError> = redis::cmd("TIME").query_async(connection).await;
    let round_trip = clock::now().since(asked);
    let (seconds, micros) = match answer {
        Ok(time) => time,
        Err(error) => {
            let fix = "allow TIME for this user, which a node needs (ACL SETUSER … +time)";
            return Check::fail(NAME, format!("cannot call TIME: {}", text(&error)), fix);
        }
    };
    let server = Duration::from_secs(seconds) + Duration::from_micros(micros) + round_trip / 2;
    let here = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    judge_clock(server.abs_diff(here))
}

fn judge_clock(difference: Duration) -> Check {
    const NAME: &str = "clock";
    let found = format!("the clocks of this host and Redis differ by {} ms", difference.as_millis());
    if difference <= Duration::from_secs(1) {
        return Check::ok(NAME, found);
    }
    let found = format!("{found}; the cluster uses the Redis clock, so only times in logs are affected");
    let fix = "synchronize both clocks with NTP (timedatectl set-ntp true, or start chronyd); `date` on both hosts shows which is wrong";
    Check::warn(NAME, found, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_comes_with_its_remedy() {
        assert_eq!(judge_clock(Duration::from_secs(1)).level, Level::Ok);
        let off = judge_clock(Duration::from_millis(1_001));
        assert_eq!(off.level, Level::Warn);
        assert!(off.fix.is_some_and(|fix| fix.contains("NTP")));
    }

    fn info(text: &str) -> Info {
        parse_info(&text.replace(' ', "\r\n"))
    }

    #[test]
    fn settings_that_lose_data_are_found() {
        let level = |check: Check| check.level;
        assert_eq!(level(version(&info("redis_version:4.0.14"))), Level::Fail);
        assert_eq!(level(version(&info("redis_version:5.0.0"))), Level::Ok);
        assert_eq!(level(eviction(&info("maxmemory:1000 maxmemory_policy:allkeys-lru"))), Level::Fail);
        assert_eq!(level(eviction(&info("maxmemory:0 maxmemory_policy:allkeys-lru"))), Level::Warn);
        assert_eq!(level(eviction(&info("maxmemory:1000 maxmemory_policy:noeviction"))), Level::Ok);
        assert_eq!(level(persistence(&info("aof_enabled:0"), None)), Level::Warn);
        assert_eq!(level(persistence(&info("aof_enabled:1"), Some("no"))), Level::Warn);
        assert_eq!(level(persistence(&info("aof_enabled:1"), None)), Level::Ok);
        assert_eq!(level(memory(&info("used_memory:90 maxmemory:100"))), Level::Warn);
        assert_eq!(level(role(&info("role:slave master_host:a master_port:1"), 0)), Level::Fail);
        assert_eq!(level(role(&info("role:master connected_slaves:1"), 1)), Level::Ok);
        assert_eq!(level(role(&info("role:master connected_slaves:1"), 2)), Level::Fail);
    }

    #[test]
    fn a_latency_that_eats_the_grace_time_fails() {
        let judge = |millis| judge_latency(Duration::ZERO, Duration::from_millis(millis), Duration::from_secs(1)).level;
        assert_eq!([judge(1), judge(100), judge(400)], [Level::Ok, Level::Warn, Level::Fail]);
    }
}
