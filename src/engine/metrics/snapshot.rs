//! The gauges: what the node is like at the moment of asking.
//!
//! 1. What is not known is left out; no number stands for "unknown".
//!
//! Not here: reading it off the node (`crate::engine::running`).

use crate::cluster::task::TaskState;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a node is like at one moment.
#[derive(Debug, Clone, Default)]
pub(in crate::engine) struct Snapshot {
    /// Whether it is a member.
    pub(in crate::engine) member: bool,
    /// Whether it leads.
    pub(in crate::engine) leads: bool,
    /// The highest term known.
    pub(in crate::engine) term: u64,
    /// How much is left of the leader's lease, by the view's time.
    pub(in crate::engine) lease: Duration,
    /// Members by status.
    pub(in crate::engine) nodes: BTreeMap<&'static str, u64>,
    /// Whether Redis answers.
    pub(in crate::engine) redis: bool,
    /// Messages of the stream behind the node's cursor.
    pub(in crate::engine) lag: Option<u64>,
    /// Messages that wait to be sent, and their bytes.
    pub(in crate::engine) outbox: Option<(u64, u64)>,
    /// Leases that are held in the cluster, and tasks by state.
    pub(in crate::engine) census: Option<(u64, BTreeMap<TaskState, u64>)>,
    /// Lines that were not logged.
    pub(in crate::engine) dropped_lines: u64,
    /// Resident memory of the process in bytes.
    pub(in crate::engine) memory: Option<u64>,
    /// Processor time of the process.
    pub(in crate::engine) cpu: Duration,
}

#[allow(clippy::cast_precision_loss)]
fn number(value: u64) -> f64 {
    value as f64
}

impl Snapshot {
    /// The gauges, and the counters that are kept elsewhere, as Prometheus' families.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let flag = |value: bool| number(u64::from(value));
        let mut all = vec![
            family(
                "clawster_info",
                "The version of clawster that this node runs.",
                MetricType::GAUGE,
                vec![(Some(("version", env!("CARGO_PKG_VERSION"))), 1.0)],
            ),
            gauge("clawster_up", "Whether this node is a member of the cluster.", flag(self.member)),
            gauge("clawster_leader", "Whether this node leads.", flag(self.leads)),
            gauge("clawster_term", "The highest term that this node knows.", number(self.term)),
            gauge(
                "clawster_lease_seconds",
                "How much was left of the leader's lease at the node's last news of it.",
                self.lease.as_secs_f64(),
            ),
            gauge("clawster_redis_up", "Whether Redis answers this node.", flag(self.redis)),
            family(
                "clawster_nodes",
                "Nodes of the cluster by status, as this node sees them.",
                MetricType::GAUGE,
                self.nodes.iter().map(|(status, count)| (Some(("status", *status)), number(*count))).collect(),
            ),
            counter(
                "clawster_log_lines_dropped_total",
                "Lines that were not logged because writing them was too slow.",
                number(self.dropped_lines),
            ),
            counter("clawster_cpu_seconds_total", "Processor time that this process used.", self.cpu.as_secs_f64()),
        ];
        all.extend(
            self.memory.map(|bytes| gauge("clawster_memory_bytes", "Resident memory of this process.", number(bytes))),
        );
        all.extend(self.lag.map(|lag| {
            gauge("clawster_message_lag", "Messages of the stream that this node has not acknowledged.", number(lag))
        }));
        if let Some((messages, bytes)) = self.outbox {
            all.push(gauge(
                "clawster_outbox_messages",
                "Messages that wait on this node's disk to be sent.",
                number(messages),
            ));
            all.push(gauge("clawster_outbox_bytes", "Bytes of the messages that wait to be sent.", number(bytes)));
        }
        if let Some((leases, tasks)) = &self.census {
            all.push(gauge("clawster_leases", "Named leases that are held in the cluster.", number(*leases)));
            let states = tasks.iter().map(|(state, count)| (Some(("state", state.word())), number(*count)));
            all.push(family("clawster_tasks", "Tasks of the cluster by state.", MetricType::GAUGE, states.collect()));
        }
        all
    }
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, MetricType::GAUGE, vec![(None, value)])
}

fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, MetricType::COUNTER, vec![(None, value)])
}

fn family(name: &str, help: &str, kind: MetricType, samples: Vec<(Option<(&str, &str)>, f64)>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    let metrics = samples.into_iter().map(|(label, value)| {
        let label = label.map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        });
        let mut metric = Metric::from_label(label.into_iter().collect());
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
