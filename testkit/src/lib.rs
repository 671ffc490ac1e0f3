//! What the tests of clawster stand on: a private Redis and mongod, node processes over real pipes, a faulty network, checkers, and the
//! cluster's state in memory ([`memory`]), for the simulator and as the second subject of the contract suite.
//!
//! 1. No part of the program: the program cannot depend on this crate, since it depends on the program's library.
//! 2. Every server and every node belongs to one test, listens on a place of its own and dies with it.
//! 3. Nothing here sleeps to synchronise: waits have a condition and a deadline, holds have a reason.
//! 4. Nothing but [`memory`] uses the library under test; all else knows only the words of the program's interface in JSON.
//!
//! Not here: what the program must do (`tests/`).

// What fails here fails a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

pub mod checker;
#[cfg(test)]
mod checker_tests;
pub mod cluster;
pub mod command;
pub mod exposition;
pub mod failover;
pub mod mcp;
#[cfg(feature = "memory")]
pub mod memory;
#[cfg(feature = "mongod")]
pub mod mongod;
pub mod proxy;
pub mod pty;
pub mod redis_server;
pub mod resp;
pub mod sampler;
pub mod schema;
pub mod serve;
pub mod stamps;
pub mod traffic;
pub mod turn;
pub mod wait;
pub mod wire;
pub mod wrapper;

pub use cluster::Trio;
pub use command::{clawster, program};
pub use failover::{RedisCluster, SentinelSet};
#[cfg(feature = "mongod")]
pub use mongod::Mongod;
pub use proxy::Proxy;
pub use pty::Pty;
pub use redis_server::{RedisOptions, RedisServer};
pub use serve::{Launch, Serve};
pub use wait::{Stamp, eventually, hold, stamp};
pub use wire::Note;
pub use wrapper::{Stamps, Wrapper};
