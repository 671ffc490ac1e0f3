//! MCP over HTTP (Streamable HTTP): the tools of `clawster mcp` for hosts that reach this address.
//!
//! 1. Each request stands alone: there are no sessions, so nothing of a host that went away is left. Subscriptions need `clawster mcp`.
//! 2. A tool that changes something runs only for a caller with the token, also on loopback.
//! 3. Calls go through the node's socket, like those of every MCP session.
//!
//! Not here: the tools (`crate::rpc::mcp`), who asks (`access.rs`, `route.rs`).

use crate::rpc::mcp::{Attachment, Link, StatelessServer, ToolSet};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell, watch};

/// Tells where the node's socket is; the error is for people.
pub type SocketPath = Arc<dyn Fn() -> Result<PathBuf, String> + Send + Sync>;

type Service = StreamableHttpService<StatelessServer, NeverSessionManager>;

/// The MCP server of one address. It costs nothing before its first request.
pub(super) struct Mcp {
    socket: SocketPath,
    max_text_bytes: usize,
    service: OnceCell<Service>,
    attachment: watch::Sender<Attachment>,
    /// Where the attachment leads; held while that is changed.
    attached: Mutex<PathBuf>,
}

impl Mcp {
    pub(super) fn new(socket: SocketPath, max_text_bytes: usize) -> Self {
        let attachment = watch::Sender::new(Attachment::Seeking);
        Self { socket, max_text_bytes, service: OnceCell::new(), attachment, attached: Mutex::default() }
    }

    /// The service of the protocol.
    pub(super) async fn service(&self) -> Service {
        let make = || async {
            let server = StatelessServer::new(ToolSet::All, self.attachment.subscribe());
            let config = StreamableHttpServerConfig::default()
                .with_legacy_session_mode(false)
                .with_json_response(true)
                .with_max_request_body_bytes(self.max_text_bytes)
                // Checked before, by the rules of this address.
                .disable_allowed_hosts();
            Service::new(move || Ok(server.clone()), Arc::default(), config)
        };
        self.service.get_or_init(make).await.clone()
    }

    /// Connects to the node's socket, unless that is done; it moves with the node's id.
    pub(super) async fn attach(&self) {
        let mut attached = self.attached.lock().await;
        let path = match (self.socket)() {
            Ok(path) => path,
            Err(why) => return drop(self.attachment.send_replace(Attachment::Trouble(why))),
        };
        let live = matches!(&*self.attachment.borrow(), Attachment::Node(link) if !link.is_lost());
        if live && *attached == path {
            return;
        }
        let now = match Link::connect(&path).await {
            Ok(link) => Attachment::Node(Arc::new(link)),
            Err(error) => Attachment::Trouble(error.to_string()),
        };
        *attached = path;
        self.attachment.send_replace(now);
    }
}
