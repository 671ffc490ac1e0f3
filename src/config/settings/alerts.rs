//! What alerts are about, and where they go.
//!
//! Not here: the rules of the keys (`crate::config::alerts`), sending alerts (`crate::engine::alerts`).

use super::Secret;
use std::time::Duration;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A node left without saying so.
    NodeLeft,
    /// There is a new leader.
    LeaderElected,
    /// The leadership is vacant.
    LeaderLost,
    /// A task failed in all its attempts.
    TaskDead,
    /// Redis does not work for a node.
    RedisUnavailable,
    /// A node has many unread messages.
    Lag,
    /// A node leaves, or the leader changes, again and again.
    Flapping,
    /// Somebody tries whether alerts arrive.
    Test,
}

impl AlertKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NodeLeft => "node_left",
            Self::LeaderElected => "leader_elected",
            Self::LeaderLost => "leader_lost",
            Self::TaskDead => "task_dead",
            Self::RedisUnavailable => "redis_unavailable",
            Self::Lag => "lag",
            Self::Flapping => "flapping",
            Self::Test => "test",
        }
    }
}

/// The form of what a webhook gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertFormat {
    /// A JSON object with the facts.
    Json,
    /// A message for a Slack webhook.
    Slack,
    /// A message for a Discord webhook.
    Discord,
}

/// Alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertsConfig {
    /// The address that they are sent to; `None`: no webhook.
    pub webhook: Option<Secret>,
    /// The key that signs what the webhook gets; `None`: it is not signed.
    pub key: Option<Secret>,
    /// The form of what the webhook gets.
    pub format: AlertFormat,
    /// The program with its arguments that is run for each alert; empty: none.
    pub command: Vec<String>,
    /// What alerts are sent about.
    pub on: Vec<AlertKind>,
    /// How long the same alert about the same subject is not sent again, 1 s to 24 h.
    pub cooldown: Duration,
    /// How many unread messages of this node cause an alert.
    pub lag: u64,
    /// How many departures of a node, or changes of the leader, within ten minutes count as flapping.
    pub flapping: u32,
}

impl AlertsConfig {
    /// Whether alerts go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        (self.webhook.is_some() || !self.command.is_empty()) && !self.on.is_empty()
    }
}
