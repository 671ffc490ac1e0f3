//! `demo`: shows a cluster of real node processes on a private Redis.
//!
//! 1. It touches nothing of the user's: Redis, state, logs and configuration are in a temporary folder, which is removed at the
//!    end. After a kill -9 of the demo the folder stays, but no process.
//! 2. The nodes stop when the demo ends, however it ends: their standard input is a pipe that the demo holds.
//! 3. The view shows what the nodes report through their sockets; the demo itself only knows which nodes it killed.
//!
//! Not here: the nodes' behaviour (`crate::engine`).

mod live;
mod model;
mod nodes;
mod plain;
mod view;

use super::screen::Stage;
use crate::cli::Session;
use crate::cli::outcome::Outcome;

/// Runs `demo`.
///
/// # Errors
/// See [`crate::cli::outcome::Failure`].
pub(crate) async fn run(session: &mut Session<'_>, plain: bool, count: usize) -> Outcome {
    if plain || !Stage::is_possible(session.environment) {
        plain::run(session, count).await
    } else {
        live::run(session.environment, count).await
    }
}
