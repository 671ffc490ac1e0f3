//! What a node shows to those who watch it: its numbers for Prometheus, probes over HTTP, and `status --check`.
//!
//! `scraping`: the numbers against what happened. `probes`: health in every state. `serving`: connections, ports, ends.

mod probes;
mod scraping;
mod serving;

use std::net::SocketAddr;
use testkit::exposition::page;
use testkit::wait::secs;
use testkit::{Launch, Serve, eventually};

/// A node that serves metrics on a port that the system chooses.
fn watched(launch: Launch) -> Launch {
    launch.env("CLAWSTER__METRICS__LISTEN", "127.0.0.1:0")
}

/// Where a node says that it serves them.
#[track_caller]
fn address(node: &Serve) -> SocketAddr {
    eventually("the node says where it serves metrics", secs(20.0), || {
        let log = node.stderr();
        let line = log.lines().find(|line| line.contains("serving metrics")).ok_or_else(|| log.clone())?;
        let address = line.split_once("address=").ok_or(line)?.1.split_whitespace().next().unwrap_or_default();
        address.parse().map_err(|error| format!("{line}: {error}"))
    })
}

/// Waits until a page has this status; returns what it says.
#[track_caller]
fn becomes(address: SocketAddr, path: &str, status: u16) -> String {
    eventually(&format!("{path} answers {status}"), secs(20.0), || {
        let (found, text) = page(address, path);
        if found == status { Ok(text) } else { Err(format!("{found} {text}")) }
    })
}
