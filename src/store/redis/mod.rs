//! The cluster's state in Redis 5 or newer.
//!
//! 1. Every transition is one script over one hash slot.
//! 2. Data from Redis is never trusted: a reply in another form is an error, not a panic.
//! 3. Every call is a span `redis_call` with its name, attempt and outcome, but without its content.

mod arguments;
mod eviction;
mod faults;
mod fields;
mod follow;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
mod history;
mod keys;
mod link;
mod presence;
mod primary;
mod samples;
mod scripts;
mod streams;
mod target;
pub mod transfer;
mod transitions;
mod unreadable;
mod used;

pub use faults::explain;
pub use follow::Follower;
pub use history::RedisHistory;
pub use keys::Keys;
pub use presence::{PresenceNotices, PresenceSink};
pub use primary::{Failover, Replica, Servers};
pub use streams::{Page, Place};
pub use target::{Address, Certificates, Confirmations, DEADLINE, Host, Login, Target};
pub(crate) use transitions::Scripted;
use transitions::{AnyTransition, Context, Grants, Invocation};
use unreadable::What;
pub use unreadable::unreadable;

pub use super::Notice;
use super::{Answer, Ended, Meter, Store};
use crate::clock;
use crate::cluster::event::ClusterEvent;
use crate::cluster::history::Sample;
use crate::cluster::ids::{ClusterName, EventSeq, MessageSeq, Nonce};
use crate::cluster::protocol::{Call, Entry, Fault, Join, ServerId, Transition};
use crate::cluster::time::Moment;
use arguments::Arguments;
use fields::Malformed;
use redis::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::field::Empty;
use tracing::{Instrument, Span, debug_span};

/// The slowest link that messages are sent over, in bytes per second; large messages get a longer timeout by it.
const MIN_BYTES_PER_SECOND: u64 = 32 << 10;
/// How often a call follows an answer that another server is the primary.
const MOST_HOPS: u32 = 3;
/// The most pages without any readable event that one read skips.
const MOST_UNREADABLE_PAGES: usize = 64;

/// A cluster's state on a Redis server.
pub struct RedisStore {
    primary: Arc<primary::Primary>,
    keys: Keys,
    link: link::Link,
    /// The separate connection for messages: on a slow link heartbeats do not wait behind them.
    bulk: link::Link,
    meter: Option<Arc<dyn Meter>>,
    recent: samples::Recent,
    eviction: eviction::Eviction,
}

impl RedisStore {
    /// A store that connects with its first call.
    #[must_use]
    pub fn new(target: Target, cluster: &ClusterName) -> Self {
        let primary = Arc::new(primary::Primary::new(target, cluster));
        let keys = Keys::new(cluster);
        Self {
            keys: if primary.target().is_one_server() { keys } else { keys.guarded() },
            link: link::Link::new(Arc::clone(&primary)),
            bulk: link::Link::new(Arc::clone(&primary)),
            primary,
            meter: None,
            recent: samples::Recent::default(),
            eviction: eviction::Eviction::default(),
        }
    }

    /// The same store, with its calls counted by `meter`.
    #[must_use]
    pub fn counted(mut self, meter: Arc<dyn Meter>) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Sets how long the heartbeats from ticks are kept, instead of a day; zero: not at all.
    #[must_use]
    pub fn keep_history(mut self, window: Duration) -> Self {
        self.recent = samples::Recent(window);
        self
    }

    /// Makes a call; see [`Store::call`].
    ///
    /// # Errors
    /// As [`Store::call`].
    pub(crate) async fn ask<T: Scripted + Sync>(&self, call: &T) -> Result<Answer<T::Reply>, Fault> {
        self.attempt(call, 1, &AtomicBool::new(false)).await
    }

    /// The same, for the `attempt`th time; sets `unsure` when the call was sent but not answered, so that Redis may still execute
    /// it at any later time.
    ///
    /// # Errors
    /// As [`Store::call`].
    pub(crate) async fn attempt<T: Scripted + Sync>(
        &self,
        call: &T,
        attempt: u32,
        unsure: &AtomicBool,
    ) -> Result<Answer<T::Reply>, Fault> {
        self.invoke(call, attempt, unsure, |value| transitions::read(call, value)).await
    }

    /// Runs a call in its span, and counts it.
    async fn watched<T>(
        &self,
        call: &'static str,
        attempt: u32,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let span = redis_call(call, attempt);
        let began = clock::now();
        let outcome = work.instrument(span.clone()).await;
        self.count(call, began, &outcome);
        ended(&span, &outcome);
        outcome
    }

    /// Counts a call that began at `began`.
    fn count<T>(&self, call: &'static str, began: Moment, outcome: &Result<T, Fault>) {
        if let Some(meter) = &self.meter {
            meter.count(call, clock::now().since(began), Ended::of(outcome));
        }
    }

    /// Opens a reader of a stream.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the connection does not open in time.
    pub async fn follow(&self) -> Result<Follower, Fault> {
        Follower::open(Arc::clone(&self.primary), self.keys.clone()).await
    }

    /// Opens the presence connection, which shows that this process is alive.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the connection does not open in time.
    pub async fn presence(&self, nonce: &Nonce) -> Result<(PresenceSink, PresenceNotices), Fault> {
        presence::open(&self.primary, self.keys.clone(), nonce, self.meter.clone()).await
    }

    /// The Redis of this store.
    #[must_use]
    pub fn target(&self) -> &Target {
        self.primary.target()
    }

    /// The server that takes writes.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when nobody names one that is a primary.
    pub async fn locate(&self) -> Result<Address, Fault> {
        self.primary.find().await
    }

    /// What is known of the servers, and each change of it; empty with one server.
    #[must_use]
    pub fn servers(&self) -> tokio::sync::watch::Receiver<Servers> {
        self.primary.servers()
    }

    /// Follows announcements that the primary is another server, where somebody makes them: then a change is noticed although the
    /// former primary still answers. Never returns.
    pub async fn watch_primary(&self) {
        self.primary.listen().await;
    }

    /// The position of the newest message in the stream, without anything else of the data set: the cheapest question there is, for
    /// those who ask before each answer.
    ///
    /// # Errors
    /// [`Fault`] when the server did not answer, or answered with something unexpected.
    pub async fn newest_message(&self) -> Result<MessageSeq, Fault> {
        let mut get = redis::cmd("HGET");
        get.arg(self.keys.meta()).arg("message_seq");
        let newest = self.watched("newest_message", 1, self.command(&get)).await?;
        let newest: Option<u64> = redis::from_redis_value(newest).map_err(|why| Fault::Refused(why.to_string()))?;
        Ok(MessageSeq(newest.unwrap_or_default()))
    }

    async fn range(&self, name: &'static str, key: &str, after: u64, count: usize) -> Result<Value, Fault> {
        self.watched(name, 1, self.read_range(key, after, count)).await
    }

    async fn read_range(&self, key: &str, after: u64, count: usize) -> Result<Value, Fault> {
        // The position after `after`: entry ids end in -0, so -1 lies between two of them.
        let mut range = redis::cmd("XRANGE");
        range.arg(key).arg(format!("{after}-1")).arg("+").arg("COUNT").arg(count);
        self.command(&range).await
    }

    async fn command(&self, command: &redis::Cmd) -> Result<Value, Fault> {
        let mut hops = 0;
        loop {
            let mut standing = self.link.get().await?;
            let asked = command.query_async::<Value>(&mut standing.connection);
            let outcome = self.link.answered(&standing.address, asked).await?;
            hops += 1;
            if hops > MOST_HOPS || !self.link.is_elsewhere(&standing, &outcome) {
                return self.link.judge(&standing, outcome).await;
            }
        }
    }

    /// Makes any call for the `attempt`th time; see [`Store::call`].
    ///
    /// # Errors
    /// As [`Store::call`].
    pub async fn attempt_call(&self, call: &Call, attempt: u32) -> Result<Answer, Fault> {
        let (transition, read) = transitions::of(call);
        self.invoke(transition, attempt, &AtomicBool::new(false), read).await
    }

    async fn invoke<R>(
        &self,
        call: &dyn AnyTransition,
        attempt: u32,
        unsure: &AtomicBool,
        read: impl FnOnce(Value) -> Result<R, Malformed>,
    ) -> Result<Answer<R>, Fault> {
        self.watched(call.name(), attempt, async {
            let joins = call.name() == Join::NAME;
            if joins {
                self.refuse_eviction().await?;
            }
            let (value, server) = self.run(call, unsure).await?;
            let reply = read(value).map_err(|why| Fault::Refused(why.to_string()))?;
            if joins {
                self.eviction.admitted();
            }
            Ok(Answer { reply, server })
        })
        .await
    }

    async fn run(&self, call: &dyn AnyTransition, unsure: &AtomicBool) -> Result<(Value, ServerId), Fault> {
        let mut hops = 0;
        loop {
            hops += 1;
            if let Some(done) = self.run_once(call, unsure, hops <= MOST_HOPS).await? {
                return Ok(done);
            }
        }
    }

    /// Sends a call once. `None`: another server is the primary, and the call was not executed; only if `may_move`.
    async fn run_once(
        &self,
        call: &dyn AnyTransition,
        unsure: &AtomicBool,
        may_move: bool,
    ) -> Result<Option<(Value, ServerId)>, Fault> {
        let bulky = call.is_bulky();
        let link = if bulky { &self.bulk } else { &self.link };
        let opened = match self.link.get().await {
            Ok(standing) if bulky => self.bulk.get_beside(&standing).await,
            opened => opened,
        };
        let mut standing = opened?;
        let context = Context { keys: &self.keys, recent: self.recent, server: &standing.server.0 };
        let Invocation { script, own_keys, arguments } = call.invocation(&context);
        if bulky {
            let bytes: usize = arguments.values().iter().map(String::len).sum();
            standing
                .connection
                .set_response_timeout(DEADLINE + Duration::from_secs(bytes as u64 / MIN_BYTES_PER_SECOND));
        }
        let keys = self.keys.with(&own_keys);
        let before = unsure.swap(true, Ordering::Relaxed);
        let wanted = self.confirmations(call.grants());
        let connection = &mut standing.connection;
        let asked = async {
            if wanted == 0 {
                return script.run(connection, &keys, &arguments).await.map(|value| (value, 0));
            }
            let written = [self.keys.meta(), &self.keys.written()];
            script.run_confirmed(connection, &keys, &arguments, written, wanted).await
        };
        let outcome = link.answered(&standing.address, asked).await?;
        if may_move && link.is_elsewhere(&standing, &outcome) {
            unsure.store(before, Ordering::Relaxed);
            return Ok(None);
        }
        let judged = link.judge(&standing, outcome).await.and_then(|(value, confirmed)| {
            if confirmed >= i64::from(wanted) { Ok(value) } else { unconfirmed(call, value, confirmed, wanted) }
        });
        unsure.store(before || matches!(judged, Err(Fault::Unavailable(_))), Ordering::Relaxed);
        judged.map(|value| Some((value, (*standing.server).clone())))
    }

    /// How many replicas must have what a call grants.
    fn confirmations(&self, grants: Grants) -> u32 {
        let Confirmations { replicas, messages } = self.target().confirmations;
        match grants {
            Grants::Term => replicas,
            Grants::Messages if messages => replicas,
            Grants::Messages | Grants::Nothing => 0,
        }
    }

    /// Adds samples to the history.
    async fn record(&self, recent: samples::Recent, samples: &[Sample]) -> Result<Value, Fault> {
        let mut arguments = Arguments::default();
        recent.put(&mut arguments, samples);
        let mut standing = self.link.get().await?;
        let keys = self.keys.with(&[]);
        let asked = scripts::RECORD.run(&mut standing.connection, &keys, &arguments);
        let outcome = self.link.answered(&standing.address, asked).await?;
        self.link.judge(&standing, outcome).await
    }
}

/// What is left of a reply that too few replicas confirmed.
fn unconfirmed(call: &dyn AnyTransition, value: Value, confirmed: i64, wanted: u32) -> Result<Value, Fault> {
    static WARNING: clock::Seldom = clock::Seldom::new(1);
    let why = format!(
        "only {confirmed} of {wanted} replicas confirmed a {}, so it does not count (redis.wait_replicas); check the replicas of Redis",
        call.name()
    );
    if let Some(unsaid) = WARNING.due() {
        tracing::warn!(unsaid, "{why}");
    }
    call.ungranted(value).ok_or(Fault::Unavailable(why))
}

fn redis_call(call: &'static str, attempt: u32) -> Span {
    debug_span!("redis_call", call, attempt, outcome = Empty, otel.kind = "client", otel.status_code = Empty)
}

/// Records a call's outcome in its span; the caller logs the reason of a failure.
fn ended<T>(span: &Span, outcome: &Result<T, Fault>) {
    if span.is_disabled() {
        return;
    }
    let word = match Ended::of(outcome) {
        Ended::Answered => "ok",
        Ended::Refused => "refused",
        Ended::Unavailable => "unavailable",
    };
    span.record("outcome", word);
    if outcome.is_err() {
        span.record("otel.status_code", "ERROR");
    }
}

impl Store for RedisStore {
    async fn call(&self, call: Call) -> Result<Answer, Fault> {
        self.attempt_call(&call, 1).await
    }

    async fn events(&self, after: EventSeq, count: usize) -> Result<Vec<ClusterEvent>, Fault> {
        let (mut after, mut pages) = (after.0, 0);
        loop {
            let value = self.range("events", self.keys.events(), after, count).await?;
            let page = Page::read(value, What::Event, streams::event).map_err(|why| Fault::Refused(why.to_string()))?;
            let end = page.entries.last().map(|(place, _)| place.seq);
            let events = page.into_items();
            pages += 1;
            match end {
                // A page without any readable event must not hide the events after it.
                Some(end) if events.is_empty() && pages < MOST_UNREADABLE_PAGES => after = end.max(after + 1),
                _ => return Ok(events),
            }
        }
    }

    async fn messages(&self, after: MessageSeq, count: usize) -> Result<Vec<Entry>, Fault> {
        let value = self.range("messages", self.keys.messages(), after.0, count).await?;
        let page = Page::read(value, What::Message, streams::message);
        page.map(Page::into_items).map_err(|why| Fault::Refused(why.to_string()))
    }
}
