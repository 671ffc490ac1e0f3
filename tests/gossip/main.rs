//! Gossip among many nodes in a simulated network, with virtual time: loss, one-way links, NAT, pauses, replays and foreign keys.
//!
//! 1. Every run is decided by its seed.
//! 2. What is measured is printed: how long news takes, and what a node sends.
//!
//! What is real: everything in `clawster::cluster::gossip`, sealing included. Not here: the socket (`tests/process/gossip.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test: it fails by panicking"
)]

mod faults;
mod fuzz;
mod intruders;
mod notes;
mod scale;
mod world;
