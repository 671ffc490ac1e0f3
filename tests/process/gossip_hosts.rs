//! Gossip between two hosts: network namespaces with a cable. Skipped, with a line that says so, where this user may not make them.

use crate::gossip::{gossiping, met, reaches};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use testkit::Launch;
use testkit::cluster::{settled, stage};
use testkit::wait::secs;

/// Two hosts: network namespaces with a cable between them. Removed at the end.
struct TwoHosts(String);

impl TwoHosts {
    /// `None`: this user may not make network namespaces here.
    fn new() -> Option<Self> {
        let name = format!("cw{}", std::process::id());
        let hosts = Self(name.clone());
        let (a, b) = (format!("{name}a"), format!("{name}b"));
        let made = ip(&["netns", "add", &a])
            && ip(&["netns", "add", &b])
            && ip(&["link", "add", &a, "netns", &a, "type", "veth", "peer", "name", &b, "netns", &b]);
        for (host, address) in [(&a, "10.77.0.1/24"), (&b, "10.77.0.2/24")] {
            let up = made
                && ip(&["-n", host, "addr", "add", address, "dev", host])
                && ip(&["-n", host, "link", "set", "lo", "up"])
                && ip(&["-n", host, "link", "set", host, "up"]);
            if !up {
                return None;
            }
        }
        Some(hosts)
    }

    fn host(&self, which: char) -> String {
        format!("{}{which}", self.0)
    }

    /// Plugs the cable in or out.
    fn cable(&self, plugged: bool) {
        let b = self.host('b');
        assert!(ip(&["-n", &b, "link", "set", &b, if plugged { "up" } else { "down" }]));
    }
}

impl Drop for TwoHosts {
    fn drop(&mut self) {
        for which in ['a', 'b'] {
            ip(&["netns", "del", &self.host(which)]);
        }
    }
}

fn ip(arguments: &[&str]) -> bool {
    let run = std::process::Command::new("ip").args(arguments).stderr(std::process::Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Ends a process when the test does.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn two_hosts_see_each_other_and_lose_each_other_with_the_cable() {
    let Some(hosts) = TwoHosts::new() else {
        // Not a macro: the test's output is shown only when it fails.
        let skipped = "SKIPPED two_hosts: this user may not make network namespaces here, or there is no ip command";
        writeln!(std::io::stderr(), "{skipped}").ok();
        return;
    };
    let dir = stage();
    let (ns_a, port) = (hosts.host('a'), testkit::redis_server::free_port());
    let redis = std::process::Command::new("ip")
        .args(["netns", "exec", &ns_a])
        .arg(testkit::redis_server::binary())
        .args(["--bind", "10.77.0.1", "--protected-mode", "no", "--save", "", "--port", &port.to_string()])
        .stdout(std::process::Stdio::null())
        .spawn();
    let _redis = Child(redis.unwrap());
    let launch = |which: char, address: &str| {
        let at = SocketAddr::new(address.parse().unwrap(), 7946);
        let launch = gossiping(Launch::new(dir.path(), &format!("host-{which}")).brisk(), at);
        let launch = launch.env("REDIS_HOST", "10.77.0.1").env("REDIS_PORT", &port.to_string());
        let (program, host) = (launch.program.clone(), hosts.host(which));
        let launch = launch.program(std::ffi::OsStr::new("ip"));
        launch.run(&["netns", "exec", &host, program.to_str().unwrap(), "serve"])
    };
    let (a, b) = (launch('a', "10.77.0.1"), launch('b', "10.77.0.2"));
    settled(&[&a, &b], secs(20.0));
    met(&[&a, &b]);
    a.subscribe(Value::Null, None);
    hosts.cable(false);
    a.event("b is unreachable", secs(3.0), |event| event["event"] == "cluster.peer_unreachable");
    b.until("it lost both Redis and its peer", secs(20.0), |state| {
        state["redis"]["status"] == "unavailable" && !reaches(state, "host-a")
    });
    hosts.cable(true);
    met(&[&a, &b]);
}
