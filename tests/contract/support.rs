//! What this suite takes from the harness of all tests: private Redis and MongoDB servers and waits with a deadline.

#[path = "../support/mongod.rs"]
pub mod mongod;
#[path = "../support/redis_server.rs"]
pub mod redis_server;
#[path = "../support/resp.rs"]
pub mod resp;
#[path = "../support/turn.rs"]
pub mod turn;
#[path = "../support/wait.rs"]
pub mod wait;

pub use mongod::Mongod;
pub use redis_server::{RedisOptions, RedisServer};
pub use wait::{eventually, stamp};
