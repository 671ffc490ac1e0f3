//! The methods about membership and leadership.
//!
//! Not here: who may join, lead and leave (`crate::cluster`, `crate::engine`), what a draining node refuses (`crate::store`).

use crate::engine::node::handle::Node;
use crate::rpc::errors::ErrorKind::{self, NodeIdInUse, NotJoined, RedisUnavailable, UnknownNode};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::outgoing::Written;
use crate::rpc::outgoing::written;
use crate::rpc::wire::NoParams;
use crate::rpc::wire::drain::{DrainParams, DrainResult};
use crate::rpc::wire::election::{ElectParams, ElectResult};
use crate::rpc::wire::heartbeat::HeartbeatResult;
use crate::rpc::wire::membership::{JoinParams, JoinResult, LeaveResult};
use crate::rpc::wire::state::{ClusterState, StateParams};

/// Parameters that are absent keep their configured or last value.
pub(super) struct JoinCluster;

impl Method for JoinCluster {
    const NAME: &'static str = "distributed.join_cluster";
    const SUMMARY: &'static str = "Join the cluster";
    const DESCRIPTION: &'static str = "Makes this node a member. Joining again under the same node id updates \
        the metadata; under another node id it renames the node. A node id that another live process holds is \
        refused unless force is given.";
    const ERRORS: &'static [ErrorKind] = &[NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = JoinParams;
    type Result = JoinResult;

    async fn handle<N: Node>(call: Call<N>, params: JoinParams) -> Result<JoinResult, RpcError> {
        let request = params.try_into()?;
        Ok(call.context.node.join(request).await?.into())
    }
}

/// The process keeps running; it can join again.
pub(super) struct LeaveCluster;

impl Method for LeaveCluster {
    const NAME: &'static str = "distributed.leave_cluster";
    const SUMMARY: &'static str = "Leave the cluster";
    const DESCRIPTION: &'static str = "Takes this node out of the cluster. A leader resigns first, so that \
        another node can take over at once.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = NoParams;
    type Result = LeaveResult;

    async fn handle<N: Node>(call: Call<N>, NoParams {}: NoParams) -> Result<LeaveResult, RpcError> {
        Ok(call.context.node.leave().await?)
    }
}

/// The local view is returned even while Redis is unavailable or the node is not a member.
pub(super) struct GetClusterState;

impl Method for GetClusterState {
    const NAME: &'static str = "distributed.get_cluster_state";
    const SUMMARY: &'static str = "Show the members, the leader and this node's role";
    const DESCRIPTION: &'static str = "Answers from the local view, which is at most one heartbeat old. With \
        fresh it asks Redis, and fails while Redis does not answer. With metrics the answer includes the metrics \
        of this node.";
    const ERRORS: &'static [ErrorKind] = &[RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = StateParams;
    type Result = ClusterState;

    async fn handle<N: Node>(call: Call<N>, params: StateParams) -> Result<ClusterState, RpcError> {
        let view = call.context.node.state(params.fresh.unwrap_or(false)).await?;
        let mut state = ClusterState::new(view, &call.context.info.redis_mode);
        if params.metrics == Some(true) {
            state.metrics = Some(call.context.node.samples().await);
        }
        Ok(state)
    }

    async fn answer<N: Node>(call: Call<N>, params: StateParams) -> Result<Written, RpcError> {
        if params.fresh == Some(true) || params.metrics == Some(true) || call.context.node.gossips() {
            return written(Self::NAME, &Self::handle(call, params).await?);
        }
        let known = call.context.node.known_state().await?;
        call.context.kept_state.show(Self::NAME, &known, &call.context.info.redis_mode)
    }
}

/// The call returns when the new leader is known, not before.
pub(super) struct ElectLeader;

impl Method for ElectLeader {
    const NAME: &'static str = "distributed.elect_leader";
    const SUMMARY: &'static str = "Show the leader, or hand leadership over";
    const DESCRIPTION: &'static str = "Without force, and if the leader is alive, the call returns that leader. \
        With force it hands leadership over to the candidate, or to this node, under a new term, after the old \
        leader has stopped leading.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, UnknownNode, RedisUnavailable];
    const EFFECT: Effect = Effect::CHANGES;
    type Params = ElectParams;
    type Result = ElectResult;

    async fn handle<N: Node>(call: Call<N>, params: ElectParams) -> Result<ElectResult, RpcError> {
        let request = params.try_into()?;
        Ok(call.context.node.elect(request).await?)
    }
}

/// Draining ends with the process: a restarted node takes part in everything again.
pub(super) struct Drain;

impl Method for Drain {
    const NAME: &'static str = "distributed.drain";
    const SUMMARY: &'static str = "Start or stop draining this node";
    const DESCRIPTION: &'static str = "A draining node gives up leadership, claims no tasks and acquires no \
        leases; work that already runs continues. The call returns at once with the number of running tasks and \
        held leases; repeat it to see them decrease.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = DrainParams;
    type Result = DrainResult;

    async fn handle<N: Node>(call: Call<N>, params: DrainParams) -> Result<DrainResult, RpcError> {
        Ok(call.context.node.drain(params.enabled).await?)
    }
}

/// The answer describes the heartbeat that this call caused.
pub(super) struct Heartbeat;

impl Method for Heartbeat {
    const NAME: &'static str = "cluster.heartbeat";
    const SUMMARY: &'static str = "Send a heartbeat now";
    const DESCRIPTION: &'static str = "Makes the node send a heartbeat now, with the configured retries, and \
        returns what the node learned from the answer.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, RedisUnavailable];
    const EFFECT: Effect = Effect::ADDS;
    type Params = NoParams;
    type Result = HeartbeatResult;

    async fn handle<N: Node>(call: Call<N>, NoParams {}: NoParams) -> Result<HeartbeatResult, RpcError> {
        Ok(call.context.node.beat().await?.into())
    }
}
