//! The certificate of the HTTP server.
//!
//! 1. Messages name the file and the problem, and quote nothing of its content.
//!
//! Not here: where the files are configured (`crate::config`).

use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsFault(String);

/// A certificate chain with its private key.
pub struct TlsFiles(Arc<ServerConfig>);

impl std::fmt::Debug for TlsFiles {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsFiles").finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// Reads the two PEM files.
    ///
    /// # Errors
    /// [`TlsFault`] when a file cannot be read, has no certificate or key, or the two do not belong together.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, TlsFault> {
        let fault = |path: &Path, what: &dyn std::fmt::Display| TlsFault(format!("{}: {what}", path.display()));
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
            .and_then(Iterator::collect)
            .map_err(|error| fault(cert, &shown(&error)))?;
        if chain.is_empty() {
            return Err(fault(cert, &"has no certificate in PEM format"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| fault(key, &shown(&error)))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(cert, &error))?
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(|error| fault(cert, &format!("cannot be used with {}: {error}", key.display())))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(self) -> TlsAcceptor {
        TlsAcceptor::from(self.0)
    }
}

fn shown(error: &PemError) -> String {
    match error {
        PemError::Io(error) => format!("cannot be read: {error}"),
        PemError::NoItemsFound => "has nothing of the kind in PEM format".to_owned(),
        _ => "is not a valid PEM file".to_owned(),
    }
}
