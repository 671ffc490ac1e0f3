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
//! Not here: why a command may run (`crate::cluster::lease::holder`), what people are told (`crate::cli`).

mod descendants;
mod guardian;
mod handing;
mod launcher;
mod messages;
mod owner;
mod signals;
mod stop_schedule;
mod terminal;

pub use guardian::guard;
pub use launcher::{launch, tied};
pub use messages::{Ending, Report};
pub use owner::{GuardError, Guarded, Launch, Owner};
pub use signals::{Forwarded, Signals};
pub use terminal::{Terminal, block_background_stops};

/// The hidden subcommand that is the guardian.
pub const GUARD_COMMAND: &str = "guard-command";
/// The hidden subcommand that becomes the command.
pub const LAUNCH_COMMAND: &str = "launch-command";
