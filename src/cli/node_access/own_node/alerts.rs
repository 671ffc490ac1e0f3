//! The alerts of the node that this process runs.
//!
//! Not here: what is an alert, and who sends it (`crate::engine::alerts`).

use crate::cli::outcome::Failure;
use crate::config::{AlertsConfig, Config};
use crate::engine::alerts::{self, Outlet};
use crate::engine::node::handle::Node;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

/// Where alerts go; `None`: nowhere.
///
/// # Errors
/// [`Failure::Failed`] when the webhook cannot be used.
pub(crate) fn outlet(config: &Config) -> Result<Option<Outlet>, Failure> {
    if !config.alerts.is_on() {
        return Ok(None);
    }
    let outlet = Outlet::new(&config.alerts, config.secret_variables.clone());
    outlet.map(Some).map_err(|why| Failure::Failed(format!("alerts.webhook: {why}")))
}

/// Sends alerts until the node stops.
pub(super) async fn watch<N: Node>(node: Arc<N>, outlet: Outlet, config: AlertsConfig, mut stop: Receiver<bool>) {
    tokio::select! {
        () = alerts::watch(node, outlet, &config) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
