//! JSON-RPC over HTTP: what is answered, to whom, and what is refused before it is read.

use super::*;
use crate::rpc::tests::received;
use serde_json::{Value, json};

fn request(text: &str, headers: &str) -> String {
    let head = "POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    format!("{head}{headers}content-length: {}\r\n\r\n{text}", text.len())
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

async fn post(server: &Server, text: &Value, headers: &str) -> (u16, Value) {
    let answer = exchange(server.address, &request(&text.to_string(), headers)).await;
    (status(&answer), body(&answer))
}

fn call(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

#[tokio::test]
async fn a_text_is_answered_like_a_line() {
    let server = serve("127.0.0.1:0");
    let state = call("distributed.get_cluster_state", json!({}));
    let (code, answer) = post(&server, &state, "").await;
    assert_eq!((code, &answer["id"], &answer["result"]["role"]), (200, &json!(7), &json!("leader")), "{answer}");
    let batch =
        json!([state, {"jsonrpc": "2.0", "method": "distributed.get_cluster_state"}, 5, call("nope", json!({}))]);
    let (code, answer) = post(&server, &batch, "").await;
    assert_eq!((code, answer.as_array().unwrap().len()), (200, 3), "{answer}");
    assert_eq!(answer[1]["error"]["code"], -32600);
    assert_eq!(answer[2]["error"]["code"], -32601);
    let silent = request(r#"{"jsonrpc":"2.0","method":"distributed.get_cluster_state"}"#, "");
    let answer = exchange(server.address, &silent).await;
    assert!(answer.starts_with("HTTP/1.1 204") && answer.ends_with("\r\n\r\n"), "{answer}");
    for (text, error) in [("nonsense", -32700), ("", -32700), ("[]", -32600), ("17", -32600)] {
        let answer = exchange(server.address, &request(text, "")).await;
        assert_eq!((status(&answer), &body(&answer)["error"]["code"]), (200, &json!(error)), "{text}");
    }
    let (_, answer) = post(&server, &call("cluster.subscribe", json!({})), &bearer()).await;
    assert_eq!(answer["error"]["code"], -32010, "{answer}");
}

#[tokio::test]
async fn what_changes_something_needs_the_token_also_within_a_batch() {
    let server = serve("127.0.0.1:0");
    let (read, elect) =
        (call("distributed.get_cluster_state", json!({})), call("distributed.elect_leader", json!({"force": true})));
    for text in [elect.clone(), json!([read, elect])] {
        let (code, answer) = post(&server, &text, "").await;
        assert_eq!((code, &answer["error"]["code"]), (401, &json!(-32010)), "{answer}");
        let (code, answer) = post(&server, &text, "authorization: Bearer wrong\r\n").await;
        assert_eq!((code, &answer["error"]["data"]["kind"]), (401, &json!("forbidden")), "{answer}");
        let (code, answer) = post(&server, &text, &bearer()).await;
        assert!(code == 200 && answer.to_string().contains("\"changed\":true"), "{answer}");
    }
    let without = serve_with("127.0.0.1:0", None);
    let (code, answer) = post(&without, &elect, &bearer()).await;
    assert!(code == 403 && answer.to_string().contains("http.token"), "{answer}");
    assert_eq!(post(&without, &read, "").await.0, 200);
}

#[tokio::test]
async fn what_people_wrote_is_read_with_the_token_only() {
    let server = serve("127.0.0.1:0");
    let read = call("cluster.read_transcript", json!({"session": "agent:main:main"}));
    let (code, answer) = post(&server, &read, "").await;
    assert_eq!((code, &answer["error"]["code"]), (401, &json!(-32010)), "{answer}");
    assert_eq!(post(&server, &read, &bearer()).await.0, 200);
}

#[tokio::test]
async fn other_hosts_get_nothing_but_the_probes_without_the_token() {
    let server = serve("0.0.0.0:0");
    let local = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let get = |path: &str, header: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{header}\r\n");
    for (path, without, with) in
        [("/metrics", 401, 200), ("/healthz", 200, 200), ("/readyz", 200, 200), ("/nothing", 401, 404)]
    {
        assert_eq!(status(&exchange(local, &get(path, "")).await), without, "{path}");
        assert_eq!(status(&exchange(local, &get(path, &bearer())).await), with, "{path}");
    }
    let refused = exchange(local, &get("/events", "")).await;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"), "{refused}");
    let text = call("distributed.get_cluster_state", json!({})).to_string();
    assert_eq!(status(&exchange(local, &request(&text, "")).await), 401);
    assert_eq!(status(&exchange(local, &request(&text, &bearer())).await), 200);
}

#[tokio::test]
async fn what_a_foreign_page_could_send_is_refused() {
    let server = serve("127.0.0.1:0");
    let text = call("distributed.get_cluster_state", json!({})).to_string();
    let foreign = request(&text, "").replace("host: localhost", "host: evil.example");
    assert_eq!(status(&exchange(server.address, &foreign).await), 403);
    for path in ["/", "/metrics", "/healthz", "/events"] {
        let get = format!("GET {path} HTTP/1.1\r\nhost: evil.example:80\r\n\r\n");
        assert_eq!(status(&exchange(server.address, &get).await), 403, "{path}");
    }
    for origin in ["http://evil.example", "null", "http://localhost:1"] {
        let answer = exchange(server.address, &request(&text, &format!("origin: {origin}\r\n"))).await;
        assert_eq!(status(&answer), 403, "{origin}");
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp"]
    {
        let simple = request(&text, "").replace("application/json", kind);
        let answer = exchange(server.address, &simple).await;
        assert!(status(&answer) == 415 && body(&answer)["error"]["code"] == -32600, "{kind}: {answer}");
    }
    let absent = request(&text, "").replace("content-type: application/json\r\n", "");
    assert_eq!(status(&exchange(server.address, &absent).await), 415);
    let coded = request(&text, "content-encoding: gzip\r\n");
    assert_eq!(status(&exchange(server.address, &coded).await), 415);
    let charset = request(&text, "").replace("application/json", "Application/JSON; charset=utf-8");
    let answer = exchange(server.address, &charset).await;
    assert_eq!(status(&answer), 200);
    for header in ["x-content-type-options: nosniff", "cache-control: no-store", "x-frame-options: DENY"] {
        assert!(answer.contains(header), "{header}: {answer}");
    }
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_with_and_without_its_length() {
    let server = serve("127.0.0.1:0");
    let long = "x".repeat(MAX_TEXT_BYTES + 1);
    let head = "POST /rpc HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let announced = format!("{head}content-length: {}\r\n\r\n", u64::MAX / 2);
    assert_eq!(status(&exchange(server.address, &announced).await), 413);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n", long.len());
    let answer = exchange(server.address, &chunked).await;
    assert!(status(&answer) == 413 && answer.contains("rpc.max_line_bytes"), "{answer}");
    let fits = format!("{}{}", call("nope", json!({})), " ".repeat(MAX_TEXT_BYTES / 2));
    assert_eq!(status(&exchange(server.address, &request(&fits, "")).await), 200);
}

#[tokio::test]
async fn messages_count_as_delivered_only_after_the_answer_was_read_out() {
    let server = serve("127.0.0.1:0");
    server.node.inbox.lock().unwrap().push(received(4, "1"));
    let text = call("distributed.sync_messages", json!({})).to_string();
    let answer = exchange(server.address, &request(&text, &bearer())).await;
    assert_eq!(body(&answer)["result"]["cursor"], "4-0", "{answer}");
    let receipt = server.node.receipts.lock().unwrap().pop().unwrap();
    tokio::time::timeout(Duration::from_secs(30), receipt).await.unwrap().expect("it was delivered");
}

#[tokio::test]
async fn calls_beyond_the_limit_are_refused_and_those_that_wait_do_not_count() {
    let server = serve("127.0.0.1:0");
    let held = request(&call("distributed.get_cluster_state", json!({"fresh": true})).to_string(), "");
    let mut waiting = Vec::new();
    for _ in 0..site::MAX_CALLS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(held.as_bytes()).await.unwrap();
        waiting.push(stream);
    }
    // Those that were just accepted may not have been read yet.
    let refused = async {
        loop {
            let answer = exchange(server.address, &request(&call("nope", json!({})).to_string(), "")).await;
            if status(&answer) == 429 {
                break answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
    assert!(answer.contains("retry-after: 1") && body(&answer)["error"]["code"] == -32006, "{answer}");
    let waits = call("distributed.nope", json!({"wait_ms": 1}));
    assert_eq!(post(&server, &waits, "").await.0, 200);
    assert_eq!(get(&server, "/healthz").await.1, "ok\n");
    server.node.gate.add_permits(site::MAX_CALLS);
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), 200);
    }
    assert_eq!(post(&server, &call("nope", json!({})), "").await.0, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call() {
    let server = serve("127.0.0.1:0");
    let held = request(&call("distributed.get_cluster_state", json!({"fresh": true})).to_string(), "");
    for _ in 0..3 * site::MAX_CALLS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(held.as_bytes()).await.unwrap();
    }
    let served = async { while post(&server, &call("nope", json!({})), "").await.0 != 200 {} };
    tokio::time::timeout(Duration::from_secs(30), served).await.expect("the places are free again");
}
