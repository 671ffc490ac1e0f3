//! Whether the server may drop the cluster's data to make room for others.
//!
//! 1. Only what the server itself says counts: where INFO is not permitted, or names no policy, nothing is said.
//! 2. A policy is harmless while the server's memory has no limit.
//! 3. A server that may evict admits no new member of this process. A member stays one; it warns at once, and then every ten minutes.

use super::{RedisStore, Target};
use crate::clock;
use crate::cluster::protocol::Fault;
use crate::cluster::time::Moment;
use redis::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// At which heartbeats the policy is looked at: the first, and every tenth after it.
const CHECK_EVERY_BEATS: u64 = 10;
/// How long a warning that stays true is not repeated.
const WARNING_INTERVAL: Duration = Duration::from_secs(600);

/// What is known of the server's policy.
#[derive(Debug, Default)]
pub(super) struct Eviction(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    beats: u64,
    /// This process is, or was, a member.
    admitted: bool,
    danger: Option<String>,
    warned: Option<Moment>,
}

impl Eviction {
    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// This process became a member.
    pub(super) fn admitted(&self) {
        self.with(|known| known.admitted = true);
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.with(|known| known.admitted)
    }

    /// Notes what was found, and says what is to be known of it.
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
                    tracing::info!("Redis does not evict keys any more");
                }
                _ => {}
            }
            known.danger = danger;
        });
    }
}

impl RedisStore {
    /// Asks the server whether it may evict keys: what is wrong and what to do, or `None` where all is well or it does not say.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the server does not answer.
    pub async fn eviction(&self) -> Result<Option<String>, Fault> {
        let mut command = redis::cmd("INFO");
        match self.ask(command.arg("memory")).await {
            Ok(Value::BulkString(bytes)) => Ok(judge(&String::from_utf8_lossy(&bytes), &self.target)),
            Ok(Value::VerbatimString { text, .. }) => Ok(judge(&text, &self.target)),
            Ok(_) | Err(Fault::Refused(_) | Fault::Unwritable(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Refuses a first join where the server may evict keys.
    pub(super) async fn bar(&self) -> Result<(), Fault> {
        if self.eviction.is_admitted() {
            return Ok(());
        }
        self.eviction().await?.map_or(Ok(()), |why| Err(Fault::Unwritable(why)))
    }

    /// A heartbeat was sent: whether the policy is to be looked at.
    #[must_use]
    pub fn eviction_is_due(&self) -> bool {
        self.eviction.with(|known| {
            known.beats += 1;
            known.beats % CHECK_EVERY_BEATS == 1
        })
    }

    /// Looks at the policy, and warns where it is dangerous.
    pub async fn look_at_eviction(&self) {
        // A server that does not answer is noticed by others.
        if let Ok(danger) = self.eviction().await {
            self.eviction.found(clock::now(), danger);
        }
    }

    /// What the last look found: what is wrong and what to do.
    #[must_use]
    pub fn eviction_found(&self) -> Option<String> {
        self.eviction.with(|known| known.danger.clone())
    }
}

fn judge(info: &str, target: &Target) -> Option<String> {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let limit: u64 = field("maxmemory")?.parse().ok()?;
    let policy = field("maxmemory_policy").filter(|policy| !["", "noeviction"].contains(policy) && limit > 0)?;
    // It is one of a few words; whatever else a server says goes into no log.
    let known = policy.len() < 32 && policy.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let policy = if known { policy } else { "an unknown policy" };
    Some(format!(
        "Redis at {target} may drop the cluster's data when its memory is full (maxmemory-policy {policy}); set it to noeviction: \
         CONFIG SET maxmemory-policy noeviction, and the same in redis.conf"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::Address;

    #[test]
    fn only_a_limited_server_that_names_a_policy_evicts() {
        let address = Address::Tcp { host: "h".to_owned(), port: 1, tls: false };
        let target = Target { address, db: 0, username: None, password: None };
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
