//! The rules of alerts.
//!
//! 1. No message quotes the webhook's address, which may be a secret.
//!
//! Not here: sending them (`crate::engine::alerts`).

use super::keys::{AlertFormatKey, AlertKey, ConfigFile};
use super::layer::Layer;
use super::plaintext::is_this_host;
use super::problem::Findings;
use super::settings::{AlertFormat, AlertKind, AlertsConfig, Secret};
use std::time::Duration;
use url::Url;

const WEBHOOK: &str = "alerts.webhook";

pub(super) fn alerts(raw: &ConfigFile, values: &Layer, findings: &mut Findings) -> AlertsConfig {
    let webhook = values.text(WEBHOOK).filter(|text| !text.is_empty());
    let key = values.text("alerts.key").filter(|text| !text.is_empty());
    if let Some(text) = webhook {
        check(text, key.is_some(), values, findings);
    }
    if raw.alerts.command.first().is_some_and(|program| program.trim().is_empty()) {
        findings.problem(values.source("alerts.command").to_string(), "alerts.command", "begins with an empty program");
    }
    AlertsConfig {
        webhook: webhook.map(Secret::new),
        key: key.map(Secret::new),
        format: match raw.alerts.format {
            AlertFormatKey::Json => AlertFormat::Json,
            AlertFormatKey::Slack => AlertFormat::Slack,
            AlertFormatKey::Discord => AlertFormat::Discord,
        },
        command: raw.alerts.command.clone(),
        on: raw.alerts.on.iter().map(|key| kind(*key)).collect(),
        cooldown: Duration::try_from_secs_f64(raw.alerts.cooldown).unwrap_or_default(),
        lag: raw.alerts.lag,
        flapping: raw.alerts.flapping,
    }
}

fn check(text: &str, signed: bool, values: &Layer, findings: &mut Findings) {
    let place = values.source(WEBHOOK).to_string();
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else {
        findings.problem(place, WEBHOOK, "must be an address that begins with https:// or http://");
        return;
    };
    if url.scheme() == "http" && !url.host_str().is_some_and(is_this_host) {
        let what = if signed { "alerts" } else { "the address and the alerts" };
        findings.warn(format!(
            "{place}: {WEBHOOK} has no TLS, so anyone on the network path can read {what}; use https://"
        ));
    }
}

fn kind(key: AlertKey) -> AlertKind {
    match key {
        AlertKey::NodeLeft => AlertKind::NodeLeft,
        AlertKey::LeaderElected => AlertKind::LeaderElected,
        AlertKey::LeaderLost => AlertKind::LeaderLost,
        AlertKey::TaskDead => AlertKind::TaskDead,
        AlertKey::RedisUnavailable => AlertKind::RedisUnavailable,
        AlertKey::Lag => AlertKind::Lag,
        AlertKey::Flapping => AlertKind::Flapping,
    }
}
