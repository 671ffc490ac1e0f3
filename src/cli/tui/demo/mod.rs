//! `demo`: a cluster of real node processes on a private Redis, to look at.
//!
//! 1. Nothing of the user's is touched: Redis, state, logs and configuration lie in a temporary folder that goes at the end
//!    (but after a kill -9 of the demo, which leaves the folder and nothing that runs).
//! 2. The nodes end with the demo, however it ends: their standard input is a pipe that it holds.
//! 3. What is shown is what the nodes report through their sockets; the demo knows nothing by itself but whom it killed.
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
    if plain || !Stage::is_possible() {
        plain::run(session, count).await
    } else {
        live::run(session.environment, count).await
    }
}
