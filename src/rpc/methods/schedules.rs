//! The methods about schedules.
//!
//! Not here: when a slot has come, and what becomes of missed ones (`crate::engine::schedules`).

use crate::engine::node::handle::{Listing, Node, Schedules};
use crate::rpc::errors::ErrorKind::{
    self, MessageTooLarge, NodeIdInUse, NotFound, NotJoined, Overloaded, RedisUnavailable,
};
use crate::rpc::errors::RpcError;
use crate::rpc::method::{Call, Effect, Method};
use crate::rpc::wire::schedule::{
    DeletedSchedule, ListSchedulesParams, ListSchedulesResult, ListedSchedule, PauseParams, ScheduleIdParams,
    ScheduleParams, ScheduleResult, schedule_id,
};

/// Repeating the call changes nothing.
pub(super) struct ScheduleTask;

impl Method for ScheduleTask {
    const NAME: &'static str = "distributed.schedule_task";
    const SUMMARY: &'static str = "Submit a task again and again, by the clock";
    const DESCRIPTION: &'static str = "Stores a schedule: by a cron expression in a time zone, or every so many \
        milliseconds. Each time gets exactly one task in the cluster, with the id <schedule id>@<time in \
        milliseconds>, whichever node leads; any node may claim it. A schedule with the same id is replaced; it stays \
        paused if it was. The clock is that of the Redis server.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, MessageTooLarge, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = ScheduleParams;
    type Result = ScheduleResult;

    async fn handle<N: Node>(call: Call<N>, params: ScheduleParams) -> Result<ScheduleResult, RpcError> {
        Ok(call.context.node.schedules().schedule(params.try_into()?).await?.into())
    }
}

/// It asks Redis.
pub(super) struct ListSchedules;

impl Method for ListSchedules {
    const NAME: &'static str = "distributed.list_schedules";
    const SUMMARY: &'static str = "List schedules";
    const DESCRIPTION: &'static str = "By their next time; paused ones come last. The payload is shown for a single \
        schedule only.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, RedisUnavailable];
    const EFFECT: Effect = Effect::READS;
    type Params = ListSchedulesParams;
    type Result = ListSchedulesResult;

    async fn handle<N: Node>(call: Call<N>, params: ListSchedulesParams) -> Result<ListSchedulesResult, RpcError> {
        let (id, limit) = params.request()?;
        let Listing { schedules, more } = call.context.node.schedules().schedules(id, limit).await?;
        let schedules = schedules.into_iter().map(ListedSchedule::try_from).collect::<Result<_, _>>()?;
        Ok(ListSchedulesResult { schedules, more })
    }
}

/// Tasks that it has submitted stay.
pub(super) struct PauseSchedule;

impl Method for PauseSchedule {
    const NAME: &'static str = "distributed.pause_schedule";
    const SUMMARY: &'static str = "Pause a schedule, or let it go on";
    const DESCRIPTION: &'static str = "A paused schedule submits no tasks. When it goes on, the times that passed \
        meanwhile are left out, whatever its policy for missed ones.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, Overloaded, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = PauseParams;
    type Result = ScheduleResult;

    async fn handle<N: Node>(call: Call<N>, params: PauseParams) -> Result<ScheduleResult, RpcError> {
        let id = schedule_id(params.id)?;
        Ok(call.context.node.schedules().pause(id, params.paused).await?.into())
    }
}

/// Tasks that it has submitted stay.
pub(super) struct DeleteSchedule;

impl Method for DeleteSchedule {
    const NAME: &'static str = "distributed.delete_schedule";
    const SUMMARY: &'static str = "Delete a schedule";
    const DESCRIPTION: &'static str = "The tasks that it has submitted stay.";
    const ERRORS: &'static [ErrorKind] = &[NotJoined, NodeIdInUse, NotFound, RedisUnavailable];
    const EFFECT: Effect = Effect::SETTLES;
    type Params = ScheduleIdParams;
    type Result = DeletedSchedule;

    async fn handle<N: Node>(call: Call<N>, params: ScheduleIdParams) -> Result<DeletedSchedule, RpcError> {
        let id = schedule_id(params.id)?;
        call.context.node.schedules().delete(id.clone()).await?;
        Ok(DeletedSchedule { schedule_id: id.into(), deleted: true })
    }
}
