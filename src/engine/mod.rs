//! A running node: the only place with timers and tasks.
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

mod caller;
mod driver;
mod early;
pub mod error;
pub mod fresh;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;
pub mod handle;
pub mod history;
pub mod holder;
pub mod hub;
mod leases;
mod membership;
pub mod metrics;
mod nursery;
pub mod oneshot;
pub mod oneshot_state;
pub mod outbox;
mod presence;
mod progress;
mod publisher;
mod reader;
mod refusals;
pub mod retrospect;
mod running;
mod sight;
mod slot;
mod start;
pub mod state_dir;
mod state_view;
mod submission;
mod sync;
mod tasks;
mod undo;
mod working;

pub use driver::different;
pub use running::RunningNode;
pub use start::{Start, start};
