//! The demo's processes: a private Redis, the nodes, and a watcher per node.
//!
//! 1. A node's standard input is a pipe that the demo holds: the node stops with the demo, even if the demo is killed. The last node
//!    then stops Redis; only the folder stays, because no process is left to remove it.
//! 2. The nodes get no environment variable of the user's that could make them join a real cluster.
//! 3. A watcher that fails retries until its node is gone; its task is aborted with its node.
//!
//! Not here: the meaning of the reports (`model.rs`).

use super::model::Input;
use crate::cli::Environment;
use crate::cli::messages::send_text;
use crate::cli::outcome::Failure;
use crate::clock;
use crate::cluster::ids::{ClusterName, NodeId};
use crate::embedded::{self, EmbeddedServer, Seek};
use crate::engine::state_dir::StateDir;
use crate::rpc::client::{CallError, Client};
use crate::rpc::wire::state::StateParams;
use crate::rpc::wire::subscription::SubscribeParams;
use crate::rpc::wire::sync::SyncResult;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const CLUSTER: &str = "demo";
/// How often a watcher asks its node for the state.
const POLL: Duration = Duration::from_millis(200);
/// The pause between two messages of a node.
const MESSAGE_INTERVAL: Duration = Duration::from_millis(700);
/// How long a node may take to send a message that a key asked for.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a node may take to stop after SIGTERM before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The demo's cluster. Dropping it kills the nodes, stops Redis and removes the folder.
pub(super) struct Nodes {
    // The order matters: the nodes are dropped before their Redis, and Redis before its folder.
    running: BTreeMap<String, Running>,
    redis: EmbeddedServer,
    folder: Folder,
    state: StateDir,
    environment: BTreeMap<String, String>,
    reports: mpsc::Sender<Input>,
    /// What this side did itself; not sent through the channel, whose reader may be waiting for this side.
    news: Vec<Input>,
}

struct Running {
    child: Child,
    /// Kept open and not written: closing it stops the node. Separate from the child, whose `wait` would close it.
    _input: Option<ChildStdin>,
    watchers: JoinSet<()>,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it holds only files of the demo, in the system's temporary folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn create() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let failed = |error: std::io::Error| {
            Failure::Failed(format!("cannot create a folder in {}: {error}; set TMPDIR", base.display()))
        };
        for attempt in 0..100 {
            let path = base.join(format!("clawster-demo-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(failed(std::io::Error::from(std::io::ErrorKind::AlreadyExists)))
    }
}

/// The ids of the demo's nodes.
pub(super) fn ids(count: usize) -> Vec<String> {
    ('a'..='z').take(count).map(|letter| format!("node-{letter}")).collect()
}

impl Nodes {
    /// Starts the private Redis, without any node.
    pub(super) async fn prepare(environment: &Environment, reports: mpsc::Sender<Input>) -> Result<Self, Failure> {
        let folder = Folder::create()?;
        let mut seek = Seek::new(|name| environment.get(name).map(Into::into));
        seek.reaper = Some(embedded::own_program());
        let root = folder.0.clone();
        let started = tokio::task::spawn_blocking(move || EmbeddedServer::attach(&root, &seek)).await;
        let redis = started
            .map_err(|error| Failure::Failed(error.to_string()))?
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let config = folder.0.join("config");
        fs::create_dir(&config).map_err(|error| Failure::Failed(format!("{}: {error}", config.display())))?;
        let keep = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "CLAWSTER_REDIS_SERVER"];
        let mut variables: BTreeMap<String, String> =
            keep.iter().filter_map(|name| Some(((*name).to_owned(), environment.get(name)?.to_owned()))).collect();
        let text = |path: &Path| path.display().to_string();
        for (name, value) in [
            ("CLAWSTER_CONFIG_DIR", text(&config)),
            ("CLAWSTER_STATE_DIR", text(&folder.0)),
            ("CLAWSTER__CLUSTER__NAME", CLUSTER.to_owned()),
            ("CLAWSTER__LOGGING__SYSLOG", "false".to_owned()),
            // Each node uses the private Redis: the last one stops it, even if the demo was killed.
            ("CLAWSTER__REDIS__MODE", "embedded".to_owned()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        let cluster = ClusterName::new(CLUSTER).map_err(|error| Failure::Failed(error.to_string()))?;
        let state = StateDir::open(&folder.0, &cluster).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Self { running: BTreeMap::new(), redis, folder, state, environment: variables, reports, news: Vec::new() })
    }

    /// Starts a node with this id.
    pub(super) async fn start(&mut self, id: &str) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::Failed(format!("cannot start {id}: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let log = self.folder.0.join(format!("{id}.log"));
        let errors = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let mut child = Command::new(program)
            .args(["serve", "--node", id])
            .env_clear()
            .envs(&self.environment)
            .env("CLAWSTER__LOGGING__FILE", self.folder.0.join(format!("{id}-heartbeat.log")))
            .current_dir(&self.folder.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let input = child.stdin.take();
        // At once: if this future is dropped, the end of the demo still stops the node.
        self.running.insert(id.to_owned(), Running { child, _input: input, watchers: JoinSet::new() });
        let Some(running) = self.running.get_mut(id) else { return Ok(()) };
        // Reports a node that cannot start at all; a later end is shown in the view.
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(30), running.child.wait()).await {
            self.running.remove(id);
            let status = ended.map_err(failed)?;
            let text = fs::read_to_string(&log).unwrap_or_default();
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("its log is empty").to_owned();
            return Err(Failure::Failed(format!("{id} did not start ({status}): {last}")));
        }
        let node = NodeId::new(id).map_err(|error| Failure::Failed(error.to_string()))?;
        let socket: Arc<Path> = Arc::from(self.state.socket_path(&node));
        running.watchers.spawn(watch(Arc::clone(&socket), self.reports.clone()));
        running.watchers.spawn(exchange_messages(socket, id.to_owned(), self.reports.clone()));
        self.news.push(Input::Started(id.to_owned()));
        Ok(())
    }

    /// Kills a node with SIGKILL; true if it was running.
    pub(super) async fn kill(&mut self, id: &str) -> bool {
        let Some(node) = self.running.get_mut(id) else { return false };
        node.watchers.abort_all();
        // Kills and reaps it; it fails only if the node is dead already.
        let _ = node.child.kill().await;
        self.running.remove(id);
        self.news.push(Input::Gone(id.to_owned()));
        true
    }

    /// Asks a node to stop with SIGTERM; [`Self::reap`] reports its end.
    pub(super) fn terminate(&mut self, id: &str) -> bool {
        let pid = self.running.get(id).and_then(|node| node.child.id());
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        // The child is not reaped yet, so the process id is still its own.
        pid.is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok())
    }

    /// Removes nodes whose process has ended.
    pub(super) fn reap(&mut self) {
        let ended = |node: &mut Running| matches!(node.child.try_wait(), Ok(Some(_)) | Err(_));
        let gone: Vec<String> =
            self.running.iter_mut().filter_map(|(id, node)| ended(node).then(|| id.clone())).collect();
        for id in gone {
            self.running.remove(&id);
            self.news.push(Input::Gone(id));
        }
    }

    /// Whether a node's process runs.
    pub(super) fn is_running(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    /// Sends a text as this node.
    ///
    /// # Errors
    /// When the node does not accept it within [`SEND_TIMEOUT`].
    pub(super) async fn send(&mut self, id: &str, text: &str) -> Result<(), Failure> {
        let node = NodeId::new(id).map_err(|error| Failure::Failed(error.to_string()))?;
        let socket = self.state.socket_path(&node);
        let sent = async {
            let client = Client::connect(&socket).await?;
            send_text(&client, text).await
        };
        let late = |_| Failure::Failed(format!("{id} did not answer within 1 s"));
        tokio::time::timeout(SEND_TIMEOUT, sent).await.map_err(late)??;
        self.news.push(Input::Sent { node: id.to_owned(), count: 1 });
        Ok(())
    }

    /// Stops the nodes with SIGTERM, then Redis.
    pub(super) async fn shutdown(mut self) {
        let ids: Vec<String> = self.running.keys().cloned().collect();
        for id in &ids {
            self.terminate(id);
        }
        let mut ends = JoinSet::new();
        for (_, mut node) in std::mem::take(&mut self.running) {
            node.watchers.abort_all();
            ends.spawn(async move {
                if tokio::time::timeout(STOP_TIMEOUT, node.child.wait()).await.is_err() {
                    // Reaps it, too: Redis does not stop while a node still uses it.
                    let _ = node.child.kill().await;
                }
            });
        }
        while ends.join_next().await.is_some() {}
        let Self { redis, folder, .. } = self;
        // The folder is removed after its server; a server that does not stop is only logged.
        let ended = tokio::task::spawn_blocking(move || {
            drop(redis);
            drop(folder);
        });
        let _ = ended.await;
    }

    /// What this side did itself since the last call.
    pub(super) fn news(&mut self) -> Vec<Input> {
        std::mem::take(&mut self.news)
    }
}

/// Reports a node's state and events while the node can be reached.
async fn watch(socket: Arc<Path>, reports: mpsc::Sender<Input>) {
    loop {
        // Without a connection the node is starting, or gone; in that case this task is aborted.
        if let Ok(client) = Client::connect(&socket).await {
            let _ = follow(&client, &socket, &reports).await;
        }
        tokio::time::sleep(POLL / 4).await;
    }
}

async fn follow(client: &Client, socket: &Path, reports: &mpsc::Sender<Input>) -> Result<(), CallError> {
    // Events have their own connection: a full queue of them must not delay the answers.
    let feed = Client::connect(socket).await.map_err(|_| CallError::Lost)?;
    let (_, mut events) = feed.subscribe(SubscribeParams { events: None, after: Some("0-0".to_owned()) }).await?;
    let mut ticks = tokio::time::interval(POLL);
    loop {
        let input = tokio::select! {
            event = events.recv() => Input::Event(event.ok_or(CallError::Lost)?.result),
            _ = ticks.tick() => Input::State(client.call("distributed.get_cluster_state", StateParams::default()).await?),
        };
        if reports.send(input).await.is_err() {
            return Ok(());
        }
    }
}

/// Sends a message every [`MESSAGE_INTERVAL`], and receives the other nodes' messages.
async fn exchange_messages(socket: Arc<Path>, id: String, reports: mpsc::Sender<Input>) {
    let mut number = 0_u64;
    loop {
        if let Ok(client) = Client::connect(&socket).await {
            loop {
                number += 1;
                let params = json!({"messages": [{"text": format!("{id} says hello, {number}")}], "limit": 1_000});
                let Ok(result) = client.call::<SyncResult>("distributed.sync_messages", params).await else { break };
                let mut counts: BTreeMap<String, u64> = BTreeMap::new();
                for message in result.received {
                    *counts.entry(message.from).or_default() += 1;
                }
                let mut news = vec![Input::Sent { node: id.clone(), count: result.published }];
                let received = counts.into_iter();
                news.extend(received.map(|(from, count)| Input::Received { node: id.clone(), from, count }));
                for input in news {
                    if reports.send(input).await.is_err() {
                        return;
                    }
                }
                tokio::time::sleep(MESSAGE_INTERVAL).await;
            }
        }
        tokio::time::sleep(POLL / 4).await;
    }
}

/// Repeats `step`, with the time that is left, until it returns true; false if `limit` passes first.
pub(super) async fn until<F>(limit: Duration, mut step: F) -> bool
where
    F: AsyncFnMut(Duration) -> bool,
{
    let begun = clock::now();
    loop {
        let passed = clock::now().since(begun);
        if passed >= limit {
            return false;
        }
        if step(limit - passed).await {
            return true;
        }
    }
}
