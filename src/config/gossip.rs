//! Validates the settings of gossip.
//!
//! 1. Gossip is never on without a key.
//! 2. The other nodes always get an address that means something to them.
//!
//! Not here: the keys (`keys/gossip.rs`), gossip itself (`crate::cluster::gossip`).

use super::keys::ConfigFile;
use super::layer::Layer;
use super::problem::Findings;
use super::settings::{GossipConfig, Secret};
use std::net::{IpAddr, SocketAddr};

const LISTEN: &str = "gossip.listen";
const KEY: &str = "gossip.key";
const PREVIOUS: &str = "gossip.previous_key";
/// The shortest key, in bytes.
const MIN_KEY_BYTES: usize = 16;

/// The settings of gossip; `None`: it is off, or there is a problem.
pub(super) fn config(raw: &ConfigFile, values: &Layer, findings: &mut Findings) -> Option<GossipConfig> {
    if raw.gossip.listen == "off" || findings.bad_keys.contains(LISTEN) {
        return None;
    }
    let at = values.source(LISTEN).to_string();
    let Some(listen) = raw.gossip.listen.parse::<SocketAddr>().ok().filter(|address| address.port() > 0) else {
        let text = "must be \"off\" or ip:port, for example 127.0.0.1:7946 or 10.0.0.5:7946";
        findings.problem(at, LISTEN, text);
        return None;
    };
    let keys = keys(&at, values, findings);
    let endpoint = raw.node.endpoint.as_deref().filter(|endpoint| !endpoint.is_empty());
    let advertise = endpoint.map_or_else(|| Some(listen.to_string()), |endpoint| place(endpoint, listen.port()));
    let Some(advertise) = advertise else {
        let text = "has no host in it; with gossip.listen the other nodes reach this node there, so use host:port";
        findings.problem(values.source("node.endpoint").to_string(), "node.endpoint", text);
        return None;
    };
    if advertise.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified()) {
        let text =
            format!("{listen} is no address that other nodes can send to; set node.endpoint to this node's host:port");
        findings.problem(at, LISTEN, text);
        return None;
    }
    let mut seeds = Vec::new();
    for seed in &raw.gossip.seeds {
        match place(seed, listen.port()) {
            Some(place) => seeds.push(place),
            None => findings.problem(
                values.source("gossip.seeds").to_string(),
                "gossip.seeds",
                "has an entry that is no address; use host:port",
            ),
        }
    }
    Some(GossipConfig { listen, advertise, seeds, keys: keys? })
}

/// The endpoint to show: the given one, else the one at which this node gossips.
pub(super) fn endpoint(given: Option<String>, gossip: Option<&GossipConfig>) -> Option<String> {
    given.filter(|endpoint| !endpoint.is_empty()).or_else(|| Some(gossip?.advertise.clone()))
}

fn keys(listen: &str, values: &Layer, findings: &mut Findings) -> Option<Vec<Secret>> {
    let given = |key: &str| values.text(key).filter(|text| !text.is_empty());
    if given(KEY).is_none() && !findings.bad_keys.contains(KEY) {
        let text = "is set, but gossip.key is not, and gossip does not start without a key; set gossip.key in secrets.json, \
                    the same for all nodes (make one with `openssl rand -base64 32`), or set gossip.listen to \"off\"";
        findings.problem(listen, LISTEN, text);
        return None;
    }
    for key in [KEY, PREVIOUS] {
        if given(key).is_some_and(|text| text.len() < MIN_KEY_BYTES) {
            let text = format!("has less than {MIN_KEY_BYTES} characters; make a key with `openssl rand -base64 32`");
            findings.problem(values.source(key).to_string(), key, text);
            return None;
        }
    }
    Some([KEY, PREVIOUS].into_iter().filter_map(given).map(Secret::new).collect())
}

/// The host and port of an address, as `host:port`. A bare `host:port` keeps its port; of an address with another scheme, such as
/// `ws://host:port/path`, only the host is taken, with the given port. `None`: it has no host.
#[must_use]
pub fn place(text: &str, port: u16) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, text),
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if let Ok(ip) = rest.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, port).to_string());
    }
    let (host, own) = match rest.rsplit_once(':') {
        Some((host, own)) => (host, Some(own.parse::<u16>().ok().filter(|own| *own > 0)?)),
        None => (rest, None),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || host.len() > 255 || !host.chars().all(plain) {
        return None;
    }
    let kept = own.filter(|_| scheme.is_none_or(|scheme| matches!(scheme, "udp" | "gossip")));
    Some(format!("{host}:{}", kept.unwrap_or(port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_a_host_and_perhaps_a_port() {
        for (text, expected) in [
            ("10.0.0.5:7000", Some("10.0.0.5:7000")),
            ("10.0.0.5", Some("10.0.0.5:7946")),
            ("gateway-1", Some("gateway-1:7946")),
            ("ws://gateway-1:18789/path?x=1", Some("gateway-1:7946")),
            ("https://user:word@gateway-1/", Some("gateway-1:7946")),
            ("udp://gateway-1:99", Some("gateway-1:99")),
            ("[fd00::1]:7000", Some("[fd00::1]:7000")),
            ("fd00::1", Some("[fd00::1]:7946")),
            ("ws://[fd00::1]:18789", Some("[fd00::1]:7946")),
            ("", None),
            ("ws://", None),
            (":7000", None),
            ("a b:1", None),
            ("host:port", None),
            ("host:0", None),
        ] {
            assert_eq!(place(text, 7946).as_deref(), expected, "{text:?}");
        }
    }
}
