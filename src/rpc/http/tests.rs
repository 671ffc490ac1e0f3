//! The server over real connections, with a node that is played by the stub of the layer's tests.

mod calls;
mod events;
mod mcp;
mod page;

use super::connection::HEAD_TIMEOUT;
use super::exchange::CONNECTION_TIMEOUT;
use super::*;
use crate::config::{HttpConfig, Secret};
use crate::engine::node::handle::Health;
use crate::rpc::tests::{Stub, module};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The token of the servers of these tests.
const TOKEN: &str = "a-token-of-some-length";
/// The longest text that they take.
const MAX_TEXT_BYTES: usize = 64 << 10;

struct Server {
    node: Arc<Stub>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

fn serve(address: &str) -> Server {
    serve_with(address, Some(TOKEN))
}

fn serve_with(address: &str, token: Option<&str>) -> Server {
    let (node, module) = module();
    let listener = HttpListener::bind(address.parse().unwrap()).unwrap();
    let address = listener.address();
    let config = HttpConfig {
        listen: Some(address),
        key: "http.listen",
        place: "config.json".to_owned(),
        token: token.map(Secret::new),
        allow_plaintext: true,
        hosts: Vec::new(),
        tls_files: None,
    };
    let painter: Painter = Arc::new(|window| Box::pin(async move { Ok(format!("<svg>{}</svg>", window.as_secs())) }));
    let socket: SocketPath = Arc::new(|| Err("a test has no socket".to_owned()));
    let site = Site::new(Arc::clone(&node), &module, Access::new(&config, None), MAX_TEXT_BYTES, painter, socket);
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(listener.serve(site, stopped));
    Server { node, address, stop, serving }
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn get(server: &Server, path: &str) -> (String, String) {
    let answer = exchange(server.address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn each_page_says_what_it_is_for() {
    let server = serve("127.0.0.1:0");
    let (head, body) = get(&server, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(body.contains("# TYPE clawster_heartbeats_total counter\n"), "{body}");
    assert_eq!(get(&server, "/healthz").await.1, "ok\n");
    assert_eq!(get(&server, "/readyz?verbose").await.1, "ready\n");
    for path in ["/metrics/", "/favicon.ico", "//metrics", "/rpc/x"] {
        assert!(get(&server, path).await.0.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn a_node_that_lacks_something_is_healthy_but_not_ready() {
    let server = serve("127.0.0.1:0");
    *server.node.health.lock().unwrap() =
        Health { trouble: None, missing: vec!["it is no member".to_owned(), "Redis does not answer".to_owned()] };
    assert!(get(&server, "/healthz").await.0.starts_with("HTTP/1.1 200"));
    let (head, body) = get(&server, "/readyz").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "not ready: it is no member; Redis does not answer\n");
    *server.node.health.lock().unwrap() = Health { trouble: Some("it is stuck".to_owned()), missing: Vec::new() };
    for path in ["/healthz", "/readyz"] {
        let (head, body) = get(&server, path).await;
        assert!(head.starts_with("HTTP/1.1 503") && body.contains("it is stuck"), "{head} {body}");
    }
}

#[tokio::test]
async fn only_get_and_head_are_served() {
    let server = serve("127.0.0.1:0");
    let head = exchange(server.address, "HEAD /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(!head.contains("content-length: 0"), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
        let answer = exchange(server.address, &format!("{method} /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD"), "{method}: {answer}");
    }
    for (path, method, allow) in [("/rpc", "GET", "POST"), ("/rpc", "OPTIONS", "POST"), ("/events", "POST", "GET")] {
        let answer = exchange(server.address, &format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        assert!(
            answer.starts_with("HTTP/1.1 405") && answer.contains(&format!("allow: {allow}")),
            "{method}: {answer}"
        );
    }
    for odd in ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        let answer = exchange(server.address, odd).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{odd:?}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", "x".repeat(64 << 10));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // It may be closed while it is still written.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(get(&server, "/healthz").await.1, "ok\n");
}

#[tokio::test]
async fn whoever_holds_connections_open_keeps_nobody_out() {
    let server = serve("127.0.0.1:0");
    let mut slow = Vec::new();
    for _ in 0..3 * MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /metrics HT").await.unwrap();
        slow.push(stream);
        let began = crate::clock::now();
        assert_eq!(get(&server, "/healthz").await.1, "ok\n");
        assert!(crate::clock::now().since(began) < HEAD_TIMEOUT, "it waited for a slow one");
    }
    let mut closed = Vec::new();
    slow.swap_remove(0).read_to_end(&mut closed).await.ok();
    assert!(closed.is_empty(), "the oldest was closed without an answer");
}

#[tokio::test]
async fn a_connection_carries_one_request() {
    let server = serve("127.0.0.1:0");
    let one = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive\r\n\r\n";
    let answers = exchange(server.address, &format!("{one}{one}{one}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 1, "{answers}");
}

#[tokio::test]
async fn it_ends_when_it_is_asked_to_also_with_connections_open() {
    let server = serve("127.0.0.1:0");
    let _open = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(get(&server, "/healthz").await.1, "ok\n");
    server.stop.send_replace(true);
    tokio::time::timeout(CONNECTION_TIMEOUT / 2, server.serving).await.expect("it ends in time").unwrap();
    HttpListener::bind(server.address).expect("the address is free again");
}

#[tokio::test]
async fn an_address_is_taken_once_and_may_be_of_ipv6() {
    let server = serve("127.0.0.1:0");
    let error = HttpListener::bind(server.address).expect_err("it is taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    match std::net::TcpListener::bind("[::1]:0") {
        Ok(_) => assert_eq!(get(&serve("[::1]:0"), "/healthz").await.1, "ok\n"),
        Err(error) => eprintln!("this host has no IPv6: {error}"),
    }
}
