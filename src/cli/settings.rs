//! Loads the configuration for the commands.
//!
//! 1. `--node` overrides every other source of the node's id.
//!
//! Not here: files and variables (`crate::config`).

use super::Environment;
use super::options::Global;
use super::outcome::Failure;
use crate::cluster::ids::NodeId;
use crate::cluster::members::member::Metadata;
use crate::config::{self, Config, Loaded, Problems, RedisAddress, RedisMode, Secret, Sources};
use crate::embedded::{self, Remembered, Seek};
use crate::store::configured_history::Stores;
use crate::store::redis::{Address, Certificates, Confirmations, Login, Target};

/// Loads the configuration together with its warnings and the source of each value.
///
/// # Errors
/// All problems, together.
pub(super) fn load_all(global: &Global, environment: &Environment) -> Result<Loaded, Problems> {
    let sources = Sources {
        flag_dir: global.config.clone(),
        env: environment.variables.clone(),
        cwd: environment.folder.clone(),
    };
    config::load_with(&sources, crate::store::mongodb::check_uri)
}

/// Loads the configuration.
///
/// # Errors
/// [`Failure::Failed`] with all problems, [`Failure::Usage`] for an invalid `--node`.
pub(super) fn load(global: &Global, environment: &Environment) -> Result<Config, Failure> {
    let loaded = load_all(global, environment).map_err(|problems| Failure::Failed(problems.to_string()))?;
    with_node(loaded.config, global)
}

/// Replaces the configured node id by the one of `--node`.
///
/// # Errors
/// [`Failure::Usage`] when that is not a valid id.
pub(super) fn with_node(mut config: Config, global: &Global) -> Result<Config, Failure> {
    if let Some(text) = &global.node {
        let id = NodeId::new(text.as_str()).map_err(|error| Failure::Usage(format!("--node: {error}")))?;
        config.node.id = Some(id);
    }
    Ok(config)
}

/// Where to look for a server program for the private Redis.
#[must_use]
pub(super) fn seek(config: &Config, environment: &Environment) -> Seek {
    let program = config.redis_server.as_ref().map(|path| path.as_os_str().to_owned());
    let mut seek = Seek::new(|name| environment.get(name).map(Into::into));
    seek.program = program.or(seek.program);
    seek.reaper = Some(embedded::own_program());
    seek
}

/// The configured Redis. In mode `embedded` its address must have been decided before; see `settle.rs`.
#[must_use]
pub(super) fn target(config: &Config) -> Target {
    let redis = &config.redis;
    let login = |username: &Option<String>, password: &Option<Secret>| Login {
        username: username.clone(),
        password: password.as_ref().map(|password| password.expose().to_owned()),
    };
    let nodes = || redis.nodes.clone();
    Target {
        address: match (&redis.mode, &redis.address) {
            (RedisMode::Sentinel, _) => {
                Address::Sentinel { nodes: nodes(), master_name: redis.master_name.clone().unwrap_or_default() }
            }
            (RedisMode::Cluster, _) => Address::Cluster { nodes: nodes() },
            (_, RedisAddress::Unix(path)) => Address::Unix(path.clone()),
            (_, RedisAddress::Tcp { host, port }) => Address::Tcp { host: host.clone(), port: *port, tls: redis.tls },
        },
        db: redis.db,
        login: login(&redis.username, &redis.password),
        sentinel_login: login(&redis.sentinel_username, &redis.sentinel_password),
        certificates: Certificates {
            tls: redis.tls,
            ca_file: redis.ca_file.clone(),
            client: redis.client_certificate.clone(),
        },
        announce: redis.announce.clone(),
        confirmations: Confirmations { replicas: redis.confirmations, messages: redis.wait_messages },
    }
}

/// The word for a mode of Redis.
#[must_use]
pub(super) fn mode_word(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Standalone => "standalone",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
        RedisMode::Embedded => "embedded",
    }
}

/// The configured store of the history; `None`: no history is kept. It connects with the first use.
///
/// # Errors
/// [`Failure::Failed`] when `mongodb.uri` is not a valid connection string.
pub(super) fn history(config: &Config) -> Result<Option<Stores>, Failure> {
    if config.mongodb.uri.is_none() && config.history.recent.is_zero() {
        return Ok(None);
    }
    Stores::new(config, &target(config)).map(Some).map_err(|fault| Failure::Failed(fault.to_string()))
}

/// The configured Redis for read-only commands, and its mode: this host's private one if that is in use, running or not.
#[must_use]
pub(super) fn observed_target(config: &Config) -> (Target, &'static str) {
    let mut config = config.clone();
    let private = match config.redis.mode {
        RedisMode::Embedded => true,
        _ => !config.redis.configured && embedded::remembered(&config.state_dir) == Some(Remembered::Embedded),
    };
    if private {
        config.redis.use_private(embedded::socket_path(&config.state_dir));
    }
    (target(&config), mode_word(config.redis.mode))
}

/// The node's metadata: as configured, with version and candidacy filled in.
#[must_use]
pub(super) fn metadata(config: &Config) -> Metadata {
    let mut metadata = config.node.metadata.clone();
    env!("CARGO_PKG_VERSION").clone_into(&mut metadata.version);
    metadata.candidate = config.leader.candidate;
    metadata
}
