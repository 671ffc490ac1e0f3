//! The HTTP client for the collector, which runs on the exporter's own thread.
//!
//! 1. A request takes at most [`POST_TIMEOUT`], including name resolution, connecting and TLS.
//! 2. Of consecutive failures the first is logged, and so is the recovery; the lines contain no more than host and port.
//! 3. Sending credentials to another host without TLS gives one warning.
//!
//! Not opentelemetry-otlp's own client: that is reqwest, which brings 8 crates more, another verifier of certificates, and neither 2 nor 3.
//!
//! Not here: the content of requests (`mod.rs` and the OTLP library).

use crate::config::is_this_host;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long one request may take.
const POST_TIMEOUT: Duration = Duration::from_secs(10);

/// The HTTP client for the collector.
#[derive(Debug)]
pub(super) struct Post {
    agent: Agent,
    failing: AtomicBool,
    /// Whether the warning about credentials without TLS was given.
    warned: AtomicBool,
}

impl Post {
    /// A client that trusts the system's certificates and those in the file `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    ///
    /// # Errors
    /// When that file cannot be read.
    pub(super) fn new() -> Result<Self, HttpError> {
        let mut roots = rustls_native_certs::load_native_certs().certs;
        if let Some(file) = std::env::var_os("OTEL_EXPORTER_OTLP_CERTIFICATE").filter(|file| !file.is_empty()) {
            for certificate in CertificateDer::pem_file_iter(file)? {
                let certificate = certificate?;
                // The client would ignore a broken one.
                RootCertStore::empty().add(certificate.clone())?;
                roots.push(certificate);
            }
        }
        let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(POST_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .proxy(None)
            .build();
        Ok(Self { agent: config.new_agent(), failing: AtomicBool::new(false), warned: AtomicBool::new(false) })
    }

    fn post(&self, host: &str, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        // The client's own error would contain the whole address.
        if host.is_empty() {
            return Err("the endpoint has no host".into());
        }
        let secure = request.uri().scheme_str() == Some("https");
        let in_address = request.uri().authority().is_some_and(|authority| authority.as_str().contains('@'));
        let secret = ["authorization", "x-api-key", "api-key"].iter().any(|name| request.headers().contains_key(*name));
        if (secret || in_address) && !secure && !is_this_host(host) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                host,
                "sending credentials to the OpenTelemetry collector without TLS; use https:// in the endpoint"
            );
        }
        let answer = self.agent.run(request.map(Vec::from))?;
        Ok(Response::builder().status(answer.status()).body(Bytes::new())?)
    }

    /// Logs the first of consecutive failures, and the recovery.
    fn log_change(&self, host: &str, outcome: &Result<Response<Bytes>, HttpError>) {
        let failure = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered with status {}", answer.status())),
            Err(why) => Some(why.to_string()),
        };
        match failure {
            Some(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(host, %error, "cannot send spans to the OpenTelemetry collector; dropping them until it accepts them");
            }
            None if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(host, "the OpenTelemetry collector accepts spans again");
            }
            _ => {}
        }
    }
}

impl HttpClient for Post {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        // The exporter runs on its own thread, which may block.
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let outcome = self.post(&host, request);
            self.log_change(&host, &outcome);
            outcome
        })
    }
}
