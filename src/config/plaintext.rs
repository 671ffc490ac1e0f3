//! Warns about passwords that would cross a network unencrypted.
//!
//! 1. A loopback address and a unix socket do not count as network.
//! 2. No warning quotes a connection string.
//!
//! Not here: whether TLS is used (`redis.rs`, the driver of MongoDB).

use super::layer::Layer;
use super::problem::Findings;
use super::settings::{RedisAddress, RedisConfig, RedisMode, Secret};
use std::net::IpAddr;

/// Warns about each password that would be sent to another host without TLS.
pub(super) fn warn(redis: &RedisConfig, mongodb: Option<&Secret>, values: &Layer, findings: &mut Findings) {
    let elsewhere = match (redis.mode, &redis.address) {
        (RedisMode::Standalone, RedisAddress::Tcp { host, .. }) => {
            (!is_this_host(host)).then(|| redis.address.to_string())
        }
        (RedisMode::Sentinel | RedisMode::Cluster, _) => {
            redis.nodes.iter().find(|(host, _)| !is_this_host(host)).map(|(host, port)| format!("{host}:{port}"))
        }
        _ => None,
    };
    if let Some(address) = elsewhere
        && (redis.password.is_some() || redis.sentinel_password.is_some())
        && !redis.tls
    {
        findings.warn(format!(
            "{}: the Redis password is sent to {address} without TLS, so anyone on the network path can read it; \
             set redis.tls: true (or use rediss://) if the server offers TLS",
            values.source("redis.password"),
        ));
    }
    if mongodb.is_some_and(|uri| mongodb_is_plain(uri.expose())) {
        findings.warn(format!(
            "{}: mongodb.uri contains a password and does not enable TLS, so anyone on the network path can read it; \
             add tls=true if the server offers TLS",
            values.source("mongodb.uri")
        ));
    }
}

/// Whether a host name or address is this host, so that traffic to it crosses no network.
#[must_use]
pub fn is_this_host(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a connection string holds credentials that go to another host without TLS.
fn mongodb_is_plain(uri: &str) -> bool {
    // mongodb+srv means TLS, unless an option says otherwise.
    let (rest, by_default) = match (uri.strip_prefix("mongodb://"), uri.strip_prefix("mongodb+srv://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return false,
    };
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let Some((_, hosts)) = place.rsplit_once('@') else { return false };
    let option = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let is_tls = name.eq_ignore_ascii_case("tls") || name.eq_ignore_ascii_case("ssl");
        is_tls.then(|| value.eq_ignore_ascii_case("true"))
    };
    let tls = options.split('&').find_map(option).unwrap_or(by_default);
    let hosts = hosts.split('/').next().unwrap_or_default();
    let elsewhere = |host: &str| {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let socket = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"));
        !socket && !is_this_host(name)
    };
    !tls && hosts.split(',').any(elsewhere)
}
