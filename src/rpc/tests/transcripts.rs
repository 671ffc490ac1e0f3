//! The methods of copies of transcripts, and the part of the stub that keeps one.

use super::*;
use crate::cluster::protocol::{ReadTranscript, TranscriptItem};

/// What the stub was asked.
#[derive(Default)]
pub(crate) struct Asked {
    pub(crate) appends: Mutex<Vec<AppendRequest>>,
    pub(crate) reads: Mutex<Vec<ReadTranscript>>,
}

impl Transcripts for Stub {
    async fn append_transcript(&self, request: AppendRequest) -> Result<Appended, Error> {
        let kept = u64::try_from(request.items.len()).unwrap();
        self.transcripts.appends.lock().unwrap().push(request);
        Ok(Appended { position: (kept > 0).then(|| "5-0-n".to_owned()), kept })
    }

    async fn read_transcript(&self, request: ReadTranscript) -> Result<Excerpt, Error> {
        let from_start = request.after.is_none();
        self.transcripts.reads.lock().unwrap().push(request);
        let item = r#"{"z":1.10,"a":[null]}"#.to_owned();
        let item = TranscriptItem { position: "5-0-n".to_owned(), node_id: node_id("b"), item };
        Ok(Excerpt { items: vec![item], from_start, more: !from_start })
    }
}

const APPEND: &str = "cluster.append_transcript";
const READ: &str = "cluster.read_transcript";

#[tokio::test]
async fn items_are_appended_as_they_are() {
    let mut host = Host::start();
    let session = "agent:main:telegram:direct:123";
    host.line(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{APPEND}","params":{{"session":"{session}","items":[{{ "z" : 1.10, "a": " x" }},{{}}]}}}}"#
    ))
    .await;
    assert_eq!(host.next().await["result"], json!({"position": "5-0-n", "kept": 2}));
    let asked = host.node.transcripts.appends.lock().unwrap().pop().unwrap();
    assert_eq!((asked.session.as_str(), asked.keep_items, asked.restart), (session, 200, false));
    assert_eq!((asked.items, asked.keep_for), (vec![r#"{"z":1.10,"a":" x"}"#.into(), "{}".into()], days(7)));
    let answer = host.ask(APPEND, json!(["s", [], 1_000, 2_592_000_000_u64, true])).await;
    assert_eq!(answer["result"], json!({"position": null, "kept": 0}));
    let asked = host.node.transcripts.appends.lock().unwrap().pop().unwrap();
    assert_eq!((asked.keep_items, asked.keep_for, asked.restart), (1_000, days(30), true));
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

#[tokio::test]
async fn items_are_read_as_they_are() {
    let mut host = Host::start();
    host.send(1, READ, json!({"session": "s"})).await;
    let text = host.next_text().await.unwrap();
    let item = r#"{"position":"5-0-n","node_id":"b","item":{"z":1.10,"a":[null]}}"#;
    assert!(text.contains(&format!(r#""items":[{item}],"from_start":true,"more":false"#)), "{text}");
    let asked = host.node.transcripts.reads.lock().unwrap().pop().unwrap();
    assert_eq!(asked, ReadTranscript { session: "s".to_owned(), after: None, limit: 200 });
    let answer = host.ask(READ, json!(["s", "5-0-n", 1])).await;
    assert_eq!((&answer["result"]["from_start"], &answer["result"]["more"]), (&json!(false), &json!(true)));
    let asked = host.node.transcripts.reads.lock().unwrap().pop().unwrap();
    assert_eq!((asked.after.as_deref(), asked.limit), (Some("5-0-n"), 1));
}

#[tokio::test]
async fn wrong_parameters_of_transcripts_are_named() {
    let mut host = Host::start();
    for (method, params, part) in [
        (APPEND, json!({"items": []}), "parameter session: it is missing"),
        (APPEND, json!({"session": "", "items": []}), "parameter session: it is empty"),
        (APPEND, json!({"session": "a\u{7}", "items": []}), "parameter session: it holds a control character"),
        (APPEND, json!({"session": "x".repeat(513), "items": []}), "parameter session: it has 513 bytes"),
        (APPEND, json!({"session": "s"}), "parameter items: it is missing"),
        (APPEND, json!({"session": "s", "items": [{}, [1]]}), "parameter items: the one at index 1 is not an object"),
        (APPEND, json!({"session": "s", "items": vec![json!({}); 101]}), "parameter items: 101 were given"),
        (APPEND, json!({"session": "s", "items": [], "keep_items": 0}), "parameter keep_items: it is 0, 1 to 1000"),
        (APPEND, json!({"session": "s", "items": [], "keep_ms": 59_999}), "parameter keep_ms: it is 59999, 60000 to"),
        (READ, json!({"session": "s", "limit": 1_001}), "parameter limit: it is 1001, 1 to 1000"),
        (READ, json!({"session": "s", "after": "x".repeat(129)}), "parameter after: it has 129 bytes"),
    ] {
        let answer = host.ask(method, params).await;
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(-32602), &json!("invalid_params")), "{answer}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error} does not hold {part:?}");
    }
    assert!(host.node.transcripts.appends.lock().unwrap().is_empty());
}
