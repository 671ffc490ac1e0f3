//! The page at `/`: one HTML file in the binary, and the timeline of the history that it shows.
//!
//! 1. The file holds no data of the cluster: it reads through the same paths as any client, with the token where one is needed.
//!    So it is also what an address that needs the token answers a browser with, beside the status 401: it asks for the token.
//! 2. Its policy permits its own script and style, by a nonce that is new for each answer, and requests to this server only.
//! 3. Pictures are drawn one at a time.
//! 4. It asks for everything by relative addresses, so that OpenClaw's plugin can serve the same file below a path of its gateway. With an
//!    address to read from in it, the file only reads, by GET.
//!
//! Not here: drawing the timeline (`crate::cli::history`).

use super::answer::{Answer, failed, full, plain, with_status_headers};
use super::site::Site;
use crate::engine::node::handle::Node;
use crate::rpc::errors::{ErrorKind, RpcError};
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use std::time::Duration;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");
/// The file, with places for the nonce of its script and style and for the address of a server that only lets it read.
pub const PAGE: &str = include_str!("page.html");
/// What stands in the file for the nonce.
const NONCE: &str = "{{nonce}}";
/// What stands in the file for the address to read from. A node has none: everything is beside the page, and needs the token at most.
const READS: &str = "{{reads}}";
/// How long a picture may take.
const PICTURE_TIMEOUT: Duration = Duration::from_secs(8);
/// How far back a picture reaches by default.
const DEFAULT_WINDOW: Duration = Duration::from_hours(24);
/// How far back it may reach.
const LONGEST_WINDOW: Duration = Duration::from_hours(24 * 366);

/// The page, with a status: 401 asks for the token.
pub(super) fn page(status: StatusCode) -> Answer {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the system has no random numbers; try again\n");
    }
    let nonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src blob: data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    let mut answer = with_status_headers(full(status, HTML, PAGE.replace(NONCE, &nonce).replace(READS, "")));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer.headers_mut().insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    );
    answer
}

/// The timeline as a picture.
pub(super) async fn picture<N: Node, B>(site: &Site<N>, request: &Request<B>) -> Answer {
    let window = match window(request.uri().query().unwrap_or_default()) {
        Ok(window) => window,
        Err(text) => return plain(StatusCode::BAD_REQUEST, text),
    };
    let Ok(_place) = site.pictures.try_acquire() else {
        let text = "a picture is being drawn; try again when it is done";
        return failed(StatusCode::TOO_MANY_REQUESTS, RpcError::overloaded(text));
    };
    match tokio::time::timeout(PICTURE_TIMEOUT, (site.painter)(window)).await {
        Ok(Ok(svg)) => {
            let mut answer = full(StatusCode::OK, SVG, svg);
            // Opened on its own, it is a document of this server.
            let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
            answer
        }
        Ok(Err(why)) => unavailable(&why),
        Err(_) => unavailable("the store of the history did not answer in time; try a shorter window"),
    }
}

fn unavailable(why: &str) -> Answer {
    failed(StatusCode::SERVICE_UNAVAILABLE, RpcError::new(ErrorKind::RedisUnavailable, why))
}

fn window(query: &str) -> Result<Duration, &'static str> {
    let mut window = DEFAULT_WINDOW;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let ms = value.parse().ok().filter(|ms| (1..=crate::cluster::time::millis(LONGEST_WINDOW)).contains(ms));
        match (&*name, ms) {
            ("since_ms", Some(ms)) => window = Duration::from_millis(ms),
            _ => return Err("the parameter is since_ms: how far back the picture reaches, at most 366 days\n"),
        }
    }
    Ok(window)
}
