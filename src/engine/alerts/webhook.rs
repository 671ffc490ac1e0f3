//! Posts to a webhook.
//!
//! 1. Each attempt has [`POST_TIMEOUT`], and a connection of its own. Redirections are not followed.
//! 2. With a key, the body and the time are signed: `X-Clawster-Signature: t=<seconds>,v1=<HMAC-SHA-256 of "<seconds>.<body>", in hex>`.
//! 3. The address is shown nowhere but for its host: it may be a secret.
//!
//! Not here: retries and content (`outlet.rs`).

use crate::clock;
use crate::config::Secret;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::{Position, Url};

const POST_TIMEOUT: Duration = Duration::from_secs(10);
const SIGNATURE: &str = "x-clawster-signature";

/// Why an attempt failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// Whether another attempt may succeed.
    pub(super) again: bool,
}

impl Fault {
    fn passing(text: impl std::fmt::Display) -> Self {
        Self { text: text.to_string(), again: true }
    }
}

/// A webhook.
pub(super) struct Webhook {
    url: Url,
    host: String,
    key: Option<Secret>,
}

impl std::fmt::Debug for Webhook {
    /// Without the address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Webhook {
    pub(super) fn new(address: &Secret, key: Option<Secret>) -> Result<Self, String> {
        let url = Url::parse(address.expose()).map_err(|_| "the webhook's address is not valid".to_owned())?;
        let host = url[Position::BeforeHost..Position::AfterPort].to_owned();
        Ok(Self { url, host, key })
    }

    /// The host and port, which may be shown.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// One attempt.
    pub(super) async fn post(&self, body: &str) -> Result<(), Fault> {
        match tokio::time::timeout(POST_TIMEOUT, self.attempt(body)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::passing(format!("no answer within {} s", POST_TIMEOUT.as_secs()))),
        }
    }

    async fn attempt(&self, body: &str) -> Result<(), Fault> {
        let name = self.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((name, port))
            .await
            .map_err(|error| Fault::passing(format!("cannot connect: {error}")))?;
        let status = if self.url.scheme() == "https" {
            let server = ServerName::try_from(name.to_owned())
                .map_err(|_| Fault { text: "the webhook's host is not a valid name".to_owned(), again: false })?;
            let connector = TlsConnector::from(Arc::new(tls()?));
            let stream =
                connector.connect(server, stream).await.map_err(|error| Fault::passing(format!("TLS: {error}")))?;
            self.exchange(stream, body).await?
        } else {
            self.exchange(stream, body).await?
        };
        match status {
            status if status.is_success() => Ok(()),
            status => {
                let again = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
                Err(Fault { text: format!("the webhook answered {}", status.as_u16()), again })
            }
        }
    }

    async fn exchange<S>(&self, stream: S, body: &str) -> Result<StatusCode, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| Fault::passing(format!("HTTP: {error}")))?;
        let request = self.request(body).map_err(|error| Fault { text: error.to_string(), again: false })?;
        let answer = sender.send_request(request);
        tokio::pin!(connection, answer);
        // The connection does the work; it ends with the exchange.
        tokio::select! {
            answer = &mut answer => answer.map(|answer| answer.status()).map_err(|error| Fault::passing(format!("HTTP: {error}"))),
            ended = &mut connection => {
                ended.map_err(|error| Fault::passing(format!("HTTP: {error}")))?;
                answer.await.map(|answer| answer.status()).map_err(|error| Fault::passing(format!("HTTP: {error}")))
            }
        }
    }

    fn request(&self, body: &str) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.url[Position::BeforePath..Position::AfterQuery])
            .header(HOST, &self.host)
            .header(USER_AGENT, concat!("clawster/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            let seconds = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            request = request.header(SIGNATURE, sign(key, seconds, body));
        }
        request.body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
    }
}

fn sign(key: &Secret, seconds: u64, body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.expose().as_bytes());
    let tag = ring::hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn tls() -> Result<ClientConfig, Fault> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Fault { text: format!("TLS: {error}"), again: false })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_time_and_body() {
        // printf '%s' '7.{}' | openssl dgst -sha256 -hmac key
        let signed = sign(&Secret::new("key"), 7, "{}");
        assert_eq!(signed, "t=7,v1=77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8");
    }

    #[test]
    fn the_address_is_not_shown() {
        let webhook = Webhook::new(&Secret::new("https://u:p@hooks.example:8443/secret/path?k=v"), None).unwrap();
        assert_eq!(webhook.host(), "hooks.example:8443");
        assert_eq!(format!("{webhook:?}"), "Webhook { host: \"hooks.example:8443\", .. }");
        let request = webhook.request("{}").unwrap();
        assert_eq!(
            (request.uri().to_string(), &request.headers()[HOST]),
            ("/secret/path?k=v".to_owned(), &"hooks.example:8443".parse::<hyper::header::HeaderValue>().unwrap())
        );
    }
}
