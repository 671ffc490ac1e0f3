//! The HTTP server of a real node: connections that are held open, ports that are taken, the end.

use super::{address, becomes, watched};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use testkit::cluster::stage;
use testkit::exposition::{page, scrape};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, eventually, stamp};

#[test]
fn slow_clients_keep_nobody_out_and_nothing_open() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    let at = address(&node);
    becomes(at, "/readyz", 200);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", node.pid())).expect("it lives").count();
    let before = files();
    let mut held = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(at).expect("it takes connections");
        stream.write_all(if n % 2 == 0 { b"GET /metr".as_slice() } else { b"" }).expect("it takes bytes");
        held.push(stream);
    }
    let began = stamp();
    scrape(at);
    assert_eq!(page(at, "/healthz").0, 200);
    assert!(stamp() - began < secs(3.0), "it waited for slow clients: {:?}", stamp() - began);
    assert!(files() <= before + 80, "{} files open, {before} before", files());
    eventually("what does not go on is closed", secs(20.0), || {
        let now = files();
        if now <= before + 4 { Ok(()) } else { Err(format!("{now} files open, {before} before")) }
    });
    drop(held);
    for _ in 0..300 {
        scrape(at);
    }
    eventually("scrapes leave nothing open", secs(5.0), || {
        let now = files();
        if now <= before + 4 { Ok(()) } else { Err(format!("{now} files open, {before} before")) }
    });
}

#[test]
fn a_port_that_is_taken_is_named_and_starts_nothing() {
    let redis = RedisServer::start();
    let dir = stage();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let launch = Launch::new(dir.path(), "a").redis(&redis).brisk();
    launch.config(&format!(r#"{{"metrics": {{"listen": "{taken}"}}}}"#));
    let names = |said: &str| {
        let parts = ["config.json", "metrics.listen", &taken.to_string(), "another process listens on it"];
        parts.iter().all(|part| said.contains(part))
    };
    let node = launch.run(&["serve"]);
    assert_eq!(node.exit(secs(10.0)).code(), Some(1), "{}", node.stderr());
    assert!(names(&node.stderr()), "{}", node.stderr());
    // A host of MCP would show nothing of a server that ends: it stays, and its tools say what is wrong.
    let node = launch.run(&["mcp"]);
    eventually("mcp names the port", secs(10.0), || {
        let said = node.stderr();
        if names(&said) { Ok(()) } else { Err(said) }
    });
    drop(node);
    assert!(!launch.home.join("state/openclaw/a.sock").exists(), "a socket was opened");
    assert_eq!(redis.cli(&["HLEN", "clawster:{openclaw}:members"]), "0", "it joined");
    drop(other);
    let node = launch.start();
    assert_eq!(address(&node), taken);
    becomes(taken, "/readyz", 200);
    // A restart takes the port again at once.
    node.close_stdin();
    node.exit_clean(secs(5.0));
    let node = launch.start();
    becomes(address(&node), "/readyz", 200);
    assert!(!node.stderr().contains("can be reached from other hosts"), "{}", node.stderr());
}

#[test]
fn open_connections_do_not_hold_up_the_end() {
    let redis = RedisServer::start();
    let dir = stage();
    let node = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).start();
    let at = address(&node);
    becomes(at, "/readyz", 200);
    let _held: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(at).expect("it takes connections")).collect();
    node.close_stdin();
    node.exit_clean(secs(5.0));
    assert!(TcpStream::connect(at).is_err(), "it still listens");
}

#[test]
fn a_session_of_mcp_that_runs_the_node_serves_metrics_too() {
    let redis = RedisServer::start();
    let dir = stage();
    let session = watched(Launch::new(dir.path(), "a").redis(&redis).brisk()).run(&["mcp"]);
    let at = address(&session);
    becomes(at, "/readyz", 200);
    eventually("it leads", secs(20.0), || {
        let seen = scrape(at);
        if seen.of("clawster_leader") == 1.0 { Ok(()) } else { Err(seen.text) }
    });
}

#[test]
fn an_address_that_others_reach_is_warned_about_and_the_default_is_off() {
    let redis = RedisServer::start();
    let dir = stage();
    let open = Launch::new(dir.path(), "open").redis(&redis).brisk().env("CLAWSTER__METRICS__LISTEN", "0.0.0.0:0");
    let node = open.start();
    let port = address(&node).port();
    becomes(std::net::SocketAddr::from(([127, 0, 0, 1], port)), "/readyz", 200);
    assert_eq!(node.stderr().matches("can be reached from other hosts").count(), 1, "{}", node.stderr());
    let off = Launch::new(dir.path(), "off").redis(&redis).brisk().start();
    off.until("it joined", secs(20.0), |state| state["role"] != "observer");
    assert!(!off.stderr().contains("serving metrics"), "{}", off.stderr());
}
