//! The keys of `config.json` and `secrets.json`: the one place where each is named, described, bounded and given a default.
//!
//! 1. The JSON Schemas are made from these types, and the checks read those schemas; nothing about a single key stands
//!    elsewhere but what depends on several keys.
//! 2. A key marked `writeOnly` holds a secret and is never shown.
//!
//! Not here: rules between keys (`validate.rs`), the old names (`legacy.rs`), variables (`environment.rs`).

mod history;
mod tasks;

use history::{HistoryKeys, MongoKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tasks::TasksKeys;

/// What `crate::cluster::ids` allows, for editors; the check itself is made there.
const ID_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]*$";

/// Settings of a clawster node. All keys are optional. Credentials belong into secrets.json beside this file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "clawster config.json")]
pub(super) struct ConfigFile {
    /// Where the JSON Schema of this file is, for editors.
    #[serde(rename = "$schema")]
    pub(super) schema: Option<String>,
    /// This node: who it is and how it beats.
    pub(super) node: NodeKeys,
    /// The cluster that the node takes part in.
    pub(super) cluster: ClusterKeys,
    /// Elections.
    pub(super) leader: LeaderKeys,
    /// Messages between the nodes.
    pub(super) sync: SyncKeys,
    /// Tasks.
    pub(super) tasks: TasksKeys,
    /// Where Redis is. With none of these keys and no variable, the node looks at 127.0.0.1:6379 and else starts a private Redis.
    pub(super) redis: RedisKeys,
    /// Where heartbeats are recorded; off without `mongodb.uri` in secrets.json.
    pub(super) mongodb: MongoKeys,
    /// Recent history in Redis, without MongoDB.
    pub(super) history: HistoryKeys,
    /// Logs.
    pub(super) logging: LoggingKeys,
    /// Metrics for Prometheus.
    pub(super) metrics: MetricsKeys,
    /// The JSON-RPC server.
    pub(super) rpc: RpcKeys,
}

/// `node.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NodeKeys {
    /// The node's id: 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '-'. Without it, one is generated and kept in the state directory.
    #[schemars(length(min = 1, max = 64), extend("pattern" = ID_PATTERN))]
    pub(super) id: Option<String>,
    /// A name for people; empty: the node id.
    #[schemars(length(max = 256))]
    pub(super) name: String,
    /// Where the node's gateway can be reached; shown to the other nodes, not used by clawster itself.
    #[schemars(length(max = 2048))]
    pub(super) endpoint: Option<String>,
    /// What the node can do; tasks may ask for it.
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub(super) capabilities: Vec<String>,
    /// Free labels, from name to text.
    #[schemars(extend("maxProperties" = 256, "propertyNames" = json!({"minLength": 1, "maxLength": 256})))]
    #[schemars(extend("additionalProperties" = json!({"type": "string", "maxLength": 256})))]
    pub(super) labels: BTreeMap<String, String>,
    /// Whether `clawster serve` joins the cluster by itself at start.
    pub(super) auto_join: bool,
    /// Seconds between two heartbeats. A setting of the cluster: its first member decides.
    #[schemars(range(min = 0.05, max = 3600.0))]
    pub(super) heartbeat_interval: f64,
    /// Seconds after the last heartbeat until the node counts as offline; at least 3 heartbeat intervals. A setting of the cluster.
    #[schemars(range(min = 0.15, max = 86400.0))]
    pub(super) heartbeat_ttl: f64,
    /// How many further attempts follow a failed heartbeat.
    #[schemars(range(min = 0, max = 100))]
    pub(super) retry_count: u32,
    /// Seconds between two attempts.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub(super) retry_delay: f64,
}

impl Default for NodeKeys {
    fn default() -> Self {
        Self {
            id: None,
            name: String::new(),
            endpoint: None,
            capabilities: Vec::new(),
            labels: BTreeMap::new(),
            auto_join: true,
            heartbeat_interval: 10.0,
            heartbeat_ttl: 30.0,
            retry_count: 3,
            retry_delay: 1.0,
        }
    }
}

/// `cluster.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ClusterKeys {
    /// The cluster's name: 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '-'. Clusters of different names share nothing on one Redis.
    #[schemars(length(min = 1, max = 64), extend("pattern" = ID_PATTERN))]
    pub(super) name: String,
}

impl Default for ClusterKeys {
    fn default() -> Self {
        Self { name: "openclaw".to_owned() }
    }
}

/// `leader.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LeaderKeys {
    /// Seconds that a leadership lasts without a renewal; at least 3 heartbeat intervals. A setting of the cluster.
    #[schemars(range(min = 0.3, max = 86400.0))]
    pub(super) lease_ttl: f64,
    /// Whether this node stands for leader.
    pub(super) candidate: bool,
    /// What a takeover waits for. A setting of the cluster.
    pub(super) mode: LeaderModeKey,
    /// Seconds after which a node whose connection is gone counts as dead; at most a third of `leader.lease_ttl`. A setting of the cluster.
    #[schemars(range(min = 0.1, max = 3600.0))]
    pub(super) presence_grace: f64,
}

impl Default for LeaderKeys {
    fn default() -> Self {
        Self { lease_ttl: 30.0, candidate: true, mode: LeaderModeKey::Exclusive, presence_grace: 1.0 }
    }
}

/// `leader.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LeaderModeKey {
    /// At most one node believes that it leads, at every instant.
    Exclusive,
    /// Faster failover; for a moment two nodes may believe it, and only terms tell them apart.
    Fenced,
}

/// `sync.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SyncKeys {
    /// How many messages one call receives unless it says otherwise.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) batch_size: u32,
    /// How many messages are kept for members that were away.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) max_stream_length: u64,
    /// How many bytes of messages Redis holds for members that have not read them; at most half of Redis' maxmemory, whatever is
    /// set here. One sender may use three quarters. Beyond it, messages wait in the sender's outbox. 1 MiB to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(super) max_stream_bytes: u64,
    /// How many bytes of unsent messages are kept on disk while Redis is unreachable; 1 MiB (one message) to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(super) outbox_bytes: u64,
}

impl Default for SyncKeys {
    fn default() -> Self {
        Self { batch_size: 100, max_stream_length: 10_000, max_stream_bytes: 256 << 20, outbox_bytes: 256 << 20 }
    }
}

/// `redis.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RedisKeys {
    /// The whole address: redis://host:port/db, rediss:// for TLS, or redis+unix:///path/to/socket?db=0. Excludes host, port and tls in the same file. A password belongs into secrets.json.
    #[schemars(length(min = 1, max = 4096), extend("writeOnly" = true))]
    pub(super) url: Option<String>,
    /// The host's name or address.
    #[schemars(length(min = 1, max = 255))]
    pub(super) host: String,
    /// The port.
    #[schemars(range(min = 1, max = 65_535))]
    pub(super) port: u16,
    /// The number of the database.
    #[schemars(range(min = 0, max = 65_535))]
    pub(super) db: u32,
    /// The user of Redis 6 and newer; without it, the default user.
    #[schemars(length(max = 1000))]
    pub(super) username: Option<String>,
    /// Whether the connection uses TLS.
    pub(super) tls: bool,
    /// What kind of Redis this is. This version supports standalone and embedded.
    pub(super) mode: RedisModeKey,
    /// The addresses (host:port) of the sentinels or of cluster nodes.
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub(super) nodes: Vec<String>,
    /// The name under which the sentinels know the master.
    #[schemars(length(min = 1, max = 200))]
    pub(super) master_name: Option<String>,
    /// How many replicas must confirm a grant of leadership. This version supports none.
    pub(super) wait_replicas: WaitReplicasKey,
}

impl Default for RedisKeys {
    fn default() -> Self {
        Self {
            url: None,
            host: "127.0.0.1".to_owned(),
            port: 6379,
            db: 0,
            username: None,
            tls: false,
            mode: RedisModeKey::Standalone,
            nodes: Vec::new(),
            master_name: None,
            wait_replicas: WaitReplicasKey::None,
        }
    }
}

/// `redis.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RedisModeKey {
    /// One server, or one address that always leads to the primary.
    Standalone,
    /// Sentinels name the primary (not supported by this version).
    Sentinel,
    /// Redis Cluster (not supported by this version).
    Cluster,
    /// A private redis-server that the node starts on a unix socket in the state directory, shared by the nodes of this host.
    Embedded,
}

/// `redis.wait_replicas`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WaitReplicasKey {
    /// The primary alone.
    None,
    /// More than half of the replicas (not supported by this version).
    Majority,
    /// Every replica (not supported by this version).
    All,
}

/// `logging.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LoggingKeys {
    /// The least severe lines that are written. The libraries that clawster uses log at warn.
    pub(super) level: LevelKey,
    /// How a line looks.
    pub(super) format: FormatKey,
    /// The log file; relative to the state directory, "off" for none.
    #[schemars(length(min = 1, max = 4096))]
    pub(super) file: String,
    /// Bytes after which the log file is rotated; 4 KiB to 1 TiB.
    #[schemars(range(min = 4096, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes: u64,
    /// How many rotated files are kept, named .1 (the newest) and so on; 0 empties the file instead.
    #[schemars(range(min = 0, max = 100))]
    pub(super) backup_count: u32,
    /// Whether lines also go to /dev/log, where there is one, with the tag clawster.
    pub(super) syslog: bool,
}

impl Default for LoggingKeys {
    fn default() -> Self {
        Self {
            level: LevelKey::Info,
            format: FormatKey::Text,
            file: "logs/heartbeat.log".to_owned(),
            max_bytes: 10 * 1024 * 1024,
            backup_count: 5,
            syslog: true,
        }
    }
}

/// `logging.level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum LevelKey {
    /// Only what failed for good.
    Error,
    /// Also what needs attention.
    Warn,
    /// Also what happened.
    Info,
    /// Also why.
    Debug,
    /// Everything.
    Trace,
}

/// `logging.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatKey {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `metrics.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MetricsKeys {
    /// The address (ip:port) that a node serves /metrics, /healthz and /readyz on, or "off". Nobody has to prove who they are: prefer 127.0.0.1.
    #[schemars(length(min = 1, max = 100))]
    pub(super) listen: String,
}

impl Default for MetricsKeys {
    fn default() -> Self {
        Self { listen: "off".to_owned() }
    }
}

/// `rpc.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RpcKeys {
    /// The longest line that a client may send, in bytes; 64 KiB to 256 MiB.
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub(super) max_line_bytes: u32,
}

impl Default for RpcKeys {
    fn default() -> Self {
        Self { max_line_bytes: 4 << 20 }
    }
}

/// Credentials of a clawster node. Keep this file out of version control, readable by its owner only. Inside a value,
/// ${NAME} is replaced by that environment variable; an empty text counts as not given.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "clawster secrets.json")]
pub(super) struct SecretsFile {
    /// Where the JSON Schema of this file is, for editors.
    #[serde(rename = "$schema")]
    pub(super) schema: Option<String>,
    /// How to reach Redis.
    pub(super) redis: RedisSecrets,
    /// How to reach MongoDB.
    pub(super) mongodb: MongoSecrets,
}

/// `redis.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RedisSecrets {
    /// The whole address: redis://user:password@host:port/db, rediss:// for TLS, or redis+unix:///path/to/socket?db=0. Special characters of user and password are percent-encoded.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(super) url: Option<String>,
    /// The host's name or address.
    #[schemars(length(max = 255))]
    pub(super) host: Option<String>,
    /// The port.
    #[schemars(range(min = 1, max = 65_535))]
    pub(super) port: Option<u16>,
    /// The user of Redis 6 and newer; without it, the default user.
    #[schemars(length(max = 1000))]
    pub(super) username: Option<String>,
    /// The password.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(super) password: Option<String>,
    /// The number of the database.
    #[schemars(range(min = 0, max = 65_535))]
    pub(super) db: Option<u32>,
}

/// `mongodb.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MongoSecrets {
    /// The connection string, mongodb:// or mongodb+srv://; turns the history on.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(super) uri: Option<String>,
}
