//! JSON-RPC 2.0 over stdio and a unix socket, the same methods as tools of MCP, and HTTP for those who watch.
//!
//! In reading order: [`framing`] makes lines, `request` makes requests of them, [`module`] runs one request,
//! `batch` answers a line, `budget` bounds what is held meanwhile, [`connection`] serves a client, [`stdio`] and [`socket`] are the two ways to become one.
//! `methods` holds one file per method; [`wire`] the shapes; [`errors`] the codes; `subscription` the events' way out.
//! [`schema`] and [`openrpc`] describe all of it, [`client`] is the other end; [`mcp`] brings a host of another protocol to it. [`http`] tells its numbers to Prometheus.
//!
//! 1. No input makes this layer panic, block others or hold unbounded memory.
//! 2. JSON-RPC ends here: the engine sees typed requests only.

mod batch;
mod budget;
pub mod client;
pub mod connection;
pub mod errors;
pub mod framing;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod http;
pub mod mcp;
mod methods;
pub mod module;
pub mod openrpc;
mod params;
mod request;
pub mod schema;
pub mod socket;
pub mod stdio;
mod subscription;
#[cfg(test)]
mod tests;
pub mod wire;
