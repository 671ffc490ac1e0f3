//! Serving one client: TLS, one request, its deadline.
//!
//! 1. What waits for an answer to be written (`AfterWrite`) runs only after the connection has ended without an error, which is after the
//!    last byte was handed to the system.
//! 2. Until the request has been answered, the connection ends at its deadline; a place of its own lifts that for as long as the call or
//!    the stream runs.
//!
//! Not here: what is answered (`site.rs`), who is served (`mod.rs`).

use super::site::Site;
use super::stall::Guarded;
use crate::clock;
use crate::cluster::time::Moment;
use crate::engine::node::handle::Node;
use crate::rpc::budget::Held;
use crate::rpc::outgoing::AfterWrite;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_rustls::TlsAcceptor;

/// How long a connection may take, from its beginning to the last byte of the answer.
pub(super) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the head of its request, or the handshake of TLS, may take.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the answer of a call may take to be read.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a client may take nothing of what is written to it.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// The most bytes of a request's head, and of what is buffered for a client.
const HEAD_BYTES: usize = 16 << 10;

/// What a connection and the answer to its request share.
pub(super) struct Exchange {
    /// The client's address.
    pub(super) peer: SocketAddr,
    /// Becomes true when the server stops.
    pub(super) stop: watch::Receiver<bool>,
    deadline: watch::Sender<Option<Moment>>,
    has_place: AtomicBool,
    after: Mutex<AfterAnswer>,
}

#[derive(Default)]
struct AfterAnswer {
    actions: Vec<AfterWrite>,
    /// Kept until the answer is written.
    _held: Vec<Held>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Exchange {
    pub(super) fn new(peer: SocketAddr, stop: watch::Receiver<bool>) -> Self {
        Self {
            peer,
            stop,
            deadline: watch::Sender::new(Some(clock::now() + CONNECTION_TIMEOUT)),
            has_place: AtomicBool::new(false),
            after: Mutex::default(),
        }
    }

    /// Whether the connection got a place of its own, and is not closed to make room for others.
    pub(super) fn has_place(&self) -> bool {
        self.has_place.load(Ordering::Relaxed)
    }

    /// Gives the connection a place of its own, without a deadline.
    pub(super) fn stay(&self) {
        self.has_place.store(true, Ordering::Relaxed);
        self.deadline.send_replace(None);
    }

    /// Takes what must be kept or done until and after the answer has been written, and sets the deadline for that.
    pub(super) fn answered(&self, actions: Vec<AfterWrite>, held: Vec<Held>, place: OwnedSemaphorePermit) {
        *self.after.lock().unwrap_or_else(PoisonError::into_inner) =
            AfterAnswer { actions, _held: held, _place: Some(place) };
        self.deadline.send_replace(Some(clock::now() + ANSWER_TIMEOUT));
    }

    /// Waits for the deadline; for ever while there is none.
    async fn deadline(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let at = *deadline.borrow_and_update();
            let passed = async {
                match at {
                    Some(at) => tokio::time::sleep(at.since(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = passed => return,
                changed = deadline.changed() => if changed.is_err() { return },
            }
        }
    }

    fn written(&self) {
        let after = std::mem::take(&mut *self.after.lock().unwrap_or_else(PoisonError::into_inner));
        after.actions.into_iter().for_each(AfterWrite::written);
    }
}

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
