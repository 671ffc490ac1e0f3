//! The hidden commands: processes that clawster starts beside itself.
//!
//! 1. They are no interface: their arguments may change with any version, because a program starts only itself.
//!
//! Not here: what the processes do (`crate::guard`, `crate::embedded`, `tui::screen`).

use super::outcome::{Failure, Outcome};
use super::run::arguments::{GuardArguments, LaunchArguments};
use super::{run as run_command, tui};
use crate::embedded;
use clap::Subcommand;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The hidden commands.
#[derive(Debug, Subcommand)]
pub enum InternalCommand {
    /// Internal: the process that restores the terminal after a view was killed
    #[command(hide = true)]
    KeepScreen,
    /// Internal: the process that guards a command
    #[command(hide = true)]
    GuardCommand(GuardArguments),
    /// Internal: the process that becomes a command
    #[command(hide = true)]
    LaunchCommand(LaunchArguments),
    /// Internal: the process that stops a private Redis whose users were killed
    #[command(hide = true)]
    ReapPrivateRedis {
        /// Start it in a session of its own, and end
        #[arg(long)]
        detach: bool,
        /// The state directory
        state_dir: PathBuf,
        /// The server program
        program: Option<OsString>,
    },
}

/// Runs a hidden command.
///
/// # Errors
/// When it was not started by this program, or cannot do its work.
pub(super) async fn run(command: InternalCommand) -> Outcome {
    match command {
        InternalCommand::KeepScreen => tui::screen::run_restorer().map_err(|error| {
            Failure::Failed(format!("cannot restore the terminal (this is a part of `top` and `demo`): {error}"))
        }),
        InternalCommand::GuardCommand(arguments) => run_command::guard_command(arguments).await,
        InternalCommand::LaunchCommand(arguments) => run_command::launch_command(&arguments),
        InternalCommand::ReapPrivateRedis { detach, state_dir, program } => reap(detach, &state_dir, program),
    }
}

fn reap(detach: bool, state_dir: &Path, program: Option<OsString>) -> Outcome {
    if detach {
        let detached = embedded::detach_reaper(state_dir, program.as_deref());
        return detached.map_err(|error| Failure::Failed(format!("cannot start the reaper: {error}")));
    }
    embedded::reap(state_dir, program).map_err(|error| Failure::Failed(error.to_string()))
}
