//! The harness itself: a fault that does not happen would let every test pass.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::proxy::Mode;
use testkit::resp::Resp;
use testkit::wait::secs;
use testkit::{Proxy, RedisOptions, RedisServer, eventually, stamp};

#[test]
fn a_server_keeps_its_data_when_told_so_and_loses_it_else() {
    let mut kept = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    kept.cli(&["SET", "k", "v"]);
    let run = kept.info("server", "run_id");
    kept.kill9();
    kept.restart();
    assert_eq!(kept.cli(&["GET", "k"]), "v");
    assert_ne!(kept.info("server", "run_id"), run);
    kept.restart_empty();
    assert_eq!(kept.cli(&["GET", "k"]), "(nil)");
    let mut plain = RedisServer::start();
    plain.cli(&["SET", "k", "v"]);
    plain.restart();
    assert_eq!(plain.cli(&["GET", "k"]), "(nil)");
}

#[test]
fn a_server_asks_for_its_password_and_its_user() {
    let password = RedisServer::with(RedisOptions { password: Some("s3cret".into()), ..RedisOptions::default() });
    let bare = |port| Resp::connect(port).unwrap().call(&["PING"]).unwrap();
    assert!(bare(password.port()).contains("NOAUTH"));
    let user = RedisServer::with(RedisOptions { user: Some(("bot".into(), "pw".into())), ..RedisOptions::default() });
    assert!(bare(user.port()).contains("NOAUTH"));
    assert_eq!(user.cli(&["ACL", "WHOAMI"]), "bot");
}

#[test]
fn a_replica_follows_and_can_be_promoted() {
    let primary = RedisServer::start();
    let replica = RedisServer::with(RedisOptions { replicaof: Some(primary.port()), ..RedisOptions::default() });
    primary.cli(&["SET", "k", "v"]);
    eventually("the replica has the key", secs(10.0), || match replica.cli(&["GET", "k"]).as_str() {
        "v" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(replica.cli(&["SET", "k", "w"]).contains("READONLY"));
    assert_eq!(replica.cli(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(replica.cli(&["SET", "k", "w"]), "OK");
}

/// Sends PING and reads for at most `within`.
fn ping(stream: &mut TcpStream, within: Duration) -> Result<String, ErrorKind> {
    stream.write_all(b"PING\r\n").map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(within)).unwrap();
    let mut reply = [0; 64];
    match stream.read(&mut reply) {
        Ok(0) => Err(ErrorKind::UnexpectedEof),
        Ok(size) => Ok(String::from_utf8_lossy(&reply[..size]).into_owned()),
        Err(error) => Err(error.kind()),
    }
}

fn silent(result: Result<String, ErrorKind>) -> bool {
    matches!(result, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn through(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()
}

#[test]
fn a_paused_server_is_silent_and_comes_back() {
    let redis = RedisServer::start();
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    assert!(ping(&mut stream, secs(5.0)).is_ok());
    redis.pause();
    assert!(silent(ping(&mut stream, secs(0.2))));
    redis.resume();
    assert!(ping(&mut stream, secs(5.0)).unwrap().contains("PONG"));
}

#[test]
fn the_network_fails_in_each_way_that_it_is_told_to() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    let mut stream = through(&proxy);
    assert_eq!(ping(&mut stream, secs(5.0)).unwrap(), "+PONG\r\n");

    proxy.set(Mode::BlackHole);
    assert!(silent(ping(&mut stream, secs(0.2))));
    assert!(silent(ping(&mut through(&proxy), secs(0.2))), "a new connection is accepted and left alone");
    proxy.set(Mode::Pass);
    assert!(ping(&mut stream, secs(5.0)).is_ok(), "what was held back arrives");

    proxy.set(Mode::Delay(Duration::from_millis(150)));
    let mut slow = through(&proxy);
    let start = stamp();
    assert!(ping(&mut slow, secs(5.0)).is_ok());
    assert!(stamp() - start >= Duration::from_millis(300), "150 ms each way");

    proxy.set(Mode::Drop);
    assert!(ping(&mut slow, secs(5.0)).is_err());
    assert!(ping(&mut through(&proxy), secs(5.0)).is_err());
    proxy.set(Mode::Pass);

    let mut half = through(&proxy);
    assert!(ping(&mut half, secs(5.0)).is_ok());
    proxy.set(Mode::HalfClose);
    assert_eq!(ping(&mut half, secs(5.0)), Err(ErrorKind::UnexpectedEof));
    assert!(half.write_all(b"SET half open\r\n").is_ok(), "the other way stays open");
    eventually("what is sent on the half-closed connection still arrives", secs(5.0), || {
        if redis.cli(&["GET", "half"]) == "open" { Ok(()) } else { Err("nothing") }
    });
    proxy.set(Mode::Pass);

    let mut cut = through(&proxy);
    assert!(ping(&mut cut, secs(5.0)).is_ok());
    proxy.cut();
    assert!(ping(&mut cut, secs(5.0)).is_err());
    assert!(ping(&mut through(&proxy), secs(5.0)).is_ok(), "new connections live");
}

#[test]
fn a_lost_reply_belongs_to_a_command_that_was_done() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(redis.port());
    proxy.drop_replies(1);
    let lost = Resp::connect(proxy.port()).unwrap().call(&["INCR", "n"]);
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(redis.cli(&["GET", "n"]), "1");
    assert_eq!(proxy.replies_to_drop(), 0);
    assert_eq!(Resp::connect(proxy.port()).unwrap().call(&["INCR", "n"]).unwrap(), "2");
}

#[test]
fn the_network_leads_new_connections_elsewhere() {
    let (first, second) = (RedisServer::start(), RedisServer::start());
    first.cli(&["SET", "who", "first"]);
    second.cli(&["SET", "who", "second"]);
    let proxy = Proxy::start(first.port());
    let mut old = Resp::connect(proxy.port()).unwrap();
    assert_eq!(old.call(&["GET", "who"]).unwrap(), "first");
    proxy.target(second.port());
    assert_eq!(Resp::connect(proxy.port()).unwrap().call(&["GET", "who"]).unwrap(), "second");
    assert_eq!(old.call(&["GET", "who"]).unwrap(), "first");
}

#[test]
#[ignore = "a part of other tests: the command that wrappers run"]
fn stamps_when_asked() {
    testkit::wrapper::leave_stamps(Duration::from_millis(5));
}
