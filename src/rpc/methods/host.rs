//! The method about the gateway's own process.
//!
//! Not here: the watch itself (`crate::engine::host_watch`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind;
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::host::{WatchHostParams, WatchHostResult};
use crate::rpc::wire::lease::between;
use std::time::Duration;

/// In bytes.
const LONGEST_NAME: usize = 256;

/// For the gateway's plugin.
pub(super) struct WatchHost;

impl Method for WatchHost {
    const NAME: &'static str = "cluster.watch_host";
    const SUMMARY: &'static str = "Kill this gateway if it freezes";
    const DESCRIPTION: &'static str = "For the gateway's plugin. If no further call with the same name comes within \
        within_ms, the node kills the process that started it: a frozen gateway would go on with what another one has \
        taken over.";
    const ERRORS: &'static [ErrorKind] = &[ErrorKind::Forbidden];
    const EFFECT: Effect = Effect::CHANGES;
    type Params = WatchHostParams;
    type Result = WatchHostResult;

    async fn handle<N: Node>(call: Call<N>, params: WatchHostParams) -> Result<WatchHostResult, RpcError> {
        if !call.from_host {
            let text = "only the process that started the node, over its standard input, may ask to be watched";
            return Err(RpcError::new(ErrorKind::Forbidden, text));
        }
        if let Some(within_ms) = params.within_ms {
            between("within_ms", within_ms, (1_000, 3_600_000))?;
        }
        let name = params.name.unwrap_or_default();
        if name.len() > LONGEST_NAME {
            let problem = format!("it has {} bytes, {LONGEST_NAME} are allowed", name.len());
            return Err(RpcError::parameter("name", problem));
        }
        let watching = call.context.host.expect_within(name, params.within_ms.map(Duration::from_millis))?;
        Ok(WatchHostResult { watching })
    }
}
