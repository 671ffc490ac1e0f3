//! What a webhook and a program get, and what happens when they fail.

use super::*;
use crate::cluster::time::ServerTime;
use crate::config::{AlertKind, Secret};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A webhook that answers each request with the next status, and notes the requests.
async fn hook(statuses: &'static [u16]) -> (Secret, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        for status in statuses {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            while !is_whole(&text) {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap();
                assert!(count > 0, "the request ended early: {text}");
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            requests.lock().unwrap().push(text);
            let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (Secret::new(format!("http://{address}/hook?secret=1")), seen)
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    body.len() >= length.parse().unwrap()
}

fn config(webhook: Option<Secret>, format: AlertFormat, command: &[&str]) -> AlertsConfig {
    AlertsConfig {
        webhook,
        key: None,
        format,
        command: command.iter().map(ToString::to_string).collect(),
        on: vec![AlertKind::NodeLeft],
        cooldown: Duration::from_mins(5),
        lag: 1,
        flapping: 3,
    }
}

fn outlet(config: &AlertsConfig) -> Outlet {
    const SHORT: [Duration; 3] = [Duration::from_millis(1); 3];
    Outlet { pauses: &SHORT, ..Outlet::new(config, vec!["REDIS_PASSWORD".to_owned()]).unwrap() }
}

fn alert() -> Alert {
    let text = "Node <b> & co is gone: its process died.".to_owned();
    Alert { kind: AlertKind::NodeLeft, subject: "b".to_owned(), text, at: ServerTime(7) }
}

fn body_of(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn each_form_is_what_its_reader_takes() {
    for (format, expected) in [
        (
            AlertFormat::Json,
            json!({"alert": "node_left", "cluster": "c", "subject": "b", "at_ms": 7, "sent_by": "a",
                "text": "Node <b> & co is gone: its process died."}),
        ),
        (AlertFormat::Slack, json!({"text": "[c] node_left: Node &lt;b&gt; &amp; co is gone: its process died."})),
        (
            AlertFormat::Discord,
            json!({"content": "[c] node_left: Node <b> & co is gone: its process died.", "allowed_mentions": {"parse": []}}),
        ),
    ] {
        let (address, seen) = hook(&[204]).await;
        let mut config = config(Some(address), format, &[]);
        config.key = Some(Secret::new("key"));
        let sent = outlet(&config).send(&alert(), "c", "a").await;
        assert!(sent.len() == 1 && sent[0].failure.is_none(), "{sent:?}");
        assert!(!format!("{sent:?}").contains("secret"), "the address is shown: {sent:?}");
        let request = seen.lock().unwrap().remove(0);
        assert!(request.starts_with("POST /hook?secret=1 HTTP/1.1\r\n"), "{request}");
        assert!(
            request.contains("content-type: application/json") && request.contains("x-clawster-signature: t="),
            "{request}"
        );
        assert_eq!(body_of(&request), expected);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_does_not_is_not() {
    for (statuses, arrives, tries) in [
        (&[500_u16, 429, 200] as &'static [u16], true, 3_usize),
        (&[500, 500, 500, 500], false, 4),
        (&[404, 200], false, 1),
        (&[302, 200], false, 1),
    ] {
        let (address, seen) = hook(statuses).await;
        let sent = outlet(&config(Some(address), AlertFormat::Json, &[])).send(&alert(), "c", "a").await;
        assert_eq!((sent[0].failure.is_none(), seen.lock().unwrap().len()), (arrives, tries), "{statuses:?} {sent:?}");
    }
    let nobody = Secret::new("http://127.0.0.1:1/secret");
    let sent = outlet(&config(Some(nobody), AlertFormat::Json, &[])).at_once().send(&alert(), "c", "a").await;
    let why = sent[0].failure.as_ref().unwrap();
    assert!(why.contains("cannot connect") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn a_program_gets_the_alert_and_its_failure_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alert.json");
    let write = ["/bin/sh", "-c", "cat > \"$0\"", file.to_str().unwrap()];
    let sent = outlet(&config(None, AlertFormat::Json, &write)).send(&alert(), "c", "a").await;
    assert!(sent[0].failure.is_none() && sent[0].to == "/bin/sh", "{sent:?}");
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&written["alert"], &written["subject"]), (&json!("node_left"), &json!("b")));
    for (command, why) in [(&["/bin/false"], "the program failed"), (&["/nonexistent/x"], "cannot start")] {
        let sent = outlet(&config(None, AlertFormat::Json, command)).send(&alert(), "c", "a").await;
        assert!(sent[0].failure.as_ref().unwrap().contains(why), "{sent:?}");
    }
}
