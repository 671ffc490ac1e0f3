//! The rules of the HTTP server's address: who may reach it, and how.
//!
//! 1. `metrics.listen` is the earlier name of `http.listen`. An address under that name that other hosts can reach keeps working
//!    without a token, for the probes only.
//! 2. Under `http.listen`, such an address needs a token, and TLS or an explicit permission to do without.
//!
//! Not here: the server (`crate::rpc::http`), reading the certificate (`crate::rpc::http::tls`).

use super::keys::ConfigFile;
use super::layer::Layer;
use super::problem::Findings;
use super::settings::{HttpConfig, Secret};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

const LISTEN: &str = "http.listen";
const ALIAS: &str = "metrics.listen";
const TOKEN: &str = "http.token";
/// A shorter token can be guessed.
const LEAST_TOKEN_CHARS: usize = 16;

pub(super) fn http(raw: &ConfigFile, values: &Layer, folder: Option<&Path>, findings: &mut Findings) -> HttpConfig {
    let is_set = |key: &str| values.text(key).is_some_and(|text| text != "off");
    let key = if is_set(LISTEN) || !is_set(ALIAS) { LISTEN } else { ALIAS };
    let place = values.source(key).to_string();
    let text = if key == LISTEN { &raw.http.listen } else { &raw.metrics.listen };
    if is_set(LISTEN) && is_set(ALIAS) && raw.http.listen != raw.metrics.listen {
        let text = "is the earlier name of http.listen, which is set to another address; remove metrics.listen";
        findings.problem(values.source(ALIAS).to_string(), ALIAS, text);
    }
    let listen = address(text, key, &place, findings);
    let token = values.text(TOKEN).filter(|text| !text.is_empty());
    check_token(token, values, findings);
    let file = |path: &Option<String>| path.as_ref().map(|path| folder.unwrap_or(Path::new("")).join(path));
    let (cert_file, key_file) = (file(&raw.http.cert_file), file(&raw.http.key_file));
    for (given, missing, other) in
        [("http.cert_file", "http.key_file", &key_file), ("http.key_file", "http.cert_file", &cert_file)]
    {
        if values.get(given).is_some() && other.is_none() {
            findings.problem(values.source(given).to_string(), given, format!("is set without {missing}; set both"));
        }
    }
    let config = HttpConfig {
        listen,
        key,
        place,
        token: token.map(Secret::new),
        allow_plaintext: raw.http.allow_plaintext,
        hosts: raw.http.hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect(),
        tls_files: cert_file.zip(key_file),
    };
    if config.is_reached_by_others() {
        check_reach(&config, findings);
    }
    config
}

fn address(text: &str, key: &str, place: &str, findings: &mut Findings) -> Option<SocketAddr> {
    if text == "off" {
        return None;
    }
    let address = text.parse().ok();
    if address.is_none() {
        findings.problem(place, key, "must be \"off\" or ip:port, for example 127.0.0.1:9464 or [::1]:9464");
    }
    address
}

fn check_token(token: Option<&str>, values: &Layer, findings: &mut Findings) {
    let Some(token) = token else { return };
    let place = values.source(TOKEN).to_string();
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        findings.problem(place, TOKEN, "must consist of printable ASCII characters without spaces");
    } else if token.len() < LEAST_TOKEN_CHARS {
        let text = format!("is short enough to be guessed; use at least {LEAST_TOKEN_CHARS} random characters");
        findings.warn(format!("{place}: {TOKEN} {text}"));
    }
}

/// Checks an address that other hosts can reach.
fn check_reach(config: &HttpConfig, findings: &mut Findings) {
    let HttpConfig { key, place, .. } = config;
    let Some(address) = config.listen else { return };
    let is_encrypted = config.tls_files.is_some();
    let mut missing = Vec::new();
    if config.token.is_none() {
        missing.push("http.token in secrets.json");
    }
    if !is_encrypted && !config.allow_plaintext {
        missing.push("http.cert_file and http.key_file, or http.allow_plaintext: true");
    }
    let reach = format!("{address} can be reached from other hosts");
    match (missing.is_empty(), *key == ALIAS) {
        (false, true) => findings.warn(format!(
            "{place}: {key} {reach}, so only /healthz and /readyz are served; for the rest set {}",
            missing.join(", and ")
        )),
        (false, false) => {
            let text = format!("{reach}; use 127.0.0.1, or set {}", missing.join(", and "));
            findings.problem(place.as_str(), *key, text);
        }
        (true, _) if !is_encrypted => findings.warn(format!(
            "{place}: {key} {reach} without TLS, so anyone on the network path can read the token; \
             set http.cert_file and http.key_file, or put a proxy with TLS in front of it"
        )),
        (true, _) => {}
    }
}

impl HttpConfig {
    /// Whether other hosts can reach the address.
    #[must_use]
    pub fn is_reached_by_others(&self) -> bool {
        self.listen.is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    /// Whether other hosts may use more than the probes: there is a token, and TLS or the permission to do without.
    #[must_use]
    pub fn may_serve_others(&self) -> bool {
        self.token.is_some() && (self.tls_files.is_some() || self.allow_plaintext)
    }

    /// The address under which this host reaches itself: loopback where an address stands for all of them.
    #[must_use]
    pub fn own_address(address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            other => other,
        }
    }

    /// The address of the page, for a browser on this host; `None`: off.
    #[must_use]
    pub fn page(&self) -> Option<String> {
        let mut address = self.listen?;
        address.set_ip(Self::own_address(address.ip()));
        let scheme = if self.tls_files.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{address}/"))
    }
}
