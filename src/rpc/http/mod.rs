//! HTTP: the page, metrics, probes, JSON-RPC and events on one address.
//!
//! In reading order: `access` says who may ask for what, `site` holds what is served, `route` finds the answer to a request, `page`, `pages`, `calls`, `events` and `mcp` give the
//! answers, `answer` builds responses, `connection` serves one client, `stall` bounds a client that does not read.
//!
//! 1. A connection carries one request. It ends within `CONNECTION_TIMEOUT`, unless a call or an event stream got a place of its own.
//! 2. Beyond `MAX_CONNECTIONS` connections without such a place the oldest is closed, so that idle connections cannot lock out others.
//! 3. Calls, waiting calls and event streams are each limited; beyond that a request is refused with 429.
//!
//! Not here: the metrics (`crate::engine::metrics`), the methods (`crate::rpc::methods`).

mod access;
mod answer;
mod calls;
mod connection;
mod events;
mod exchange;
mod mcp;
mod page;
mod pages;
mod route;
mod site;
mod stall;
#[cfg(test)]
mod tests;
mod tls;

pub use access::Access;
pub use mcp::SocketPath;
pub use page::PAGE;
pub use site::{Painter, Site};
pub use tls::{TlsFault, TlsFiles};

use crate::engine::node::handle::Node;
use connection::serve_one;
use exchange::Exchange;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// How many connections without a place of their own are served at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long answers under way are waited for at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);
/// The pause after the system had no connection to give.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// An address that is taken and served later.
pub struct HttpListener {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

impl std::fmt::Debug for HttpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpListener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl HttpListener {
    /// Takes an address; must be called within a runtime.
    ///
    /// # Errors
    /// [`std::io::Error`] when another process has it, or this host does not.
    pub fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener: TcpListener::from_std(listener)?, address, tls: None })
    }

    /// Serves with TLS.
    #[must_use]
    pub fn with_tls(self, files: TlsFiles) -> Self {
        Self { tls: Some(files.acceptor()), ..self }
    }

    /// The address that it has.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true, or its sender is dropped.
    pub async fn serve<N: Node>(self, site: Site<N>, mut stop: watch::Receiver<bool>) {
        let site = Arc::new(site);
        // In a set, so that nothing goes on when this future is dropped.
        let mut connections = JoinSet::new();
        let mut open: VecDeque<(AbortHandle, Arc<Exchange>)> = VecDeque::with_capacity(MAX_CONNECTIONS);
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    open.retain(|(connection, exchange)| !connection.is_finished() && !exchange.has_place());
                    if open.len() >= MAX_CONNECTIONS
                        && let Some((oldest, _)) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    let exchange = Arc::new(Exchange::new(peer, stop.clone()));
                    let serving = serve_one(stream, self.tls.clone(), Arc::clone(&site), Arc::clone(&exchange));
                    open.push_back((connections.spawn(serving), exchange));
                }
                Err(error) => {
                    // Of the client that went away, or there are no files left: then others need a moment, too.
                    tracing::debug!(%error, "cannot accept an HTTP connection; retrying");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
        drop(self.listener);
        let ending = async { while connections.join_next().await.is_some() {} };
        // What is not answered by then is cut off with its set.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, ending).await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("an HTTP request failed unexpectedly; its client gets no answer");
    }
}
