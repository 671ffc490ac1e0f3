//! What the tests of the built binary stand on: a private Redis, node processes over real pipes, a faulty network, checkers.
//!
//! 1. Every server and every node belongs to one test, listens on a place of its own and dies with it.
//! 2. Nothing here sleeps to synchronise: waits have a condition and a deadline, holds have a reason.
//! 3. Nothing here uses the crate under test, but for the words of its interface in JSON.
//!
//! Not here: what the program must do (the modules of `tests/process`).

pub mod checker;
#[cfg(test)]
mod checker_tests;
pub mod cluster;
pub mod command;
pub mod exposition;
pub mod mcp;
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
pub use command::clawster;
pub use proxy::Proxy;
pub use pty::Pty;
pub use redis_server::{RedisOptions, RedisServer};
pub use serve::{Launch, Serve};
pub use wait::{Stamp, eventually, hold, stamp};
pub use wire::Note;
pub use wrapper::{Stamps, Wrapper};
