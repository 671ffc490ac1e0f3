//! Who may ask for what.
//!
//! 1. A request whose `Host` is not this server's, or whose `Origin` is another page's, is refused, so that no page in a browser can
//!    reach the node through a name that its owner points here.
//! 2. An address that other hosts can reach serves everything but the probes only with the token.
//! 3. A call that changes something needs the token, also on loopback.
//! 4. Tokens are compared in a time that does not depend on where they differ.
//!
//! Not here: rules of the configuration (`crate::config`).

use crate::config::{HttpConfig, Secret, is_this_host};
use crate::rpc::mcp::MayChange;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{StatusCode, Uri, Version};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Anybody on this host: may read.
    Reader,
    /// Somebody with the token: may read and change.
    Trusted,
}

impl Caller {
    /// The right to change something, for the server of MCP.
    pub(super) fn may_change(self) -> MayChange {
        MayChange(self == Self::Trusted)
    }
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

/// The rules of one server.
#[derive(Debug, Clone)]
pub struct Access {
    token: Option<Secret>,
    /// Whether other hosts can reach the address.
    reached: bool,
    /// Whether those may use more than the probes.
    served: bool,
    hosts: Vec<String>,
}

impl Access {
    /// The rules of a configuration. `own_name` is this host's name.
    #[must_use]
    pub fn new(config: &HttpConfig, own_name: Option<&str>) -> Self {
        let own_name = own_name.map(str::to_ascii_lowercase);
        Self {
            token: config.token.clone(),
            reached: config.is_reached_by_others(),
            served: config.may_serve_others(),
            hosts: config.hosts.iter().cloned().chain(own_name).collect(),
        }
    }

    /// Whether there is a token.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Who asks, or why the request is refused. `probe`: the request is for a probe.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        uri: &Uri,
        version: Version,
        probe: bool,
    ) -> Result<Caller, Refusal> {
        // What asks for probes of an address that others reach uses whatever name that address has for it.
        if !(probe && self.reached) {
            self.check_origin(headers, uri, version)?;
        }
        let caller = self.check_token(headers)?;
        if probe || !self.reached || caller == Caller::Trusted {
            return Ok(caller);
        }
        Err(match self.served {
            true => unauthorized("this address needs the token: send Authorization: Bearer with http.token"),
            false => Refusal {
                status: StatusCode::FORBIDDEN,
                text: "only /healthz and /readyz are served here: set http.token in secrets.json, and TLS or \
                       http.allow_plaintext, or listen on 127.0.0.1"
                    .to_owned(),
            },
        })
    }

    /// The refusal of a call that needs the token.
    pub(super) fn refuse_change(&self) -> Refusal {
        if self.has_token() {
            return unauthorized(
                "a call that changes something needs the token: send Authorization: Bearer with http.token",
            );
        }
        let text =
            "a call that changes something needs a token, and this node has none: set http.token in secrets.json";
        Refusal { status: StatusCode::FORBIDDEN, text: text.to_owned() }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let (Some(token), Some(given)) = (&self.token, headers.get(AUTHORIZATION)) else { return Ok(Caller::Reader) };
        let (scheme, given) = given.as_bytes().split_at_checked("Bearer ".len()).unwrap_or_default();
        let is_right = bool::from(given.trim_ascii().ct_eq(token.expose().as_bytes()));
        match scheme.eq_ignore_ascii_case(b"Bearer ") && is_right {
            true => Ok(Caller::Trusted),
            false => Err(unauthorized("the token is wrong; it is http.token of this node's secrets.json")),
        }
    }

    fn check_origin(&self, headers: &HeaderMap, uri: &Uri, version: Version) -> Result<(), Refusal> {
        let host = match one(headers, &HOST)? {
            Some(host) => Some(authority(host).ok_or_else(|| foreign("Host", host))?),
            // No browser speaks HTTP/1.0.
            None if version == Version::HTTP_10 => None,
            None => {
                let text = "the request has no Host header".to_owned();
                return Err(Refusal { status: StatusCode::BAD_REQUEST, text });
            }
        };
        for asked in host.iter().chain(uri.authority()) {
            if !self.is_own(asked) {
                return Err(foreign("Host", asked.as_str()));
            }
        }
        let Some(origin) = one(headers, &ORIGIN)? else { return Ok(()) };
        let place = origin.split_once("://").and_then(|(_, place)| authority(place));
        let same = |place: &Authority| {
            host.as_ref().is_some_and(|host| {
                host.host().eq_ignore_ascii_case(place.host()) && host.port_u16() == place.port_u16()
            })
        };
        if place.as_ref().is_some_and(same) { Ok(()) } else { Err(foreign("Origin", origin)) }
    }

    /// Whether a name or address is this server's. A name that is rebound to this host is never an address.
    fn is_own(&self, host: &Authority) -> bool {
        let name = host.host().trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        is_this_host(name)
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
            || (self.reached && name.parse::<IpAddr>().is_ok())
    }
}

/// The only value of a header; `None` when it is absent.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    let text = first.map(|value| value.to_str().ok());
    match (text, values.next()) {
        (None, _) => Ok(None),
        (Some(Some(text)), None) => Ok(Some(text)),
        _ => {
            let text = format!("the request must have one {name} header in ASCII");
            Err(Refusal { status: StatusCode::BAD_REQUEST, text })
        }
    }
}

/// A host name or address with an optional port; `None` when it is something else.
fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|parsed: &Authority| !parsed.as_str().contains('@') && !parsed.host().is_empty())
}

fn unauthorized(text: &str) -> Refusal {
    Refusal { status: StatusCode::UNAUTHORIZED, text: text.to_owned() }
}

fn foreign(header: &str, value: &str) -> Refusal {
    let value = crate::rpc::errors::shown(value);
    let text = format!("{header} {value} is not this server's; if it should be, add its name to http.hosts");
    Refusal { status: StatusCode::FORBIDDEN, text }
}

#[cfg(test)]
mod tests;
