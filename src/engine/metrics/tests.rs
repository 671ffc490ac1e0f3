//! The numbers as a whole: their names, and those that the shipped dashboard and alerts use.

use super::*;
use crate::cluster::protocol::Census;
use crate::cluster::task::TaskState;
use crate::store::{CALLS, Ended, Meter};
use std::collections::{BTreeMap, BTreeSet};

/// A node of which everything is known and has happened.
fn everything() -> (Arc<Metrics>, Snapshot) {
    let metrics = Metrics::new().unwrap();
    metrics.beat(Duration::from_millis(2), Duration::from_millis(3));
    for call in CALLS {
        for ended in [Ended::Answered, Ended::Refused, Ended::Unavailable] {
            metrics.count(call, Duration::from_millis(1), ended);
        }
    }
    metrics.requests_of("distributed.drain").count(Duration::from_millis(1), Some("not_joined"));
    let snapshot = Snapshot {
        cluster: "open\"claw\\".to_owned(),
        term: Some(7),
        lease: Some(Duration::from_millis(1500)),
        nodes: [("online", 2)].into(),
        lag: Some(1),
        outbox: Some((2, 300)),
        census: Some(Census { leases: Some(4), tasks: TaskState::ALL.map(|state| (state, 5)).into() }),
        unreadable: vec![("event", 0)],
        memory: Some(1 << 24),
        ..Snapshot::default()
    };
    (metrics, snapshot)
}

/// What Prometheus reads of such a node.
pub(crate) fn exposition_of_everything() -> String {
    let (metrics, snapshot) = everything();
    metrics.text(&snapshot)
}

/// Every name that Prometheus gets, and its type.
fn names() -> BTreeMap<String, String> {
    let text = exposition_of_everything();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn all_agreed_names_are_there() {
    let agreed = [
        "info",
        "up",
        "leader",
        "term",
        "lease_seconds",
        "nodes",
        "redis_up",
        "heartbeats_total",
        "heartbeat_delay_seconds",
        "heartbeat_round_trip_seconds",
        "leader_changes_total",
        "events_total",
        "messages_sent_total",
        "messages_received_total",
        "message_lag",
        "outbox_messages",
        "outbox_bytes",
        "leases",
        "tasks",
        "requests_total",
        "request_seconds",
        "redis_calls_total",
        "redis_call_seconds",
        "redis_failover_seconds",
        "redis_replicas",
        "redis_replica_lag_bytes",
        "history_recorded_total",
        "history_dropped_total",
        "history_waiting",
        "history_spooled",
        "log_lines_dropped_total",
        "unreadable_total",
        "memory_bytes",
        "cpu_seconds_total",
    ];
    let agreed: BTreeSet<String> = agreed.iter().map(|name| format!("clawster_{name}")).collect();
    assert_eq!(names().into_keys().collect::<BTreeSet<_>>(), agreed);
}

#[test]
fn what_is_unknown_is_left_out() {
    let metrics = Metrics::new().unwrap();
    let samples = metrics.samples(&Snapshot::default());
    for absent in
        ["clawster_term", "clawster_lease_seconds", "clawster_message_lag", "clawster_leases", "clawster_outbox_bytes"]
    {
        assert!(!samples.contains_key(absent), "{absent}");
    }
    assert_eq!(samples["clawster_up"], 0.into());
}

#[test]
fn the_map_has_the_samples_of_the_text() {
    let (metrics, snapshot) = everything();
    let samples = metrics.samples(&snapshot);
    assert_eq!(samples[r#"clawster_tasks{state="waiting"}"#], 5.into());
    assert_eq!(samples[r#"clawster_redis_calls_total{call="tick",outcome="refused"}"#], 1.into());
    assert_eq!(samples["clawster_lease_seconds"].as_f64(), Some(1.5));
    assert_eq!(samples[r#"clawster_heartbeat_delay_seconds_bucket{le="+Inf"}"#], 1.into());
    let lines = metrics.text(&snapshot).lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples.len(), lines, "no sample comes twice");
}

#[test]
fn elections_of_the_same_leader_are_no_change() {
    let metrics = Metrics::new().unwrap();
    let elected = |leader: &str, previous: Option<&str>| ClusterFact::LeaderElected {
        leader_id: crate::cluster::ids::NodeId::new(leader).unwrap(),
        term: crate::cluster::ids::Term(1),
        previous_leader_id: previous.map(|id| crate::cluster::ids::NodeId::new(id).unwrap()),
        reason: crate::cluster::event::ElectedReason::Vacant,
    };
    for fact in [elected("a", None), elected("a", Some("a")), elected("b", Some("a"))] {
        metrics.event(&fact);
    }
    let samples = metrics.samples(&Snapshot::default());
    assert_eq!(samples["clawster_leader_changes_total"], 2.into());
    assert_eq!(samples[r#"clawster_events_total{event="leader_elected"}"#], 3.into());
    assert_eq!(samples[r#"clawster_events_total{event="task_dead"}"#], 0.into());
}

fn shipped(file: &str) -> String {
    std::fs::read_to_string(format!("{}/monitoring/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of metrics in a text.
fn used(text: &str) -> BTreeSet<String> {
    let name = |at: usize| text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    text.match_indices("clawster_").map(|(at, _)| name(at)).collect()
}

#[test]
fn the_dashboard_and_the_alerts_use_names_that_exist_and_all_of_them() {
    let names = names();
    let known = |name: &String| {
        let part =
            |ending: &str| name.strip_suffix(ending).is_some_and(|of| names.get(of).is_some_and(|t| t == "histogram"));
        names.get(name).is_some_and(|kind| kind != "histogram") || part("_bucket") || part("_count") || part("_sum")
    };
    let (dashboard, alerts) = (used(&shipped("grafana-dashboard.json")), used(&shipped("alerts.yml")));
    let wrong: Vec<_> = dashboard.iter().chain(&alerts).filter(|name| !known(name)).collect();
    assert!(wrong.is_empty(), "no such metrics: {wrong:?}");
    let shown = |name: &&String| dashboard.iter().any(|used| used == *name || used.starts_with(&format!("{name}_")));
    let missing: Vec<_> = names.keys().filter(|name| !shown(name)).collect();
    assert!(missing.is_empty(), "not on the dashboard: {missing:?}");
}

#[test]
fn the_dashboard_is_laid_out_without_overlaps() {
    let dashboard: serde_json::Value = serde_json::from_str(&shipped("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let side = |panel: &serde_json::Value, name: &str| panel["gridPos"][name].as_u64().unwrap();
    let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is used twice");
        let (x, y, w, h) = (side(panel, "x"), side(panel, "y"), side(panel, "w"), side(panel, "h"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}: out of the grid");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            if let Some(other) = taken.insert(place, title) {
                panic!("{title} lies over {other}");
            }
        }
        if panel["type"] != "row" {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                panel["targets"].as_array().unwrap().iter().all(|t| t["datasource"]["uid"] == "${datasource}"),
                "{title}"
            );
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        }
    }
    let rows: Vec<_> =
        panels.iter().filter(|panel| panel["type"] == "row").filter_map(|row| row["title"].as_str()).collect();
    for topic in ["Cluster", "Leadership", "Heartbeats", "Messages", "Tasks and leases", "Redis", "History"] {
        assert!(rows.contains(&topic), "no row {topic}: {rows:?}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let alerts = shipped("alerts.yml");
    let count = |what: &str| alerts.lines().filter(|line| line.trim_start().starts_with(what)).count();
    let all = count("- alert:");
    assert!(all >= 9, "{all}");
    for part in ["expr:", "severity:", "summary:", "description:"] {
        assert_eq!(count(part), all, "{part}");
    }
}
