//! JSON-RPC 2.0 over stdio and a unix socket.

pub mod client;
pub mod errors;
pub mod framing;
mod params;
pub mod wire;
