//! The loop around the pure gossip: it feeds datagrams, timers and questions, and carries out effects.
//!
//! 1. It gossips while the node is a member or tries to become one, under the node's current id.
//! 2. Before its timers it takes what the socket holds, so that a process that was paused blames nobody for it.
//! 3. Log lines about datagrams are limited; each kind is counted.
//!
//! Not here: the rules (`crate::cluster::gossip`).

use super::seeds::{Kept, Life, resolve};
use super::{Ask, Parts};
use crate::clock::{self, Seldom};
use crate::cluster::event::{LocalFact, SilenceReason};
use crate::cluster::gossip::{Dropped, Effect, Gossip, Identity, Note, Says, Settings, Silence};
use crate::cluster::ids::{NodeId, Term};
use crate::cluster::node::{Input, Standing};
use crate::cluster::time::{ServerTime, millis};
use crate::config::GossipConfig;
use crate::engine::metrics::GossipMeters;
use crate::engine::node::status::Msg;
use crate::engine::random;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};

/// The pause before the socket is opened again, or the own address is resolved again.
const RETRY: Duration = Duration::from_secs(5);
/// How long a node is silent after another process gossiped under its id.
const CONTESTED: Duration = Duration::from_mins(1);
/// The most datagrams that are taken before the timers run.
const AT_ONCE: usize = 512;
/// Longer than any datagram, so that a longer one is seen as such.
const BUFFER: usize = 2_048;

static OTHER_KEY: Seldom = Seldom::new(1);
static CANNOT_LISTEN: Seldom = Seldom::new(1);
static CANNOT_RESOLVE: Seldom = Seldom::new(1);

/// Why a conversation ended.
enum Ended {
    /// The node has another id, or is no member any more.
    Changed,
    /// Another process uses the id.
    Contested,
    /// The node is being stopped.
    Stopped,
}

pub(super) struct Task {
    config: GossipConfig,
    parts: Parts,
    asks: mpsc::Receiver<Ask>,
    running: Arc<AtomicBool>,
    meters: GossipMeters,
    seeds: watch::Receiver<Vec<SocketAddr>>,
    /// Whether Redis accepts heartbeats, and since when.
    redis: (bool, ServerTime),
    /// A higher term that the node has not been told yet.
    term: Option<Term>,
    contested: bool,
}

impl Task {
    pub(super) fn new(
        config: GossipConfig,
        parts: Parts,
        asks: mpsc::Receiver<Ask>,
        running: Arc<AtomicBool>,
        meters: GossipMeters,
        seeds: watch::Receiver<Vec<SocketAddr>>,
    ) -> Self {
        let redis = (false, ServerTime::default());
        Self { config, parts, asks, running, meters, seeds, redis, term: None, contested: false }
    }

    /// Gossips as long as the node runs.
    pub(super) async fn run(mut self) {
        let address = self.own_address().await;
        loop {
            let Some(node_id) = self.wanted().await else { return std::future::pending().await };
            let socket = self.socket().await;
            let ended = self.gossip(node_id, address, socket).await;
            self.running.store(false, Ordering::Relaxed);
            self.meters.reachable.set(0);
            match ended {
                Ended::Changed => {}
                Ended::Contested => {
                    let pause = CONTESTED.as_secs();
                    tracing::error!(
                        "another process gossips under this node's id; this node does not gossip for {pause} s. Give each node an id of its own (node.id)"
                    );
                    tokio::time::sleep(CONTESTED).await;
                }
                Ended::Stopped => return std::future::pending().await,
            }
        }
    }

    /// The address that the other nodes get.
    async fn own_address(&self) -> SocketAddr {
        loop {
            let place = &self.config.advertise;
            if let Some(address) = resolve(place).await {
                return address;
            }
            if CANNOT_RESOLVE.due().is_some() {
                tracing::warn!(
                    "cannot resolve {place}, where the other nodes reach this one (node.endpoint); gossip waits"
                );
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The id to gossip under, now.
    fn id(&self) -> Option<NodeId> {
        let status = self.parts.status.borrow();
        matches!(status.standing, Standing::Joining | Standing::Member(_)).then(|| status.node_id.clone())
    }

    /// Waits until the node is or becomes a member; `None`: it is being stopped.
    async fn wanted(&mut self) -> Option<NodeId> {
        loop {
            if let Some(id) = self.id() {
                return Some(id);
            }
            self.parts.status.changed().await.ok()?;
        }
    }

    async fn socket(&self) -> UdpSocket {
        let listen = self.config.listen;
        loop {
            match UdpSocket::bind(listen).await {
                Ok(socket) => {
                    // Before that, the first datagrams would be refused.
                    let _ = socket.writable().await;
                    return socket;
                }
                Err(error) => {
                    if CANNOT_LISTEN.due().is_some() {
                        tracing::warn!(%error, "cannot gossip on {listen} (gossip.listen): {error}; trying again every {} s", RETRY.as_secs());
                    }
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The Redis server's clock as far as known, else this host's.
    fn time(&self) -> ServerTime {
        let known = self.parts.hub.server_time();
        if known > ServerTime::default() {
            return known;
        }
        ServerTime(clock::wall().duration_since(UNIX_EPOCH).map(millis).unwrap_or_default())
    }

    async fn begin(&mut self, node_id: NodeId, address: SocketAddr) -> std::io::Result<Gossip> {
        let Life(last) = Life::load(&self.parts.state_dir, &node_id).await;
        let wall = clock::wall().duration_since(UNIX_EPOCH).map(millis).unwrap_or_default();
        let life = wall.max(last.saturating_add(1));
        Life(life).save(&self.parts.state_dir, &node_id).await;
        let me = Identity::new(node_id, life, address);
        let settings = Settings { me, session: random::bytes()?, seed: u64::from_be_bytes(random::bytes()?) };
        let keys: Vec<&str> = self.config.keys.iter().map(|key| key.expose()).collect();
        let mut gossip = Gossip::new(clock::now(), self.parts.cluster.clone(), &keys, settings);
        gossip.set_seeds(self.seeds.borrow_and_update().clone());
        self.say(&mut gossip);
        Ok(gossip)
    }

    /// Tells the pure part what the node knows.
    fn say(&mut self, gossip: &mut Gossip) {
        let time = self.time();
        let status = self.parts.status.borrow_and_update();
        if self.redis.0 != status.link || self.redis.1 == ServerTime::default() {
            self.redis = (status.link, time);
        }
        let says = Says {
            redis: status.link,
            redis_since: self.redis.1,
            draining: status.draining,
            leaving: false,
            leader_id: status.leader_id.clone(),
            term: status.term,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        gossip.say(clock::now(), time, says);
    }

    async fn gossip(&mut self, node_id: NodeId, address: SocketAddr, socket: UdpSocket) -> Ended {
        let mut gossip = match self.begin(node_id.clone(), address).await {
            Ok(gossip) => gossip,
            Err(error) => {
                tracing::error!(%error, "cannot gossip: the system gives no random numbers");
                tokio::time::sleep(RETRY).await;
                return Ended::Changed;
            }
        };
        tracing::info!(address = %self.config.listen, advertised = %address, "gossiping with the other nodes");
        self.running.store(true, Ordering::Relaxed);
        let mut buffer = vec![0; BUFFER];
        loop {
            self.carry_out(&mut gossip, &socket);
            if std::mem::take(&mut self.contested) {
                gossip.leave(clock::now());
                self.carry_out(&mut gossip, &socket);
                return Ended::Contested;
            }
            let wait = gossip.wake_at().since(clock::now()).max(Duration::from_millis(1));
            tokio::select! {
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.received(&mut gossip, from, buffer.get_mut(..length)),
                    // The network is down, for example; it must not become a busy loop.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
                ask = self.asks.recv() => match ask {
                    Some(Ask::Leave(done)) => {
                        gossip.leave(clock::now());
                        self.carry_out(&mut gossip, &socket);
                        // The node may have stopped waiting.
                        let _ = done.send(());
                        return Ended::Stopped;
                    }
                    Some(ask) => answer(&mut gossip, ask),
                    None => return Ended::Stopped,
                },
                changed = self.parts.status.changed() => {
                    if changed.is_err() {
                        return Ended::Stopped;
                    }
                    if self.id().as_ref() != Some(&node_id) {
                        gossip.leave(clock::now());
                        self.carry_out(&mut gossip, &socket);
                        return Ended::Changed;
                    }
                    self.say(&mut gossip);
                }
                Ok(()) = self.seeds.changed() => gossip.set_seeds(self.seeds.borrow_and_update().clone()),
                () = tokio::time::sleep(wait) => {
                    for _ in 0..AT_ONCE {
                        let Ok((length, from)) = socket.try_recv_from(&mut buffer) else { break };
                        self.received(&mut gossip, from, buffer.get_mut(..length));
                    }
                    gossip.wake(clock::now());
                }
            }
        }
    }

    fn received(&self, gossip: &mut Gossip, from: SocketAddr, datagram: Option<&mut [u8]>) {
        let outcome = gossip.received(clock::now(), from, datagram.unwrap_or_default());
        self.meters.received(outcome);
        if outcome == Err(Dropped::Sealed)
            && let Some(unsaid) = OTHER_KEY.due()
        {
            tracing::warn!(
                unsaid,
                "dropped a gossip datagram from {from}: it has another key, or is of another cluster; check gossip.key and cluster.name on both hosts"
            );
        }
    }

    fn carry_out(&mut self, gossip: &mut Gossip, socket: &UdpSocket) {
        for effect in gossip.effects() {
            match effect {
                Effect::Send(to, datagram) => {
                    self.meters.sent(socket.try_send_to(&datagram, to).is_ok());
                }
                Effect::Reachable(peer) => {
                    tracing::info!(%peer, "{peer} answers by gossip");
                    self.meters.reachable.inc();
                    self.parts.hub.publish_local(LocalFact::PeerReachable { peer });
                }
                Effect::Unreachable(peer, silence) => {
                    let reason = match silence {
                        Silence::Left => SilenceReason::Left,
                        Silence::Silent => SilenceReason::Silent,
                    };
                    match reason {
                        SilenceReason::Left => tracing::info!(%peer, "{peer} said by gossip that it leaves"),
                        SilenceReason::Silent => {
                            tracing::warn!(%peer, "{peer} does not answer by gossip; whether it is a member is for Redis to say")
                        }
                    }
                    self.meters.reachable.dec();
                    self.parts.hub.publish_local(LocalFact::PeerUnreachable { peer, reason });
                }
                Effect::Note(note) => self.noted(note),
                Effect::Term(term) => self.term = self.term.max(Some(term)),
                Effect::Contested => self.contested = true,
            }
        }
        if let Some(term) = self.term
            && self.parts.node.upgrade().is_none_or(|node| node.try_send(Msg::Input(Input::HeardTerm(term))).is_ok())
        {
            self.term = None;
        }
    }

    fn noted(&self, note: Note) {
        self.meters.notes.inc();
        // The topic is another node's word: its characters were checked, and its length is bounded.
        tracing::info!(from = %note.from, topic = %note.topic, "a note came by gossip");
        self.parts.hub.publish_local(LocalFact::Note(note));
    }
}

fn answer(gossip: &mut Gossip, ask: Ask) {
    // The client may be gone.
    match ask {
        Ask::Peers(client) => drop(client.send(gossip.peers())),
        Ask::Notify(note, client) => {
            drop(client.send(gossip.notify(clock::now(), note.to.as_ref(), note.topic, note.payload)));
        }
        Ask::Leave(_) => {}
    }
}
