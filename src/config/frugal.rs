//! `redis.frugal`: other defaults of the cluster's times, for a Redis that is billed by the call.
//!
//! 1. A value that is set anywhere wins over these.
//! 2. They are checked like values that are set.
//! 3. A key that is set to its usual default, as in the shipped config.json, gives a warning: otherwise the switch would seem to do nothing.
//!
//! Not here: what the times mean (`crate::cluster::settings`).

use super::layer::{Given, Layer, Source};
use super::problem::Findings;
use super::schema::Index;
use serde_json::Value;

/// The key of the switch.
pub(super) const SWITCH: &str = "redis.frugal";

/// The defaults that it changes, in seconds.
const DEFAULTS: [(&str, f64); 4] = [
    ("node.heartbeat_interval", 60.0),
    ("node.heartbeat_ttl", 180.0),
    ("leader.lease_ttl", 180.0),
    ("leader.presence_grace", 10.0),
];

/// Adds the frugal defaults for the keys that have no value, if the switch is on.
pub(super) fn fill_in(values: &mut Layer, keys: &Index, findings: &mut Findings) {
    if values.get(SWITCH).is_none_or(|given| given.value != Value::Bool(true)) {
        return;
    }
    for (key, seconds) in DEFAULTS {
        let usual = keys.get(key).and_then(|schema| schema.get("default")?.as_f64());
        match values.get(key) {
            None => values.insert(key, Given { value: seconds.into(), source: Source::Frugal }),
            Some(given) if given.value.as_f64() == usual => {
                let (place, value) = (&given.source, &given.value);
                findings.warn(format!(
                    "{place}: {key} is set to {value}, so {SWITCH} does not change it; remove the key to get {seconds}"
                ));
            }
            Some(_) => {}
        }
    }
}
