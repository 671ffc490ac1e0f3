//! The methods of a running node, ready to be called.
//!
//! 1. A call ends in exactly one outcome; a handler that panics ends in `internal_error` and harms no other call.
//!
//! Not here: the methods themselves (`methods/`), what a method is (`method.rs`), ids and batches (`batch.rs`).

use super::context::{Context, ServerInfo};
use super::errors::{ErrorKind, RpcError, shown};
use super::kept_state::KeptState;
use super::method::{Handled, Slot};
use super::outgoing::Outcome;
use super::subscription::Session;
use super::{methods, openrpc, request};
use crate::clock;
use crate::engine::host_watch::HostWatch;
use crate::engine::metrics::RequestMeter;
use crate::engine::node::handle::Node;
use futures_util::FutureExt;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::{Id, Params};
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, RpcModule};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// The methods of a running node. Cheap to clone; all clones reach the same node.
#[derive(Debug, Clone)]
pub struct Module {
    table: Arc<Table>,
    /// The transport of its clients, for the log.
    connection: &'static str,
}

/// The methods by name, each with its metrics; unknown methods share theirs.
#[derive(Debug)]
struct Table {
    methods: HashMap<&'static str, (MethodCallback, RequestMeter)>,
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
        let mut module = RpcModule::new(Context {
            node,
            info,
            kept_state: KeptState::default(),
            host: HostWatch::default(),
            describe: openrpc::document,
        });
        methods::register_all(&mut module)?;
        let known = |name| Some((name, (module.method(name)?.clone(), metrics.requests_of(name))));
        let methods = module.method_names().filter_map(known).collect();
        let table = Arc::new(Table { methods, unknown: metrics.requests_of("unknown") });
        Ok(Self { table, connection: "socket" })
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
            method = self.table.methods.get_key_value(call.method.as_str()).map_or("unknown", |(name, _)| name),
            connection = self.connection,
            id_kind = call.id_kind(),
            outcome = Empty,
            otel.kind = "server",
            otel.status_code = Empty,
        )
    }

    /// Runs one call, and counts it.
    pub(crate) async fn call(&self, session: &Arc<Session>, method: &str, params: Option<request::Params>) -> Outcome {
        let began = clock::now();
        let (outcome, meter) = match self.table.methods.get_key_value(method) {
            Some((name, (callback, meter))) => {
                let slot = Slot::of(session, params);
                slot.lock().from_host = self.connection == "stdio";
                (run(name, callback, slot).await, meter)
            }
            None => {
                let text = format!("there is no method {}; rpc.discover lists the methods", shown(method));
                (Outcome::error(RpcError::new(ErrorKind::MethodNotFound, text)), &self.table.unknown)
            }
        };
        meter.count(clock::now().since(began), outcome.error.map(ErrorKind::name));
        outcome
    }
}

async fn run(name: &'static str, callback: &MethodCallback, slot: Slot) -> Outcome {
    let MethodCallback::Async(callback) = callback else {
        let text = format!("{name} is not callable; this is a defect");
        return Outcome::error(RpcError::new(ErrorKind::InternalError, text));
    };
    let mut extensions = Extensions::new();
    extensions.insert(slot.clone());
    let run = AssertUnwindSafe(async {
        callback(Id::Number(0), Params::new(None), ConnectionId(0), usize::MAX, extensions).await
    });
    if run.catch_unwind().await.is_err() {
        tracing::error!(method = name, "a handler panicked; its caller got an internal error");
        let text = format!("internal error: {name} failed unexpectedly; see the log");
        return Outcome::error(RpcError::new(ErrorKind::InternalError, text));
    }
    let Handled { outcome, after, .. } = std::mem::take(&mut *slot.lock());
    match outcome {
        Some(Ok(result)) => Outcome::result(result, after),
        Some(Err(error)) => Outcome { after, ..Outcome::error(error) },
        None => {
            tracing::error!(method = name, "a handler left no outcome; its caller got an internal error");
            Outcome::error(RpcError::new(ErrorKind::InternalError, "internal error: see the log"))
        }
    }
}
