//! The node's HTTP address.
//!
//! Not here: what is served there (`crate::rpc::http`), the rules of its keys (`crate::config`).

use crate::cli::history::timeline;
use crate::cli::outcome::Failure;
use crate::config::{Config, HttpConfig};
use crate::engine::node::handle::Node;
use crate::rpc::http::{Access, HttpListener, Painter, Site, SocketPath, TlsFiles};
use crate::rpc::module::Module;
use std::io::ErrorKind;
use std::sync::Arc;

/// Takes the configured address; `None`: there is none.
///
/// # Errors
/// [`Failure::Failed`] when the address cannot be taken, or the certificate cannot be used.
pub(super) fn listen(config: &HttpConfig) -> Result<Option<HttpListener>, Failure> {
    let HttpConfig { listen: Some(address), key, place, .. } = config else { return Ok(None) };
    let listener = HttpListener::bind(*address).map_err(|error| {
        let what = match error.kind() {
            ErrorKind::AddrInUse => {
                "another process listens on it; choose another port, or stop that process".to_owned()
            }
            ErrorKind::AddrNotAvailable => {
                "this host does not have that address; use one of its own, or 127.0.0.1".to_owned()
            }
            ErrorKind::PermissionDenied => "this user is not permitted to; choose a port above 1023".to_owned(),
            _ => error.to_string(),
        };
        Failure::Failed(format!("{place}: {key}: cannot listen on {address}: {what}"))
    })?;
    let Some((cert, key_file)) = &config.tls_files else { return Ok(Some(listener)) };
    let files = TlsFiles::read(cert, key_file)
        .map_err(|fault| Failure::Failed(format!("{place}: http.cert_file, http.key_file: {fault}")))?;
    Ok(Some(listener.with_tls(files)))
}

/// What is served on it.
pub(super) fn site<N: Node>(
    config: &Config,
    node: Arc<N>,
    module: &Module,
    max_text_bytes: usize,
    socket: SocketPath,
) -> Site<N> {
    let system = rustix::system::uname();
    let access = Access::new(&config.http, system.nodename().to_str().ok());
    let config = Arc::new(config.clone());
    let painter: Painter = Arc::new(move |window| {
        let config = Arc::clone(&config);
        Box::pin(async move { timeline(&config, window).await.map_err(|failure| failure.to_string()) })
    });
    Site::new(node, module, access, max_text_bytes, painter, socket)
}
