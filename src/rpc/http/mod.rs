//! HTTP for monitoring: metrics for Prometheus, and two probes.
//!
//! 1. It only reads; no request changes anything. The head of a request has at most `HEAD_BYTES`.
//! 2. A connection carries one request and ends within `CONNECTION_TIMEOUT`. Beyond `MAX_CONNECTIONS` open connections the oldest is
//!    closed, so that idle connections cannot lock out others.
//! 3. There is no authentication: the address is off by default, and an address that other hosts can reach causes a
//!    warning.
//!
//! Not here: the metrics (`crate::engine::metrics`), the pages (`pages.rs`).

mod pages;
#[cfg(test)]
mod tests;

use crate::engine::node::handle::Observed;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// How many connections are served at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long a connection may take, from its beginning to the last byte of the answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the head of its request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of that head.
const HEAD_BYTES: usize = 16 << 10;
/// How long answers under way are waited for at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);
/// The pause after the system had no connection to give.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// An address that is taken and served later.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { listener: TcpListener::from_std(listener)?, address })
    }

    /// The address that it has.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true, or its sender is dropped.
    pub async fn serve<N: Observed>(self, node: Arc<N>, mut stop: watch::Receiver<bool>) {
        // In a set, so that nothing goes on when this future is dropped.
        let mut connections = JoinSet::new();
        let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
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
                Ok((stream, _)) => {
                    open.retain(|connection| !connection.is_finished());
                    if open.len() >= MAX_CONNECTIONS
                        && let Some(oldest) = open.pop_front()
                    {
                        oldest.abort();
                    }
                    open.push_back(connections.spawn(serve_one(stream, Arc::clone(&node))));
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

async fn serve_one<N: Observed>(stream: TcpStream, node: Arc<N>) {
    let service = service_fn(|request| {
        let node = Arc::clone(&node);
        async move { Ok::<_, Infallible>(pages::answer(&*node, &request).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false).max_buf_size(HEAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection ended early"),
        Err(_) => tracing::debug!("an HTTP connection took too long; closed it"),
    }
}
