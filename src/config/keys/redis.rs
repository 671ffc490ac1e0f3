//! The keys of Redis: `redis.*` of config.json and of secrets.json.
//!
//! Not here: rules between them (`validate/servers.rs`), addresses from several layers (`config/redis.rs`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;

/// `redis.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedisKeys {
    /// The complete address: redis://host:port/db, rediss:// for TLS, or redis+unix:///path/to/socket?db=0. Not allowed together with host, port or tls in the same file. A password belongs in secrets.json.
    #[schemars(length(min = 1, max = 4096), extend("writeOnly" = true))]
    pub(crate) url: Option<String>,
    /// Host name or IP address of Redis. The name is resolved again for every connection.
    #[schemars(length(min = 1, max = 255))]
    pub(crate) host: String,
    /// TCP port of Redis.
    #[schemars(range(min = 1, max = 65_535))]
    pub(crate) port: u16,
    /// Number of the database. A Redis Cluster has only database 0.
    #[schemars(range(min = 0, max = 65_535))]
    pub(crate) db: u32,
    /// User name (Redis 6 and newer). Default: the default user.
    #[schemars(length(max = 1000))]
    pub(crate) username: Option<String>,
    /// Whether to connect with TLS, to sentinels as well.
    pub(crate) tls: bool,
    /// File with the certificates (PEM) of the authorities that sign the certificate of Redis, relative to the folder of this file. They replace the system's trust store. Read again for every connection.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) ca_file: Option<String>,
    /// File with the client certificate (PEM) that Redis asks for; together with `redis.key_file`.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) cert_file: Option<String>,
    /// File with the private key (PEM) of the client certificate.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) key_file: Option<String>,
    /// The kind of Redis.
    pub(crate) mode: RedisModeKey,
    /// Addresses (host:port) of the sentinels, or of some nodes of the Redis Cluster. Without a port: 26379 for sentinels, 6379 for a cluster.
    #[schemars(length(max = 100), inner(length(min = 1, max = 300)))]
    pub(crate) nodes: Vec<String>,
    /// The sentinels' name of the primary.
    #[schemars(length(min = 1, max = 200))]
    pub(crate) master_name: Option<String>,
    /// User name for the sentinels. Default: the sentinels' default user.
    #[schemars(length(max = 1000))]
    pub(crate) sentinel_username: Option<String>,
    /// Addresses to use in place of those that sentinels or cluster nodes announce, such as {"172.17.0.2:6379": "redis1.example:16379"}; for servers behind NAT or in containers. A name without a port stands for all ports of that host.
    #[schemars(extend("maxProperties" = 256, "propertyNames" = json!({"minLength": 1, "maxLength": 300})))]
    #[schemars(extend("additionalProperties" = json!({"type": "string", "minLength": 1, "maxLength": 300})))]
    pub(crate) announce: BTreeMap<String, String>,
    /// How many servers must have a grant or renewal of leadership or of a lease before it counts. Needs `redis.replicas`.
    pub(crate) wait_replicas: WaitReplicasKey,
    /// How many replicas the primary should have.
    #[schemars(range(min = 1, max = 32))]
    pub(crate) replicas: Option<u32>,
    /// Whether a sent message, too, counts as accepted by Redis only once `redis.wait_replicas` is met. Slower by one round trip to a replica.
    pub(crate) wait_messages: bool,
    /// For a Redis that is billed by the call: an idle node makes a fifth of the calls, and failures are noticed as much later. Changes the defaults of `node.heartbeat_interval` to 60, `node.heartbeat_ttl` to 180, `leader.lease_ttl` to 180 and `leader.presence_grace` to 10; a key that is set keeps its value. These are cluster settings.
    pub(crate) frugal: bool,
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
            ca_file: None,
            cert_file: None,
            key_file: None,
            mode: RedisModeKey::Standalone,
            nodes: Vec::new(),
            master_name: None,
            sentinel_username: None,
            announce: BTreeMap::new(),
            wait_replicas: WaitReplicasKey::None,
            replicas: None,
            wait_messages: false,
            frugal: false,
        }
    }
}

/// `redis.mode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RedisModeKey {
    /// One server, or one address that always reaches the primary.
    Standalone,
    /// Redis Sentinel: the sentinels in `redis.nodes` name the primary.
    Sentinel,
    /// Redis Cluster: the primary of the cluster's hash slot, found from the nodes in `redis.nodes`.
    Cluster,
    /// A private redis-server on a unix socket in the state directory, started by the node and shared by all nodes of this host.
    Embedded,
}

/// `redis.wait_replicas`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WaitReplicasKey {
    /// No replica; the primary's answer suffices.
    None,
    /// More than half of all servers, the primary included: 1 of 1 or 2 replicas, 2 of 3 or 4.
    Majority,
    /// Every replica.
    All,
}

/// `redis.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RedisSecrets {
    /// The complete address: redis://user:password@host:port/db, rediss:// for TLS, or redis+unix:///path/to/socket?db=0. Percent-encode special characters in user and password.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) url: Option<String>,
    /// Host name or IP address of Redis.
    #[schemars(length(max = 255))]
    pub(crate) host: Option<String>,
    /// TCP port of Redis.
    #[schemars(range(min = 1, max = 65_535))]
    pub(crate) port: Option<u16>,
    /// User name (Redis 6 and newer). Default: the default user.
    #[schemars(length(max = 1000))]
    pub(crate) username: Option<String>,
    /// Password of the user.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) password: Option<String>,
    /// Number of the database.
    #[schemars(range(min = 0, max = 65_535))]
    pub(crate) db: Option<u32>,
    /// User name for the sentinels.
    #[schemars(length(max = 1000))]
    pub(crate) sentinel_username: Option<String>,
    /// Password for the sentinels.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) sentinel_password: Option<String>,
}
