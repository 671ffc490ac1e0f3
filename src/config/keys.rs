//! The keys of `config.json` and `secrets.json`: the one place that defines each key's name, description, bounds and default.
//!
//! 1. The JSON Schemas are generated from these types, and the checks use those schemas; only rules between several keys are
//!    elsewhere.
//! 2. A key marked `writeOnly` holds a secret and is never shown.
//!
//! Not here: rules between keys (`validate.rs`), the old names (`legacy.rs`), variables (`environment.rs`).

mod agents;
mod alerts;
mod gossip;
mod history;
mod http;
mod redis;
mod tasks;

use self::redis::RedisSecrets;
pub(super) use self::redis::{RedisKeys, RedisModeKey, WaitReplicasKey};
use agents::AgentsKeys;
pub(super) use alerts::{AlertFormatKey, AlertKey};
use alerts::{AlertsKeys, AlertsSecrets};
use gossip::{GossipKeys, GossipSecrets};
use history::{HistoryKeys, MongoKeys};
use http::{HttpKeys, HttpSecrets, MetricsKeys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use tasks::TasksKeys;

/// The pattern of ids, for editors; `crate::cluster::ids` does the actual check.
const ID_PATTERN: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]*$";

/// Settings of a clawster node. All keys are optional. Credentials belong in secrets.json beside this file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "clawster config.json")]
pub(super) struct ConfigFile {
    /// Path or URL of this file's JSON Schema, for editors.
    #[serde(rename = "$schema")]
    pub(super) schema: Option<String>,
    /// This node: its identity and its heartbeats.
    pub(super) node: NodeKeys,
    /// The cluster that the node joins.
    pub(super) cluster: ClusterKeys,
    /// The leader and its election.
    pub(super) leader: LeaderKeys,
    /// Messages between the nodes.
    pub(super) sync: SyncKeys,
    /// The task queue.
    pub(super) tasks: TasksKeys,
    /// Questions between the agents of gateways.
    pub(super) agents: AgentsKeys,
    /// The connection to Redis. Without any of these keys or their variables, the node uses 127.0.0.1:6379 if a Redis answers there, else it starts a private Redis.
    pub(super) redis: RedisKeys,
    /// The MongoDB that records heartbeats. Off unless `mongodb.uri` is set in secrets.json.
    pub(super) mongodb: MongoKeys,
    /// The recent history in Redis, used without MongoDB.
    pub(super) history: HistoryKeys,
    /// Log output.
    pub(super) logging: LoggingKeys,
    /// Alerts to a webhook and to a program.
    pub(super) alerts: AlertsKeys,
    /// The HTTP server: the page, metrics, probes, JSON-RPC, events and MCP.
    pub(super) http: HttpKeys,
    /// The earlier name of the HTTP server.
    pub(super) metrics: MetricsKeys,
    /// Gossip with the other nodes, beside Redis.
    pub(super) gossip: GossipKeys,
    /// The JSON-RPC server.
    pub(super) rpc: RpcKeys,
}

/// `node.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NodeKeys {
    /// The node's id: 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '-', not beginning with '.' or '-'. Default: an id that is generated once and saved in the state directory.
    #[schemars(length(min = 1, max = 64), extend("pattern" = ID_PATTERN))]
    pub(super) id: Option<String>,
    /// A display name for people. Empty: the node id.
    #[schemars(length(max = 256))]
    pub(super) name: String,
    /// The address of this node's gateway, for the other nodes to read. With gossip.listen it is also where they gossip with this node: host:port, or an address like ws://host:port, of which only the host is used. Default with gossip.listen: that address.
    #[schemars(length(max = 2048))]
    pub(super) endpoint: Option<String>,
    /// The node's capabilities. A task that requires some of them runs only on nodes that have them.
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub(super) capabilities: Vec<String>,
    /// Labels of the node, such as {"zone": "eu"}. A task that requires a label runs only on nodes that have it.
    #[schemars(extend("maxProperties" = 256, "propertyNames" = json!({"minLength": 1, "maxLength": 256})))]
    #[schemars(extend("additionalProperties" = json!({"type": "string", "maxLength": 256})))]
    pub(super) labels: BTreeMap<String, String>,
    /// Whether `clawster serve` joins the cluster at start.
    pub(super) auto_join: bool,
    /// Seconds between two heartbeats. Lower: failures are noticed sooner, with more load on Redis. A cluster setting: the first member's value applies to all nodes.
    #[schemars(range(min = 0.05, max = 3600.0))]
    pub(super) heartbeat_interval: f64,
    /// Seconds without a heartbeat after which a node counts as offline; at least 3 heartbeat intervals. A cluster setting.
    #[schemars(range(min = 0.15, max = 86400.0))]
    pub(super) heartbeat_ttl: f64,
    /// How often a failed heartbeat is retried.
    #[schemars(range(min = 0, max = 100))]
    pub(super) retry_count: u32,
    /// Seconds between two attempts of a heartbeat, at most one heartbeat interval.
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
    /// The cluster's name: 1 to 64 characters of a-z, A-Z, 0-9, '.', '_', '-', not beginning with '.' or '-'. Clusters with different names can use the same Redis and never see each other.
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
    /// Seconds until the leader's lease expires without a renewal; at least 3 heartbeat intervals. Lower: a frozen leader is replaced sooner. A cluster setting.
    #[schemars(range(min = 0.3, max = 86400.0))]
    pub(super) lease_ttl: f64,
    /// Whether this node may become leader.
    pub(super) candidate: bool,
    /// When a new leader may take over. A cluster setting.
    pub(super) mode: LeaderModeKey,
    /// Seconds after which a node whose connection to Redis is gone counts as dead; at most a third of `leader.lease_ttl`. Must exceed the pauses of the network to Redis, or a living leader is replaced. A cluster setting.
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
    /// At every instant at most one node considers itself leader.
    Exclusive,
    /// Faster failover: two nodes may consider themselves leader for a moment; only the higher term is valid.
    Fenced,
}

/// `sync.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SyncKeys {
    /// How many messages a call receives by default.
    #[schemars(range(min = 1, max = 100_000))]
    pub(super) batch_size: u32,
    /// How many messages are kept for members that have not read them. Older messages are trimmed, and such a member gets a gap.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(super) max_stream_length: u64,
    /// How many bytes of messages are kept in Redis for members that have not read them; never more than half of Redis'
    /// maxmemory. One sender may use three quarters of it. When it is full, messages wait in the sender's outbox. 1 MiB to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(super) max_stream_bytes: u64,
    /// How many bytes of unsent messages are kept on disk while Redis is unreachable. When it is full, sending fails. 1 MiB (one message) to 1 TiB.
    #[schemars(range(min = 1_048_576, max = 1_099_511_627_776_u64))]
    pub(super) outbox_bytes: u64,
}

impl Default for SyncKeys {
    fn default() -> Self {
        Self { batch_size: 100, max_stream_length: 10_000, max_stream_bytes: 256 << 20, outbox_bytes: 256 << 20 }
    }
}

/// `logging.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LoggingKeys {
    /// The lowest severity that is logged. Libraries log from warn on.
    pub(super) level: LevelKey,
    /// The format of a log line.
    pub(super) format: FormatKey,
    /// Path of the log file, relative to the state directory; "off" for no file.
    #[schemars(length(min = 1, max = 4096))]
    pub(super) file: String,
    /// Size in bytes at which the log file is rotated; 4 KiB to 1 TiB.
    #[schemars(range(min = 4096, max = 1_099_511_627_776_u64))]
    pub(super) max_bytes: u64,
    /// How many rotated files are kept, named .1 (the newest), .2 and so on; 0: the file is emptied instead of rotated.
    #[schemars(range(min = 0, max = 100))]
    pub(super) backup_count: u32,
    /// Whether lines are also sent to /dev/log, if it exists, with the tag clawster.
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
    /// Only errors.
    Error,
    /// Also conditions that need attention.
    Warn,
    /// Also normal events.
    Info,
    /// Also requests, heartbeats, Redis calls and reasons.
    Debug,
    /// Everything.
    Trace,
}

/// `logging.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatKey {
    /// Plain text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `rpc.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RpcKeys {
    /// The longest line a client may send, in bytes; 64 KiB to 256 MiB. A longer line is refused.
    #[schemars(range(min = 65_536, max = 268_435_456))]
    pub(super) max_line_bytes: u32,
}

impl Default for RpcKeys {
    fn default() -> Self {
        Self { max_line_bytes: 4 << 20 }
    }
}

/// Credentials of a clawster node. Keep this file out of version control and readable by its owner only. In a value,
/// ${NAME} is replaced by that environment variable; an empty string counts as unset.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "clawster secrets.json")]
pub(super) struct SecretsFile {
    /// Path or URL of this file's JSON Schema, for editors.
    #[serde(rename = "$schema")]
    pub(super) schema: Option<String>,
    /// The connection to Redis.
    pub(super) redis: RedisSecrets,
    /// The connection to MongoDB.
    pub(super) mongodb: MongoSecrets,
    /// Alerts.
    pub(super) alerts: AlertsSecrets,
    /// The HTTP server.
    pub(super) http: HttpSecrets,
    /// The key of gossip.
    pub(super) gossip: GossipSecrets,
}

/// `mongodb.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MongoSecrets {
    /// The connection string, mongodb:// or mongodb+srv://. Setting it makes nodes record their heartbeats in MongoDB.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(super) uri: Option<String>,
}
