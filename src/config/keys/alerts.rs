//! The keys of alerts: `alerts.*` of both files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `alerts.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertsKeys {
    /// The address that alerts are sent to: https://, or http:// within a trusted network. It belongs in secrets.json if knowing it is enough to post to it, as with Slack and Discord.
    #[schemars(length(min = 1, max = 4096), extend("writeOnly" = true))]
    pub(crate) webhook: Option<String>,
    /// The form of what the webhook gets.
    pub(crate) format: AlertFormatKey,
    /// A program with its arguments that is run for each alert; it gets the alert as JSON on standard input.
    #[schemars(length(max = 64), inner(length(min = 1, max = 4096)))]
    pub(crate) command: Vec<String>,
    /// What to send alerts about.
    #[schemars(length(max = 16))]
    pub(crate) on: Vec<AlertKey>,
    /// Seconds within which the same alert about the same node or task is sent only once in the cluster.
    #[schemars(range(min = 1.0, max = 86_400.0))]
    pub(crate) cooldown: f64,
    /// How many unread messages of this node cause an alert.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) lag: u64,
    /// How many departures of one node, or changes of the leader, within ten minutes cause an alert about flapping.
    #[schemars(range(min = 2, max = 1000))]
    pub(crate) flapping: u32,
}

impl Default for AlertsKeys {
    fn default() -> Self {
        Self {
            webhook: None,
            format: AlertFormatKey::Json,
            command: Vec::new(),
            on: AlertKey::ALL.to_vec(),
            cooldown: 300.0,
            lag: 1_000,
            flapping: 3,
        }
    }
}

/// An entry of `alerts.on`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AlertKey {
    /// A node left without saying so: its process died, or its heartbeats stopped.
    NodeLeft,
    /// There is a new leader.
    LeaderElected,
    /// The leadership is vacant.
    LeaderLost,
    /// A task failed in all its attempts.
    TaskDead,
    /// Redis has not worked for this node for 10 s.
    RedisUnavailable,
    /// This node has many unread messages.
    Lag,
    /// A node leaves, or the leader changes, again and again.
    Flapping,
}

impl AlertKey {
    const ALL: [Self; 7] = [
        Self::NodeLeft,
        Self::LeaderElected,
        Self::LeaderLost,
        Self::TaskDead,
        Self::RedisUnavailable,
        Self::Lag,
        Self::Flapping,
    ];
}

/// `alerts.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlertFormatKey {
    /// A JSON object with the facts.
    Json,
    /// A message for a Slack webhook.
    Slack,
    /// A message for a Discord webhook.
    Discord,
}

/// `alerts.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AlertsSecrets {
    /// The address that alerts are sent to.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) webhook: Option<String>,
    /// The key that signs what the webhook gets, with HMAC-SHA-256. Without it nothing is signed.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) key: Option<String>,
}
