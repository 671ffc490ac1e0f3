//! The methods of a running node, ready to be called.
//!
//! 1. A call ends in exactly one outcome; a handler that panics ends in `internal_error` and harms no other call.
//! 2. What waits for an answer to be written travels with the answer, and is dropped with it.
//!
//! Not here: which methods there are (`methods/`), ids and batches (`batch.rs`).

use super::errors::{ERROR_KINDS, ErrorKind, RpcError, shown};
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
use jsonrpsee::{ConnectionId, Extensions, MethodCallback, MethodResponse, Methods, RpcModule};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tracing::field::Empty;
use tracing::{Span, debug_span};

/// What the methods tell of the process and do not learn from the node.
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
    /// The rest.
    pub(crate) info: ServerInfo,
}

/// What waits for an answer to have been written.
pub(crate) enum AfterWrite {
    /// Messages that count as acknowledged then.
    Delivered(Delivery),
    /// Leases or tasks that are given back unless it is.
    Handed(Handout),
    /// A subscription that sends its first event then.
    Start(oneshot::Sender<()>),
}

impl AfterWrite {
    /// The answer has been written.
    pub(crate) fn written(self) {
        match self {
            Self::Delivered(delivery) => delivery.written(),
            Self::Handed(handout) => handout.written(),
            // The subscription may have ended meanwhile.
            Self::Start(start) => drop(start.send(())),
        }
    }
}

/// Where a handler puts what waits for its answer.
#[derive(Clone, Default)]
struct AfterWriteList(Arc<Mutex<Vec<AfterWrite>>>);

/// One call on its way to a handler.
pub(crate) struct Call<N> {
    /// What every handler can reach.
    pub(crate) context: Arc<Context<N>>,
    /// The client's connection.
    pub(crate) session: Option<Arc<Session>>,
    slot: AfterWriteList,
}

impl<N> Call<N> {
    fn new(context: Arc<Context<N>>, extensions: &Extensions) -> Self {
        let session = extensions.get::<Arc<Session>>().cloned();
        let slot = extensions.get::<AfterWriteList>().cloned().unwrap_or_default();
        Self { context, session, slot }
    }

    /// Notes something that waits for the answer to be written.
    pub(crate) fn after_write(&self, what: AfterWrite) {
        self.slot.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

/// What a handler's outcome comes as: JSON text, so that all handlers have one type and the library's part exists once.
type Handling = BoxFuture<'static, Result<Box<RawValue>, ErrorObjectOwned>>;

/// Adds one method to a module: its parameters are read, its handler is run, its outcome is turned into JSON.
pub(crate) fn register<N: Node, M: methods::Method>(
    module: &mut RpcModule<Context<N>>,
) -> Result<(), RegisterMethodError> {
    let handle: fn(Params<'static>, Arc<Context<N>>, Extensions) -> Handling = |params, context, extensions| {
        Box::pin(async move {
            let call = Call::new(context, &extensions);
            let parsed = super::params::parse::<M::Params>(params.as_str());
            // A call may wait for long; its text is not needed for that.
            drop(params);
            let outcome = match parsed {
                Ok(params) => M::handle(call, params).await,
                Err(error) => Err(error),
            };
            outcome.and_then(|result| text_of(M::NAME, &result)).map_err(ErrorObjectOwned::from)
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

/// What a call ended in.
pub(crate) struct Outcome {
    /// `"result":…}` or `"error":…}`, to be put behind an id.
    pub(crate) tail: String,
    /// What waits for it to be written.
    pub(crate) after: Vec<AfterWrite>,
}

/// Every answer of the module begins like this, because it is called with this id; the client's own goes in its place.
const HEAD: &str = r#"{"jsonrpc":"2.0","id":0,"#;

impl Outcome {
    /// An outcome that is an error.
    pub(crate) fn error(error: RpcError) -> Self {
        let response = MethodResponse::error(Id::Number(0), ErrorObjectOwned::from(error));
        let tail = response.as_ref().strip_prefix(HEAD).unwrap_or_default().to_owned();
        Self { tail, after: Vec::new() }
    }

    /// The word for the error that it is; `None`: it is a result.
    fn error_kind(&self) -> Option<&'static str> {
        let code = self.tail.strip_prefix(r#""error":{"code":"#)?;
        let code = code.split_once(',').map_or(code, |(code, _)| code);
        let known = ERROR_KINDS.iter().find(|kind| kind.code().to_string() == code);
        Some(known.map_or("other", |kind| kind.name()))
    }

    /// Says in the request's span how it ended.
    pub(crate) fn tell(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        let failed = self.tail.starts_with(r#""error""#);
        span.record("outcome", if failed { "error" } else { "ok" });
        if failed {
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
    /// What its clients come by, for the log.
    connection: &'static str,
}

/// Where requests are counted, by method; the names that do not exist count as one.
#[derive(Debug)]
struct Meters {
    by_method: HashMap<&'static str, RequestMeter>,
    unknown: RequestMeter,
}

/// The requests of this process, numbered for the log.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

impl Module {
    /// The methods over a node.
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

    /// The same methods for clients that come by something else than the socket.
    pub(crate) fn over(&self, connection: &'static str) -> Self {
        Self { connection, ..self.clone() }
    }

    /// The span of a request. Of what its client wrote it holds the method, if there is one, and of which kind the id is.
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
        meter.count(clock::now().since(began), outcome.error_kind());
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
        let slot = AfterWriteList::default();
        let mut extensions = Extensions::new();
        extensions.insert(Arc::clone(session));
        extensions.insert(slot.clone());
        // The text is held once: this copy goes to the handler, which drops it when it is read.
        let owned = Params::new(params.as_deref().map(RawValue::get)).into_owned();
        drop(params);
        let run =
            AssertUnwindSafe(async { callback(Id::Number(0), owned, ConnectionId(0), usize::MAX, extensions).await });
        let Ok(response) = run.catch_unwind().await else {
            tracing::error!(method = name, "a handler panicked; its caller got an internal error");
            let text = format!("internal error: {name} failed unexpectedly; see the log");
            return Outcome::error(RpcError::new(ErrorKind::InternalError, text));
        };
        let after = std::mem::take(&mut *slot.0.lock().unwrap_or_else(PoisonError::into_inner));
        let (json, _, _) = response.into_parts();
        match json.get().strip_prefix(HEAD) {
            Some(tail) => Outcome { tail: tail.to_owned(), after },
            None => {
                tracing::error!(method = name, "an answer does not begin as expected");
                Outcome::error(RpcError::new(ErrorKind::InternalError, "internal error: see the log"))
            }
        }
    }
}
