//! Checks whether the server may evict the cluster's data when its memory is full.
//!
//! 1. Only the server's own report counts: without permission for INFO, or without a policy in it, there is no warning.
//! 2. A policy is harmless while the server's memory has no limit.
//! 3. On a server that may evict, this process cannot join. If it already is a member it stays one, and warns at once and then every
//!    ten minutes.

use super::{RedisStore, Target};
use crate::clock;
use crate::cluster::protocol::Fault;
use crate::cluster::time::Moment;
use redis::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The policy is checked with the first heartbeat and then with every tenth.
const CHECK_EVERY_BEATS: u64 = 10;
/// How often a lasting warning is repeated.
const WARNING_INTERVAL: Duration = Duration::from_secs(600);

/// The last known policy of the server.
#[derive(Debug, Default)]
pub(super) struct Eviction(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    beats: u64,
    /// Whether this process is, or was, a member.
    admitted: bool,
    danger: Option<String>,
    warned: Option<Moment>,
}

impl Eviction {
    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes that this process became a member.
    pub(super) fn admitted(&self) {
        self.with(|known| known.admitted = true);
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.with(|known| known.admitted)
    }

    /// Stores the result of a check, and logs changes and repeated warnings.
    fn found(&self, now: Moment, danger: Option<String>) {
        self.with(|known| {
            let due = known.warned.is_none_or(|at| now.since(at) >= WARNING_INTERVAL);
            match &danger {
                Some(why) if due || known.danger != danger => {
                    known.warned = Some(now);
                    tracing::warn!("{why}");
                }
                None if known.danger.is_some() => {
                    known.warned = None;
                    tracing::info!("Redis no longer evicts keys");
                }
                _ => {}
            }
            known.danger = danger;
        });
    }
}

impl RedisStore {
    /// Asks the server whether it may evict keys. Returns what is wrong and what to do; `None` if nothing is wrong, or the server does
    /// not report it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the server does not answer.
    pub async fn eviction(&self) -> Result<Option<String>, Fault> {
        let mut command = redis::cmd("INFO");
        match self.command(command.arg("memory")).await {
            Ok(Value::BulkString(bytes)) => Ok(judge(&String::from_utf8_lossy(&bytes), self.target())),
            Ok(Value::VerbatimString { text, .. }) => Ok(judge(&text, self.target())),
            Ok(_) | Err(Fault::Refused(_) | Fault::Unwritable(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Refuses the first join on a server that may evict keys.
    pub(super) async fn refuse_eviction(&self) -> Result<(), Fault> {
        if self.eviction.is_admitted() {
            return Ok(());
        }
        self.eviction().await?.map_or(Ok(()), |why| Err(Fault::Unwritable(why)))
    }

    /// Counts a heartbeat; returns whether the policy must be checked now.
    #[must_use]
    pub fn eviction_is_due(&self) -> bool {
        self.eviction.with(|known| {
            known.beats += 1;
            known.beats % CHECK_EVERY_BEATS == 1
        })
    }

    /// Checks the policy, and warns if it is dangerous. Where there are several servers, also looks at the replicas.
    pub async fn look_at_eviction(&self) {
        if !self.target().is_one_server() {
            let mut command = redis::cmd("INFO");
            match self.command(command.arg("replication")).await {
                Ok(Value::BulkString(bytes)) => self.primary.saw_replication(&String::from_utf8_lossy(&bytes)),
                Ok(Value::VerbatimString { text, .. }) => self.primary.saw_replication(&text),
                // Forbidden or away: the last look stays.
                _ => {}
            }
        }
        // A server that does not answer is reported elsewhere.
        if let Ok(danger) = self.eviction().await {
            self.eviction.found(clock::now(), danger);
        }
    }

    /// The result of the last check: what is wrong and what to do.
    #[must_use]
    pub fn eviction_found(&self) -> Option<String> {
        self.eviction.with(|known| known.danger.clone())
    }
}

fn judge(info: &str, target: &Target) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let limit: u64 = field("maxmemory")?.parse().ok()?;
    let policy = field("maxmemory_policy").filter(|policy| !["", "noeviction"].contains(policy) && limit > 0)?;
    // The policy is one of a few words; any other text of the server is not logged.
    let known = policy.len() < 32 && policy.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let policy = if known { policy } else { "an unknown policy" };
    Some(format!(
        "Redis at {target} may drop the cluster's data when its memory is full (maxmemory-policy {policy}); set the policy to \
         noeviction: CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::Address;

    #[test]
    fn only_a_limited_server_that_names_a_policy_evicts() {
        let address = Address::Tcp { host: "h".to_owned(), port: 1, tls: false };
        let target = Target::at_address(address);
        let info =
            |limit: &str, policy: &str| format!("# Memory\r\nmaxmemory:{limit}\r\nmaxmemory_policy:{policy}\r\n");
        for policy in ["allkeys-lru", "volatile-ttl", "volatile-random", "allkeys-lfu"] {
            let why = judge(&info("1000", policy), &target).expect("it may evict");
            assert!(why.contains(policy) && why.contains("noeviction"), "{why}");
            assert_eq!(judge(&info("0", policy), &target), None);
        }
        assert_eq!(judge(&info("1000", "noeviction"), &target), None);
        assert_eq!(judge(&info("1000", ""), &target), None);
        assert_eq!(judge("maxmemory:1000\r\n", &target), None);
        assert_eq!(judge("", &target), None);
        let odd = judge(&info("1000", "\u{1b}[31m"), &target).expect("it may evict");
        assert!(!odd.contains('\u{1b}'), "{odd}");
    }
}
