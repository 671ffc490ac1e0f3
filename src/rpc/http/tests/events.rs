//! Events over HTTP: their form, their place in the order, and the end of a stream.

use super::*;
use crate::cluster::event::{ClusterEvent, ClusterFact, Event, LocalFact};
use crate::cluster::ids::{EventSeq, Incarnation};
use crate::cluster::time::ServerTime;
use crate::engine::events::FeedOptions;
use crate::rpc::tests::node_id;
use serde_json::{Value, json};

fn joined(seq: u64) -> Event {
    Event::Cluster(ClusterEvent {
        seq: EventSeq(seq),
        at: ServerTime(5),
        node_id: node_id("a"),
        fact: ClusterFact::NodeJoined { name: "a\nname".to_owned(), incarnation: Incarnation(1), rejoined: false },
    })
}

struct Stream {
    socket: TcpStream,
    text: String,
}

impl Stream {
    async fn open(server: &Server, path: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { socket, text: String::new() };
        stream.until("\r\n\r\n").await;
        stream
    }

    /// Reads until a text was read; returns everything up to it.
    async fn until(&mut self, part: &str) -> String {
        let read = async {
            while !self.text.contains(part) {
                let mut bytes = [0; 4096];
                let count = self.socket.read(&mut bytes).await.unwrap();
                assert!(count > 0, "the stream ended before {part:?}: {:?}", self.text);
                self.text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .unwrap_or_else(|_| panic!("no {part:?}: {:?}", self.text));
        let end = self.text.find(part).unwrap() + part.len();
        self.text.drain(..end).collect()
    }
}

async fn feed(server: &Server) -> (FeedOptions, tokio::sync::mpsc::Sender<Event>) {
    let opened = async {
        loop {
            if let Some(feed) = server.node.feeds.lock().unwrap().pop() {
                return feed;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened).await.unwrap()
}

#[tokio::test]
async fn an_event_has_its_id_and_a_local_one_has_none() {
    let server = serve("127.0.0.1:0");
    let mut stream = Stream::open(&server, "/events?after=41-0", "").await;
    let (options, events) = feed(&server).await;
    assert_eq!(options.after, Some(EventSeq(41)));
    stream.until("retry: 2000\n\n").await;
    events.send(joined(42)).await.unwrap();
    let text = stream.until("\n\n").await;
    let (id, data) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(id.ends_with("id: 42-0"), "{text:?}");
    let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(
        (&event["id"], &event["seq"], &event["event"], &event["name"]),
        (&json!("42-0"), &json!(42), &json!("cluster.node_joined"), &json!("a\nname"))
    );
    let gap = LocalFact::Gap { from: EventSeq(43), to: EventSeq(50) };
    events.send(Event::Local { at: ServerTime(6), fact: gap }).await.unwrap();
    let text = stream.until("\n\n").await;
    assert!(text.contains("cluster.gap") && !text.contains("id: "), "{text:?}");
}

#[tokio::test]
async fn a_browser_that_connects_again_resumes_and_a_filter_is_taken() {
    let server = serve("127.0.0.1:0");
    let mut stream =
        Stream::open(&server, "/events?after=1-0&events=cluster.node_left,cluster.gap", "last-event-id: 9-0\r\n").await;
    let (options, events) = feed(&server).await;
    assert_eq!(options.after, Some(EventSeq(9)));
    events.send(joined(10)).await.unwrap();
    let gap = LocalFact::Gap { from: EventSeq(43), to: EventSeq(50) };
    events.send(Event::Local { at: ServerTime(6), fact: gap }).await.unwrap();
    let text = stream.until("cluster.gap").await;
    assert!(!text.contains("node_joined"), "{text}");
    for bad in ["/events?after=x", "/events?events=cluster.nope", "/events?before=1"] {
        assert!(get(&server, bad).await.0.starts_with("HTTP/1.1 400"), "{bad}");
    }
}

#[tokio::test]
async fn streams_are_limited_and_keep_nobody_else_out() {
    let server = serve("127.0.0.1:0");
    let mut open = Vec::new();
    for _ in 0..site::MAX_STREAMS {
        open.push(Stream::open(&server, "/events", "").await);
    }
    let (head, body) = get(&server, "/events").await;
    assert!(head.starts_with("HTTP/1.1 429") && body.contains("-32006"), "{head} {body}");
    // Idle connections push out each other, and no stream.
    let mut idle = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS {
        idle.push(TcpStream::connect(server.address).await.unwrap());
        assert_eq!(get(&server, "/healthz").await.1, "ok\n");
    }
    let (_, events) = feed(&server).await;
    events.send(joined(42)).await.unwrap();
    open.last_mut().unwrap().until("id: 42-0").await;
    drop(open.pop());
    let again = async { while !get_head(&server).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(30), again).await.expect("a place is free again");
}

async fn get_head(server: &Server) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut bytes = [0; 64];
    let count = socket.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[tokio::test]
async fn a_stream_ends_whole_when_the_server_stops() {
    let server = serve("127.0.0.1:0");
    let mut stream = Stream::open(&server, "/events", "").await;
    server.stop.send_replace(true);
    stream.until("0\r\n\r\n").await;
    tokio::time::timeout(CONNECTION_TIMEOUT / 2, server.serving).await.expect("it ends in time").unwrap();
}
