//! clawster turns several OpenClaw gateways into one cluster.
//!
//! The modules in reading order; each may use only those above it:
//!
//! - [`cluster`]: the rules, pure: no I/O, no clock, no randomness.
//! - [`store`]: the cluster's shared state, in domain verbs, on Redis.
//! - [`engine`]: a running node: timers, connections, the outbox.
//! - [`rpc`]: JSON-RPC over stdio and a unix socket.
//! - [`cli`]: the commands.
//!
//! Independent of them are [`config`], [`embedded`] (a private Redis server), [`guard`] (a command with limits) and [`logging`], which
//! know nothing about clusters, [`clock`], the only module that reads clocks, [`signals`], and `private_folder`.

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod embedded;
pub mod engine;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod guard;
pub mod logging;
pub(crate) mod private_folder;
pub mod rpc;
pub mod signals;
pub mod store;
