//! `alerts`: tries whether alerts arrive.
//!
//! Not here: sending them (`crate::engine::alerts`).

use super::outcome::{Failure, Outcome};
use super::terminal::clean;
use super::{Session, settings};
use crate::clock;
use crate::cluster::time::{ServerTime, millis};
use crate::engine::alerts::{Alert, Outlet};
use clap::Subcommand;
use std::time::UNIX_EPOCH;

/// The subcommands of `alerts`.
#[derive(Debug, Subcommand)]
pub enum AlertsAction {
    /// Send a test alert to the webhook and the program of this host's configuration
    #[command(after_help = "Exit code 1 when one of them fails.\n\nExample:\n  clawster alerts test")]
    Test,
}

/// Runs `alerts`.
///
/// # Errors
/// [`Failure::Failed`] when nothing is configured, or something did not arrive.
pub(super) async fn run(session: &mut Session<'_>, action: AlertsAction) -> Outcome {
    let AlertsAction::Test = action;
    let config = settings::load(session.global, session.environment)?;
    let alerts = &config.alerts;
    if alerts.webhook.is_none() && alerts.command.is_empty() {
        let text = "no alerts are configured; set alerts.webhook in secrets.json, or alerts.command in config.json";
        return Err(Failure::Failed(text.to_owned()));
    }
    let outlet = Outlet::new(alerts, config.secret_variables.clone()).map_err(Failure::Failed)?.at_once();
    let node = config.node.id.as_ref().map_or_else(|| "(no id)".to_owned(), ToString::to_string);
    // The clock of this host: a test alert must arrive without Redis, too.
    let now = millis(clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default());
    let mut failed = Vec::new();
    for sent in outlet.send(&Alert::test(ServerTime(now)), config.cluster.as_str(), &node).await {
        let to = clean(&sent.to, 200);
        match sent.failure {
            None => session.output.line(format!("{to} took the test alert."))?,
            Some(why) => failed.push(format!("{to}: {why}")),
        }
    }
    session.output.flush()?;
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(failed.join("; "))) }
}
