//! The Lua scripts, one file per transition, loaded once per server.
//!
//! 1. A script is called by its digest. If the server does not know the digest, it runs nothing, and the script is sent with its text,
//!    which loads and runs it in one step: so it does not matter when a server forgets its scripts.
//!
//! Not here: the scripts' arguments and replies (`transitions/`).

use super::arguments::Arguments;
use super::used;
use crate::clock::Seldom;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisResult, ServerErrorKind, Value};
use std::sync::OnceLock;

/// A script's own parts; what it uses of the common ones comes before them. Its digest is known from its first call on, which names the arguments.
pub(crate) struct Script {
    own: &'static [&'static str],
    digest: OnceLock<String>,
}

impl Script {
    const fn new(own: &'static [&'static str]) -> Self {
        Self { own, digest: OnceLock::new() }
    }

    /// Built when it is needed, about once per server, instead of kept.
    fn text(&self, arguments: &Arguments) -> String {
        let [common, own] =
            [COMMON, self.own].map(|parts| parts.iter().map(|part| seeded((*part).to_owned())).collect::<Vec<_>>());
        arguments.resolve(&used::only(&common, &own))
    }

    /// Runs the script.
    ///
    /// # Errors
    /// Errors of the server or the connection, except that the server does not know the script.
    pub(super) async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[&String],
        arguments: &Arguments,
    ) -> RedisResult<Value> {
        let digest = self.digest.get_or_init(|| redis::Script::new(&self.text(arguments)).get_hash().to_owned());
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys).arg(arguments.values());
            command
        };
        match command("EVALSHA", digest).query_async::<Value>(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                command("EVAL", &self.text(arguments)).query_async(connection).await
            }
            outcome => outcome,
        }
    }
}

/// How long a grant waits for its replicas; other calls on the connection wait behind it.
const CONFIRMATION_TIMEOUT_MS: u64 = 500;
/// How long the key is kept that is only written to be confirmed.
const WRITTEN_FOR_MS: u64 = 60_000;
/// Writes it, also into a full Redis.
const WRITE: &str = include_str!("scripts/shared/written.lua");
static NOT_WRITTEN: Seldom = Seldom::new(1);

impl Script {
    /// Runs the script, and has the server count, in the same round trip, the replicas that have all its writes: with WAIT behind it
    /// on the same connection, until there are `wanted` or the time is over.
    ///
    /// WAIT asks the replicas for what its own connection has written. A script that finds its work done, by a call that another connection
    /// made and nobody confirmed, writes nothing; on a new connection any replica would do, also one that hangs. So `written`, a hash and
    /// a key, is written in between: who has that has all before it.
    ///
    /// # Errors
    /// As [`Self::run`]; also when the server does not permit WAIT.
    pub(super) async fn run_confirmed(
        &self,
        connection: &mut MultiplexedConnection,
        keys: &[&String],
        arguments: &Arguments,
        written: [&str; 2],
        wanted: u32,
    ) -> RedisResult<(Value, i64)> {
        let digest = self.digest.get_or_init(|| redis::Script::new(&self.text(arguments)).get_hash().to_owned());
        let all = |name: &str, script: &str| {
            let mut all = redis::pipe();
            all.cmd(name).arg(script).arg(keys.len()).arg(keys).arg(arguments.values());
            all.cmd("EVAL").arg(WRITE).arg(written.len()).arg(&written).arg(WRITTEN_FOR_MS);
            all.cmd("WAIT").arg(wanted).arg(CONFIRMATION_TIMEOUT_MS);
            all
        };
        let mut answers = connection.send_packed_commands(&all("EVALSHA", digest), 0, 3).await?;
        let unknown =
            |answer: &Value| matches!(answer, Value::ServerError(why) if why.kind() == Some(ServerErrorKind::NoScript));
        if answers.first().is_some_and(unknown) {
            answers = connection.send_packed_commands(&all("EVAL", &self.text(arguments)), 0, 3).await?;
        }
        let mut answers = answers.into_iter();
        let value = answers.next().unwrap_or(Value::Nil).extract_error()?;
        if let Err(error) = answers.next().unwrap_or(Value::Nil).extract_error() {
            if let Some(unsaid) = NOT_WRITTEN.due() {
                tracing::warn!(unsaid, %error, "no replica can be asked for a confirmation");
            }
            return Ok((value, 0));
        }
        match answers.next().unwrap_or(Value::Nil).extract_error()? {
            Value::Int(confirmed) => Ok((value, confirmed)),
            _ => Ok((value, 0)),
        }
    }
}

/// Before every script, as far as it uses it.
const COMMON: &[&str] = &[
    include_str!("scripts/shared/keys_and_clock.lua"),
    include_str!("scripts/shared/members.lua"),
    include_str!("scripts/shared/settled.lua"),
    include_str!("scripts/shared/leases.lua"),
];

macro_rules! scripts {
    ($($name:ident = $($file:literal)&+),+ $(,)?) => {
        $(
            pub(super) static $name: Script = Script::new(&[
                $(include_str!(concat!("scripts/", $file))),+
            ]);
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
    JOIN = "limits/slots.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "members/join.lua",
    TICK = "limits/slots.lua" & "tasks/lazy_begin.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/repair.lua" & "tasks/lazy_end.lua" & "shared/samples.lua" & "members/repair.lua" & "messages/trim.lua" & "members/tick.lua",
    RECORD = "shared/samples.lua" & "members/record.lua",
    VIEW = "members/view.lua",
    LEAVE = "limits/slots.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "members/leave.lua",
    RESIGN = "leader/resign.lua",
    HAND_OVER = "leader/hand_over.lua",
    CAMPAIGN = "limits/slots.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "leader/campaign.lua",
    REGISTER = "leader/register.lua",
    WATCH = "leader/watch.lua",
    SWEEP = "limits/slots.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "members/sweep.lua",
    PUBLISH = "messages/trim.lua" & "shared/byte_bound.lua" & "messages/publish.lua",
    ACKNOWLEDGE = "messages/acknowledge.lua",
    ACQUIRE = "leases/acquire.lua",
    RENEW = "leases/renew.lua",
    RELEASE = "leases/release.lua",
    CHECK = "leases/check.lua",
    FORGET = "leases/give_up.lua" & "leases/forget.lua",
    WITHDRAW = "leases/give_up.lua" & "leases/withdraw.lua",
    WATCH_LEASE = "leases/watch.lua",
    LEASE_LIST = "leases/list.lua",
    ONCE = "leases/once.lua",
    PERMITS_TAKE = "limits/take.lua",
    SLOT_ACQUIRE = "limits/slots.lua" & "limits/acquire.lua",
    SLOT_RENEW = "limits/slots.lua" & "limits/renew.lua",
    SLOT_RELEASE = "limits/slots.lua" & "limits/release.lua",
    SLOT_FORGET = "limits/slots.lua" & "limits/forget.lua",
    DRAIN = "members/drain.lua",
    TASK_SUBMIT = "tasks/shared.lua" & "tasks/blocked.lua" & "shared/byte_bound.lua" & "tasks/adding.lua" & "tasks/submit.lua",
    TASK_CLAIM = "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/claim.lua",
    TASK_WITHDRAW = "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/withdraw.lua",
    TASK_SETTLE = "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/settle.lua",
    TASK_CANCEL = "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/cancel.lua",
    TASK_REDRIVE = "tasks/shared.lua" & "tasks/blocked.lua" & "tasks/redrive.lua",
    TASK_GET = "tasks/shared.lua" & "tasks/get.lua",
    SETTINGS = "members/settings.lua",
    FORGET_MEMBERS = "members/forget_members.lua",
    SCHEDULE_PUT = "schedules/shared.lua" & "schedules/put.lua",
    SCHEDULE_READ = "schedules/shared.lua" & "schedules/read.lua",
    SCHEDULE_PAUSE = "schedules/shared.lua" & "schedules/pause.lua",
    SCHEDULE_DELETE = "schedules/shared.lua" & "schedules/delete.lua",
    SCHEDULE_FIRE = "schedules/shared.lua" & "tasks/shared.lua" & "tasks/blocked.lua" & "shared/byte_bound.lua" & "tasks/adding.lua" & "schedules/fire.lua",
    TRANSCRIPT_APPEND = "transcripts/shared.lua" & "transcripts/append.lua",
    TRANSCRIPT_READ = "transcripts/shared.lua" & "transcripts/read.lua",
    CENSUS = "tasks/shared.lua" & "members/census.lua",
    TASK_LIST = "tasks/shared.lua" & "tasks/list.lua",
}
