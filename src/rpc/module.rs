//! The methods of a running node, ready to be called.
//!
//! 1. A call ends in exactly one outcome; a handler that panics ends in `internal_error` and harms no other call.
//!
//! Not here: the methods themselves (`methods/`), what a method is (`method.rs`), ids and batches (`batch.rs`).

use super::context::{Context, ServerInfo};
use super::errors::{ErrorKind, RpcError, shown};
use super::method::{Handled, Slot};
use super::outgoing::Outcome;
use super::subscription::Session;
use super::{methods, openrpc, request};
use crate::clock;
use crate::engine::metrics::RequestMeter;
use crate::engine::node::handle::Node;
use futures_util::FutureExt;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::{Id, Params};
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, Methods, RpcModule};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// The methods of a running node. Cheap to clone; all clones reach the same node.
#[derive(Debug, Clone)]
pub struct Module {
    methods: Methods,
    meters: Arc<Meters>,
    /// The transport of its clients, for the log.
    connection: &'static str,
}

/// The metrics of requests, by method; unknown methods share one.
#[derive(Debug)]
struct Meters {
    by_method: HashMap<&'static str, RequestMeter>,
    unknown: RequestMeter,
}

/// The requests of this process, numbered for the log.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

impl Module {
    /// The methods of a node.
    ///
    /// # Errors
    /// When two methods have the same name, which is a defect of the table in `methods/`.
    pub fn new<N: Node>(node: Arc<N>, info: ServerInfo) -> Result<Self, RegisterMethodError> {
        let metrics = Arc::clone(node.meters());
        let mut module = RpcModule::new(Context { node, info, describe: openrpc::document });
        methods::register_all(&mut module)?;
        let methods = Methods::from(module);
        let by_method = methods.method_names().map(|name| (name, metrics.requests_of(name))).collect();
        let meters = Arc::new(Meters { by_method, unknown: metrics.requests_of("unknown") });
        Ok(Self { methods, meters, connection: "socket" })
    }

    /// The same methods for clients of another transport than the socket.
    pub(crate) fn over(&self, connection: &'static str) -> Self {
        Self { connection, ..self.clone() }
    }

    /// The span of a request. From the client's text it has only the method, if that exists, and the type of the id.
    pub(crate) fn span(&self, call: &request::Call) -> Span {
        debug_span!(
            parent: None,
            "request",
            request = REQUESTS.fetch_add(1, Ordering::Relaxed),
            method = self.methods.method_with_name(&call.method).map_or("unknown", |(name, _)| name),
            connection = self.connection,
            id_kind = call.id_kind(),
            outcome = Empty,
            otel.kind = "server",
            otel.status_code = Empty,
        )
    }

    /// Runs one call, and counts it.
    pub(crate) async fn call(&self, session: &Arc<Session>, method: &str, params: Option<Box<RawValue>>) -> Outcome {
        let began = clock::now();
        let outcome = self.run(session, method, params).await;
        let meter = self.meters.by_method.get(method).unwrap_or(&self.meters.unknown);
        meter.count(clock::now().since(began), outcome.error.map(ErrorKind::name));
        outcome
    }

    async fn run(&self, session: &Arc<Session>, method: &str, params: Option<Box<RawValue>>) -> Outcome {
        let Some((name, callback)) = self.methods.method_with_name(method) else {
            let text = format!("there is no method {}; rpc.discover lists the methods", shown(method));
            return Outcome::error(RpcError::new(ErrorKind::MethodNotFound, text));
        };
        let MethodCallback::Async(callback) = callback else {
            let text = format!("{name} is not callable; this is a defect");
            return Outcome::error(RpcError::new(ErrorKind::InternalError, text));
        };
        let slot = Slot::default();
        let mut extensions = Extensions::new();
        extensions.insert(Arc::clone(session));
        extensions.insert(slot.clone());
        // Only one copy of the text is kept: this one goes to the handler, which drops it after reading.
        let owned = Params::new(params.as_deref().map(RawValue::get)).into_owned();
        drop(params);
        let run =
            AssertUnwindSafe(async { callback(Id::Number(0), owned, ConnectionId(0), usize::MAX, extensions).await });
        if run.catch_unwind().await.is_err() {
            tracing::error!(method = name, "a handler panicked; its caller got an internal error");
            let text = format!("internal error: {name} failed unexpectedly; see the log");
            return Outcome::error(RpcError::new(ErrorKind::InternalError, text));
        }
        let Handled { outcome, after } = std::mem::take(&mut *slot.lock());
        match outcome {
            Some(Ok(result)) => Outcome::result(&result, after),
            Some(Err(error)) => Outcome { after, ..Outcome::error(error) },
            None => {
                tracing::error!(method = name, "a handler left no outcome; its caller got an internal error");
                Outcome::error(RpcError::new(ErrorKind::InternalError, "internal error: see the log"))
            }
        }
    }
}
