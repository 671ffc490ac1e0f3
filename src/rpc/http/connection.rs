//! Serving one client: TLS, one request, its deadline.
//!
//! 1. What waits for an answer to be written (`AfterWrite`) runs only after the connection has ended without an error, which is after the
//!    last byte was handed to the system.
//! 2. Until the request has been answered, the connection ends at its deadline; a place of its own lifts that for as long as the call or
//!    the stream runs.
//!
//! Not here: what is answered (`site.rs`), who is served (`mod.rs`).

use super::exchange::Exchange;
use super::site::Site;
use super::stall::Guarded;
use crate::engine::node::handle::Node;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// How long the head of its request, or the handshake of TLS, may take.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take nothing of what is written to it.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of a request's head, and of what is buffered for a client.
const HEAD_BYTES: usize = 16 << 10;

pub(super) async fn serve_one<N: Node>(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    site: Arc<Site<N>>,
    exchange: Arc<Exchange>,
) {
    // An answer is written whole; nothing is gained by waiting for more of it.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, site, exchange).await };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve(stream, site, exchange).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn serve<N: Node, S>(stream: S, site: Arc<Site<N>>, exchange: Arc<Exchange>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = service_fn(|request| {
        let (site, exchange) = (Arc::clone(&site), Arc::clone(&exchange));
        async move { Ok::<_, Infallible>(site.answer(request, &exchange).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(false).max_buf_size(HEAD_BYTES);
    let connection = server.serve_connection(TokioIo::new(Guarded::new(stream, STALL_TIMEOUT)), service);
    tokio::select! {
        ended = connection => match ended {
            Ok(()) => exchange.written(),
            Err(error) => tracing::debug!(%error, "an HTTP connection ended early"),
        },
        () = exchange.deadline() => tracing::debug!("an HTTP connection took too long; closed it"),
    }
}
