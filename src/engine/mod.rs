//! A running node: the only layer with timers and tasks.
//!
//! ```text
//!            requests              ┌─────────── driver ───────────┐  calls
//!  rpc ──▶ handle/running ───────▶ │ cluster::node (pure)         │ ───────▶ store
//!            │  ▲                  └──▲───────────▲────────┬──────┘
//!     accept │  │ offers       events │   pongs   │        │ open, ping
//!            ▼  │                     │           │        ▼
//!          outbox ─▶ publisher ─▶   reader      presence connection
//!            └─── sync (inbox) ◀───┘
//! ```

pub mod agents;
pub mod alerts;
mod background;
mod cleanup;
pub mod error;
pub mod events;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub(crate) mod gossip;
pub mod history;
pub mod host_watch;
pub mod leases;
pub mod limits;
pub mod messages;
pub mod metrics;
pub mod node;
pub mod oneshot;
pub(crate) mod presence;
pub(crate) mod random;
mod refusals;
pub mod schedules;
pub mod state_dir;
mod store_calls;
mod stream_reader;
mod tasks;
mod transcripts;

pub use node::driver::different;
pub use node::running::RunningNode;
pub use node::start::{Start, start};
