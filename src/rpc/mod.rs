//! JSON-RPC 2.0 over stdio and a unix socket, the same methods as MCP tools, and HTTP for monitoring.
//!
//! In reading order: [`framing`] reads and writes lines, `request` parses them, [`module`] runs one request, `batch`
//! answers a line, `budget` bounds the memory, [`connection`] serves a client; [`stdio`] and [`socket`] accept clients.
//! `method` says what a method is, `methods` has the methods by subject, [`wire`] the types on the wire, [`errors`] the codes,
//! `subscription` the delivery of events. [`documents`] and [`openrpc`] describe all of it, [`client`] is the other side, [`mcp`] serves hosts of that
//! protocol, [`http`] serves metrics and probes.
//!
//! 1. No input makes this layer panic, block others or use unbounded memory.
//! 2. JSON-RPC ends here: the engine gets typed requests only.

mod batch;
mod budget;
pub mod client;
pub mod connection;
pub mod context;
pub mod documents;
pub mod errors;
pub mod framing;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod http;
mod kept_state;
pub mod mcp;
mod method;
mod methods;
pub mod module;
pub mod openrpc;
mod outgoing;
mod params;
mod request;
mod schema;
pub mod socket;
pub mod stdio;
mod subscription;
mod sync_text;
#[cfg(test)]
mod tests;
pub mod wire;
