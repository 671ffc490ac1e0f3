//! The validated configuration, as plain data.
//!
//! 1. Every value here is within its bounds and consistent with the others.
//! 2. A [`Secret`] is only visible through [`Secret::expose`].
//!
//! Not here: where the values come from (`sources.rs`), what they mean for the cluster (`crate::cluster::settings`).

mod alerts;

pub use alerts::{AlertFormat, AlertKind, AlertsConfig};

use crate::cluster::ids::{ClusterName, NodeId};
use crate::cluster::members::member::Metadata;
use crate::cluster::settings::{LeaderSettings, Retry, SyncSettings, Timing};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The complete configuration of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This node.
    pub node: NodeConfig,
    /// The cluster's name.
    pub cluster: ClusterName,
    /// The cluster's timing as configured here; the cluster's own settings take precedence.
    pub timing: Timing,
    /// Candidacy, leader mode and presence grace as configured here.
    pub leader: LeaderSettings,
    /// Limits of messages and tasks.
    pub sync: SyncSettings,
    /// Questions between the agents of gateways.
    pub agents: AgentsConfig,
    /// The connection to Redis.
    pub redis: RedisConfig,
    /// The MongoDB that records heartbeats.
    pub mongodb: MongoConfig,
    /// The recent history in Redis, used without MongoDB.
    pub history: HistoryConfig,
    /// Logs.
    pub logging: LoggingConfig,
    /// Alerts.
    pub alerts: AlertsConfig,
    /// The HTTP server.
    pub http: HttpConfig,
    /// Gossip; `None`: off.
    pub gossip: Option<GossipConfig>,
    /// The JSON-RPC server.
    pub rpc: RpcConfig,
    /// The state directory: data that must survive the process. Absolute; may not exist yet.
    pub state_dir: PathBuf,
    /// The folder of config.json and secrets.json; `None` if no such folder was found.
    pub config_dir: Option<PathBuf>,
    /// The server program for the private Redis, from CLAWSTER_REDIS_SERVER; `None`: `redis-server` from PATH.
    pub redis_server: Option<PathBuf>,
    /// The names of environment variables that hold secrets; commands that this program runs do not get them.
    pub secret_variables: Vec<String>,
}

/// This node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node id; `None`: a generated one.
    pub id: Option<NodeId>,
    /// The node's metadata for the other members; version and candidacy are filled in later.
    pub metadata: Metadata,
    /// Whether the node joins at start.
    pub auto_join: bool,
    /// How often and after which delay a failed heartbeat is retried.
    pub retry: Retry,
}

/// Questions between the agents of gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentsConfig {
    /// Whether this node's clients may ask.
    pub ask: bool,
    /// Whose questions are accepted: node ids, or `*`.
    pub accept_from: Vec<String>,
    /// Whose questions may use tools: node ids, or `*`.
    pub tools_for: Vec<String>,
    /// The longest message in bytes.
    pub max_bytes: u32,
}

/// The kind of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// One server at one address.
    Standalone,
    /// Redis Sentinel.
    Sentinel,
    /// Redis Cluster.
    Cluster,
    /// A private server that all nodes of this host share.
    Embedded,
}

/// How many servers must have a grant or renewal before it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReplicas {
    /// The primary's answer suffices.
    None,
    /// More than half of all servers, the primary included.
    Majority,
    /// All replicas.
    All,
}

impl WaitReplicas {
    /// How many of `replicas` replicas must confirm; 0: none is asked.
    #[must_use]
    pub fn of(self, replicas: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Majority => replicas.div_ceil(2),
            Self::All => replicas,
        }
    }
}

/// The address of a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// A TCP port.
    Tcp {
        /// Host name or IP address, IPv6 without brackets.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// The absolute path of a unix socket.
    Unix(PathBuf),
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A host, and a port where one is named.
pub type Host = (String, Option<u16>);

/// The connection to Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Whether any `redis.*` key or variable is set.
    pub configured: bool,
    /// The kind of Redis.
    pub mode: RedisMode,
    /// Its address; has no effect in mode `embedded`.
    pub address: RedisAddress,
    /// The number of the database.
    pub db: u32,
    /// The user; `None`: the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Whether to use TLS; never with a unix socket.
    pub tls: bool,
    /// The file with the authorities that sign the server's certificate; `None`: the system's trust store.
    pub ca_file: Option<PathBuf>,
    /// The files with the client certificate and its key.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Sentinels or cluster nodes; never empty in those modes.
    pub nodes: Vec<(String, u16)>,
    /// The sentinels' name of the primary; always there in mode `sentinel`.
    pub master_name: Option<String>,
    /// The user at the sentinels.
    pub sentinel_username: Option<String>,
    /// The password for the sentinels.
    pub sentinel_password: Option<Secret>,
    /// Announced addresses, and those to use in their place; without a port: all ports of that host.
    pub announce: Vec<(Host, Host)>,
    /// How many replicas must confirm a grant or renewal; 0: none.
    pub confirmations: u32,
    /// Whether messages, too, wait for that many.
    pub wait_messages: bool,
}

impl RedisConfig {
    /// Switches to the private server at this socket; credentials and database number are dropped.
    pub fn use_private(&mut self, socket: PathBuf) {
        self.mode = RedisMode::Embedded;
        self.address = RedisAddress::Unix(socket);
        self.db = 0;
        self.username = None;
        self.password = None;
        self.tls = false;
        self.confirmations = 0;
    }
}

/// The MongoDB that records heartbeats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MongoConfig {
    /// The connection string; `None`: off.
    pub uri: Option<Secret>,
    /// The database.
    pub db: String,
    /// The collection.
    pub collection: String,
    /// Days until a sample is deleted, 1 to 36,500.
    pub retention_days: u32,
}

/// The recent history in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    /// How long Redis keeps heartbeats if no MongoDB is configured; at most a week, zero: not at all.
    pub recent: Duration,
}

/// The lowest severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
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

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Log output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// The lowest severity that is logged.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
    /// The absolute path of the log file; `None`: no file.
    pub file: Option<PathBuf>,
    /// Size in bytes at which the file is rotated.
    pub max_bytes: u64,
    /// How many rotated files are kept.
    pub backup_count: u32,
    /// Whether lines are also sent to /dev/log, if it exists.
    pub syslog: bool,
}

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Its address; `None`: off.
    pub listen: Option<SocketAddr>,
    /// The key that sets the address, for messages: `http.listen` or its earlier name.
    pub key: &'static str,
    /// The file or variable that sets it, for messages.
    pub place: String,
    /// What clients must send as `Authorization: Bearer`; `None`: nothing that needs it is served.
    pub token: Option<Secret>,
    /// Whether other hosts may be served without TLS.
    pub allow_plaintext: bool,
    /// Host names of the address besides IP addresses, localhost and the host's own name; in lower case.
    pub hosts: Vec<String>,
    /// The files of the TLS certificate and its private key; `None`: no TLS.
    pub tls_files: Option<(PathBuf, PathBuf)>,
}

/// Gossip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipConfig {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// Where the other nodes reach this one, as `host:port`.
    pub advertise: String,
    /// The configured addresses of other nodes, each as `host:port`.
    pub seeds: Vec<String>,
    /// The key, then the previous one, if any.
    pub keys: Vec<Secret>,
}

/// The JSON-RPC server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcConfig {
    /// The longest line a client may send, in bytes.
    pub max_line_bytes: usize,
}

/// A secret text: `Debug` and `Display` write `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the connection that needs it; never for a log line or an error.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
