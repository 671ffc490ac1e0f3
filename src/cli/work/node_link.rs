//! The connection to the running node, across the node's restarts.
//!
//! 1. The next call after a lost connection opens a new one; lost calls are not repeated here.
//!
//! Not here: the reaction to a lost call (`job.rs`, `mod.rs`).

use crate::cli::node_access::attach::{ANSWER, Found, find};
use crate::cli::options::Global;
use crate::cli::outcome::Failure;
use crate::config::Config;
use crate::rpc::client::{CallError, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// A connection to the node that is opened again when it was lost.
#[derive(Debug)]
pub(super) struct NodeLink {
    global: Global,
    config: Config,
    client: Mutex<Option<Arc<Client>>>,
}

impl NodeLink {
    /// A link with an open connection.
    pub(super) fn new(global: Global, config: Config, client: Client) -> Self {
        Self { global, config, client: Mutex::new(Some(Arc::new(client))) }
    }

    /// A second link to the same node, not connected yet.
    pub(super) fn another(&self) -> Self {
        Self { global: self.global.clone(), config: self.config.clone(), client: Mutex::new(None) }
    }

    /// The names of the environment variables that hold secrets.
    pub(super) fn secret_variables(&self) -> &[String] {
        &self.config.secret_variables
    }

    /// Calls a method that does not wait for anything.
    pub(super) async fn call<R: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, CallError> {
        self.call_within(ANSWER, method, params).await
    }

    /// Calls a method; a node that does not answer in time counts as lost.
    pub(super) async fn call_within<R: DeserializeOwned>(
        &self,
        within: Duration,
        method: &str,
        params: &impl Serialize,
    ) -> Result<R, CallError> {
        let client = self.client().await.map_err(|_| CallError::Lost)?;
        let answered = tokio::time::timeout(within, client.call(method, params)).await.unwrap_or(Err(CallError::Lost));
        if matches!(answered, Err(CallError::Lost)) {
            self.client.lock().await.take_if(|held| Arc::ptr_eq(held, &client));
        }
        answered
    }

    /// The connection, opened again when it was lost.
    async fn client(&self) -> Result<Arc<Client>, Failure> {
        let mut held = self.client.lock().await;
        if let Some(client) = &*held {
            return Ok(Arc::clone(client));
        }
        match find(&self.global, &self.config).await? {
            Found::Running { client, .. } => Ok(Arc::clone(held.insert(Arc::new(client)))),
            Found::Absent(why) => Err(Failure::Failed(why)),
        }
    }
}
