//! Keeps a session attached to a node: the running node of this host, else one that this process runs.
//!
//! 1. A session that finds no node takes a lock, looks again, and only then starts one; so sessions that start at the same time
//!    end up with one member.
//! 2. A node that went away has [`TAKEOVER_DELAY`] to come back. Then this process starts a node; if the old id was generated on
//!    this host, it reuses it: the cluster sees the same member again, and its messages continue where they stopped.
//! 3. An error ends nothing: the attempt is repeated, and calls are answered with the error, so that the host can show it.
//!
//! Not here: the node's events (`news.rs`), putting a node together (`crate::cli::node_access::own_node`).

use super::news::News;
use crate::cli::node_access::attach::{self, Found};
use crate::cli::node_access::own_node::{Claim, OwnNode};
use crate::cli::options::Global;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::serve::SETTLE_WITHIN;
use crate::cli::settle::{SettledRedis, refuse_eviction, settle_redis};
use crate::clock;
use crate::cluster::ids::NodeId;
use crate::cluster::time::Moment;
use crate::config::Config;
use crate::embedded::Seek;
use crate::engine::state_dir::{StateDir, StateError};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// How long a node that went away may take to come back before this process starts one.
const TAKEOVER_DELAY: Duration = Duration::from_millis(1_500);
/// How long this process tries to reuse the lost node's generated id, whose process may still be ending.
const SAME_ID_TIMEOUT: Duration = Duration::from_secs(8);
/// The pause between two searches for a node.
const ATTACH_POLL: Duration = Duration::from_millis(100);
/// The pause after a failed attempt.
const ATTACH_RETRY_DELAY: Duration = Duration::from_secs(1);

/// See the module's text.
pub(super) struct SessionNode<'a> {
    global: &'a Global,
    config: Config,
    seek: Seek,
    news: News,
    stop: watch::Receiver<bool>,
    redis: Option<SettledRedis>,
    own: Option<OwnNode>,
    /// The node that went away, and when.
    lost: Option<(NodeId, Moment)>,
    /// The last error that was logged, so that each is logged once.
    logged: Option<String>,
    /// Why the session has not been attached to any node yet, if an attempt failed.
    never: Option<Failure>,
}

/// A node to attach to.
struct Place {
    node_id: NodeId,
    socket: PathBuf,
}

impl<'a> SessionNode<'a> {
    pub(super) fn new(global: &'a Global, config: Config, seek: Seek, news: News, stop: watch::Receiver<bool>) -> Self {
        Self { global, config, seek, news, stop, redis: None, own: None, lost: None, logged: None, never: None }
    }

    /// Notes an error from before the first attempt.
    pub(super) fn failed(&mut self, failure: Failure) {
        self.trouble(failure.to_string());
        self.never = Some(failure);
    }

    /// Keeps the session attached until `stop` is set.
    pub(super) async fn keep(&mut self) {
        let mut stop = self.stop.clone();
        let mut attached = false;
        while !*stop.borrow() {
            let pause = match self.reach().await {
                Ok(Some(place)) => {
                    attached = true;
                    self.never = None;
                    tokio::select! {
                        _ = stop.wait_for(|stop| *stop) => return,
                        () = self.stay(place) => ATTACH_POLL,
                    }
                }
                Ok(None) => ATTACH_POLL,
                Err(failure) => {
                    self.trouble(failure.to_string());
                    self.never = Some(failure).filter(|_| !attached);
                    ATTACH_RETRY_DELAY
                }
            };
            // Ends early when `stop` is set; the loop checks it.
            let _ = tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await;
        }
    }

    /// The node that this process runs, if any, the Redis that it uses, and how the session ended: with the error that kept it from
    /// any node, if it never had one.
    pub(super) fn into_parts(self) -> (Option<OwnNode>, SettledRedis, Outcome) {
        (self.own, self.redis.unwrap_or_default(), self.never.map_or(Ok(()), Err))
    }

    /// Stays attached to a node until it goes away.
    async fn stay(&mut self, place: Place) {
        let Place { node_id, socket } = place;
        let broken = async {
            match &self.own {
                Some(own) => own.broken().await,
                None => std::future::pending().await,
            }
        };
        let broke = tokio::select! {
            () = self.news.follow(&socket) => false,
            () = broken => true,
        };
        self.logged = None;
        self.news.detach();
        if broke && let Some(own) = self.own.take() {
            tracing::error!(node_id = %node_id, "a part of this node failed; restarting the node");
            own.end(std::future::ready(()), Duration::ZERO).await;
        }
        if self.own.is_none() {
            tracing::warn!(node_id = %node_id, "this host's node went away; looking for another one");
            self.lost = Some((node_id, clock::now()));
        }
    }

    /// Finds a node, or starts one. `None`: not yet, try again.
    async fn reach(&mut self) -> Result<Option<Place>, Failure> {
        if let Some(own) = &self.own {
            return Ok(Some(Place { node_id: own.id(), socket: own.socket()? }));
        }
        if let Some(place) = self.running().await? {
            return Ok(Some(place));
        }
        if self.lost_for().is_some_and(|time| time < TAKEOVER_DELAY) {
            return Ok(None);
        }
        self.start().await
    }

    async fn running(&self) -> Result<Option<Place>, Failure> {
        match attach::find(self.global, &self.config).await? {
            Found::Running { node_id, socket, .. } => Ok(Some(Place { node_id, socket })),
            Found::Absent(_) => Ok(None),
        }
    }

    async fn start(&mut self) -> Result<Option<Place>, Failure> {
        let failed = |error: StateError| Failure::Failed(error.to_string());
        if self.redis.is_none() {
            let settled = settle_redis(&mut self.config, self.seek.clone(), SETTLE_WITHIN).await?;
            refuse_eviction(&self.config, &settled).await?;
            settled.log();
            self.redis = Some(settled);
        }
        let state = StateDir::open(&self.config.state_dir, &self.config.cluster).map_err(failed)?;
        let waiting = state.clone();
        let turn = match tokio::task::spawn_blocking(move || waiting.turn_to_start()).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(StateError::InUse { .. })) | Err(_) => return Ok(None),
            Ok(Err(error)) => return Err(failed(error)),
        };
        if *self.stop.borrow() {
            return Ok(None);
        }
        // The process that held the lock before may have started one.
        if let Some(place) = self.running().await? {
            return Ok(Some(place));
        }
        let claim = Claim::take(&self.config, self.wanted(&state))?;
        if claim.refused() {
            self.trouble(format!(
                "another process on this host uses node id {} but does not listen yet; it may be starting or stopping, try again",
                claim.id()
            ));
            return Ok(None);
        }
        let redis = self.redis.get_or_insert_default();
        let own = OwnNode::start(claim, &self.config, redis)?;
        drop(turn);
        let place = Place { node_id: own.id(), socket: own.socket()? };
        self.own = Some(own);
        Ok(Some(place))
    }

    /// The id to run with: the configured one, else that of the node that went away, else any.
    fn wanted(&self, state: &StateDir) -> Option<NodeId> {
        let again = || {
            let (id, _) = self.lost.as_ref()?;
            let soon = self.lost_for().is_some_and(|time| time < SAME_ID_TIMEOUT);
            (soon && state.is_generated(id)).then(|| id.clone())
        };
        self.config.node.id.clone().or_else(again)
    }

    fn lost_for(&self) -> Option<Duration> {
        self.lost.as_ref().map(|(_, at)| clock::now().since(*at))
    }

    /// Makes calls fail with `why`, and logs it once.
    fn trouble(&mut self, why: String) {
        if self.logged.as_ref() != Some(&why) {
            tracing::warn!("{why}");
        }
        self.news.trouble(&why);
        self.logged = Some(why);
    }
}
