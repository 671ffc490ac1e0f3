//! The HTTP client for the collector, which runs on the exporter's own thread.
//!
//! 1. A request takes at most [`POST_TIMEOUT`], including connecting and TLS, but not the name resolution, which has its own timeout.
//! 2. Of consecutive failures the first is logged, and so is the recovery; the lines contain no more than host and port.
//! 3. Sending credentials to another host without TLS gives one warning.
//!
//! Not here: the content of requests (`mod.rs` and the OTLP library).

use crate::clock;
use crate::cluster::time::Moment;
use crate::config::is_this_host;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long one request may take.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest status line of an answer, in bytes.
const HEAD_BYTES: usize = 16 << 10;

/// The HTTP client for the collector.
#[derive(Debug)]
pub(super) struct Post {
    tls: Arc<ClientConfig>,
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
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = std::env::var_os("OTEL_EXPORTER_OTLP_CERTIFICATE").filter(|file| !file.is_empty()) {
            for certificate in CertificateDer::pem_file_iter(file)? {
                roots.add(certificate?)?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { tls, failing: AtomicBool::new(false), warned: AtomicBool::new(false) })
    }

    fn post(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let end = clock::now() + POST_TIMEOUT;
        let host = request.uri().host().ok_or("the endpoint has no host")?.trim_matches(['[', ']']);
        let secure = request.uri().scheme_str() == Some("https");
        let port = request.uri().port_u16().unwrap_or(if secure { 443 } else { 80 });
        let secret = ["authorization", "x-api-key", "api-key"].iter().any(|name| request.headers().contains_key(*name));
        if secret && !secure && !is_this_host(host) && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                host,
                "sending credentials to the OpenTelemetry collector without TLS; use https:// in the endpoint"
            );
        }
        let stream = Bounded { stream: connect(host, port, end)?, end };
        let status = if secure {
            let name = ServerName::try_from(host.to_owned())?;
            let connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
            exchange(StreamOwned::new(connection, stream), request)?
        } else {
            exchange(stream, request)?
        };
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }

    /// Logs the first of consecutive failures, and the recovery.
    fn log_change(&self, request: &Request<Bytes>, outcome: &Result<Response<Bytes>, HttpError>) {
        let failure = match outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered with status {}", answer.status())),
            Err(why) => Some(why.to_string()),
        };
        let host = request.uri().host().unwrap_or_default();
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
            let outcome = self.post(&request);
            self.log_change(&request, &outcome);
            outcome
        })
    }
}

fn connect(host: &str, port: u16, end: Moment) -> std::io::Result<TcpStream> {
    let mut trouble = Error::new(ErrorKind::NotFound, "the host has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(end)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => trouble = error,
        }
    }
    Err(trouble)
}

fn left(end: Moment) -> std::io::Result<Duration> {
    let left = end.since(clock::now());
    if left.is_zero() { Err(Error::new(ErrorKind::TimedOut, "no answer in time")) } else { Ok(left) }
}

/// A connection with a deadline for the whole request.
struct Bounded {
    stream: TcpStream,
    end: Moment,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

/// Sends a request as HTTP/1.1 and reads the status of the answer; the rest of the answer is not needed.
fn exchange(mut stream: impl Read + Write, request: &Request<Bytes>) -> Result<u16, HttpError> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map(|all| all.as_str().rsplit('@').next().unwrap_or_default()).unwrap_or_default();
    let mut head =
        format!("{} {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n", request.method()).into_bytes();
    head.extend_from_slice(format!("content-length: {}\r\n", request.body().len()).as_bytes());
    for (name, value) in request.headers() {
        if !["host", "connection", "content-length"].contains(&name.as_str()) {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    stream.write_all(request.body())?;
    stream.flush()?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1024];
    while !answer.contains(&b'\n') && answer.len() < HEAD_BYTES {
        match stream.read(&mut chunk)? {
            0 => break,
            count => answer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status = status.and_then(|code| code.trim().parse().ok());
    status.ok_or_else(|| "the collector does not answer with HTTP".into())
}
