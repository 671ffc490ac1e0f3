//! Watches the gateway that started this process, where it asks for that: a gateway that is frozen keeps its connections, such as the
//! poll of a channel, while its leases expire and another gateway takes over. So it is killed before they do.
//!
//! 1. Nothing is watched until the gateway asks. Each thing that it holds has a deadline of its own, and the earliest one counts:
//!    what is renewed in time does not hide what is not.
//! 2. Only the parent of this process is killed, and only while it is still the one that started it; never process 1.
//!
//! Not here: what the gateway holds (its plugin), its leases (`super::leases`).

use crate::clock;
use crate::cluster::time::Moment;
use crate::engine::error::Error;
use rustix::process::{Pid, Signal, getppid, kill_process};
use std::collections::BTreeMap;
use std::sync::Once;
use std::time::Duration;
use tokio::sync::watch;

/// How many deadlines a gateway may have at once. One with 1,000 accounts of channels is beyond any that is known.
const MOST_DEADLINES: usize = 1_000;

/// The deadline of each thing that the gateway holds.
type Deadlines = BTreeMap<String, Moment>;

/// See the head of this file.
#[derive(Debug)]
pub struct HostWatch {
    host: Option<Pid>,
    deadlines: watch::Sender<Deadlines>,
    begin: Once,
}

impl Default for HostWatch {
    fn default() -> Self {
        let host = getppid().filter(|pid| !pid.is_init());
        Self { host, deadlines: watch::Sender::new(Deadlines::new()), begin: Once::new() }
    }
}

impl HostWatch {
    /// Expects the next call for `name` within this time; `None`: no more calls for it. Answers whether anything is watched then.
    ///
    /// # Errors
    /// [`Error::InvalidParams`] when this process has no parent that may be killed, or when the gateway has 1,000 deadlines.
    pub fn expect_within(&self, name: String, within: Option<Duration>) -> Result<bool, Error> {
        let Some(host) = self.host else {
            let problem = "nothing watches process 1: the node must be a child of the gateway's process".to_owned();
            return Err(Error::InvalidParams(problem));
        };
        let mut full = false;
        self.deadlines.send_modify(|deadlines| match within {
            None => drop(deadlines.remove(&name)),
            Some(_) if deadlines.len() >= MOST_DEADLINES && !deadlines.contains_key(&name) => full = true,
            Some(within) => drop(deadlines.insert(name, clock::now() + within)),
        });
        if full {
            return Err(Error::InvalidParams(format!("this gateway is watched for {MOST_DEADLINES} names already")));
        }
        self.begin.call_once(|| drop(tokio::spawn(watch(host, self.deadlines.subscribe()))));
        Ok(!self.deadlines.borrow().is_empty())
    }
}

async fn watch(host: Pid, mut deadlines: watch::Receiver<Deadlines>) {
    loop {
        let first = deadlines
            .borrow_and_update()
            .iter()
            .min_by_key(|(_, until)| **until)
            .map(|(name, until)| (name.clone(), *until));
        let Some((name, until)) = first else {
            if deadlines.changed().await.is_err() {
                return;
            }
            continue;
        };
        let changed = tokio::time::timeout(until.since(clock::now()), deadlines.changed()).await;
        match changed {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) if getppid() == Some(host) => {
                let pid = host.as_raw_nonzero();
                tracing::error!(host = %pid, %name, "the gateway does not answer in time; killing it before its leases expire");
                if let Err(error) = kill_process(host, Signal::KILL) {
                    tracing::error!(%error, "cannot kill the gateway");
                }
                return;
            }
            Err(_) => return,
        }
    }
}
