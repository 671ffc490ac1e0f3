//! Sends one alert to the webhook and to the program.
//!
//! 1. Both are tried, whatever becomes of the other.
//!
//! Not here: which alerts are sent (`watch.rs`).

use super::program;
use super::rules::Alert;
use super::webhook::{Fault, Webhook};
use crate::config::{AlertFormat, AlertsConfig};
use serde_json::{Value, json};
use std::time::Duration;

/// The pauses before the second and each further attempt.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];
/// The most characters of a message for people; Discord refuses more than 2,000.
const MAX_CHARS: usize = 1_800;

/// Where alerts go.
#[derive(Debug)]
pub struct Outlet {
    webhook: Option<Webhook>,
    format: AlertFormat,
    command: Vec<String>,
    /// The variables that the program does not get.
    secret_variables: Vec<String>,
    pauses: &'static [Duration],
}

/// What became of one alert at one place.
#[derive(Debug)]
pub struct Sent {
    /// The place: the webhook's host, or the program.
    pub to: String,
    /// Why it did not arrive; `None`: it arrived.
    pub failure: Option<String>,
}

impl Outlet {
    /// The places of a configuration. `secret_variables`: environment variables that the program must not get.
    ///
    /// # Errors
    /// Why the webhook cannot be used.
    pub fn new(config: &AlertsConfig, secret_variables: Vec<String>) -> Result<Self, String> {
        let webhook = match &config.webhook {
            Some(address) => Some(Webhook::new(address, config.key.clone())?),
            None => None,
        };
        let command = config.command.clone();
        Ok(Self { webhook, format: config.format, command, secret_variables, pauses: &PAUSES })
    }

    /// Without retries: for somebody who waits.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { pauses: &[], ..self }
    }

    /// Sends an alert everywhere.
    pub async fn send(&self, alert: &Alert, cluster: &str, node: &str) -> Vec<Sent> {
        let facts = json!({
            "alert": alert.kind.word(),
            "cluster": cluster,
            "subject": alert.subject,
            "text": alert.text,
            "at_ms": alert.at.0,
            "sent_by": node,
        });
        let (posted, ran) = tokio::join!(self.post(&facts), self.run(&facts));
        posted.into_iter().chain(ran).collect()
    }

    async fn post(&self, facts: &Value) -> Option<Sent> {
        let webhook = self.webhook.as_ref()?;
        let body = body(self.format, facts).to_string();
        let mut pauses = self.pauses.iter();
        let failure = loop {
            let fault = match webhook.post(&body).await {
                Ok(()) => break None,
                Err(fault) => fault,
            };
            let (Fault { text, again: true }, Some(pause)) = (&fault, pauses.next()) else { break Some(fault.text) };
            tracing::debug!(to = webhook.host(), "cannot send an alert yet: {text}");
            tokio::time::sleep(*pause).await;
        };
        Some(Sent { to: webhook.host().to_owned(), failure })
    }

    async fn run(&self, facts: &Value) -> Option<Sent> {
        let program = self.command.first()?;
        let failure = program::run(&self.command, &facts.to_string(), &self.secret_variables).await.err();
        Some(Sent { to: program.clone(), failure })
    }
}

/// What a webhook gets.
fn body(format: AlertFormat, facts: &Value) -> Value {
    let word = |name: &str| facts[name].as_str().unwrap_or_default();
    let message = format!("[{}] {}: {}", word("cluster"), word("alert"), word("text"));
    let message: String = message.chars().take(MAX_CHARS).collect();
    match format {
        AlertFormat::Json => facts.clone(),
        // Slack reads these three characters as markup.
        AlertFormat::Slack => {
            json!({ "text": message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;") })
        }
        AlertFormat::Discord => json!({ "content": message, "allowed_mentions": { "parse": [] } }),
    }
}

#[cfg(test)]
mod tests;
