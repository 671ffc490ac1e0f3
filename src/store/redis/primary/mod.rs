//! Where the server is that takes writes: the one place that decides it, for every connection.
//!
//! 1. One server: its name is resolved by the system with every connection, so that a name that moves is followed.
//! 2. Several servers: what sentinels or cluster nodes say is believed only after that server itself said that it is a primary. They
//!    are asked at the same time, each for at most [`DEADLINE`], and again while the named server does not answer ([`ASK_AGAIN`]), so that
//!    one that hangs delays nobody.
//! 3. A found primary is used until somebody suspects it (no answer, READONLY, a lost connection), or learns a newer one (MOVED, a
//!    switch that sentinels announce, a lookup). Then every connection to the former one counts as lost: also those on which nothing
//!    fails, such as the presence connections on a server that became a replica.
//! 4. MOVED is not followed right back to the server that it led away from: while two nodes name each other, the caller is refused and
//!    waits, instead of going back and forth as fast as they answer. Nor is it followed to a server that has just failed: a node that has
//!    not heard of the promotion yet may name it, and if it hangs, so would the caller. A lookup decides.
//! 5. No lock is held while anybody is asked.
//!
//! Not here: opening the connections for the cluster's own calls (`link.rs`, `follow.rs`, `presence.rs`).

mod cluster;
mod opinion;
mod sentinel;
mod servers;

pub use servers::{Failover, Replica, Servers};

use super::faults::fault;
use super::target::{Address, DEADLINE, Target};
use crate::clock;
use crate::cluster::ids::ClusterName;
use crate::cluster::protocol::{Fault, ServerId};
use crate::cluster::time::Moment;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use opinion::{Opinion, by_weight};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, Value};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the others may take to answer after the first one did.
const OTHERS: Duration = Duration::from_millis(100);
/// After this time without an answer a lookup asks again beside the first question: a server that hangs while it is still named as the
/// primary must not hide the one that is promoted meanwhile.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// The longest pause between two attempts to follow the sentinels' announcements.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// How long MOVED is not followed back to the server that it led away from.
const NO_WAY_BACK: Duration = Duration::from_millis(100);
/// How long MOVED is not followed to a server after it failed.
const FAILED: Duration = Duration::from_secs(5);

/// A host and a port.
pub(super) type HostPort = (String, u16);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    at: Option<Address>,
    epoch: u64,
    suspected: bool,
    /// Since when the primary failed.
    since: Option<Moment>,
    /// The server that MOVED led away from last, and when.
    moved_from: Option<(Address, Moment)>,
    /// The server that failed last, and when.
    failed: Option<(Address, Moment)>,
}

/// The primary of one store.
pub(super) struct Primary {
    target: Target,
    slot: u16,
    known: watch::Sender<Known>,
    servers: watch::Sender<Servers>,
}

impl Primary {
    pub(super) fn new(target: Target, cluster: &ClusterName) -> Self {
        let slot = cluster::slot(&cluster.to_string());
        Self { target, slot, known: watch::Sender::new(Known::default()), servers: watch::Sender::default() }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The address to connect to: the known one, else the answer of those who know it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when nobody names a server that is a primary.
    pub(super) async fn find(&self) -> Result<Address, Fault> {
        if self.target.is_one_server() {
            return Ok(self.target.address.clone());
        }
        let trusted = |known: &Known| known.at.clone().filter(|_| !known.suspected);
        if let Some(at) = trusted(&self.known.borrow()) {
            return Ok(at);
        }
        // Somebody else may learn it first, while this lookup waits for a server that hangs.
        let mut others = self.known.subscribe();
        let learned = async {
            let known = others.wait_for(|known| trusted(known).is_some()).await;
            known.ok().and_then(|known| trusted(&known))
        };
        // On the heap: with one server no call carries the room for it.
        let looking: Pin<Box<dyn Future<Output = Result<Address, Fault>> + Send + '_>> = Box::pin(self.look());
        tokio::select! {
            Some(at) = learned => Ok(at),
            found = looking => found,
        }
    }

    /// Asks for the primary until it is found or the first question failed, and remembers it.
    async fn look(&self) -> Result<Address, Fault> {
        let mut first = pin!(self.ask());
        let mut later = FuturesUnordered::new();
        loop {
            tokio::select! {
                found = &mut first => return found,
                found = later.next(), if !later.is_empty() => {
                    if let Some(Ok(found)) = found {
                        return Ok(found);
                    }
                }
                () = tokio::time::sleep(ASK_AGAIN) => later.push(self.ask()),
            }
        }
    }

    /// Asks for the primary once, and remembers it.
    async fn ask(&self) -> Result<Address, Fault> {
        let opinions = match &self.target.address {
            Address::Sentinel { nodes, master_name } => {
                self.ask_all(nodes, |node| sentinel::ask(&self.target, node, master_name)).await?
            }
            Address::Cluster { nodes } => {
                let mut nodes = nodes.clone();
                if let Some(Address::Tcp { host, port, .. }) = &self.known.borrow().at {
                    nodes.push((host.clone(), *port));
                }
                self.ask_all(&nodes, |node| cluster::ask(&self.target, node, self.slot)).await?
            }
            address => return Ok(address.clone()),
        };
        let mut last = Fault::Unavailable("nobody named a primary".to_owned());
        for opinion in opinions {
            let address = self.target.at(&opinion.primary);
            match self.is_primary(&address).await {
                Ok(()) => return Ok(self.found(address, opinion.epoch)),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Asks all nodes at the same time. Returns the different answers, the one to believe first.
    async fn ask_all<F: Future<Output = Result<Opinion, Fault>>>(
        &self,
        nodes: &[HostPort],
        ask: impl Fn(HostPort) -> F,
    ) -> Result<Vec<Opinion>, Fault> {
        let late = || Fault::Unavailable("no answer in time".to_owned());
        let mut asked: FuturesUnordered<_> = nodes
            .iter()
            .map(|node| {
                let asking = timeout(DEADLINE, ask(node.clone()));
                async move { (node, asking.await.unwrap_or_else(|_| Err(late()))) }
            })
            .collect();
        let (mut answers, mut failure): (Vec<Opinion>, Option<String>) = (Vec::new(), None);
        while let Some((node, answer)) = asked.next().await {
            match answer {
                Ok(answer) => {
                    answers.push(answer);
                    break;
                }
                Err(why) => {
                    let why = format!("{} says nothing of a primary: {why}", shown(node));
                    failure.get_or_insert(why);
                }
            }
        }
        if answers.is_empty() {
            let what = if matches!(self.target.address, Address::Cluster { .. }) { "cluster node" } else { "sentinel" };
            let why = failure.unwrap_or_else(|| "redis.nodes is empty".to_owned());
            return Err(Fault::Unavailable(format!("no {what} names the primary; {why}")));
        }
        // A minority may be cut off and outdated: the others get a moment.
        let rest = async {
            while answers.len() * 2 <= nodes.len() {
                match asked.next().await {
                    Some((_, Ok(answer))) => answers.push(answer),
                    Some((_, Err(_))) => {}
                    None => return,
                }
            }
        };
        // Late: those that answered decide.
        let _ = timeout(OTHERS, rest).await;
        Ok(by_weight(answers))
    }

    /// Whether the server at this address says that it is a primary.
    async fn is_primary(&self, address: &Address) -> Result<(), Fault> {
        let at = |why: String| Fault::Unavailable(format!("the primary at {address} cannot be used: {why}"));
        let asking = async {
            let mut connection = connect(&self.target.client_at(address)?).await?;
            match redis::cmd("ROLE").query_async::<Value>(&mut connection).await {
                Ok(Value::Array(parts)) => match parts.first() {
                    Some(Value::BulkString(role)) if role == b"master" => Ok(()),
                    _ => Err(Fault::Unavailable("it is a replica at the moment; wait for the failover".to_owned())),
                },
                // Forbidden: its writes will show it.
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => Ok(()),
                Ok(_) => Err(Fault::Unavailable("it answered ROLE with something unexpected".to_owned())),
                Err(error) => Err(fault(&error)),
            }
        };
        match timeout(DEADLINE, asking).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(at(why.to_string())),
            Err(_) => Err(at("no answer in time".to_owned())),
        }
    }

    /// Remembers a primary, unless a later promotion is known. Returns the one to use.
    fn found(&self, address: Address, epoch: u64) -> Address {
        let mut change = None;
        self.known.send_if_modified(|known| {
            if epoch < known.epoch && !known.suspected {
                return false;
            }
            let first = known.at.is_none();
            let former = known.at.replace(address.clone());
            let trusted = std::mem::take(&mut known.suspected);
            known.epoch = epoch;
            change = former.filter(|former| *former != address);
            change.is_some() || trusted || first
        });
        if let Some(former) = change {
            tracing::warn!(from = %former, to = %address, "the primary of Redis is {address} now; it was {former}");
        }
        self.known.borrow().at.clone().unwrap_or(address)
    }

    /// Something went wrong on a connection to this address: ask before the next connection is opened.
    pub(super) fn suspect(&self, address: &Address) {
        self.known.send_if_modified(|known| {
            if known.at.as_ref() == Some(address) {
                known.suspected = true;
                known.since.get_or_insert_with(clock::now);
                known.failed = Some((address.clone(), clock::now()));
            }
            false
        });
    }

    /// Called when a connection to this address is open, and its server has said who it is.
    pub(super) fn opened(&self, address: &Address, server: &ServerId) {
        if self.target.is_one_server() {
            return;
        }
        let mut since = None;
        self.known.send_if_modified(|known| {
            since = known.since.take();
            false
        });
        self.servers.send_if_modified(|servers| {
            let first = servers.primary.is_none();
            servers.opened(address, server, since, clock::now()) || first
        });
    }

    /// Takes the section `replication` of INFO, as the primary gave it.
    pub(super) fn saw_replication(&self, info: &str) {
        let replicas = servers::replicas(info);
        self.servers.send_if_modified(|servers| {
            let changed = servers.replicas != replicas;
            servers.replicas = replicas;
            changed
        });
    }

    /// What is known of the servers; it tells changes.
    pub(super) fn servers(&self) -> watch::Receiver<Servers> {
        self.servers.subscribe()
    }

    /// Follows an error that names another server. True: connect again, and repeat the call, which was not executed.
    pub(super) fn follows(&self, error: &RedisError, from: &Address) -> bool {
        let moved = error.kind() == ErrorKind::Server(ServerErrorKind::Moved);
        let place = error.redirect_node().filter(|_| moved).and_then(|(place, _)| cluster::redirected(place, from));
        let Some(place) = place.filter(|_| matches!(self.target.address, Address::Cluster { .. })) else {
            return false;
        };
        let (to, now) = (self.target.at(&place), clock::now());
        let mut back = false;
        self.known.send_if_modified(|known| {
            let within = |when: &Option<(Address, Moment)>, long| {
                when.as_ref().is_some_and(|(it, at)| *it == to && now.since(*at) < long)
            };
            back = within(&known.moved_from, NO_WAY_BACK) || within(&known.failed, FAILED);
            if !back {
                known.moved_from = Some((from.clone(), now));
            }
            false
        });
        if back {
            self.suspect(from);
            return false;
        }
        self.found(to, 0);
        true
    }

    /// Whether connections to this address may be used.
    pub(super) fn is_current(&self, address: &Address) -> bool {
        self.target.is_one_server() || self.known.borrow().at.as_ref().is_none_or(|at| at == address)
    }

    /// Returns once connections to this address must not be used any more; never with one server.
    pub(super) fn left(&self, address: Address) -> impl Future<Output = ()> + Send + Sync + 'static {
        let mut known = self.known.subscribe();
        let one = self.target.is_one_server();
        async move {
            let elsewhere = |known: &Known| known.at.as_ref().is_some_and(|at| *at != address);
            let gone = one || known.wait_for(elsewhere).await.is_err();
            if gone {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Follows what the sentinels announce, and looks again with each announcement. Never returns with other kinds of servers.
    pub(super) async fn listen(&self) {
        let Address::Sentinel { nodes, master_name } = &self.target.address else {
            return std::future::pending().await;
        };
        let mut all: FuturesUnordered<_> = nodes.iter().map(|node| self.listen_to(node, master_name)).collect();
        while all.next().await.is_some() {}
    }

    async fn listen_to(&self, node: &HostPort, master_name: &str) {
        let mut pause = Duration::from_millis(200);
        loop {
            match sentinel::subscribe(&self.target, node).await {
                Ok(mut stream) => {
                    pause = Duration::from_millis(200);
                    // What was announced meanwhile. A failure is no news: those that need the primary look for themselves.
                    let _ = self.look().await;
                    while let Some(message) = stream.next().await {
                        if sentinel::is_about(message.get_payload_bytes(), master_name) {
                            let _ = self.look().await;
                        }
                    }
                }
                Err(why) => {
                    tracing::debug!(sentinel = %shown(node), error = %why, "cannot follow the announcements of a sentinel")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LISTEN_AGAIN);
        }
    }
}

/// Opens a connection for a few questions.
async fn connect(client: &Client) -> Result<MultiplexedConnection, Fault> {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(DEADLINE)).set_response_timeout(Some(DEADLINE));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|why| fault(&why))
}

fn shown((host, port): &HostPort) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
