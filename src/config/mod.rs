//! Reads configuration files and environment variables and validates them into a [`Config`].
//!
//! 1. Precedence: environment, then secrets.json, then config.json, then the default. An empty variable counts as unset.
//! 2. All problems are reported together; a configuration with a problem is not used at all.
//! 3. No secret is ever shown, neither in a problem nor in a warning nor in the list of effective values.
//!
//! Not here: the effect of the settings (`crate::cluster::settings`, `crate::engine`).

mod alerts;
mod check;
mod environment;
mod frugal;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod gossip;
mod http;
mod keys;
mod layer;
mod legacy;
mod load;
mod plaintext;
mod problem;
mod redis;
pub mod schema;
mod settings;
mod sources;
mod validate;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use environment::NAMES as VARIABLES;
pub use gossip::place;
pub use load::{EffectiveValue, Loaded, load, load_with};
pub use plaintext::is_this_host;
pub use problem::{Problem, Problems, is_unsafe};
pub(crate) use problem::{escape, escape_json_lines};
pub use settings::{
    AlertFormat, AlertKind, AlertsConfig, Config, GossipConfig, HistoryConfig, Host, HttpConfig, LogFormat, LogLevel,
    LoggingConfig, MongoConfig, NodeConfig, RedisAddress, RedisConfig, RedisMode, RpcConfig, Secret, WaitReplicas,
};
pub use sources::Sources;
pub use validate::UriCheck;
