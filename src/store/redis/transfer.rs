//! All keys of a cluster, read to be kept elsewhere and written on another server.
//!
//! 1. One connection serves a whole transfer: a scan does not survive a change of the server.
//! 2. Memory is bounded: at most [`BATCH`] values at a time, and 16 bytes for each key that was seen.
//! 3. The key with the data set's numbers is read and written last. So the numbers are never lower than those of the other keys, and until
//!    it is written there is no data set: a node that starts meanwhile begins one, and the transfer fails instead of mixing the two.
//! 4. A key that exists is never replaced.
//!
//! Not here: the file (`crate::cli::redis`).

use super::faults::fault;
use super::fields::{Fields, Malformed};
use super::link::Standing;
use super::{DEADLINE, MIN_BYTES_PER_SECOND, RedisStore, Target};
use crate::cluster::ids::ClusterName;
use crate::cluster::protocol::Fault;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use ring::digest::{SHA256, digest};
use std::collections::HashSet;
use std::time::Duration;

/// How many keys are read or written in one round trip.
pub const BATCH: usize = 32;
/// The longest value that a server takes in one piece; one byte less than its `proto-max-bulk-len`.
pub const LONGEST_VALUE: usize = (512 << 20) - 1;
/// How many keys a page of the scan has, about.
const PAGE: usize = 1_000;
/// How long a batch of values of unknown size may take to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// The bytes of a key's digest that are kept.
type Seen = [u8; 16];

/// A key with its value, as the server gives it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its whole name.
    pub key: Vec<u8>,
    /// Its value in the server's own form, with a version and a checksum.
    pub value: Vec<u8>,
    /// When it expires, in ms on the server's clock; `None`: never.
    pub expires_at: Option<u64>,
}

/// Why a transfer cannot go on. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum TransferFault {
    /// The server does not answer, or refuses.
    #[error("{0}")]
    Store(Fault),
    /// The user may not call a command.
    #[error(
        "this user may not call {command}; permit it (ACL SETUSER … +dump +pttl +scan for an export, +restore +del +scan for an import), \
         or set redis.username to a user that may"
    )]
    Forbidden {
        /// The command.
        command: &'static str,
    },
    /// The server does not have a command.
    #[error("the server does not know {command}: it is renamed or disabled there; enable it, or use another server")]
    Unknown {
        /// The command.
        command: &'static str,
    },
    /// A value is in a form that the server does not read.
    #[error("the server cannot read the value of key {key}, which is in the form of another version")]
    Unreadable {
        /// The key.
        key: String,
    },
    /// Somebody else writes the cluster's keys.
    #[error("key {key} exists already, so another process writes there; stop all nodes that use it")]
    Exists {
        /// The key.
        key: String,
    },
    /// A value is too long for the server to take it back.
    #[error(
        "key {key} has a value of {bytes} bytes, and a server takes at most {LONGEST_VALUE}; let the members read their messages first"
    )]
    TooLong {
        /// The key.
        key: String,
        /// How long its value is.
        bytes: usize,
    },
}

impl From<Malformed> for TransferFault {
    fn from(why: Malformed) -> Self {
        Self::Store(Fault::Refused(why.to_string()))
    }
}

/// A connection that reads or writes all keys of a cluster.
pub struct Transfer {
    store: RedisStore,
    standing: Standing,
    prefix: String,
    pattern: String,
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer").field("target", self.store.target()).finish_non_exhaustive()
    }
}

/// Where a scan is.
#[derive(Debug, Default)]
pub struct Scan {
    /// `None`: at its end.
    cursor: Option<Vec<u8>>,
    begun: bool,
    seen: HashSet<Seen>,
}

/// What became of a batch that was written.
#[derive(Debug, Default)]
pub struct Restored {
    /// The keys that this transfer wrote, or may have written.
    pub written: Vec<Vec<u8>>,
    /// How many entries had expired, and were left out.
    pub expired: u64,
}

impl Transfer {
    /// Connects to the server that takes writes.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when it does not answer.
    pub async fn open(target: Target, cluster: &ClusterName) -> Result<Self, Fault> {
        let store = RedisStore::new(target, cluster);
        let standing = store.link.get().await?;
        let pattern = store.keys.pattern();
        Ok(Self { prefix: pattern.trim_end_matches('*').to_owned(), store, standing, pattern })
    }

    /// Connects again, after a connection was lost.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn reopen(&mut self) -> Result<(), Fault> {
        self.standing = self.store.link.get().await?;
        Ok(())
    }

    /// What all keys of the cluster begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The pattern of all keys of the cluster.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The key that is read and written last.
    #[must_use]
    pub fn last_key(&self) -> &[u8] {
        self.store.keys.meta().as_bytes()
    }

    /// The server's name and version, such as "Redis 7.0.15".
    ///
    /// # Errors
    /// [`TransferFault`] when the server does not answer.
    pub async fn version(&mut self) -> Result<String, TransferFault> {
        let mut info = redis::cmd("INFO");
        let text = match self.ask("INFO", info.arg("server"), DEADLINE).await? {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::VerbatimString { text, .. } => text,
            _ => String::new(),
        };
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        Ok(match (field("valkey_version"), field("redis_version")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, Some(version)) => format!("Redis {version}"),
            (None, None) => "a Redis of unknown version".to_owned(),
        })
    }

    /// How many processes of the cluster are connected: nodes, and commands that hold a lease.
    ///
    /// # Errors
    /// [`TransferFault`] when the server does not tell.
    pub async fn processes(&mut self) -> Result<usize, TransferFault> {
        let mut channels = redis::cmd("PUBSUB");
        let channels = channels.arg("CHANNELS").arg(format!("{}presence:*", self.prefix));
        Ok(Fields::of("the list of channels", self.ask("PUBSUB CHANNELS", channels, DEADLINE).await?)?.len())
    }

    /// Counts the cluster's keys.
    ///
    /// # Errors
    /// [`TransferFault`] when the server does not answer.
    pub async fn count(&mut self) -> Result<usize, TransferFault> {
        let mut scan = Scan::default();
        while self.page(&mut scan).await?.is_some() {}
        Ok(scan.seen.len())
    }

    /// The next keys of a scan, each once; `None` at its end. The last key of the data set comes alone, at the end.
    ///
    /// # Errors
    /// [`TransferFault`] when the server does not answer.
    pub async fn page(&mut self, scan: &mut Scan) -> Result<Option<Vec<Vec<u8>>>, TransferFault> {
        if scan.begun && scan.cursor.is_none() {
            return Ok(None);
        }
        let cursor = scan.cursor.take().unwrap_or_else(|| b"0".to_vec());
        let mut command = redis::cmd("SCAN");
        command.arg(cursor).arg("MATCH").arg(&self.pattern).arg("COUNT").arg(PAGE);
        let answer = self.ask("SCAN", &command, DEADLINE).await?;
        let odd = || TransferFault::from(Malformed("a page of the keys".to_owned()));
        let (cursor, keys) = redis::from_redis_value::<(Vec<u8>, Vec<Vec<u8>>)>(answer).map_err(|_| odd())?;
        scan.begun = true;
        let mut fresh: Vec<Vec<u8>> = keys.into_iter().filter(|key| scan.seen.insert(seen(key))).collect();
        // Of the key that comes last, only the scan's end is told.
        let last = self.last_key().to_vec();
        fresh.retain(|key| *key != last);
        if cursor != b"0" {
            scan.cursor = Some(cursor);
        } else if scan.seen.contains(&seen(&last)) {
            fresh.push(last);
        }
        Ok(Some(fresh))
    }

    /// The values of some keys; those that have expired or were deleted are left out.
    ///
    /// # Errors
    /// [`TransferFault`] when one of them cannot be read.
    pub async fn read(&mut self, keys: &[Vec<u8>]) -> Result<Vec<Entry>, TransferFault> {
        let mut calls = redis::pipe();
        calls.cmd("TIME");
        for key in keys {
            calls.cmd("PTTL").arg(key);
            calls.cmd("DUMP").arg(key);
        }
        let mut answers = self.ask_all(&calls, 1 + 2 * keys.len(), READ_TIMEOUT).await?.into_iter();
        let now = time(self.told("TIME", answers.next()).await?)?;
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let ttl = self.told("PTTL", answers.next()).await?;
            let value = self.told("DUMP", answers.next()).await?;
            let (Value::Int(ttl), Value::BulkString(value)) = (ttl, value) else { continue };
            if value.len() > LONGEST_VALUE {
                return Err(TransferFault::TooLong { key: name(key), bytes: value.len() });
            }
            let expires_at = match u64::try_from(ttl) {
                Ok(left) => Some(now.saturating_add(left)),
                Err(_) if ttl == -1 => None,
                Err(_) => continue,
            };
            entries.push(Entry { key: key.clone(), value, expires_at });
        }
        Ok(entries)
    }

    /// Writes some entries, but those that have expired. Beside the outcome: what was written, also after a failure.
    pub async fn write(&mut self, entries: &[Entry]) -> (Restored, Result<(), TransferFault>) {
        let mut restored = Restored::default();
        let asked = self.ask("TIME", &redis::cmd("TIME"), DEADLINE).await;
        let now = match asked.and_then(|answer| Ok(time(answer)?)) {
            Ok(now) => now,
            Err(why) => return (restored, Err(why)),
        };
        let live: Vec<&Entry> = entries.iter().filter(|entry| entry.expires_at.is_none_or(|at| at > now)).collect();
        restored.expired = (entries.len() - live.len()) as u64;
        if live.is_empty() {
            return (restored, Ok(()));
        }
        let mut calls = redis::pipe();
        let mut bytes = 0;
        for entry in &live {
            bytes += entry.value.len();
            let call = calls.cmd("RESTORE").arg(&entry.key).arg(entry.expires_at.unwrap_or(0)).arg(&entry.value);
            if entry.expires_at.is_some() {
                call.arg("ABSTTL");
            }
        }
        let within = DEADLINE + Duration::from_secs(bytes as u64 / MIN_BYTES_PER_SECOND);
        let answers = match self.ask_all(&calls, live.len(), within).await {
            Ok(answers) => answers,
            Err(why) => {
                // No answer: any of them may have been written, or may still be.
                restored.written = live.into_iter().map(|entry| entry.key.clone()).collect();
                return (restored, Err(why));
            }
        };
        let mut outcome = Ok(());
        for (entry, answer) in live.into_iter().zip(answers) {
            match answer.extract_error() {
                Ok(_) => restored.written.push(entry.key.clone()),
                Err(error) if outcome.is_ok() => outcome = Err(refused(&entry.key, &error)),
                Err(_) => {}
            }
        }
        (restored, outcome)
    }

    /// Deletes some keys.
    ///
    /// # Errors
    /// [`TransferFault`] when the server does not answer.
    pub async fn remove(&mut self, keys: &[Vec<u8>]) -> Result<(), TransferFault> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut del = redis::cmd("DEL");
        self.ask("DEL", del.arg(keys), DEADLINE).await.map(|_| ())
    }

    async fn ask(&mut self, command: &'static str, call: &Cmd, within: Duration) -> Result<Value, TransferFault> {
        self.standing.connection.set_response_timeout(within);
        let outcome = call.query_async::<Value>(&mut self.standing.connection).await;
        self.judge(command, outcome).await
    }

    /// Sends several calls in one round trip. Errors of single calls are among the answers.
    async fn ask_all(&mut self, calls: &Pipeline, count: usize, within: Duration) -> Result<Vec<Value>, TransferFault> {
        self.standing.connection.set_response_timeout(within);
        let outcome = self.standing.connection.send_packed_commands(calls, 0, count).await;
        self.judge("PIPELINE", outcome).await
    }

    /// One of several answers.
    async fn told(&self, command: &'static str, answer: Option<Value>) -> Result<Value, TransferFault> {
        self.judge(command, answer.unwrap_or(Value::Nil).extract_error()).await
    }

    async fn judge<T>(&self, command: &'static str, outcome: RedisResult<T>) -> Result<T, TransferFault> {
        match outcome.as_ref().err().and_then(|error| of_command(command, error)) {
            Some(why) => Err(why),
            None => self.store.link.judge(&self.standing, outcome).await.map_err(TransferFault::Store),
        }
    }
}

/// Why an entry was not written.
fn refused(key: &[u8], error: &RedisError) -> TransferFault {
    let said = error.to_string();
    if error.code() == Some("BUSYKEY") || said.contains("BUSYKEY") {
        return TransferFault::Exists { key: name(key) };
    }
    if said.contains("DUMP payload") || said.contains("Bad data format") {
        return TransferFault::Unreadable { key: name(key) };
    }
    of_command("RESTORE", error).unwrap_or_else(|| TransferFault::Store(fault(error)))
}

/// What an error says about a command: that the user may not call it, or that the server does not have it.
fn of_command(command: &'static str, error: &RedisError) -> Option<TransferFault> {
    if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) || error.code() == Some("NOPERM") {
        return Some(TransferFault::Forbidden { command });
    }
    let unknown = error.detail().is_some_and(|detail| detail.to_ascii_lowercase().starts_with("unknown command"));
    unknown.then_some(TransferFault::Unknown { command })
}

/// The server's time in ms, from its seconds and microseconds.
fn time(answer: Value) -> Result<u64, Malformed> {
    let (seconds, micros) =
        redis::from_redis_value::<(u64, u64)>(answer).map_err(|_| Malformed("the time".to_owned()))?;
    Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
}

/// A key's name for people.
fn name(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn seen(key: &[u8]) -> Seen {
    let mut kept = Seen::default();
    let whole = digest(&SHA256, key);
    kept.iter_mut().zip(whole.as_ref()).for_each(|(kept, byte)| *kept = *byte);
    kept
}
