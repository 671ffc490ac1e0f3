//! Whom to believe, and when a connection is left.

use super::*;

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
