//! Watches the gateway that started this process, where it asks for that: a gateway that is frozen keeps its connections, such as the
//! poll of a channel, while its leases expire and another gateway takes over. So it is killed before they do.
//!
//! 1. Nothing is watched until the gateway asks, and each call of it moves the deadline.
//! 2. Only the parent of this process is killed, and only while it is still the one that started it; never process 1.
//!
//! Not here: what the gateway holds (its plugin), its leases (`super::leases`).

use crate::clock;
use crate::cluster::time::Moment;
use crate::engine::error::Error;
use rustix::process::{Pid, Signal, getppid, kill_process};
use std::sync::Once;
use std::time::Duration;
use tokio::sync::watch;

/// See the head of this file.
#[derive(Debug)]
pub struct HostWatch {
    host: Option<Pid>,
    deadline: watch::Sender<Option<Moment>>,
    begin: Once,
}

impl Default for HostWatch {
    fn default() -> Self {
        Self { host: getppid().filter(|pid| !pid.is_init()), deadline: watch::Sender::new(None), begin: Once::new() }
    }
}

impl HostWatch {
    /// Expects the next call within this time; `None`: ends the watch.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] when this process has no parent that may be killed.
    pub fn expect_within(&self, within: Option<Duration>) -> Result<(), Error> {
        let Some(host) = self.host else {
            let problem = "nothing watches process 1: the node must be a child of the gateway's process".to_owned();
            return Err(Error::InvalidParams(problem));
        };
        self.deadline.send_replace(within.map(|within| clock::now() + within));
        self.begin.call_once(|| drop(tokio::spawn(watch(host, self.deadline.subscribe()))));
        Ok(())
    }
}

async fn watch(host: Pid, mut deadline: watch::Receiver<Option<Moment>>) {
    loop {
        let until = *deadline.borrow_and_update();
        let Some(until) = until else {
            if deadline.changed().await.is_err() {
                return;
            }
            continue;
        };
        let changed = tokio::time::timeout(until.since(clock::now()), deadline.changed()).await;
        match changed {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) if getppid() == Some(host) => {
                tracing::error!(host = %host.as_raw_nonzero(), "the gateway does not answer in time; killing it before its leases expire");
                if let Err(error) = kill_process(host, Signal::KILL) {
                    tracing::error!(%error, "cannot kill the gateway");
                }
                return;
            }
            Err(_) => return,
        }
    }
}
