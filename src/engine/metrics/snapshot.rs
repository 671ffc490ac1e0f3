//! The gauges: the state of the node when the metrics are read.
//!
//! 1. An unknown value is omitted; no number stands for "unknown".
//!
//! Not here: reading the state from the node (`crate::engine::node::health`).

use crate::cluster::protocol::Census;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::time::Duration;

/// The state of a node at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// The id of the node.
    pub(crate) node_id: String,
    /// Whether the node is a member.
    pub(crate) member: bool,
    /// Whether the node is the leader.
    pub(crate) leads: bool,
    /// The highest term that the node knows.
    pub(crate) term: Option<u64>,
    /// The time left of the leader's lease.
    pub(crate) lease: Option<Duration>,
    /// The number of members by status.
    pub(crate) nodes: BTreeMap<&'static str, u64>,
    /// Whether Redis works for this node.
    pub(crate) redis: bool,
    /// The number of messages that the node has not acknowledged.
    pub(crate) lag: Option<u64>,
    /// The number of unsent messages, and their size in bytes.
    pub(crate) outbox: Option<(u64, u64)>,
    /// The cluster's leases and tasks.
    pub(crate) census: Option<Census>,
    /// The number of things in Redis that could not be read, by kind.
    pub(crate) unreadable: Vec<(&'static str, u64)>,
    /// The number of log lines that were dropped.
    pub(crate) dropped_lines: u64,
    /// The resident memory of the process in bytes.
    pub(crate) memory: Option<u64>,
    /// The processor time of the process.
    pub(crate) cpu: Duration,
}

#[allow(clippy::cast_precision_loss)]
fn number(value: u64) -> f64 {
    value as f64
}

impl Snapshot {
    /// The gauges, and the counters that are kept elsewhere, as metric families.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let flag = |value: bool| number(u64::from(value));
        let nodes = self.nodes.iter().map(|(status, count)| (vec![("status", *status)], number(*count)));
        let labels = vec![
            ("cluster", self.cluster.as_str()),
            ("node_id", &self.node_id),
            ("version", env!("CARGO_PKG_VERSION")),
        ];
        let about = "The cluster, the node id and the version of this node; always 1.";
        let mut all = vec![
            of("clawster_info", about, MetricType::GAUGE, vec![(labels, 1.0)]),
            gauge("clawster_up", "1 if this node is a member of the cluster, else 0.", flag(self.member)),
            gauge("clawster_leader", "1 if this node is the leader, else 0.", flag(self.leads)),
            gauge(
                "clawster_redis_up",
                "1 if Redis accepted this node's last heartbeat and has room for more data, else 0.",
                flag(self.redis),
            ),
            of(
                "clawster_nodes",
                "Nodes of the cluster by status, as this node sees them.",
                MetricType::GAUGE,
                nodes.collect(),
            ),
            counter(
                "clawster_log_lines_dropped_total",
                "Log lines that were dropped because the log was full.",
                number(self.dropped_lines),
            ),
            of(
                "clawster_unreadable_total",
                "Entries in Redis that this version could not read and skipped, by kind.",
                MetricType::COUNTER,
                self.unreadable.iter().map(|(kind, count)| (vec![("kind", *kind)], number(*count))).collect(),
            ),
            counter(
                "clawster_cpu_seconds_total",
                "Processor time that this process used, in seconds.",
                self.cpu.as_secs_f64(),
            ),
        ];
        let lag = "Messages in the stream that this node has not acknowledged.";
        let unsent = "Unsent messages in this node's outbox.";
        let bytes = "Size of the unsent messages in this node's outbox, in bytes.";
        let optional = [
            self.term.map(|term| gauge("clawster_term", "The highest term that this node knows.", number(term))),
            self.lease.map(|left| {
                gauge("clawster_lease_seconds", "Time left of the leader's lease, in seconds.", left.as_secs_f64())
            }),
            self.memory.map(|bytes| {
                gauge("clawster_memory_bytes", "Resident memory of this process, in bytes.", number(bytes))
            }),
            self.lag.map(|count| gauge("clawster_message_lag", lag, number(count))),
            self.outbox.map(|(messages, _)| gauge("clawster_outbox_messages", unsent, number(messages))),
            self.outbox.map(|(_, size)| gauge("clawster_outbox_bytes", bytes, number(size))),
        ];
        all.extend(optional.into_iter().flatten());
        if let Some(census) = &self.census {
            let leases = "Named leases of the cluster that are held or reserved for a waiter.";
            all.extend(census.leases.map(|count| gauge("clawster_leases", leases, number(count))));
            let states = census.tasks.iter().map(|(state, count)| (vec![("state", state.word())], number(*count)));
            let tasks = "Tasks of the cluster by state, including ended ones while they are kept.";
            all.push(of("clawster_tasks", tasks, MetricType::GAUGE, states.collect()));
        }
        all
    }
}

/// A sample: its labels, and its value.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    of(name, help, MetricType::GAUGE, vec![(Vec::new(), value)])
}

fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    of(name, help, MetricType::COUNTER, vec![(Vec::new(), value)])
}

fn label((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn of(name: &str, help: &str, kind: MetricType, samples: Vec<Sample<'_>>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    let metrics = samples.into_iter().map(|(labels, value)| {
        let mut metric = Metric::from_label(labels.into_iter().map(label).collect());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    });
    family.set_metric(metrics.collect());
    family
}
