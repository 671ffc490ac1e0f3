//! Validates the rules between keys and builds the [`Config`].
//!
//! 1. Rules between keys are checked only here.
//! 2. A rule skips a key that already has a problem.
//!
//! Not here: a single value's type and bounds (`keys.rs`, `check.rs`).

mod servers;

use super::alerts::alerts;
use super::check::may_be_shown;
use super::gossip;
use super::http::http;
use super::keys::{ConfigFile, FormatKey, LeaderModeKey, LevelKey, NodeKeys};
use super::layer::{Given, Layer, Source};
use super::plaintext;
use super::problem::Findings;
use super::schema::Index;
use super::settings::{
    AgentsConfig, Config, HistoryConfig, LogFormat, LogLevel, LoggingConfig, MongoConfig, NodeConfig, RpcConfig, Secret,
};
use crate::cluster::ids::{ClusterName, NodeId};
use crate::cluster::members::member::Metadata;
use crate::cluster::settings::{LeaderMode, LeaderSettings, Retry, SyncSettings, Timing};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

const INTERVAL: &str = "node.heartbeat_interval";
const TTL: &str = "node.heartbeat_ttl";
const LEASE: &str = "leader.lease_ttl";
const GRACE: &str = "leader.presence_grace";
/// Checks a connection string. The error continues a sentence that begins with the key, and quotes nothing of the string.
pub type UriCheck = fn(&str) -> Result<(), String>;

/// Settings that do not come from the files' keys.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) state_dir: PathBuf,
    pub(super) config_dir: Option<PathBuf>,
    /// What relative paths of files are relative to where there is no such folder.
    pub(super) cwd: PathBuf,
    pub(super) redis_server: Option<PathBuf>,
    pub(super) secret_variables: Vec<String>,
    pub(super) mongodb_uri: UriCheck,
}

/// The Config; `None` if a problem was found, here or before.
pub(super) fn config(values: &Layer, around: Surroundings, findings: &mut Findings) -> Option<Config> {
    let raw = match typed(values) {
        Ok(raw) => raw,
        Err(error) => {
            // The checks use the schema of these types, so this is a defect; still no reason to panic.
            findings.problem("configuration", "", format!("internal error, cannot be deserialized: {error}"));
            return None;
        }
    };
    times(&raw, values, findings);
    sizes(&raw.node, values, findings);
    let node_id = raw.node.id.as_ref().and_then(|id| match NodeId::new(id.as_str()) {
        Ok(id) => Some(id),
        Err(error) => {
            findings.problem(values.source("node.id").to_string(), "node.id", id_problem(id, &error));
            None
        }
    });
    let cluster = match ClusterName::new(raw.cluster.name.as_str()) {
        Ok(name) => Some(name),
        Err(error) => {
            let text = id_problem(&raw.cluster.name, &error);
            findings.problem(values.source("cluster.name").to_string(), "cluster.name", text);
            None
        }
    };
    let redis = servers::redis(&raw.redis, values, &around, findings);
    let mongodb = mongodb(&raw, values, around.mongodb_uri, findings);
    let alerts = alerts(&raw, values, findings);
    let http = http(&raw, values, around.config_dir.as_deref(), findings);
    let gossip = gossip::config(&raw, values, findings);
    let logging = logging(&raw, &around.state_dir);
    if !findings.problems.is_empty() {
        return None;
    }
    plaintext::warn(&redis, mongodb.uri.as_ref(), values, findings);
    let leader = LeaderSettings {
        candidate: raw.leader.candidate,
        mode: match raw.leader.mode {
            LeaderModeKey::Exclusive => LeaderMode::Exclusive,
            LeaderModeKey::Fenced => LeaderMode::Fenced,
        },
        presence_grace: seconds(raw.leader.presence_grace),
    };
    Some(Config {
        node: NodeConfig {
            id: node_id,
            metadata: Metadata {
                name: raw.node.name,
                endpoint: gossip::endpoint(raw.node.endpoint, gossip.as_ref()),
                capabilities: raw.node.capabilities,
                labels: raw.node.labels,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                candidate: raw.leader.candidate,
            },
            auto_join: raw.node.auto_join,
            retry: Retry { count: raw.node.retry_count, delay: seconds(raw.node.retry_delay) },
        },
        cluster: cluster?,
        timing: Timing {
            heartbeat_interval: seconds(raw.node.heartbeat_interval),
            heartbeat_ttl: seconds(raw.node.heartbeat_ttl),
            lease_ttl: seconds(raw.leader.lease_ttl),
        },
        leader,
        sync: SyncSettings {
            batch_size: usize::try_from(raw.sync.batch_size).unwrap_or(usize::MAX),
            max_stream_length: raw.sync.max_stream_length,
            max_stream_bytes: raw.sync.max_stream_bytes,
            max_task_bytes: raw.tasks.max_bytes,
            outbox_bytes: raw.sync.outbox_bytes,
        },
        agents: AgentsConfig {
            ask: raw.agents.ask,
            accept_from: raw.agents.accept_from,
            tools_for: raw.agents.tools_for,
            max_bytes: raw.agents.max_bytes,
        },
        redis,
        mongodb,
        history: HistoryConfig { recent: Duration::from_hours(u64::from(raw.history.recent_hours)) },
        logging,
        alerts,
        http,
        gossip,
        rpc: RpcConfig { max_line_bytes: usize::try_from(raw.rpc.max_line_bytes).unwrap_or(usize::MAX) },
        state_dir: around.state_dir,
        config_dir: around.config_dir,
        redis_server: around.redis_server,
        secret_variables: around.secret_variables,
    })
}

/// The problem of an id; without the id itself if it may be an address with credentials.
fn id_problem(id: &str, error: &dyn std::fmt::Display) -> String {
    if may_be_shown(id) {
        error.to_string()
    } else {
        "is not allowed; use 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '-', not beginning with '.' or '-'"
            .to_owned()
    }
}

/// The values as the types of `keys.rs`, with defaults filled in.
pub(super) fn typed(values: &Layer) -> Result<ConfigFile, serde_json::Error> {
    let mut sections: Map<String, Value> = Map::new();
    let known = Index::config();
    for (key, given) in values.iter().filter(|(key, _)| known.get(key).is_some()) {
        let Some((section, name)) = key.split_once('.') else { continue };
        let section = sections.entry(section).or_insert_with(|| Value::Object(Map::new()));
        if let Some(section) = section.as_object_mut() {
            section.insert(name.to_owned(), given.value.clone());
        }
    }
    serde_json::from_value(Value::Object(sections))
}

/// Checks sizes in bytes, as `distributed.join_cluster` does; the schemas can only count characters.
fn sizes(node: &NodeKeys, values: &Layer, findings: &mut Findings) {
    let labels = node.labels.iter().flat_map(|(name, text)| [name, text]);
    let sizes = [
        ("node.name", node.name.len(), 256),
        ("node.endpoint", node.endpoint.as_ref().map_or(0, String::len), 2_048),
        ("node.capabilities", node.capabilities.iter().map(String::len).max().unwrap_or(0), 256),
        ("node.labels", labels.map(String::len).max().unwrap_or(0), 256),
    ];
    for (key, bytes, most) in sizes {
        if bytes > most && !findings.bad_keys.contains(key) {
            let text = format!("contains a text of {bytes} bytes in UTF-8; the maximum is {most} bytes");
            findings.problem(values.source(key).to_string(), key, text);
        }
    }
}

/// Checks that TTL and lease last at least three heartbeats, and the grace at most a third of the lease.
fn times(raw: &ConfigFile, values: &Layer, findings: &mut Findings) {
    let bad = |findings: &Findings, keys: &[&str]| keys.iter().any(|key| findings.bad_keys.contains(*key));
    let interval = raw.node.heartbeat_interval;
    for (key, ttl) in [(TTL, raw.node.heartbeat_ttl), (LEASE, raw.leader.lease_ttl)] {
        if !bad(findings, &[INTERVAL, key]) && too_short(ttl, interval) {
            let text = format!(
                "{ttl} s is shorter than 3 heartbeats; use at least {} (3 times {INTERVAL}, which is {interval} s from {}), or a shorter interval",
                rounded(3.0 * interval),
                values.source(INTERVAL)
            );
            findings.problem(values.source(key).to_string(), key, text);
        }
    }
    let (grace, lease) = (raw.leader.presence_grace, raw.leader.lease_ttl);
    if !bad(findings, &[GRACE, LEASE]) && too_short(lease, grace) {
        let text =
            format!("{grace} s is more than a third of {LEASE} ({lease} s); use at most {}", rounded(lease / 3.0));
        findings.problem(values.source(GRACE).to_string(), GRACE, text);
    }
}

/// Raises times from a file in the old format to today's minimum, and lowers the grace to fit.
pub(super) fn fit_legacy(values: &mut Layer, legacy: &Layer, findings: &mut Findings) {
    let Ok(raw) = typed(values) else { return };
    let is_legacy = |values: &Layer, key: &str| match (legacy.get(key), values.get(key)) {
        (Some(old), Some(now)) => old.source == now.source,
        _ => false,
    };
    let interval = raw.node.heartbeat_interval;
    let mut lease = raw.leader.lease_ttl;
    for (key, ttl) in [(TTL, raw.node.heartbeat_ttl), (LEASE, lease)] {
        let untouched = is_legacy(values, key) || (is_legacy(values, INTERVAL) && values.get(key).is_none());
        if untouched && too_short(ttl, interval) {
            let least = rounded(3.0 * interval);
            findings.warn(format!("{key} is raised from {ttl} s to {least} s, 3 times {INTERVAL}"));
            adjust(values, key, least);
            if key == LEASE {
                lease = least;
            }
        }
    }
    if is_legacy(values, LEASE) || is_legacy(values, INTERVAL) {
        let most = (lease / 3.0 * 1000.0 + 1e-6).floor() / 1000.0;
        if values.get(GRACE).is_none() && raw.leader.presence_grace > most {
            let most = most.max(0.1);
            findings.warn(format!("{GRACE} is lowered to {most} s, a third of {LEASE}"));
            adjust(values, GRACE, most);
        }
    }
}

fn adjust(values: &mut Layer, key: &str, to: f64) {
    let source = Source::Adjusted(Box::new(values.source(key)));
    values.insert(key, Given { value: to.into(), source });
}

/// Whether `time` is shorter than three times `part`, with a tolerance for rounding errors.
fn too_short(time: f64, part: f64) -> bool {
    time + 1e-9 < 3.0 * part
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Seconds as a duration, rounded to whole microseconds.
fn seconds(seconds: f64) -> Duration {
    let exact = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Duration::from_micros(u64::try_from((exact + Duration::from_nanos(500)).as_micros()).unwrap_or(u64::MAX))
}

fn mongodb(raw: &ConfigFile, values: &Layer, check: UriCheck, findings: &mut Findings) -> MongoConfig {
    let mut refuse = |key: &str, text: &str| findings.problem(values.source(key).to_string(), key, text);
    let uri = values.text("mongodb.uri").filter(|text| !text.is_empty());
    if let Some(text) = uri {
        let checked = if text.starts_with("mongodb://") || text.starts_with("mongodb+srv://") {
            check(text)
        } else {
            Err("must start with mongodb:// or mongodb+srv://".to_owned())
        };
        if let Err(text) = checked {
            refuse("mongodb.uri", &text);
        }
    }
    if raw.mongodb.db.contains(['/', '\\', '.', ' ', '"', '$', '*', '<', '>', ':', '|', '?']) {
        refuse("mongodb.db", "contains a character that is not allowed in a database name: one of /\\. \"$*<>:|?");
    }
    if raw.mongodb.collection.contains('$') || raw.mongodb.collection.starts_with("system.") {
        refuse("mongodb.collection", "is not a valid collection name: it must not contain $ or begin with system.");
    }
    MongoConfig {
        uri: uri.map(Secret::new),
        db: raw.mongodb.db.clone(),
        collection: raw.mongodb.collection.clone(),
        retention_days: raw.mongodb.retention_days,
    }
}

fn logging(raw: &ConfigFile, state_dir: &Path) -> LoggingConfig {
    let raw = &raw.logging;
    LoggingConfig {
        level: match raw.level {
            LevelKey::Error => LogLevel::Error,
            LevelKey::Warn => LogLevel::Warn,
            LevelKey::Info => LogLevel::Info,
            LevelKey::Debug => LogLevel::Debug,
            LevelKey::Trace => LogLevel::Trace,
        },
        format: match raw.format {
            FormatKey::Text => LogFormat::Text,
            FormatKey::Json => LogFormat::Json,
        },
        file: (raw.file != "off").then(|| state_dir.join(&raw.file)),
        max_bytes: raw.max_bytes,
        backup_count: raw.backup_count,
        syslog: raw.syslog,
    }
}
