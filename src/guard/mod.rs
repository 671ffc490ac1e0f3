//! Runs a command only while its owner keeps extending the command's limits.
//!
//! ```text
//!  the owner ──socket──▶ guardian ──socket──▶ launcher = the command (its own process group)
//!   limits, orders          │  SIGTERM, then SIGKILL, when the limits pass or the owner is gone
//!   ◀── reports ────────────┘
//! ```
//!
//! 1. The command never outlives its limits, whichever of the three processes dies or is stopped. The owner dies or is stopped: the
//!    guardian stops the command. The guardian dies: the kernel kills the command, and the owner kills its descendants. Both die: the
//!    kernel kills the command.
//! 2. "Gone" means that all descendants of the command have ended: guardian and owner inherit orphans.
//! 3. The command uses the owner's standard streams; nothing in this module writes to them.
//!
//! Not here: when a command may run (`crate::cluster::lease::holder`), messages for people (`crate::cli`).

mod descendants;
mod guardian;
mod handing;
mod launcher;
mod messages;
mod orphans;
mod owner;
mod signals;
mod stop_schedule;
mod terminal;

pub use guardian::guard;
pub use launcher::{launch, tied};
pub use messages::{Ending, Report};
pub use orphans::Orphans;
pub use owner::{GuardError, Guarded, Launch, Owner};
pub use signals::{Forwarded, Signals};
pub use terminal::{Terminal, block_background_stops};

/// The hidden subcommand that runs the guardian.
pub const GUARD_COMMAND: &str = "guard-command";
/// The hidden subcommand that becomes the command.
pub const LAUNCH_COMMAND: &str = "launch-command";
