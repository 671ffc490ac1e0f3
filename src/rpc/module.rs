//! The methods of a running node, ready to be called.
//!
//! 1. A call ends in exactly one outcome; a handler that panics ends in `internal_error` and harms no other call.
//! 2. Actions that wait for an answer to be written stay with the answer, and are dropped with it.
//!
//! Not here: the methods themselves (`methods/`), ids and batches (`batch.rs`).

use super::errors::{ErrorKind, RpcError, shown};
use super::methods;
use super::request;
use super::subscription::Session;
use crate::clock;
use crate::cluster::ids::ClusterName;
use crate::engine::metrics::RequestMeter;
use crate::engine::node::handle::{Delivery, Handout, Node};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::{ErrorObjectOwned, Id, Params};
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, Methods, RpcModule};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// Facts about the process that the methods report and the node does not know.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// The cluster's name, for events.
    pub cluster: ClusterName,
    /// How Redis is run: `standalone`, `sentinel`, `cluster` or `embedded`.
    pub redis_mode: String,
    /// The version of this program, for the OpenRPC document.
    pub version: String,
}

/// What every handler can reach.
pub(crate) struct Context<N> {
    /// The node.
    pub(crate) node: Arc<N>,
    /// Facts about the process.
    pub(crate) info: ServerInfo,
}

/// An action to run once an answer has been written.
pub(crate) enum AfterWrite {
    /// Acknowledge the messages in it.
    Delivered(Delivery),
    /// Keep the leases or tasks in it, which are given back otherwise.
    Handed(Handout),
    /// Let a subscription send its first event.
    Start(oneshot::Sender<()>),
}

impl AfterWrite {
    /// Runs the action: the answer has been written.
    pub(crate) fn written(self) {
        match self {
            Self::Delivered(delivery) => delivery.written(),
            Self::Handed(handout) => handout.written(),
            // The subscription may have ended meanwhile.
            Self::Start(start) => drop(start.send(())),
        }
    }
}

/// What a handler leaves for its caller. It does not go through the library, whose answers are JSON text already.
#[derive(Default)]
struct Handled {
    /// The result as JSON, or the error.
    outcome: Option<Result<Box<RawValue>, RpcError>>,
    /// The actions to run once the answer has been written.
    after: Vec<AfterWrite>,
}

/// Where a handler leaves it.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Handled>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Handled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call on its way to a handler.
pub(crate) struct Call<N> {
    /// What every handler can reach.
    pub(crate) context: Arc<Context<N>>,
    /// The client's connection.
    pub(crate) session: Option<Arc<Session>>,
    slot: Slot,
}

impl<N> Call<N> {
    fn new(context: Arc<Context<N>>, extensions: &Extensions) -> Self {
        let session = extensions.get::<Arc<Session>>().cloned();
        let slot = extensions.get::<Slot>().cloned().unwrap_or_default();
        Self { context, session, slot }
    }

    /// Adds an action to run once the answer has been written.
    pub(crate) fn after_write(&self, what: AfterWrite) {
        self.slot.lock().after.push(what);
    }
}

/// A running handler; its outcome is in its [`Slot`] when it ends. One type for all handlers, so that the library's part exists once.
type Handling = BoxFuture<'static, ()>;

/// Adds one method to a module: reads its parameters, runs its handler, and leaves the outcome in the call's slot.
pub(crate) fn register<N: Node, M: methods::Method>(
    module: &mut RpcModule<Context<N>>,
) -> Result<(), RegisterMethodError> {
    let handle: fn(Params<'static>, Arc<Context<N>>, Extensions) -> Handling = |params, context, extensions| {
        Box::pin(async move {
            let call = Call::new(context, &extensions);
            let slot = call.slot.clone();
            let parsed = super::params::parse::<M::Params>(params.as_str());
            // A call may wait for long; it does not need its text any more.
            drop(params);
            let outcome = match parsed {
                Ok(params) => M::handle(call, params).await,
                Err(error) => Err(error),
            };
            let outcome = outcome.and_then(|result| text_of(M::NAME, &result));
            slot.lock().outcome = Some(outcome);
        })
    };
    module.register_async_method(M::NAME, handle)?;
    Ok(())
}

fn text_of(method: &'static str, result: &impl Serialize) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(result).map_err(|error| {
        tracing::error!(method, %error, "cannot write a result as JSON");
        RpcError::new(ErrorKind::InternalError, "internal error: see the log")
    })
}

/// The outcome of a call.
pub(crate) struct Outcome {
    /// `"result":…}` or `"error":…}`, to be put behind an id.
    pub(crate) tail: String,
    /// The kind of the error; `None`: it is a result.
    pub(crate) error: Option<ErrorKind>,
    /// The actions to run once the answer has been written.
    pub(crate) after: Vec<AfterWrite>,
}

/// The error object for an error that cannot be written as JSON, which is a defect.
const NO_JSON: &str = r#"{"code":-32603,"message":"internal error: see the log"}"#;

impl Outcome {
    /// An outcome that is an error.
    pub(crate) fn error(error: RpcError) -> Self {
        let kind = error.kind;
        let object = serde_json::to_string(&ErrorObjectOwned::from(error)).unwrap_or_else(|_| NO_JSON.to_owned());
        Self { tail: format!(r#""error":{object}}}"#), error: Some(kind), after: Vec::new() }
    }

    fn result(result: &RawValue, after: Vec<AfterWrite>) -> Self {
        Self { tail: format!(r#""result":{}}}"#, result.get()), error: None, after }
    }

    /// Records the outcome in the span of the request.
    pub(crate) fn record_in(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("outcome", if self.error.is_some() { "error" } else { "ok" });
        if self.error.is_some() {
            span.record("otel.status_code", "ERROR");
        }
    }

    /// The answer under an id, as JSON text.
    pub(crate) fn under(&self, id: &RawValue) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{},{}"#, id.get(), self.tail)
    }
}

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
        let mut module = RpcModule::new(Context { node, info });
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
