//! What a method is: its description, and one call of it.
//!
//! Not here: the methods (`methods/`), their table (`methods/mod.rs`), running a call (`module.rs`).

use super::context::Context;
use super::errors::{ErrorKind, RpcError};
use super::outgoing::{AfterWrite, Written, written};
use super::params;
use super::request;
use super::subscription::Session;
use crate::engine::node::handle::Node;
use futures_util::future::BoxFuture;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::types::Params;
use jsonrpsee::{Extensions, RpcModule};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A method.
pub(crate) trait Method: 'static {
    /// The name on the wire.
    const NAME: &'static str;
    /// What the method does, in half a line.
    const SUMMARY: &'static str;
    /// What a caller should know, in a few sentences.
    const DESCRIPTION: &'static str;
    /// The errors that it can return, beside invalid parameters and internal errors.
    const ERRORS: &'static [ErrorKind];
    /// What a call changes in the cluster. The default is what the most careful host would assume.
    const EFFECT: Effect = Effect::CHANGES;
    /// The parameters, in the order of their positions.
    type Params: DeserializeOwned + JsonSchema + Send;
    /// The result.
    type Result: Serialize + JsonSchema + Clone + Send + 'static;

    /// Runs the method.
    fn handle<N: Node>(
        call: Call<N>,
        params: Self::Params,
    ) -> impl Future<Output = Result<Self::Result, RpcError>> + Send;

    /// Runs the method and writes its result. Only a method that keeps its result as text has one of its own.
    fn answer<N: Node>(call: Call<N>, params: Self::Params) -> impl Future<Output = Result<Written, RpcError>> + Send {
        async { written(Self::NAME, &Self::handle(call, params).await?) }
    }
}

/// What a call changes in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Effect {
    /// The call changes nothing.
    pub(crate) reads: bool,
    /// The call may take something away: leadership, a membership, work.
    pub(crate) destroys: bool,
    /// Repeating the call changes nothing more.
    pub(crate) repeatable: bool,
}

impl Effect {
    /// The call only reads.
    pub(crate) const READS: Self = Self { reads: true, destroys: false, repeatable: true };
    /// The call only reads, but what is private to the members: over HTTP it needs the token, as a change does.
    pub(crate) const READS_PRIVATE: Self = Self { reads: false, destroys: false, repeatable: true };
    /// The call adds something, and takes nothing away.
    pub(crate) const ADDS: Self = Self { reads: false, destroys: false, repeatable: false };
    /// The call adds something; repeating it adds nothing more.
    pub(crate) const ADDS_ONCE: Self = Self { reads: false, destroys: false, repeatable: true };
    /// The call may take something away; repeating it may take more away.
    pub(crate) const CHANGES: Self = Self { reads: false, destroys: true, repeatable: false };
    /// The call may take something away; repeating it changes nothing more.
    pub(crate) const SETTLES: Self = Self { reads: false, destroys: true, repeatable: true };
}

/// What caller and handler leave for each other. It does not go through the library, which would copy the parameters and write answers
/// of its own.
#[derive(Default)]
pub(super) struct Handled {
    /// The client's connection.
    pub(super) session: Option<Arc<Session>>,
    /// Whether the call came from the process that started this one, over its pipes.
    pub(super) from_host: bool,
    /// The parameters, until the handler has read them.
    pub(super) params: Option<request::Params>,
    /// The result, or the error.
    pub(super) outcome: Option<Result<Written, RpcError>>,
    /// The actions to run once the answer has been written.
    pub(super) after: Vec<AfterWrite>,
}

/// Where they leave it.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Handled>>);

impl Slot {
    /// The slot of a call.
    pub(super) fn of(session: &Arc<Session>, params: Option<request::Params>) -> Self {
        let session = Some(Arc::clone(session));
        Self(Arc::new(Mutex::new(Handled { session, params, ..Handled::default() })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Handled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call on its way to a handler.
pub(crate) struct Call<N> {
    /// What every handler can reach.
    pub(crate) context: Arc<Context<N>>,
    /// The client's connection.
    pub(crate) session: Option<Arc<Session>>,
    /// Whether the call came from the process that started this one, over its pipes.
    pub(crate) from_host: bool,
    slot: Slot,
}

impl<N> Call<N> {
    fn new(context: Arc<Context<N>>, slot: Slot) -> Self {
        let (session, from_host) = {
            let mut given = slot.lock();
            (given.session.take(), given.from_host)
        };
        Self { context, session, from_host, slot }
    }

    /// Adds an action to run once the answer has been written.
    pub(crate) fn after_write(&self, what: AfterWrite) {
        self.slot.lock().after.push(what);
    }
}

/// A running handler; its outcome is in its [`Slot`] when it ends. One type for all handlers, so that the library's part exists once.
type Handling = BoxFuture<'static, ()>;

/// Adds one method to a module: reads its parameters, runs its handler, and leaves the outcome in the call's slot.
pub(crate) fn register<N: Node, M: Method>(module: &mut RpcModule<Context<N>>) -> Result<(), RegisterMethodError> {
    let handle: fn(Params<'static>, Arc<Context<N>>, Extensions) -> Handling = |_, context, mut extensions| {
        let slot = extensions.remove::<Slot>().unwrap_or_default();
        Box::pin(async move {
            let given = slot.lock().params.take();
            let parsed = params::parse::<M::Params>(given.as_ref().map(request::Params::get));
            // A call may wait for long; it does not need its text any more.
            drop(given);
            let outcome = match parsed {
                Ok(params) => M::answer(Call::new(context, slot.clone()), params).await,
                Err(error) => Err(error),
            };
            slot.lock().outcome = Some(outcome);
        })
    };
    module.register_async_method(M::NAME, handle)?;
    Ok(())
}
