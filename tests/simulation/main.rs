//! The cluster in a simulated world: many nodes, one store, virtual time, and everything that goes wrong.
//!
//! 1. Every run is decided by its seed; a failing seed is printed and replayed by
//!    `CLAWSTER_SEED=<seed> cargo test --test simulation seeds`.
//! 2. During the faults the invariants hold (`checks.rs`); after them the cluster is well again within a bounded time.
//!
//! `CLAWSTER_SEEDS` sets how many seeds are tried, `CLAWSTER_FIRST` from which on, `CLAWSTER_TRACE` how many lines of a failing
//! run are shown. `make simulate SEEDS=100000` runs many, optimized, and fails when a fault or rule that `expected.rs` lists never
//! came up.
//!
//! What is real: the node, the inbox, packing, the holder of `run --lease`, the observation of candidates, the memory store. What
//! the engine does around them with disks, timers and connections is modelled (`disk.rs`, `messages.rs`, `lease_client.rs`,
//! `task_client.rs`, `oneshot.rs`, `wrapper.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test: it fails by panicking"
)]

mod call_lines;
mod checks;
mod clock;
mod controls;
mod coverage;
mod covering;
mod disk;
mod effects;
mod expected;
mod faults;
mod gossip;
mod guardian;
mod interleavings;
mod lease_checks;
mod lease_client;
mod load;
mod message_checks;
mod messages;
mod model;
mod network;
mod oneshot;
mod pinned;
mod process;
mod reading;
mod rng;
mod run;
mod server;
mod server_life;
mod serving;
mod side;
mod task_checks;
mod task_client;
mod task_model;
mod world;
mod wrapper;
