//! A command that may run only for as long as its owner proves, from moment to moment, that it may.
//!
//! ```text
//!  the owner ──socket──▶ guardian ──socket──▶ launcher = the command (a process group of its own)
//!   limits, orders          │  SIGTERM, then SIGKILL, when the limits pass or the owner is gone
//!   ◀── reports ────────────┘
//! ```
//!
//! 1. The command is never older than its limits: whoever of the three processes dies or stands still, another one ends it.
//!    The owner dies or is stopped: the guardian ends the command. The guardian dies: the kernel kills the command, the
//!    owner the rest. Both die: the kernel kills the command.
//! 2. "Gone" means that every process which descends from the command has ended: guardian and owner inherit orphans.
//! 3. The command's standard streams are the owner's own; nothing of this module writes to them.
//!
//! Not here: why a command may run (`crate::cluster::holding`), what people are told (`crate::cli`).

mod guardian;
mod handing;
mod household;
mod keeper;
mod launcher;
mod signals;
mod terminal;
mod watchman;
mod words;

pub use guardian::guard;
pub use keeper::{GuardError, Guarded, Launch, Owner};
pub use launcher::{launch, tied};
pub use signals::{Forwarded, Signals};
pub use terminal::{Terminal, block_background_stops};
pub use words::{Ending, Report};

/// The hidden subcommand that is the guardian.
pub const GUARD_COMMAND: &str = "guard-command";
/// The hidden subcommand that becomes the command.
pub const LAUNCH_COMMAND: &str = "launch-command";
