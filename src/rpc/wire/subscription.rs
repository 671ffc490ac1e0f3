//! Subscribing to events.
//!
//! 1. A subscription id is an integer, unique on its connection.
//!
//! Not here: the events themselves (`event.rs`), their delivery (`crate::rpc::subscription`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The parameters of `cluster.subscribe`, in the order of their positions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscribeParams {
    /// The names of the events to receive, or `cluster.*` for all except `cluster.message`, which must be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), extend("default" = ["cluster.*"]))]
    pub events: Option<Vec<String>>,
    /// The `id` of the last event seen; the subscription resumes after it. Default: only new events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]{1,16}-0$"))]
    pub after: Option<String>,
}

/// The parameters of `cluster.unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsubscribeParams {
    /// The subscription id that `cluster.subscribe` returned.
    pub subscription: SubscriptionName,
}

/// A subscription id as a client passes it: a number, or a text, as some clients keep every id as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SubscriptionName {
    /// As returned.
    Number(u64),
    /// As a text.
    Text(String),
}

impl SubscriptionName {
    /// The id as a number; `None` if the text is not one.
    #[must_use]
    pub fn id(&self) -> Option<u64> {
        match self {
            Self::Number(id) => Some(*id),
            Self::Text(text) => text.parse().ok(),
        }
    }
}
