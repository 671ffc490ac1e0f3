//! The metrics of a running node for Prometheus.
//!
//! 1. Counting is an atomic addition that never waits; the node never waits for a reader of metrics.
//! 2. No label has a value that a client or the cluster chooses: methods, calls, events and states come from closed tables.
//! 3. Counters are counted where things happen; gauges are read from the node on request (`snapshot.rs`).
//!
//! `calls.rs` calls to Redis · `census.rs` the cluster's leases and tasks · `requests.rs` requests of clients ·
//! `exposition.rs` the text and the map.
//!
//! Not here: reading the gauges from the node (`crate::engine::node::health`), serving the metrics (`crate::rpc`).

mod calls;
mod census;
mod exposition;
mod gossip;
mod process;
mod requests;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use census::Counted;
pub(crate) use gossip::{GossipMeters, OUTCOMES};
pub(crate) use process::memory_bytes;
pub use requests::RequestMeter;
pub(crate) use snapshot::Snapshot;
#[cfg(test)]
pub(crate) use tests::exposition_of_everything;

use crate::cluster::event::ClusterFact;
use calls::CallMeters;
use prometheus::core::Collector;
use prometheus::{Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The buckets for round trips to Redis, in seconds.
const ROUND_TRIP_BUCKETS: [f64; 13] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// The buckets for the delay of heartbeats, in seconds.
const DELAY_BUCKETS: [f64; 13] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The buckets for requests, which may wait for something, in seconds.
const REQUEST_BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The metrics of one process; see the head of this file.
pub struct Metrics {
    registry: Registry,
    /// Heartbeats that Redis accepted.
    beats_ok: IntCounter,
    /// Heartbeat attempts that failed.
    beats_failed: IntCounter,
    delay: Histogram,
    round_trip: Histogram,
    leader_changes: IntCounter,
    events: IntCounterVec,
    /// Messages of this node that were written to the stream.
    pub(crate) messages_sent: IntCounter,
    /// Messages of other nodes that this node read from the stream.
    pub(crate) messages_received: IntCounter,
    /// Samples that the history store confirmed.
    pub(crate) history_recorded: IntCounter,
    /// Samples that were given up.
    pub(crate) history_dropped: IntCounter,
    /// Samples in memory that are not recorded yet.
    pub(crate) history_waiting: IntGauge,
    /// Samples on disk that are not recorded yet.
    pub(crate) history_spooled: IntGauge,
    /// Promotions in Redis, by the time that this node had no primary.
    pub(crate) redis_failover: Histogram,
    /// The replicas that follow the primary.
    pub(crate) redis_replicas: IntGauge,
    /// How far the last of them is behind.
    pub(crate) redis_replica_lag: IntGauge,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    calls: CallMeters,
    /// The nodes that answer by gossip, where it is configured.
    peers: OnceLock<IntGauge>,
    log_lines_dropped: OnceLock<fn() -> u64>,
}

/// Bounds of the times without a primary, in seconds.
const FAILOVER_BUCKETS: [f64; 8] = [0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 30.0, 60.0];

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All metrics at zero.
    ///
    /// # Errors
    /// [`std::io::Error`] when two of them have the same name, which is a defect of this module.
    pub fn new() -> std::io::Result<Arc<Self>> {
        let made =
            Self::registered().map_err(|error| std::io::Error::other(format!("the metrics do not fit: {error}")));
        made.map(Arc::new)
    }

    fn registered() -> Result<Self, Error> {
        let registry = Registry::new();
        let beats = "Heartbeats of this node: ok, accepted by Redis; failed, attempts without an answer.";
        let beats = labelled(&registry, "clawster_heartbeats_total", beats, &["outcome"])?;
        let events = "Events of the cluster that this node saw.";
        let events = labelled(&registry, "clawster_events_total", events, &["event"])?;
        for word in ClusterFact::WORDS.into_iter().chain([OTHER_EVENT]) {
            events.get_metric_with_label_values(&[word])?;
        }
        let requests = "Requests of clients, by method; outcome is ok or the kind of the error.";
        let request_seconds = "Duration of clients' requests, including waiting.";
        Ok(Self {
            beats_ok: beats.get_metric_with_label_values(&["ok"])?,
            beats_failed: beats.get_metric_with_label_values(&["failed"])?,
            delay: spread(
                &registry,
                "clawster_heartbeat_delay_seconds",
                "Time from when a heartbeat was due to its answer.",
                &DELAY_BUCKETS,
            )?,
            round_trip: spread(
                &registry,
                "clawster_heartbeat_round_trip_seconds",
                "Time from sending an accepted heartbeat to its answer.",
                &ROUND_TRIP_BUCKETS,
            )?,
            leader_changes: counter(
                &registry,
                "clawster_leader_changes_total",
                "Changes of the leader that this node saw.",
            )?,
            events,
            messages_sent: counter(
                &registry,
                "clawster_messages_sent_total",
                "Messages of this node that were written to the stream.",
            )?,
            messages_received: counter(
                &registry,
                "clawster_messages_received_total",
                "Messages for this node that were read from the stream.",
            )?,
            history_recorded: counter(
                &registry,
                "clawster_history_recorded_total",
                "Heartbeats of this node that were recorded in the history.",
            )?,
            history_dropped: counter(
                &registry,
                "clawster_history_dropped_total",
                "Heartbeats of this node that were not recorded because the spool on disk was full or failed.",
            )?,
            history_waiting: gauge(
                &registry,
                "clawster_history_waiting",
                "Heartbeats in memory that are not recorded yet.",
            )?,
            history_spooled: gauge(
                &registry,
                "clawster_history_spooled",
                "Heartbeats on disk that are not recorded yet.",
            )?,
            redis_failover: spread(
                &registry,
                "clawster_redis_failover_seconds",
                "Changes of the primary of Redis, by the time that this node had none.",
                &FAILOVER_BUCKETS,
            )?,
            redis_replicas: gauge(
                &registry,
                "clawster_redis_replicas",
                "Replicas that follow the primary of Redis; 0 where redis.mode names one server.",
            )?,
            redis_replica_lag: gauge(
                &registry,
                "clawster_redis_replica_lag_bytes",
                "Bytes that the replica furthest behind has not confirmed to the primary of Redis.",
            )?,
            requests: labelled(&registry, "clawster_requests_total", requests, &["method", "outcome"])?,
            request_seconds: spreads(
                &registry,
                "clawster_request_seconds",
                request_seconds,
                &REQUEST_BUCKETS,
                "method",
            )?,
            calls: CallMeters::registered(&registry)?,
            peers: OnceLock::new(),
            log_lines_dropped: OnceLock::new(),
            registry,
        })
    }

    /// The metrics of gossip, from now on; called once.
    ///
    /// # Errors
    /// [`std::io::Error`] when they exist already, which is a defect.
    pub(crate) fn gossip(&self) -> std::io::Result<GossipMeters> {
        let registered = || -> Result<GossipMeters, Error> {
            let about = "Datagrams of gossip: sent and received; unsent, refused by the system; dropped because they were foreign, \
                         sealed with another key or for another cluster, repeated, unbound to this process, or malformed.";
            let datagrams = labelled(&self.registry, "clawster_gossip_datagrams_total", about, &["outcome"])?;
            for outcome in OUTCOMES {
                datagrams.get_metric_with_label_values(&[outcome])?;
            }
            let about = "Other nodes that answer this node by gossip.";
            let reachable = gauge(&self.registry, "clawster_gossip_peers_reachable", about)?;
            let about = "Notes of other nodes that came by gossip.";
            let notes = counter(&self.registry, "clawster_gossip_notes_received_total", about)?;
            // It is called once, else the registry has refused the names by now.
            let _ = self.peers.set(reachable.clone());
            Ok(GossipMeters { datagrams, reachable, notes })
        };
        registered().map_err(|error| std::io::Error::other(format!("the metrics of gossip do not fit: {error}")))
    }

    /// The number of nodes that answer by gossip now; `None`: gossip is not configured.
    pub(crate) fn peers(&self) -> Option<u64> {
        self.peers.get().map(|peers| u64::try_from(peers.get()).unwrap_or(0))
    }

    /// Sets the function that returns the number of dropped log lines.
    pub fn read_dropped_lines(&self, read: fn() -> u64) {
        // The first function stays: a process has one log.
        let _ = self.log_lines_dropped.set(read);
    }

    /// Counts a heartbeat that Redis accepted.
    pub(crate) fn beat(&self, round_trip: Duration, delay: Duration) {
        self.beats_ok.inc();
        self.round_trip.observe(round_trip.as_secs_f64());
        self.delay.observe(delay.as_secs_f64());
    }

    /// Counts a heartbeat attempt without an answer.
    pub(crate) fn beat_failed(&self) {
        self.beats_failed.inc();
    }

    /// Counts an event of the cluster.
    pub(crate) fn event(&self, fact: &ClusterFact) {
        let word = if matches!(fact, ClusterFact::Other { .. }) { OTHER_EVENT } else { fact.word() };
        if let Ok(counter) = self.events.get_metric_with_label_values(&[word]) {
            counter.inc();
        }
        if let ClusterFact::LeaderElected { leader_id, previous_leader_id, .. } = fact
            && previous_leader_id.as_ref() != Some(leader_id)
        {
            self.leader_changes.inc();
        }
    }

    /// The metrics of one method; `method` must come from a closed table.
    #[must_use]
    pub fn requests_of(&self, method: &'static str) -> RequestMeter {
        RequestMeter::new(method, &self.requests, &self.request_seconds)
    }
}

/// The label of all events that only a newer version knows.
const OTHER_EVENT: &str = "other";

fn add<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, Error> {
    add(registry, IntCounter::new(name, help)?)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, Error> {
    add(registry, IntGauge::new(name, help)?)
}

fn labelled(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn spread(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
    add(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
}

fn spreads(registry: &Registry, name: &str, help: &str, buckets: &[f64], label: &str) -> Result<HistogramVec, Error> {
    add(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), &[label])?)
}
