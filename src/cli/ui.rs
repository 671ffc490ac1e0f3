//! `ui`: opens the page of this host's node in a browser.
//!
//! 1. The token is never part of the address: other users could read it in the list of processes.
//!
//! Not here: the page (`crate::rpc::http`).

use super::outcome::{Failure, Outcome};
use super::{Environment, Session, program, settings};
use crate::config::HttpConfig;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::process::Stdio;
use std::time::Duration;

/// How long the node may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Programs that open an address, in the order in which they are tried.
const OPENERS: [&str; 3] = ["xdg-open", "open", "wslview"];

/// Runs `ui`.
///
/// # Errors
/// [`Failure::Failed`] when the address is off, or nothing listens there.
pub(super) async fn run(session: &mut Session<'_>, print: bool) -> Outcome {
    let config = settings::load(session.global, session.environment)?;
    let (Some(page), Some(mut address)) = (config.http.page(), config.http.listen) else {
        let text =
            "the page is off; set http.listen in config.json, for example to 127.0.0.1:9464, and restart the node";
        return Err(Failure::Failed(text.to_owned()));
    };
    if address.port() == 0 {
        let text = "http.listen has port 0, so only the node's log knows its port; set a port";
        return Err(Failure::Failed(text.to_owned()));
    }
    address.set_ip(HttpConfig::own_address(address.ip()));
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(address)).await;
    if !matches!(connecting, Ok(Ok(_))) {
        return Err(Failure::Failed(format!(
            "no node serves {page}; start it with clawster serve, or restart it after a change"
        )));
    }
    session.output.line(&page)?;
    if print || !std::io::stdout().is_terminal() {
        return Ok(());
    }
    if let Some(opener) = opener(session.environment) {
        let mut command = tokio::process::Command::new(&opener);
        command.arg(&page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        for name in &config.secret_variables {
            command.env_remove(name);
        }
        // Whoever has no browser opens the printed address.
        if let Err(error) = command.spawn() {
            tracing::debug!(%error, "cannot start a browser");
        }
    }
    Ok(())
}

/// The program that opens an address on this screen; `None`: there is no screen.
fn opener(environment: &Environment) -> Option<OsString> {
    let is_set = |name: &str| environment.get(name).is_some();
    let has_screen =
        is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") || cfg!(target_os = "macos") || is_set("WSL_DISTRO_NAME");
    if !has_screen {
        return None;
    }
    let path = environment.get("PATH");
    OPENERS.iter().map(OsStr::new).find(|name| program::look(name, path).is_ok()).map(OsStr::to_owned)
}
