//! The set-ups in `examples/`, started as their README files say, on other ports.

use serde_json::json;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use testkit::redis_server::{binary, free_port};
use testkit::wait::secs;
use testkit::{Launch, Serve};

/// A folder of `examples/`, with its data in a folder of the test's own. It is stopped when dropped.
struct Example {
    scripts: PathBuf,
    data: TempDir,
    /// The variable that sets a first port, that port in the README, and here.
    ports: Vec<(&'static str, u16, u16)>,
}

/// The first of so many neighbouring ports on which nothing listens.
fn neighbours(count: u16) -> u16 {
    loop {
        let first = free_port();
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

impl Example {
    fn new(name: &str, ports: &[(&'static str, u16, u16)]) -> Self {
        let ports = ports.iter().map(|&(variable, written, count)| (variable, written, neighbours(count))).collect();
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        Self { scripts, data: testkit::cluster::stage(), ports }
    }

    /// Runs one of its scripts; returns what it said.
    #[track_caller]
    fn run(&self, script: &str) -> String {
        let mut command = Command::new(self.scripts.join(script));
        command.arg(self.data.path().join("data")).env("REDIS_SERVER", binary());
        command.envs(self.ports.iter().map(|(variable, _, first)| (variable, first.to_string())));
        let ended = command.output().expect("the script runs");
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(ended.status.success(), "{script}: {said}");
        said
    }

    /// An address of the README as it is here.
    fn here(&self, address: &str) -> String {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let moved =
            |port: u16| self.ports.iter().find_map(|(_, written, first)| Some(first + port.checked_sub(*written)?));
        port.and_then(moved).map_or_else(|| address.to_owned(), |port| format!("127.0.0.1:{port}"))
    }

    /// A node with the variables that the README exports, and short times: the first leader waits for a lease.
    #[track_caller]
    fn node(&self) -> Serve {
        let readme = std::fs::read_to_string(self.scripts.join("README.md")).unwrap();
        let export =
            readme.lines().find_map(|line| line.strip_prefix("export ")).expect("the README exports variables");
        let launch = export.split(' ').fold(Launch::new(self.data.path(), "a"), |launch, pair| {
            let (key, value) = pair.split_once('=').unwrap();
            let value: Vec<String> = value.split(',').map(|address| self.here(address)).collect();
            launch.env(key, &value.join(","))
        });
        let node = launch.brisk().start();
        node.until("it leads", secs(30.0), |state| state["role"] == "leader");
        node
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.run("stop");
    }
}

/// Starts, ends, and goes on with the data.
#[track_caller]
fn works(example: &Example) {
    example.run("start");
    let once = json!({"key": "k", "ttl_ms": 3_600_000});
    let node = example.node();
    assert_eq!(node.ok("distributed.run_once", once.clone())["granted"], true);
    assert!(example.run("start").contains("runs already"));
    assert_eq!(node.ok("distributed.run_once", once.clone())["granted"], false);
    drop(node);
    example.run("stop");
    example.run("start");
    assert_eq!(example.node().ok("distributed.run_once", once)["granted"], false, "the data is still there");
}

#[test]
fn the_example_with_sentinels_starts_and_goes_on_with_its_data() {
    works(&Example::new("sentinel", &[("SENTINEL_PORT", 26391, 3), ("PORT", 6391, 3)]));
}

/// Needs redis-cli, which the tests otherwise do without.
pub(super) fn the_example_with_a_cluster() {
    works(&Example::new("cluster", &[("PORT", 7001, 6)]));
}
