//! `distributed.get_history` on a node that is played.

use super::*;
use crate::cluster::history::Sample;
use crate::store::history::Source;

/// What the stub was asked.
pub(crate) type Asked = Mutex<Vec<HistoryRequest>>;

impl Past for Stub {
    async fn history(&self, request: HistoryRequest) -> Result<HistoryAnswer, Error> {
        self.past.lock().unwrap().push(request.clone());
        let retry_after = Duration::from_secs(1);
        match request.node_id.as_ref().map(NodeId::as_str) {
            Some("off") => {
                Err(Error::NotConfigured { what: "no history is kept".to_owned(), key: "history.recent_hours" })
            }
            Some("away") => Err(Error::Overloaded { what: "MongoDB does not answer (gone)".to_owned(), retry_after }),
            Some("slow") => {
                self.gate.acquire().await.unwrap().forget();
                Err(Error::NotJoined)
            }
            _ => {
                let samples = vec![sample(1, false), sample(2, true)];
                Ok(HistoryAnswer { source: Source::Redis, samples, more: true, report: None })
            }
        }
    }
}

fn sample(number: u64, leads: bool) -> Sample {
    Sample {
        node_id: node_id("a"),
        incarnation: Incarnation(3),
        number,
        at: ServerTime(1_000 * number),
        leads,
        term: Term(7),
        leader_id: leads.then(|| node_id("a")),
        round_trip: Duration::from_micros(1_250),
        attempts: 1,
        delay: Duration::from_micros(2_500),
        lag: 4,
        memory: 5,
        peers: None,
        version: "9.9.9".to_owned(),
        interval: Duration::from_secs(10),
    }
}

#[tokio::test]
async fn heartbeats_are_shown_with_the_newest_last() {
    let mut host = Host::start();
    let answer = host.ask("distributed.get_history", json!({})).await;
    let result = &answer["result"];
    assert_eq!((&result["source"], &result["more"]), (&json!("redis"), &json!(true)), "{answer}");
    assert_eq!(
        result["entries"],
        json!([
            {"node_id": "a", "at_ms": 1000, "incarnation": 3, "role": "follower", "term": 7, "leader_id": null,
             "round_trip_ms": 1.3, "attempts": 1, "delay_ms": 2.5, "lag": 4, "memory_bytes": 5, "peers": null,
             "version": "9.9.9", "interval_ms": 10_000, "number": 1},
            {"node_id": "a", "at_ms": 2000, "incarnation": 3, "role": "leader", "term": 7, "leader_id": "a",
             "round_trip_ms": 1.3, "attempts": 1, "delay_ms": 2.5, "lag": 4, "memory_bytes": 5, "peers": null,
             "version": "9.9.9", "interval_ms": 10_000, "number": 2},
        ])
    );
    assert_eq!(result.get("report"), None);
}

#[tokio::test]
async fn parameters_come_by_name_or_in_the_order_of_the_interface() {
    let mut host = Host::start();
    let all = HistoryRequest { node_id: None, since: None, limit: 1_000, report: false };
    let one = HistoryRequest {
        node_id: Some(node_id("b")),
        since: Some(Duration::from_millis(60_000)),
        limit: 10_000,
        report: true,
    };
    for (params, expected) in [
        (json!({}), &all),
        (json!({"node_id": null, "report": null}), &all),
        (json!(["b", 60_000, 10_000, true]), &one),
        (json!({"node_id": "b", "since_ms": 60_000, "limit": 10_000, "report": true}), &one),
    ] {
        host.ask("distributed.get_history", params).await;
        assert_eq!(host.node.past.lock().unwrap().last(), Some(expected));
    }
    for (params, part) in [
        (json!({"limit": 0}), "parameter limit: 0 is not between 1 and 10000"),
        (json!({"limit": 10_001}), "parameter limit: 10001"),
        (json!({"node_id": "a b"}), "parameter node_id: node id"),
        (json!({"since_ms": -1}), "parameter since_ms"),
        (json!({"days": 1}), "unknown parameter \"days\""),
    ] {
        let error = host.ask("distributed.get_history", params).await["error"].clone();
        assert_eq!(error["code"], -32602, "{error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
}

#[tokio::test]
async fn no_history_is_not_configured_and_a_lost_store_passes() {
    let mut host = Host::start();
    let off = host.ask("distributed.get_history", json!({"node_id": "off"})).await["error"].clone();
    assert_eq!((&off["code"], &off["data"]["retryable"]), (&json!(-32008), &json!(false)), "{off}");
    let away = host.ask("distributed.get_history", json!({"node_id": "away"})).await["error"].clone();
    assert_eq!((&away["code"], &away["data"]["retryable"]), (&json!(-32006), &json!(true)), "{away}");
    assert_eq!(away["data"]["retry_after_ms"], 1_000);
}

#[tokio::test]
async fn a_slow_store_holds_up_nobody() {
    let mut host = Host::start();
    host.send("slow", "distributed.get_history", json!({"node_id": "slow"})).await;
    host.assert_silent().await;
    host.node.gate.add_permits(1);
    assert_eq!(host.next().await["id"], "slow");
}
