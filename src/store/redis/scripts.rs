//! The Lua scripts, one file for each transition, loaded once per server.
//!
//! 1. A script runs by its digest; a server that does not know it answers so without running it, and is then given the text.
//!
//! Not here: the scripts' arguments and replies (`encode.rs`, `decode.rs`).

use redis::Script;
use std::sync::LazyLock;

const PRELUDE: &str = include_str!("scripts/prelude.lua");
const PRELUDE_LEASES: &str = include_str!("scripts/prelude_leases.lua");

// Put together when they are first needed, since the program would hold the preludes thirty times otherwise.
macro_rules! scripts {
    ($($name:ident = $($file:literal)&+),+ $(,)?) => {
        $(
            pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
                let parts = [PRELUDE, PRELUDE_LEASES, $(include_str!(concat!("scripts/", $file))),+];
                Script::new(&parts.join("\n"))
            });
        )+
    };
}

scripts! {
    JOIN = "tasks.lua" & "join.lua",
    TICK = "tasks_later.lua" & "tasks.lua" & "mend_tasks.lua" & "tasks_later_end.lua" & "history.lua" & "mend.lua" & "tick.lua",
    RECORD = "history.lua" & "record.lua",
    VIEW = "view.lua",
    LEAVE = "tasks.lua" & "leave.lua",
    RESIGN = "resign.lua",
    HAND_OVER = "hand_over.lua",
    CAMPAIGN = "tasks.lua" & "campaign.lua",
    REGISTER = "register.lua",
    WATCH = "watch.lua",
    SWEEP = "tasks.lua" & "sweep.lua",
    PUBLISH = "publish.lua",
    ACKNOWLEDGE = "acknowledge.lua",
    ACQUIRE = "acquire.lua",
    RENEW = "renew.lua",
    RELEASE = "release.lua",
    CHECK = "check.lua",
    FORGET = "forget.lua",
    WATCH_LEASE = "watch_lease.lua",
    ONCE = "once.lua",
    DRAIN = "drain.lua",
    TASK_SUBMIT = "tasks.lua" & "task_submit.lua",
    TASK_CLAIM = "tasks.lua" & "task_claim.lua",
    TASK_SETTLE = "tasks.lua" & "task_settle.lua",
    TASK_CANCEL = "tasks.lua" & "task_cancel.lua",
    TASK_REDRIVE = "tasks.lua" & "task_redrive.lua",
    TASK_GET = "tasks.lua" & "task_get.lua",
    CENSUS = "tasks.lua" & "census.lua",
    TASK_LIST = "tasks.lua" & "task_list.lua",
}
