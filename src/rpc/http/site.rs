//! What one server serves from: the node, its methods, the rules and the limits.
//!
//! Not here: what is served under which path (`route.rs`).

use super::access::Access;
use super::mcp::{Mcp, SocketPath};
use crate::engine::node::handle::Node;
use crate::rpc::budget::Budget;
use crate::rpc::module::Module;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Draws the timeline of a window before now; the error is for people.
pub type Painter = Arc<dyn Fn(Duration) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// The maximum number of calls at a time, and of further calls that wait for something.
pub(super) const MAX_CALLS: usize = 64;
/// The maximum number of event streams at a time.
pub(super) const MAX_STREAMS: usize = 32;
/// The maximum number of bytes of requests that are worked on at a time, and of answers that wait to be written.
const HELD_BYTES: usize = 32 << 20;

/// What one server serves.
pub struct Site<N> {
    pub(super) node: Arc<N>,
    pub(super) module: Module,
    pub(super) access: Access,
    /// The maximum length of a JSON-RPC text, in bytes.
    pub(super) max_text_bytes: usize,
    pub(super) calls: Arc<Semaphore>,
    pub(super) waiting: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) pictures: Semaphore,
    pub(super) painter: Painter,
    pub(super) mcp: Mcp,
    pub(super) requests_held: Arc<Budget>,
    pub(super) answers_held: Arc<Budget>,
}

impl<N> std::fmt::Debug for Site<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("access", &self.access).finish_non_exhaustive()
    }
}

impl<N: Node> Site<N> {
    /// The pages and methods of a node. `max_text_bytes`: the maximum length of a JSON-RPC text. `painter` draws the history,
    /// `socket` tells where the node's socket is.
    #[must_use]
    pub fn new(
        node: Arc<N>,
        module: &Module,
        access: Access,
        max_text_bytes: usize,
        painter: Painter,
        socket: SocketPath,
    ) -> Self {
        Self {
            node,
            module: module.over("http"),
            access,
            max_text_bytes,
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            waiting: Arc::new(Semaphore::new(MAX_CALLS)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            pictures: Semaphore::new(1),
            painter,
            mcp: Mcp::new(socket, max_text_bytes),
            requests_held: Budget::new(HELD_BYTES),
            answers_held: Budget::new(HELD_BYTES),
        }
    }
}
