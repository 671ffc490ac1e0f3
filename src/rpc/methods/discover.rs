//! `rpc.discover`.
//!
//! 1. The document is generated from the table by which calls are dispatched.
//!
//! Not here: the document (`crate::rpc::openrpc`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::NoParams;
use serde_json::Value;

pub(super) struct Discover;

impl Method for Discover {
    const NAME: &'static str = "rpc.discover";
    const SUMMARY: &'static str = "Describe all methods and events";
    const DESCRIPTION: &'static str = "Returns an OpenRPC document.";
    const ERRORS: &'static [ErrorKind] = &[];
    const EFFECT: Effect = Effect::READS;
    type Params = NoParams;
    type Result = Value;

    async fn handle<N: Node>(call: Call<N>, NoParams {}: NoParams) -> Result<Value, RpcError> {
        Ok((call.context.describe)(&call.context.info.version))
    }
}
