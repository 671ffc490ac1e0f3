//! The Lua scripts, one file per transition, loaded once per server.
//!
//! 1. A script is called by its digest. If the server does not know the digest, it runs nothing, and the script is sent with its text,
//!    which loads and runs it in one step: so it does not matter when a server forgets its scripts.
//!
//! Not here: the scripts' arguments and replies (`encode.rs`, `decode.rs`).

use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, ServerErrorKind, Value};
use std::sync::LazyLock;

/// A script: its digest, and a function that builds its text, which is needed about once per server.
pub(super) struct Script {
    digest: String,
    text: fn() -> String,
}

impl Script {
    fn new(text: fn() -> String) -> Self {
        Self { digest: redis::Script::new(&text()).get_hash().to_owned(), text }
    }

    /// The script as a command, by its digest or by its text, with `keys` and `arguments`.
    fn command<'a>(
        &self,
        whole: bool,
        keys: impl ExactSizeIterator<Item = &'a String>,
        arguments: &[String],
    ) -> redis::Cmd {
        let mut command = if whole { redis::cmd("EVAL") } else { redis::cmd("EVALSHA") };
        if whole {
            command.arg((self.text)());
        } else {
            command.arg(&self.digest);
        }
        command.arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        command.arg(arguments);
        command
    }

    /// Runs the script.
    ///
    /// # Errors
    /// Errors of the server or the connection, except that the server does not know the script.
    pub(super) async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[&String],
        arguments: &[String],
    ) -> RedisResult<Value> {
        let by_digest = self.command(false, keys.iter().copied(), arguments);
        match by_digest.query_async::<Value>(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command(true, keys.iter().copied(), arguments).query_async(connection).await
            }
            outcome => outcome,
        }
    }
}

const PRELUDE: &str = include_str!("scripts/shared/keys_and_clock.lua");
const PRELUDE_ROWS: &str = include_str!("scripts/shared/members.lua");
const PRELUDE_SETTLED: &str = include_str!("scripts/shared/settled.lua");
const PRELUDE_LEASES: &str = include_str!("scripts/shared/leases.lua");

// Built on first use; otherwise the program would contain the preludes thirty times.
macro_rules! scripts {
    ($($name:ident = $($file:literal)&+),+ $(,)?) => {
        $(
            pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
                Script::new(|| {
                    let parts = [PRELUDE, PRELUDE_ROWS, PRELUDE_SETTLED, PRELUDE_LEASES, $(include_str!(concat!("scripts/", $file))),+];
                    seeded(parts.join("\n"))
                })
            });
        )+
    };
}

/// Returns the text unchanged. A debug build can insert a bug, so that tests can show that they notice it: `CLAWSTER_SEEDED_BUG`
/// contains pairs of old and new text, with U+001F within and U+001E between pairs.
fn seeded(text: String) -> String {
    #[cfg(debug_assertions)]
    if let Ok(pairs) = std::env::var("CLAWSTER_SEEDED_BUG") {
        let pairs = pairs.split('\u{1e}').filter_map(|pair| pair.split_once('\u{1f}'));
        return pairs.fold(text, |text, (old, new)| text.replace(old, new));
    }
    text
}

scripts! {
    JOIN = "tasks/shared.lua" & "members/join.lua",
    TICK = "tasks/lazy_begin.lua" & "tasks/shared.lua" & "tasks/repair.lua" & "tasks/lazy_end.lua" & "shared/samples.lua" & "members/repair.lua" & "messages/trim.lua" & "members/tick.lua",
    RECORD = "shared/samples.lua" & "members/record.lua",
    VIEW = "members/view.lua",
    LEAVE = "tasks/shared.lua" & "members/leave.lua",
    RESIGN = "leader/resign.lua",
    HAND_OVER = "leader/hand_over.lua",
    CAMPAIGN = "tasks/shared.lua" & "leader/campaign.lua",
    REGISTER = "leader/register.lua",
    WATCH = "leader/watch.lua",
    SWEEP = "tasks/shared.lua" & "members/sweep.lua",
    PUBLISH = "messages/trim.lua" & "shared/byte_bound.lua" & "messages/publish.lua",
    ACKNOWLEDGE = "messages/acknowledge.lua",
    ACQUIRE = "leases/acquire.lua",
    RENEW = "leases/renew.lua",
    RELEASE = "leases/release.lua",
    CHECK = "leases/check.lua",
    FORGET = "leases/give_up.lua" & "leases/forget.lua",
    WITHDRAW = "leases/give_up.lua" & "leases/withdraw.lua",
    WATCH_LEASE = "leases/watch.lua",
    ONCE = "leases/once.lua",
    DRAIN = "members/drain.lua",
    TASK_SUBMIT = "tasks/shared.lua" & "shared/byte_bound.lua" & "tasks/submit.lua",
    TASK_CLAIM = "tasks/shared.lua" & "tasks/claim.lua",
    TASK_WITHDRAW = "tasks/shared.lua" & "tasks/withdraw.lua",
    TASK_SETTLE = "tasks/shared.lua" & "tasks/settle.lua",
    TASK_CANCEL = "tasks/shared.lua" & "tasks/cancel.lua",
    TASK_REDRIVE = "tasks/shared.lua" & "tasks/redrive.lua",
    TASK_GET = "tasks/shared.lua" & "tasks/get.lua",
    SETTINGS = "members/settings.lua",
    CENSUS = "tasks/shared.lua" & "members/census.lua",
    TASK_LIST = "tasks/shared.lua" & "tasks/list.lua",
}
