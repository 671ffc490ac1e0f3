//! Whom to believe, and when a connection is left.

use super::super::link::Link;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

fn opinion(port: u16, epoch: u64) -> Opinion {
    Opinion { primary: ("h".to_owned(), port), epoch }
}

fn primary() -> Primary {
    let nodes = vec![("h".to_owned(), 1)];
    Primary::new(Target::at_address(Address::Cluster { nodes }), &ClusterName::new("c").unwrap())
}

fn address(port: u16) -> Address {
    Address::Tcp { host: "h".to_owned(), port, tls: false }
}

#[test]
fn the_latest_promotion_counts_and_then_the_majority() {
    let ports = |answers: Vec<Opinion>| by_weight(answers).into_iter().map(|o| o.primary.1).collect::<Vec<_>>();
    assert_eq!(ports(vec![opinion(1, 3), opinion(1, 3), opinion(2, 4)]), [2, 1]);
    assert_eq!(ports(vec![opinion(1, 0), opinion(2, 0), opinion(2, 0)]), [2, 1]);
}

#[test]
fn an_outdated_opinion_does_not_replace_a_newer_one() {
    let primary = primary();
    primary.found(address(2), 4);
    primary.found(address(1), 3);
    assert!(primary.is_current(&address(2)) && !primary.is_current(&address(1)));
    primary.suspect(&address(2));
    primary.found(address(1), 3);
    assert!(primary.is_current(&address(1)), "a suspected one gives way");
}

#[tokio::test]
async fn a_connection_is_left_once_the_primary_is_elsewhere() {
    let primary = primary();
    primary.found(address(1), 1);
    let left = primary.left(address(1));
    tokio::pin!(left);
    assert!(futures_util::poll!(left.as_mut()).is_pending());
    primary.suspect(&address(1));
    assert!(futures_util::poll!(left.as_mut()).is_pending(), "a suspicion alone breaks no connection");
    primary.found(address(2), 2);
    left.await;
}

#[tokio::test]
async fn a_call_to_a_server_that_hangs_ends_once_the_primary_is_elsewhere() {
    let primary = Arc::new(primary());
    primary.found(address(1), 1);
    let link = Link::new(Arc::clone(&primary));
    let at = address(1);
    let call = link.answered(&at, std::future::pending::<redis::RedisResult<()>>());
    tokio::pin!(call);
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    primary.found(address(2), 2);
    assert!(matches!(call.await, Err(Fault::Unavailable(why)) if why.contains("another server")));
    assert_eq!(link.answered(&address(2), async { Ok(1) }).await, Ok(Ok(1)));
}

#[test]
fn only_moved_is_followed() {
    let error = |line: &[u8]| redis::parse_redis_value(line).unwrap().extract_error().unwrap_err();
    let primary = primary();
    assert!(!primary.follows(&error(b"-ASK 5 x:2\r\n"), &address(1)));
    assert!(primary.follows(&error(b"-MOVED 5 x:2\r\n"), &address(1)));
    assert!(primary.is_current(&Address::Tcp { host: "x".to_owned(), port: 2, tls: false }));
    assert!(primary.follows(&error(b"-MOVED 5 :3\r\n"), &address(1)), "the same host");
    assert!(primary.is_current(&address(3)));
}

#[test]
fn nodes_that_name_each_other_are_not_followed_back_and_forth() {
    let error = |line: &[u8]| redis::parse_redis_value(line).unwrap().extract_error().unwrap_err();
    let primary = primary();
    primary.found(address(1), 0);
    assert!(primary.follows(&error(b"-MOVED 5 h:2\r\n"), &address(1)));
    assert!(!primary.follows(&error(b"-MOVED 5 h:1\r\n"), &address(2)), "it came from there just now");
    assert!(primary.known.borrow().suspected, "so the next connection asks all nodes");
    assert!(primary.follows(&error(b"-MOVED 5 h:3\r\n"), &address(2)), "another server may be right");
}

#[test]
fn a_server_that_has_just_failed_is_not_followed_to() {
    let error = |line: &[u8]| redis::parse_redis_value(line).unwrap().extract_error().unwrap_err();
    let primary = primary();
    primary.found(address(1), 1);
    primary.suspect(&address(1));
    primary.found(address(2), 2);
    assert!(!primary.follows(&error(b"-MOVED 5 h:1\r\n"), &address(2)), "a node that has not heard of the promotion");
    assert!(primary.is_current(&address(2)) && primary.known.borrow().suspected, "the next connection asks all nodes");
}

/// A server that answers each command with what `answer` says to its name; without an answer it hangs. Returns its port.
async fn server(answer: impl Fn(&str) -> Option<String> + Clone + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                // "*<words>", and for each word "$<length>" and the word.
                loop {
                    let mut words = Vec::new();
                    let mut count = 1;
                    while words.len() < count {
                        let mut line = String::new();
                        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                            return;
                        }
                        match line.trim_end().split_at(1) {
                            ("*", number) => count = number.parse().unwrap(),
                            ("$", _) => {}
                            _ => words.push(line.trim_end().to_owned()),
                        }
                    }
                    match answer(&words[0]) {
                        Some(text) => stream.get_mut().write_all(text.as_bytes()).await.unwrap(),
                        None => return std::future::pending().await,
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_named_server_that_hangs_does_not_hide_the_one_that_is_promoted_meanwhile() {
    let hung = server(|_| None).await;
    let promoted =
        server(|word| Some(if word == "ROLE" { "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n" } else { "+OK\r\n" }.to_owned()));
    let promoted = promoted.await;
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let node = server(move |word| {
        if word != "CLUSTER" {
            return Some("+OK\r\n".to_owned());
        }
        let port = if asked.fetch_add(1, Ordering::SeqCst) == 0 { hung } else { promoted };
        Some(format!("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n"))
    });
    let nodes = vec![("127.0.0.1".to_owned(), node.await)];
    let primary = Primary::new(Target::at_address(Address::Cluster { nodes }), &ClusterName::new("c").unwrap());
    let found = primary.find().await.unwrap();
    assert_eq!(found, Address::Tcp { host: "127.0.0.1".to_owned(), port: promoted, tls: false });
}
