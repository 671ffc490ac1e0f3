//! The validated configuration, as plain data.
//!
//! 1. A value that stands here is within its bounds and fits the others.
//! 2. A [`Secret`] shows itself to nobody who does not ask for it by name.
//!
//! Not here: where the values come from (`sources.rs`), what they mean for the cluster (`crate::cluster::settings`).

use crate::cluster::ids::{ClusterName, NodeId};
use crate::cluster::members::member::Metadata;
use crate::cluster::settings::{LeaderSettings, Retry, SyncSettings, Timing};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that a node is told from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This node.
    pub node: NodeConfig,
    /// The cluster's name.
    pub cluster: ClusterName,
    /// The times of the cluster, as this node would set them.
    pub timing: Timing,
    /// This node's part in elections.
    pub leader: LeaderSettings,
    /// Bounds of the message sync.
    pub sync: SyncSettings,
    /// Where Redis is.
    pub redis: RedisConfig,
    /// Where heartbeats are recorded.
    pub mongodb: MongoConfig,
    /// Recent history, where no MongoDB is configured.
    pub history: HistoryConfig,
    /// Logs.
    pub logging: LoggingConfig,
    /// Metrics.
    pub metrics: MetricsConfig,
    /// The JSON-RPC server.
    pub rpc: RpcConfig,
    /// Where the node keeps what must survive it; absolute, may not exist yet.
    pub state_dir: PathBuf,
    /// The folder that config.json and secrets.json were looked for in; `None` when there is none.
    pub config_dir: Option<PathBuf>,
    /// The program to start for an embedded Redis, from CLAWSTER_REDIS_SERVER; `None`: `redis-server` of the PATH.
    pub redis_server: Option<PathBuf>,
    /// The variables of this process that hold secrets: a command that is run for a user gets none of them.
    pub secret_variables: Vec<String>,
}

/// This node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Its id; `None`: generated.
    pub id: Option<NodeId>,
    /// What it tells about itself when it joins; version and candidacy are filled in.
    pub metadata: Metadata,
    /// Whether it joins by itself at start.
    pub auto_join: bool,
    /// How a failed heartbeat is tried again.
    pub retry: Retry,
}

/// What kind of Redis there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedisMode {
    /// One address.
    Standalone,
    /// Sentinels name the primary; not supported yet, so never in a [`Config`].
    Sentinel,
    /// Redis Cluster; not supported yet, so never in a [`Config`].
    Cluster,
    /// A private server that nodes of this host share.
    Embedded,
}

/// How many replicas confirm a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReplicas {
    /// None; the primary alone.
    None,
    /// More than half; not supported yet, so never in a [`Config`].
    Majority,
    /// All; not supported yet, so never in a [`Config`].
    All,
}

/// Where a Redis listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// A TCP port.
    Tcp {
        /// Name or address, IPv6 without brackets.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A unix socket, absolute.
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

/// How to reach Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Whether any `redis.*` key or variable was given at all.
    pub configured: bool,
    /// What kind of Redis it is.
    pub mode: RedisMode,
    /// Where it listens; of no meaning in mode embedded.
    pub address: RedisAddress,
    /// The number of the database.
    pub db: u32,
    /// The user; `None`: the default user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// Whether to use TLS; never with a unix socket.
    pub tls: bool,
    /// Addresses of sentinels or cluster nodes.
    pub nodes: Vec<String>,
    /// The sentinels' name for the master.
    pub master_name: Option<String>,
    /// How many replicas confirm a grant.
    pub wait_replicas: WaitReplicas,
}

impl RedisConfig {
    /// Means the private server at this socket, to which no credentials and no database number of another one go.
    pub fn use_private(&mut self, socket: PathBuf) {
        self.mode = RedisMode::Embedded;
        self.address = RedisAddress::Unix(socket);
        self.db = 0;
        self.username = None;
        self.password = None;
        self.tls = false;
    }
}

/// Where heartbeats are recorded.
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

/// Recent history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    /// How long Redis keeps heartbeats where no MongoDB is configured, at most a week; zero: not at all.
    pub recent: Duration,
}

/// The least severe lines that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
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

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggingConfig {
    /// The least severe lines that are written.
    pub level: LogLevel,
    /// How they look.
    pub format: LogFormat,
    /// The file, absolute; `None`: no file.
    pub file: Option<PathBuf>,
    /// Bytes after which it is rotated.
    pub max_bytes: u64,
    /// How many rotated files are kept.
    pub backup_count: u32,
    /// Whether lines go to /dev/log where there is one.
    pub syslog: bool,
}

/// Metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Where they are served; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// The file or variable that says so, for messages.
    pub place: String,
}

/// The JSON-RPC server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RpcConfig {
    /// The longest line that a client may send, in bytes.
    pub max_line_bytes: usize,
}

/// A text that is never shown: Debug and Display write `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; for the connection that needs it, never for a log line or an error.
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
