//! What a node shows of itself: the numbers that requests are counted in, and how they reach a client.

use super::*;
use serde_json::Number;
use std::collections::BTreeMap;

impl Observed for Stub {
    fn meters(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    async fn metrics_text(&self) -> String {
        self.metrics.counters()
    }

    async fn samples(&self) -> BTreeMap<String, Number> {
        let text = self.metrics.counters();
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        samples.filter_map(|(name, value)| Some((name.to_owned(), Number::from_f64(value.parse().ok()?)?))).collect()
    }

    async fn health(&self) -> Health {
        self.health.lock().unwrap().clone()
    }
}

async fn metrics_of(host: &mut Host) -> Value {
    host.ask("distributed.get_cluster_state", json!({"metrics": true})).await["result"]["metrics"].clone()
}

#[tokio::test]
async fn requests_are_counted_by_method_and_outcome() {
    let mut host = Host::start();
    host.ask("distributed.get_cluster_state", json!({})).await;
    host.ask("distributed.get_cluster_state", json!({"nothing": 1})).await;
    host.ask("distributed.leave_cluster", json!({})).await;
    let metrics = metrics_of(&mut host).await;
    let count = |method: &str, outcome: &str| {
        metrics[format!(r#"clawster_requests_total{{method="{method}",outcome="{outcome}"}}"#)].as_f64()
    };
    assert_eq!(count("distributed.get_cluster_state", "ok"), Some(1.0));
    assert_eq!(count("distributed.get_cluster_state", "invalid_params"), Some(1.0));
    assert_eq!(count("distributed.leave_cluster", "not_joined"), Some(1.0));
    let seconds = r#"clawster_request_seconds_count{method="distributed.get_cluster_state"}"#;
    assert_eq!(metrics[seconds].as_f64(), Some(2.0));
}

#[tokio::test]
async fn names_that_do_not_exist_make_no_labels() {
    let mut host = Host::start();
    for number in 0..1_000 {
        host.ask(&format!("invented.{number}"), json!({})).await;
    }
    let metrics = metrics_of(&mut host).await;
    let names: Vec<&String> =
        metrics.as_object().unwrap().keys().filter(|name| name.contains("requests_total")).collect();
    let only = r#"clawster_requests_total{method="unknown",outcome="method_not_found"}"#;
    assert!(names.contains(&&only.to_owned()) && names.len() <= 3, "{names:?}");
    assert_eq!(metrics[only].as_f64(), Some(1_000.0));
}

#[tokio::test]
async fn the_numbers_come_only_when_they_are_asked_for() {
    let mut host = Host::start();
    let answer = host.ask("distributed.get_cluster_state", json!({})).await;
    assert!(answer["result"].get("metrics").is_none());
}
