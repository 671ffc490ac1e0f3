//! A running node, as the outer layers use it.
//!
//! 1. A request that needs membership waits only for the first attempt of the automatic join.
//! 2. A caller may be cancelled at any time; what it started is either completed or not done at all.
//!
//! Not here: the tasks behind it (`start.rs`), the rules (`crate::cluster::node`).

use super::kept_view::KeptView;
use super::status::{Msg, Status};
use crate::clock;
use crate::cluster::event::Event;
use crate::cluster::ids::{ClusterName, EventSeq, NodeId};
use crate::cluster::node::{Request, Response, Standing};
use crate::cluster::settings::{MAX_SYNC_LIMIT, SyncSettings};
use crate::cluster::time::millis;
use crate::engine::error::Error;
use crate::engine::events::Hub;
use crate::engine::events::{Feed, FeedOptions};
use crate::engine::gossip::GossipHandle;
use crate::engine::history::History;
use crate::engine::leases::Leases;
use crate::engine::limits::Limits;
use crate::engine::messages::outbox::{AcceptError, Accepted, NodeStore, Prepared, SavedChange, Woken};
use crate::engine::messages::progress::Progress;
use crate::engine::messages::store_holder::StoreHolder;
use crate::engine::messages::submission::{self, Sent};
use crate::engine::messages::sync::{Busy, Offered, Sync};
use crate::engine::metrics::{Counted, Metrics};
use crate::engine::node::fresh_state;
use crate::engine::node::handle::{
    Beat, Delivery, ElectRequest, Elected, JoinRequest, Joined, KnownState, Left, Node, NotifyRequest, StateView,
    SyncRequest, Synced,
};
use crate::engine::refusals::{RETRY_AFTER, error, refused, unavailable, unexpected};
use crate::engine::schedules::Schedules;
use crate::engine::state_dir::StateError;
use crate::engine::store_calls::gone;
use crate::engine::tasks::Tasks;
use crate::store::Store;
use crate::store::redis::RedisStore;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// How long a call waits for its messages to be in the stream; after that they count as queued.
const PUBLISH_WAIT: Duration = Duration::from_secs(3);
/// How long the history has at the end, however long the rest took.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_millis(150);
/// How long a subscriber with `after` waits until the node has begun to read events.
const READER_START_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call waits for an earlier answer to be written and acknowledged.
const EARLIER_ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

/// A running node. Cheap to clone. Dropping its last clone ends its tasks at once, without leaving the cluster.
#[derive(Clone)]
pub struct RunningNode {
    pub(crate) cluster: ClusterName,
    pub(crate) node: mpsc::Sender<Msg>,
    pub(crate) kept_view: Arc<KeptView>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) store: Arc<RedisStore>,
    pub(crate) store_holder: Arc<StoreHolder>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) history: Arc<History>,
    pub(crate) counted: Arc<Counted>,
    pub(crate) sync: Arc<Sync>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) schedules: Arc<Schedules>,
    pub(crate) work: Arc<Tasks>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) accepted: Arc<Notify>,
    pub(crate) settings: SyncSettings,
    pub(crate) tasks: Arc<Supervised>,
    pub(crate) acknowledging: Arc<Mutex<JoinSet<()>>>,
    pub(crate) gossip: Option<GossipHandle>,
    pub(crate) failed: watch::Receiver<bool>,
}

/// Ends every task of the node when it is dropped.
pub(crate) struct Supervised {
    pub(crate) supervisor: tokio::task::AbortHandle,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

impl RunningNode {
    /// The current id of the node.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.status.borrow().node_id.clone()
    }

    /// Waits until the node has another id than `known`, and returns it.
    pub async fn renamed(&self, known: &NodeId) -> Option<NodeId> {
        let mut status = self.status.clone();
        let changed = status.wait_for(|status| status.node_id != *known).await;
        changed.ok().map(|status| status.node_id.clone())
    }

    /// Sends unsent messages and leaves the cluster, for at most `within`; then ends.
    pub async fn stop(&self, within: Duration) {
        let began = clock::now();
        let member = self.status.borrow().instance().is_some();
        if member && self.is_linked() {
            let last = self.store_holder.peek(|store| store.unsent()).filter(|u| u.messages > 0);
            if let Some(unsent) = last {
                self.accepted.notify_one();
                self.progress.reach(unsent.last_accepted_seq, within / 2).await;
            }
            let left = within.saturating_sub(clock::now().since(began));
            match tokio::time::timeout(left, self.leave()).await {
                Ok(Ok(_)) => tracing::info!("left the cluster"),
                Ok(Err(why)) => {
                    tracing::warn!(error = %why, "cannot tell the cluster that this node leaves; the other members will notice that it is gone")
                }
                Err(_) => tracing::warn!(
                    "Redis did not answer in time while leaving; the other members will notice that this node is gone"
                ),
            }
        }
        if let Some(gossip) = &self.gossip {
            gossip.leave().await;
        }
        // After the leave, so that it includes every heartbeat; with a moment for the disk if Redis used up the time.
        let left = within.saturating_sub(clock::now().since(began)).max(FINAL_WRITE_TIMEOUT);
        self.history.finish(self.carried().await, left).await;
        let waiting = self.store_holder.peek(|store| store.unsent().messages).unwrap_or(0);
        if waiting > 0 {
            tracing::warn!(waiting, "unsent messages stay in the outbox; the next process of this node id sends them");
        }
        // The next process needs them to check acknowledgements before it has joined.
        let numbers = self.status.borrow().numbers;
        let change = SavedChange { numbers: Some(numbers), ..SavedChange::default() };
        let keeping = self.store_holder.with(move |store| store.save(&change));
        if let Ok(Some(Err(error))) = tokio::time::timeout(FINAL_WRITE_TIMEOUT, keeping).await {
            tracing::warn!(%error, "cannot save the cluster's sequence numbers on disk");
        }
        self.hub.close();
        self.tasks.supervisor.abort();
        // Closing writes what is pending; a broken disk must not delay the end.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.store_holder.empty()).await;
    }

    /// Waits until the node is a member.
    pub async fn admitted(&self) {
        self.sync.member().await;
    }

    /// Waits until one of the node's internal tasks fails; then the node must be restarted.
    pub async fn broken(&self) {
        let mut failed = self.failed.clone();
        // Without a supervisor the node is being stopped, which is not a failure.
        if failed.wait_for(|failed| *failed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.status.borrow().link
    }

    pub(crate) async fn settled(&self) -> Status {
        let mut status = self.status.clone();
        match status.wait_for(|status| status.settled).await {
            Ok(status) => status.clone(),
            Err(_) => self.status.borrow().clone(),
        }
    }

    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Error> {
        let (answer, outcome) = oneshot::channel();
        self.node.send(Msg::Ask(request, answer, tracing::Span::current())).await.map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?.map_err(error)
    }

    /// Gives messages to the outbox; `None` without one.
    async fn accept(&self, messages: Prepared, now: u64) -> Option<Result<Vec<Accepted>, AcceptError>> {
        let accepted = Arc::clone(&self.accepted);
        let woken = Woken::new(move || accepted.notify_one());
        let (answer, outcome) = oneshot::channel();
        // A caller that is gone does not need it.
        let answer = move |outcome| drop(answer.send(outcome));
        let begin = |store: &NodeStore| store.begin_to_accept(messages, now, woken.clone(), answer);
        match self.store_holder.peek(begin)? {
            Ok(()) => Some(outcome.await.unwrap_or(Err(AcceptError::State(StateError::Closed)))),
            Err(messages) => self.store_holder.with(move |store| store.accept_and_send(messages, now, woken)).await,
        }
    }

    async fn send(&self, request: &SyncRequest) -> Result<Sent, Error> {
        if request.messages.is_empty() {
            return Ok(Sent::default());
        }
        let submission::Submission { messages, recipients } = submission::check(&request.messages)?;
        self.check_recipients(&recipients).await?;
        let now = clock::wall().duration_since(std::time::UNIX_EPOCH).map(millis).unwrap_or(0);
        let accepted = match self.accept(messages, now).await {
            Some(Ok(accepted)) => accepted,
            Some(Err(why)) => return Err(refused(&why)),
            None => {
                let what = "an earlier process of this node id still holds the outbox".to_owned();
                return Err(Error::Overloaded { what, retry_after: RETRY_AFTER });
            }
        };
        let last = accepted.iter().filter_map(|a| match a {
            Accepted::New { producer_seq } => Some(*producer_seq),
            Accepted::Duplicate { .. } => None,
        });
        let last = last.max();
        tracing::debug!(last_message = last, "accepted messages into the outbox");
        if let Some(last) = last.filter(|_| self.is_linked()) {
            self.progress.reach(last, PUBLISH_WAIT).await;
        }
        Ok(Sent::of(&accepted, &self.progress))
    }
}

impl Node for RunningNode {
    type Feed = Feed;
    type Work = Tasks;
    type Limits = Limits;
    type Schedules = Schedules;

    fn schedules(&self) -> &Schedules {
        &self.schedules
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn work(&self) -> &Tasks {
        &self.work
    }

    async fn join(&self, request: JoinRequest) -> Result<Joined, Error> {
        // In a task of its own: if the client goes away, the node and its store must not end up under two ids.
        let this = self.clone();
        let joining = tokio::spawn(async move { this.join_whole(request).await });
        joining.await.unwrap_or_else(|error| Err(Error::Internal(format!("joining failed unexpectedly: {error}"))))
    }

    async fn leave(&self) -> Result<Left, Error> {
        // The node waits for the first attempt to join, but not for the end of an earlier holder of the id.
        match self.ask(Request::Leave).await? {
            Response::Left(left) => Ok(left),
            _ => Err(unexpected()),
        }
    }

    fn gossips(&self) -> bool {
        self.gossip.is_some()
    }

    async fn known_state(&self) -> Result<Arc<KnownState>, Error> {
        self.kept_view.read(&self.status, &self.node).await
    }

    async fn state(&self, fresh: bool) -> Result<StateView, Error> {
        let known = self.kept_view.read(&self.status, &self.node).await?;
        let peers = self.peers().await;
        // Checked last: this process may have been suspended since the node answered.
        if !fresh {
            return Ok(StateView { peers, ..known.at(clock::now()) });
        }
        let read = StateView { peers, ..fresh_state::read(&self.store, known.view()).await? };
        Ok(if known.role_holds(clock::now()) { read } else { read.without_lead() })
    }

    async fn elect(&self, request: ElectRequest) -> Result<Elected, Error> {
        self.settled().await;
        match self.ask(Request::Elect { candidate: request.candidate, force: request.force }).await? {
            Response::Elected(elected) => Ok(elected),
            _ => Err(unexpected()),
        }
    }

    async fn sync(&self, request: SyncRequest) -> Result<Synced, Error> {
        let status = self.settled().await;
        if !matches!(status.standing, Standing::Member(_) | Standing::Joining) {
            return Err(status.refusal());
        }
        if let Some(ack) = request.ack {
            self.sync.acknowledge(ack, None).await?;
        }
        let sent = self.send(&request).await?;
        let mut synced = Synced {
            published: sent.published,
            duplicates: sent.duplicates,
            queued: sent.queued,
            entries: sent.entries,
            ..Synced::default()
        };
        let limit = request.limit.unwrap_or(self.settings.batch_size).min(MAX_SYNC_LIMIT);
        let offered = match limit {
            0 => None,
            _ => self.sync.receive(limit, request.wait).await.unwrap_or_else(|Busy| {
                synced.more = true;
                None
            }),
        };
        // This answer tells what an earlier one acknowledges, so that has to be on disk.
        let delivering = self.sync.delivering(EARLIER_ANSWER_TIMEOUT).await;
        let Some(Offered { turn, offer }) = offered else {
            synced.cursor = self.sync.cursor();
            return Ok(synced);
        };
        synced.received = offer.received;
        synced.cursor = offer.cursor;
        synced.more = offer.more;
        synced.gap = offer.gap;
        if request.auto_ack && offer.cursor > self.sync.cursor() {
            let (delivery, written) = Delivery::new();
            synced.delivery = Some(delivery);
            let sync = Arc::clone(&self.sync);
            let acknowledge = async move {
                if written.await.is_ok()
                    && let Err(why) = sync.acknowledge(offer.cursor, Some(turn)).await
                {
                    tracing::error!(error = %why, "cannot save an acknowledgement; messages received before will come again after a restart");
                }
                drop(delivering);
            };
            let mut tasks = self.acknowledging.lock().unwrap_or_else(PoisonError::into_inner);
            while tasks.try_join_next().is_some() {}
            tasks.spawn(acknowledge);
        }
        Ok(synced)
    }

    async fn notify(&self, request: NotifyRequest) -> Result<Vec<NodeId>, Error> {
        self.send_note(request).await
    }

    async fn beat(&self) -> Result<Beat, Error> {
        self.settled().await;
        let Response::Beat { instance, at, round_trip, attempts } = self.ask(Request::Beat).await? else {
            return Err(unexpected());
        };
        let state = self.state(false).await?;
        Ok(Beat {
            node_id: instance.node_id,
            incarnation: instance.incarnation,
            role: state.role,
            term: state.term,
            leader_id: state.leader_id,
            at,
            round_trip,
            attempts,
        })
    }

    async fn feed(&self, options: FeedOptions) -> Result<Feed, Error> {
        let Some(after) = options.after else {
            return Ok(self.hub.feed(VecDeque::new(), None, options.messages));
        };
        if let Some(feed) = self.hub.feed_after(after, options.messages) {
            return Ok(feed);
        }
        if tokio::time::timeout(READER_START_TIMEOUT, self.hub.begun()).await.is_err() {
            return Err(unavailable("cannot read the events yet"));
        }
        // The feed starts at the end of the log; older events come from the stream, and duplicates are dropped.
        let mut feed = self.hub.feed(VecDeque::new(), Some(after), options.messages);
        let mut seen = after;
        loop {
            let page = self.store.events(seen, 500).await.map_err(|why| unavailable(&why.to_string()))?;
            let Some(last) = page.last().map(|event| event.seq) else { break };
            for event in page {
                if seen.0 > 0 && event.seq > seen.next() {
                    feed.backlog.push_back(self.hub.gap(seen.next(), EventSeq(event.seq.0 - 1)));
                }
                seen = event.seq;
                feed.backlog.push_back(Event::Cluster(event));
            }
            if self.hub.head().is_some_and(|head| last >= head) {
                break;
            }
        }
        if let Some(head) = self.hub.head().filter(|head| *head > seen && feed.backlog.is_empty()) {
            feed.backlog.push_back(self.hub.gap(seen.next(), head));
            seen = head;
        }
        feed.seen = Some(seen);
        Ok(feed)
    }
}
