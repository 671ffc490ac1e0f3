//! Requests a second over standard input and output: `distributed.get_cluster_state` beside an echo by MCP's official crate and an
//! echo of lines.
//!
//! 1. A fixed number of requests is under way; for each answer that was read, the next request is written.
//!
//! Not here: messages (`messages.rs`).

use crate::node::cluster;
use crate::pipes::Pipes;
use crate::table::{Table, circumstances, grouped, median, publish, short, spread};
use crate::{cpu, number, peers};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use testkit::cluster::stage;
use testkit::{RedisServer, stamp};

/// How many requests are under way: all of them fit into a pipe, so that the driver never waits for a server that waits for it.
const UNDER_WAY: usize = 128;
/// In place of the id of a request: each has its own, and all are of this length.
const ID: &str = "########";
/// Bytes of the text that is echoed.
const ECHOED: usize = 200;

struct Server<'a> {
    name: String,
    pipes: &'a mut Pipes,
    request: String,
    rates: Vec<f64>,
    cpu: Vec<f64>,
}

impl<'a> Server<'a> {
    fn new(name: &str, pipes: &'a mut Pipes, method: &str, params: &str) -> Self {
        let request = format!(r#"{{"jsonrpc":"2.0","id":{ID},"method":"{method}","params":{params}}}"#);
        Self { name: name.to_owned(), pipes, request: request + "\n", rates: Vec::new(), cpu: Vec::new() }
    }

    fn round(&mut self, count: usize) {
        let pid = self.pipes.child.id();
        let requests: String = (0..count).map(|id| self.request.replace(ID, &format!("1{id:07}"))).collect();
        let (requests, length) = (requests.as_bytes(), self.request.len());
        let (before, began) = (cpu::of(pid), stamp());
        let (mut sent, mut answered) = (UNDER_WAY.min(count), 0);
        self.pipes.input.write_all(&requests[..sent * length]).unwrap();
        while answered < count {
            let chunk = self.pipes.output.fill_buf().expect("the server answers");
            let (size, lines) = (chunk.len(), memchr::memchr_iter(b'\n', chunk).count());
            assert!(size > 0, "{}: the server is gone", self.name);
            self.pipes.output.consume(size);
            answered += lines;
            let next = lines.min(count - sent);
            self.pipes.input.write_all(&requests[sent * length..][..next * length]).unwrap();
            sent += next;
        }
        let took = (stamp() - began).as_secs_f64();
        self.rates.push(count as f64 / took);
        self.cpu.push((cpu::of(pid) - before).as_secs_f64() * 1e6 / count as f64);
    }
}

fn greet(rmcp: &mut Pipes) {
    let hello = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"0"}}}"#;
    assert!(rmcp.ask(hello).contains("serverInfo"));
    rmcp.input.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").unwrap();
}

pub fn main() {
    let (count, rounds) = (number("COUNT", 100_000), number("ROUNDS", 5));
    let head = circumstances("make bench-stdio");
    let (redis, dir) = (RedisServer::alone(), stage());
    let programs =
        [("clawster", Some(testkit::program())), ("clawster before", std::env::var_os("BEFORE").map(PathBuf::from))];
    let mut nodes: Vec<_> = programs
        .into_iter()
        .filter_map(|(name, program)| Some((name, program.filter(|path| !path.as_os_str().is_empty())?)))
        .map(|(name, program)| (name, cluster(&program, dir.path(), &name.replace(' ', "-"), &["a", "b", "c"], &redis)))
        .collect();
    let (mut lines, mut rmcp) = (peers::end(&["echo"]), peers::end(&["rmcp"]));
    greet(&mut rmcp);
    let size = {
        let node = &mut nodes[0].1[0].pipes;
        node.ask(r#"{"jsonrpc":"2.0","id":1,"method":"distributed.get_cluster_state"}"#).len()
    };
    let echoed = format!(r#"{{"name":"echo","arguments":{{"text":"{}"}}}}"#, "x".repeat(ECHOED));
    let mut servers: Vec<Server<'_>> = nodes
        .iter_mut()
        .map(|(name, nodes)| {
            let name = format!("{name}, get_cluster_state of 3 nodes");
            Server::new(&name, &mut nodes[0].pipes, "distributed.get_cluster_state", "{}")
        })
        .collect();
    servers.push(Server::new("rmcp, a tool that echoes", &mut rmcp, "tools/call", &echoed));
    servers.push(Server::new("an echo of lines", &mut lines, "tools/call", &echoed));
    for server in &mut servers {
        server.round(count / 10);
        (server.rates, server.cpu) = (Vec::new(), Vec::new());
    }
    for _ in 0..rounds {
        servers.iter_mut().for_each(|server| server.round(count));
    }
    let first = median(&servers[0].rates);
    let mut table =
        Table::new(&["server", "requests/s, median", "least – greatest", "clawster against it", "CPU µs per request"]);
    for server in &servers {
        let rate = median(&server.rates);
        let ratio = format!("{:.2}", first / rate);
        table.row(&[&server.name, &grouped(rate), &spread(&server.rates), &ratio, &short(Some(median(&server.cpu)))]);
    }
    let notes = format!(
        "{rounds} rounds of {} requests in turns, {UNDER_WAY} under way; a state of {size} bytes, echoes of {ECHOED}.\n",
        grouped(count as f64)
    );
    publish("stdio", &format!("{head}{notes}\n{}", table.text()));
}
