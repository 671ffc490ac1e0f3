//! No input harms the node: it gets the right error or none, and the next request is answered.

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::cluster::stage;
use testkit::redis_server::free_port;
use testkit::turn::{Turn, beside};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, Serve, eventually, stamp};

/// A node without Redis: what it does with its input does not hang on that.
fn node() -> (Serve, (TempDir, Turn)) {
    let turn = beside();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").port(free_port()).start();
    node.state();
    (node, (dir, turn))
}

/// Sends bytes and waits for `count` more errors with the id null; returns their codes.
#[track_caller]
fn null_errors(node: &Serve, bytes: &[u8], count: usize) -> Vec<i64> {
    let before = node.mailbox().look(|inbox| inbox.orphans.len());
    node.send_raw(bytes).expect("it reads its input");
    let found = node
        .mailbox()
        .wait(secs(20.0), |inbox| (inbox.orphans.len() >= before + count).then(|| inbox.orphans[before..].to_vec()));
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
    let found = found.unwrap_or_else(|| panic!("no answer to {shown:?}"));
    let codes: Vec<i64> = found.iter().map(|error| error["error"]["code"].as_i64().unwrap()).collect();
    assert_eq!(codes.len(), count, "{shown:?}: {found:?}");
    node.state();
    codes
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    let (node, _ground) = node();
    for line in [
        &b"hello"[..],
        b"{",
        b"[1,",
        b"{\"a\":}",
        b"\xff\xfe\x00",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc3\x28\"}",
        b"nul",
        b"1 2",
    ] {
        assert_eq!(null_errors(&node, &[line, b"\n"].concat(), 1), [-32700], "{line:?}");
    }
    node.assert_clean();
}

#[test]
fn what_is_json_but_no_request_is_an_invalid_request() {
    let (node, _ground) = node();
    let wrong = [
        "1",
        "\"x\"",
        "null",
        "true",
        "{}",
        "[]",
        r#"{"jsonrpc":"1.0","id":"v1","method":"x"}"#,
        r#"{"id":"v0","method":"rpc.discover"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"rpc.discover"}"#,
        r#"{"jsonrpc":"2.0","id":[1],"method":"rpc.discover"}"#,
    ];
    for line in wrong {
        node.send_raw(format!("{line}\n").as_bytes()).unwrap();
    }
    // Where an id can be told, the answer may carry it.
    let codes = || -> Vec<i64> {
        node.mailbox().look(|inbox| {
            let answers = inbox.answers.values().map(|(_, answer)| answer);
            inbox
                .orphans
                .iter()
                .chain(answers)
                .map(|answer| answer["error"]["code"].as_i64().unwrap_or_default())
                .collect()
        })
    };
    eventually("each wrong line is answered", secs(10.0), || {
        if codes().len() >= wrong.len() { Ok(()) } else { Err(format!("{:?}", codes())) }
    });
    assert!(codes().iter().all(|code| *code == -32600), "{:?}", codes());
    for line in [
        r#"{"jsonrpc":"2.0","id":"m","method":7}"#,
        r#"{"jsonrpc":"2.0","id":"p","method":"rpc.discover","params":"x"}"#,
    ] {
        node.send_raw(format!("{line}\n").as_bytes()).unwrap();
    }
    eventually("each is refused", secs(10.0), || {
        let refused = codes().iter().filter(|code| matches!(code, -32600 | -32602)).count();
        if refused >= wrong.len() + 2 { Ok(()) } else { Err(format!("{:?}", codes())) }
    });
    node.assert_clean();
}

#[test]
fn unknown_methods_and_parameters_are_refused() {
    let (node, _ground) = node();
    node.refused("distributed.no_such", Value::Null, -32601);
    node.refused("distributed.get_cluster_state", json!({"frsh": true}), -32602);
    node.refused("distributed.get_cluster_state", json!({"fresh": "yes"}), -32602);
    node.refused("distributed.get_cluster_state", json!([true, true, true]), -32602);
    node.refused("distributed.join_cluster", json!({"node_id": "no/slashes"}), -32602);
    node.refused("distributed.join_cluster", json!({"capabilities": "gpu"}), -32602);
    node.refused("distributed.leave_cluster", json!({"node_id": "a"}), -32602);
    node.refused("cluster.subscribe", json!({"events": "cluster.*"}), -32602);
    let document = node.ok("rpc.discover", Value::Null);
    assert!(document["openrpc"].is_string(), "{document}");
    let methods: Vec<&str> =
        document["methods"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    for name in ["join_cluster", "leave_cluster", "get_cluster_state", "elect_leader", "sync_messages"] {
        assert!(methods.contains(&format!("distributed.{name}").as_str()), "{methods:?}");
    }
}

#[test]
fn batches_are_answered_as_one_array() {
    let (node, _ground) = node();
    let batches = || node.mailbox().look(|inbox| inbox.batches.clone());
    // Notifications only: no answer at all.
    node.send_raw(b"[{\"jsonrpc\":\"2.0\",\"method\":\"distributed.get_cluster_state\"}]\n").unwrap();
    let mixed = json!([
        {"jsonrpc": "2.0", "id": "x", "method": "distributed.get_cluster_state"},
        {"jsonrpc": "2.0", "method": "distributed.get_cluster_state"},
        {"jsonrpc": "2.0", "id": "y", "method": "no.such"},
        7,
    ]);
    node.send_raw(format!("{mixed}\n").as_bytes()).unwrap();
    let batch =
        node.mailbox().wait(secs(10.0), |inbox| inbox.batches.first().cloned()).expect("an answer to the batch");
    assert_eq!(batch.len(), 3, "{batch:?}");
    let by_id =
        |id: Value| batch.iter().find(|answer| answer["id"] == id).unwrap_or_else(|| panic!("no {id} in {batch:?}"));
    assert_eq!(by_id(json!("x"))["result"]["role"], "observer");
    assert_eq!(by_id(json!("y"))["error"]["code"], -32601);
    assert_eq!(by_id(Value::Null)["error"]["code"], -32600);
    node.state();
    assert_eq!(batches().len(), 1, "a batch of notifications is not answered: {:?}", batches());
    node.assert_clean();
}

#[test]
fn a_notification_is_not_answered() {
    let (node, _ground) = node();
    node.send_raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"no.such\"}\n{\"jsonrpc\":\"2.0\",\"method\":\"rpc.discover\"}\n")
        .unwrap();
    node.state();
    node.mailbox().look(|inbox| {
        assert!(inbox.orphans.is_empty() && inbox.answers.is_empty() && inbox.notes.is_empty(), "{inbox:?}");
    });
}

#[test]
fn a_line_of_100_mb_is_refused_and_the_memory_stays_bounded() {
    let (node, _ground) = node();
    let before = node.memory_kb("VmRSS");
    let mut line = vec![b'x'; 100_000_000];
    line.push(b'\n');
    assert_eq!(null_errors(&node, &line, 1), [-32600]);
    // The same inside of what begins as a request, and again: the rest of each line is skipped.
    line[..30].copy_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"a\":\"x");
    assert_eq!(null_errors(&node, &line, 1), [-32600]);
    let peak = node.memory_kb("VmHWM");
    assert!(peak < before + 40_000, "{before} KiB before, {peak} KiB at most");
    node.assert_clean();
}

#[test]
fn deep_nesting_is_refused_or_taken_but_never_fatal() {
    let (node, _ground) = node();
    for depth in [200, 10_000, 1_000_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let request = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":\"deep\",\"method\":\"distributed.sync_messages\",\"params\":{{\"messages\":[{open}{close}]}}}}\n"
        );
        node.send_raw(request.as_bytes()).unwrap();
        node.send_raw(format!("{open}\n").as_bytes()).unwrap();
        node.send_raw(format!("{}1{}\n", "{\"a\":".repeat(depth), "}".repeat(depth)).as_bytes()).unwrap();
        node.state();
    }
    assert!(node.runs());
    node.assert_clean();
}

/// A generator of numbers that needs no library and repeats itself in every run.
fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    })
}

#[test]
fn random_bytes_and_broken_requests_never_stop_it() {
    let (node, _ground) = node();
    let good = br#"{"jsonrpc":"2.0","id":"r","method":"distributed.get_cluster_state","params":{"fresh":false}}"#;
    let mut numbers = noise(0x9E37_79B9_7F4A_7C15);
    let mut next = |below: usize| usize::try_from(numbers.next().unwrap() % below as u64).unwrap();
    let mut lines: Vec<u8> = Vec::new();
    for _ in 0..2_000 {
        if next(2) == 0 {
            // Pure noise.
            let length = next(200) + 1;
            lines.extend((0..length).map(|_| u8::try_from(next(256)).unwrap()).filter(|byte| *byte != b'\n'));
        } else {
            // A request with a few bytes changed, or cut off.
            let mut line = good.to_vec();
            for _ in 0..=next(4) {
                let at = next(line.len());
                line[at] = u8::try_from(next(256)).unwrap();
            }
            line.truncate(next(line.len()) + 1);
            lines.extend(line.into_iter().filter(|byte| *byte != b'\n'));
        }
        lines.push(b'\n');
    }
    node.send_raw(&lines).unwrap();
    node.state();
    node.mailbox().look(|inbox| {
        let codes = inbox.orphans.iter().map(|error| error["error"]["code"].as_i64().unwrap());
        let strange: Vec<i64> = codes.filter(|code| !matches!(code, -32700 | -32600)).collect();
        assert!(strange.is_empty(), "{strange:?}");
    });
    node.assert_clean();
}

#[test]
fn half_a_line_and_the_end_of_input_end_it_well() {
    for half in [&b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"[..], b"\xff", b"{\"a\":\"\xc3"] {
        let (node, _ground) = node();
        node.send_raw(half).unwrap();
        node.close_stdin();
        node.exit_clean(secs(5.0));
        node.assert_clean();
    }
}

#[test]
fn two_hundred_requests_at_once_are_each_answered() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.until("it joined", secs(20.0), |state| state["role"] == "leader");
    let start = stamp();
    let pending: Vec<_> = (0..200)
        .map(|n| match n % 3 {
            0 => node.request("distributed.get_cluster_state", json!({"fresh": true})),
            1 => node.request("distributed.sync_messages", json!({"messages": [n], "limit": 0})),
            _ => node.request("distributed.elect_leader", json!({})),
        })
        .collect();
    for pending in pending {
        let answer = pending.expect("it reads").wait(secs(20.0)).expect("each request is answered");
        assert!(answer.result.is_ok(), "{:?}", answer.result);
    }
    assert!(stamp() - start < secs(20.0));
    node.assert_clean();
}

#[test]
fn masses_of_calls_that_wait_hold_up_neither_their_holders_release_nor_the_end() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = Launch::new(dir.path(), "a").redis(&redis).brisk().start();
    node.until("it joined", secs(20.0), |state| state["role"] == "leader");
    let asked = json!({"name": "busy", "ttl_ms": 60_000, "wait_ms": 600_000});
    let held = node.ok("distributed.acquire_lease", asked.clone());
    let waits: Vec<_> =
        (0..400).map(|_| node.request("distributed.acquire_lease", asked.clone()).expect("it reads")).collect();
    let last = waits[399].wait(secs(10.0)).expect("it is answered").result.expect_err("there is no room for it");
    assert_eq!((last.code, &last.data["retryable"]), (-32006, &json!(true)), "{last:?}");
    node.ok("distributed.release_lease", json!({"name": "busy", "token": held["token"]}));
    node.close_stdin();
    node.exit_clean(secs(5.0));
    node.assert_clean();
}
