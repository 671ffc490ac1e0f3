//! `clawster mcp` as its hosts see it.
//!
//! `protocol`: what a session says and answers. `host_tasks`: calls that wait for long. `app`: the page for the chat.
//! `sessions`: how several of them, and a `clawster serve`, share one node.

mod app;
mod host_tasks;
mod protocol;
mod sessions;

use std::path::Path;
use testkit::{Launch, RedisServer};

/// How a session of a host without a configured node id is started.
fn anonymous(dir: &Path, redis: &RedisServer) -> Launch {
    Launch::new(dir, "host").env("OPENCLAW_NODE_ID", "").redis(redis).brisk()
}
