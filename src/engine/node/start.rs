//! Starts and stops a node: its tasks, and the channels between them.
//!
//! 1. No task is left behind: each ends when the node is dropped, and a task that fails is logged.
//! 2. Stopping ends in time, whatever Redis does; unsent messages stay in the outbox.
//!
//! Not here: the running node (`running.rs`).

use super::driver::{Driver, heard};
use super::kept_view::KeptView;
use super::running::{RunningNode, Supervised};
use super::servers;
use super::status::{Msg, Status};
use crate::cluster::history::Summary;
use crate::cluster::ids::{ClusterName, Term};
use crate::cluster::members::member::Metadata;
use crate::cluster::node::{Former, Node, Settings};
use crate::cluster::protocol::Numbers;
use crate::cluster::settings::{LeaderSettings, Retry, SyncSettings, Timing};
use crate::config::GossipConfig;
use crate::engine::background;
use crate::engine::background::BackgroundTasks;
use crate::engine::cleanup::{self, CleanupQueue};
use crate::engine::events::Hub;
use crate::engine::gossip;
use crate::engine::history::{History, Surroundings};
use crate::engine::leases::Leases;
use crate::engine::limits::Limits;
use crate::engine::messages::outbox::NodeStore;
use crate::engine::messages::progress::Progress;
use crate::engine::messages::publisher::Publisher;
use crate::engine::messages::removals::Removals;
use crate::engine::messages::resumed::Resumed;
use crate::engine::messages::store_holder::StoreHolder;
use crate::engine::messages::sync::Sync;
use crate::engine::metrics::Metrics;
use crate::engine::schedules::Schedules;
use crate::engine::state_dir::StateDir;
use crate::engine::store_calls::Caller;
use crate::engine::stream_reader::Reader;
use crate::engine::tasks::Tasks;
use crate::engine::{presence, random};
use crate::store::Meter;
use crate::store::configured_history::Stores;
use crate::store::redis::{RedisStore, Target};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// The maximum number of inputs that wait for the node.
const WAITING: usize = 1024;

/// The parameters of a node.
pub struct Start {
    /// The cluster to join.
    pub cluster: ClusterName,
    /// The address of its Redis.
    pub target: Target,
    /// The node id to join under.
    pub node_id: crate::cluster::ids::NodeId,
    /// The store of that id, or its holder.
    pub store: Result<NodeStore, String>,
    /// The folder of the stores.
    pub state_dir: StateDir,
    /// The metadata of the node.
    pub metadata: Metadata,
    /// Whether it joins at start.
    pub auto_join: bool,
    /// Its settings for elections.
    pub leader: LeaderSettings,
    /// The timing that it sets if it is the first member.
    pub timing: Timing,
    /// How a failed heartbeat is retried.
    pub retry: Retry,
    /// The limits of messages.
    pub sync: SyncSettings,
    /// One-shot processes of this host whose membership this node takes over.
    pub former: Option<Former>,
    /// The unfinished summary of their heartbeats; this node's heartbeats are added to it.
    pub summary: Option<Summary>,
    /// The stores of its heartbeat history; `None`: no history.
    pub history: Option<Stores>,
    /// How long Redis keeps heartbeats, if it is the history store.
    pub recent: Duration,
    /// How it gossips with the other nodes; `None`: not at all.
    pub gossip: Option<GossipConfig>,
}

/// Starts a node; call it within a runtime.
///
/// # Errors
/// [`std::io::Error`] when the system provides no random numbers.
pub fn start(start: Start) -> std::io::Result<RunningNode> {
    let process = random::nonce()?;
    let (kept, holder) = match start.store {
        Ok(store) => (Some(store), None),
        Err(holder) => (None, Some(holder)),
    };
    let resumed = kept.as_ref().map(Resumed::of);
    let remembered = start.state_dir.settings();
    let settings = Settings {
        node_id: start.node_id.clone(),
        metadata: start.metadata,
        auto_join: start.auto_join && holder.is_none(),
        leader: start.leader,
        timing: start.timing,
        remembered,
        retry: start.retry,
        process: process.clone(),
        producer: resumed.as_ref().map_or_else(|| process.clone(), |r| r.producer.clone()),
        known: resumed.as_ref().map(|r| r.known).unwrap_or_default(),
        cursor: resumed.as_ref().and_then(|r| r.cursor.clone()),
        cursor_of: resumed.and_then(|r| r.cursor_of),
        former: start.former,
        confirmed: start.target.confirmations.replicas > 0,
    };
    let node = match holder {
        Some(holder) => Node::refused(settings, holder),
        None => Node::new(settings),
    };
    let status = Status {
        standing: node.standing().clone(),
        settled: node.settled(),
        link: false,
        well: false,
        leads: false,
        leader_id: None,
        term: Term(0),
        draining: false,
        node_id: start.node_id,
        epoch: String::new(),
        numbers: Numbers::default(),
        interval: node.timing().heartbeat_interval,
        grace: node.shared().settings.presence_grace,
    };
    let (status, status_reader) = watch::channel(status);
    let (inputs, inbox) = mpsc::channel::<Msg>(WAITING);
    let (to_presence, presence_commands) = mpsc::channel(16);
    let metrics = Metrics::new()?;
    let meter: Arc<dyn Meter> = Arc::<Metrics>::clone(&metrics);
    let store = Arc::new(RedisStore::new(start.target, &start.cluster).counted(meter).keep_history(start.recent));
    let hub = Hub::new();
    let mut tasks = JoinSet::new();
    let around = Surroundings {
        state_dir: &start.state_dir,
        process: process.as_str(),
        metrics: &metrics,
        redis: &store,
        hub: &hub,
        status: &status_reader,
    };
    let history = History::begin(start.history, start.summary, &around, &mut tasks);
    let gossip = start.gossip.map(|config| {
        let parts = gossip::Parts {
            cluster: start.cluster.clone(),
            state_dir: start.state_dir.clone(),
            status: status_reader.clone(),
            node: inputs.downgrade(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
        };
        gossip::begin(config, parts, &mut tasks)
    });
    let gossip = gossip.transpose()?;
    let state_dir = start.state_dir.clone();
    let store_holder = StoreHolder::new(start.state_dir, kept);
    let progress = Arc::new(Progress::default());
    let sync = Sync::new(
        Arc::clone(&store_holder),
        Arc::clone(&hub),
        Arc::clone(&store),
        inputs.downgrade(),
        status_reader.clone(),
        Arc::clone(&progress),
        Arc::clone(&metrics),
    );
    let accepted = Arc::new(Notify::new());
    let caller = Caller { store: Arc::clone(&store), status: status_reader.clone(), node: inputs.downgrade() };
    let (cleanup, cleanups) = CleanupQueue::new();
    let (background, children) = BackgroundTasks::new();
    let leases = Leases::new(caller.clone(), cleanup.clone(), background.clone());
    let limits = Arc::new(Limits::new(caller.clone(), cleanup.clone(), Arc::clone(&leases)));
    let schedules = Arc::new(Schedules::new(caller.clone(), start.sync.max_task_bytes));
    let (work, (submitting, settling)) = Tasks::new(caller.clone(), cleanup, background, start.sync.max_task_bytes);
    let kept_view = Arc::new(KeptView::default());
    let driver = Driver {
        cluster: start.cluster.clone(),
        state_dir,
        node,
        kept_view: Arc::clone(&kept_view),
        store: Arc::clone(&store),
        hub: Arc::clone(&hub),
        metrics: Arc::clone(&metrics),
        history: Arc::clone(&history),
        brought: Vec::new(),
        sync: Arc::clone(&sync),
        leases: Arc::clone(&leases),
        tasks: Arc::clone(&work),
        presence: to_presence,
        status,
        inbox,
        calls: JoinSet::new(),
        running: HashMap::new(),
        clients: HashMap::new(),
        tickets: 0,
    };
    let publisher = Publisher {
        store: Arc::clone(&store),
        store_holder: Arc::clone(&store_holder),
        hub: Arc::clone(&hub),
        metrics: Arc::clone(&metrics),
        progress: Arc::clone(&progress),
        status: status_reader.clone(),
        accepted: Arc::clone(&accepted),
        sync: Arc::clone(&sync),
        node: inputs.clone(),
        keep: (start.sync.max_stream_length, start.sync.max_stream_bytes),
        held_up: false,
        confirmed: None,
        removals: Removals::new(Arc::clone(&store_holder)),
    };
    tasks.spawn(driver.run());
    let for_waiters = Arc::clone(&leases);
    let for_slots = Arc::clone(&schedules);
    let hear = move |report| heard(&for_waiters, &for_slots, report);
    tasks.spawn(presence::run(Arc::clone(&store), presence_commands, inputs.clone(), hear));
    let reader = || Reader { store: Arc::clone(&store), sync: Arc::clone(&sync), node: inputs.clone() };
    tasks.spawn(reader().events(Arc::clone(&hub)));
    tasks.spawn(reader().messages());
    tasks.spawn(publisher.run());
    tasks.spawn(cleanup::run(cleanups, caller));
    tasks.spawn(background::run(children));
    tasks.spawn(submitting.run());
    let for_due = Arc::clone(&schedules);
    tasks.spawn(async move { for_due.run().await });
    tasks.spawn(settling.run());
    tasks.spawn(keep_numbers(Arc::clone(&store_holder), status_reader.clone()));
    tasks.spawn(servers::follow(Arc::clone(&store), Arc::clone(&hub), Arc::clone(&metrics), inputs.clone()));
    let watching = Arc::clone(&store);
    tasks.spawn(async move { watching.watch_primary().await });
    let for_acks = Arc::clone(&sync);
    tasks.spawn(async move { for_acks.send_acknowledgements().await });
    let for_vacating = Arc::clone(&sync);
    tasks.spawn(async move { for_vacating.vacate_when_replaced().await });
    let for_beginnings = Arc::clone(&sync);
    tasks.spawn(async move { for_beginnings.keep_beginnings().await });
    let for_passing = Arc::clone(&sync);
    tasks.spawn(async move { for_passing.pass_over().await });
    let (failing, failure) = watch::channel(false);
    let supervisor = tokio::spawn(supervise(tasks, failing));
    Ok(RunningNode {
        cluster: start.cluster,
        node: inputs,
        kept_view,
        status: status_reader,
        store,
        store_holder,
        hub,
        metrics,
        history,
        counted: Arc::default(),
        sync,
        leases,
        limits,
        schedules,
        work,
        progress,
        accepted,
        settings: start.sync,
        tasks: Arc::new(Supervised { supervisor: supervisor.abort_handle() }),
        acknowledging: Arc::default(),
        gossip,
        failed: failure,
    })
}

/// No task ends while the node runs: one that does has failed, and with it the node.
async fn supervise(mut tasks: JoinSet<()>, failing: watch::Sender<bool>) {
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(()) => tracing::error!("an internal task of the node ended; the node cannot continue"),
            Err(error) => tracing::error!(%error, "an internal task of the node failed; the node cannot continue"),
        }
        failing.send_replace(true);
    }
}

/// Saves the highest sequence numbers on disk (E2) when they change, at most twice a second.
async fn keep_numbers(store_holder: Arc<StoreHolder>, mut status: watch::Receiver<Status>) {
    let mut kept = Numbers::default();
    while status.changed().await.is_ok() {
        let (numbers, incarnation) = {
            let status = status.borrow_and_update();
            (status.numbers, status.instance().map(|instance| instance.incarnation))
        };
        if numbers != kept {
            let change = crate::engine::messages::outbox::SavedChange {
                numbers: Some(numbers),
                incarnation,
                ..crate::engine::messages::outbox::SavedChange::default()
            };
            match store_holder.with(move |store| store.save(&change)).await {
                Some(Ok(())) => kept = numbers,
                Some(Err(error)) => tracing::warn!(%error, "cannot save the cluster's sequence numbers on disk"),
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
