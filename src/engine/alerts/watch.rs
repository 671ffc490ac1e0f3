//! Decides which node sends an alert, and when.
//!
//! 1. An alert waits here for at most [`KEPT_FOR`], and at most [`MAX_PENDING`] wait: what is told later helps nobody.
//!
//! Not here: what is an alert (`rules.rs`), sending it (`outlet.rs`).

use super::outlet::Outlet;
use super::rules::{Alert, Rules};
use crate::clock;
use crate::cluster::event::{Event, LocalFact};
use crate::cluster::time::Moment;
use crate::config::{AlertKind, AlertsConfig};
use crate::engine::events::{EventFeed, FeedOptions};
use crate::engine::node::handle::{Node, OnceRequest, Role, StateView};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often what waits is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often the number of unread messages is looked at.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);
/// How long a member waits for a leader before it sends an alert itself.
const LEADER_WAIT: Duration = Duration::from_secs(10);
/// How long Redis must not have worked before that is an alert.
const OUTAGE: Duration = Duration::from_secs(10);
const KEPT_FOR: Duration = Duration::from_mins(5);
const MAX_PENDING: usize = 256;
/// How many alerts are being sent at a time.
const MAX_SENDING: usize = 8;
/// The metric of unread messages.
const LAG: &str = "clawster_message_lag";

struct Pending {
    alert: Alert,
    since: Moment,
}

struct Watch<N> {
    node: Arc<N>,
    outlet: Arc<Outlet>,
    rules: Rules,
    cooldown: Duration,
    pending: VecDeque<Pending>,
    sending: JoinSet<()>,
    /// Since when Redis has not worked, with the reason, until that was told.
    outage: Option<(Moment, String)>,
    /// When an outage was told last.
    told_outage: Option<Moment>,
    measured: Moment,
}

/// Watches the events of a node, and sends alerts, until the node stops.
pub async fn watch<N: Node>(node: Arc<N>, outlet: Outlet, config: &AlertsConfig) {
    let Some(mut feed) = feed(&*node).await else { return };
    let mut watch = Watch {
        node,
        outlet: Arc::new(outlet),
        rules: Rules::new(config),
        cooldown: config.cooldown,
        pending: VecDeque::new(),
        sending: JoinSet::new(),
        outage: None,
        told_outage: None,
        measured: clock::now(),
    };
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = feed.next() => match event {
                Some(event) => watch.see(&event),
                None => return,
            },
            _ = look.tick() => {}
        }
        watch.look().await;
    }
}

/// The feed of events; tried again while the node is starting.
async fn feed<N: Node>(node: &N) -> Option<N::Feed> {
    loop {
        match node.feed(FeedOptions::default()).await {
            Ok(feed) => return Some(feed),
            Err(error) => tracing::debug!(%error, "cannot read events for alerts yet; trying again"),
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

impl<N: Node> Watch<N> {
    fn see(&mut self, event: &Event) {
        match event {
            Event::Cluster(event) => {
                for alert in self.rules.see(event) {
                    self.add(alert);
                }
            }
            Event::Local { fact: LocalFact::Degraded { detail, .. }, .. } => {
                self.outage.get_or_insert_with(|| (clock::now(), detail.clone()));
            }
            Event::Local { fact: LocalFact::Recovered, .. } => self.outage = None,
            Event::Local { .. } => {}
        }
    }

    fn add(&mut self, alert: Alert) {
        if self.pending.len() >= MAX_PENDING
            && let Some(dropped) = self.pending.pop_front()
        {
            tracing::warn!(alert = dropped.alert.kind.word(), "too many alerts wait; dropped the oldest");
        }
        self.pending.push_back(Pending { alert, since: clock::now() });
    }

    async fn look(&mut self) {
        while self.sending.try_join_next().is_some() {}
        let now = clock::now();
        let outage = self.outage.as_ref().is_some_and(|(since, _)| now.since(*since) >= OUTAGE);
        let measure = self.rules.wants(AlertKind::Lag) && now.since(self.measured) >= MEASURE_INTERVAL;
        if !outage && !measure && self.pending.is_empty() {
            return;
        }
        let Ok(view) = self.node.state(false).await else { return };
        if outage {
            self.tell_outage(now, &view);
        }
        if measure {
            self.measured = now;
            self.measure(&view).await;
        }
        self.send_pending(now, &view).await;
    }

    /// Without Redis nobody can be asked whether another node tells it, too.
    fn tell_outage(&mut self, now: Moment, view: &StateView) {
        let Some((_, why)) = self.outage.take() else { return };
        let recent = self.told_outage.is_some_and(|told| now.since(told) < self.cooldown);
        if recent || !self.rules.wants(AlertKind::RedisUnavailable) {
            return;
        }
        self.told_outage = Some(now);
        let node = name(view);
        let text = format!("Redis does not work for node {node}: {why}");
        self.send(Alert { kind: AlertKind::RedisUnavailable, subject: node, text, at: view.as_of }, view);
    }

    async fn measure(&mut self, view: &StateView) {
        let samples = self.node.samples().await;
        if let Some(lag) = samples.get(LAG).and_then(serde_json::Number::as_f64) {
            // A count of messages: far below 2^53, and never negative.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let lag = lag as u64;
            if let Some(alert) = self.rules.measure(&name(view), lag, view.as_of) {
                self.add(alert);
            }
        }
    }

    async fn send_pending(&mut self, now: Moment, view: &StateView) {
        self.pending.retain(|pending| {
            let kept = now.since(pending.since) < KEPT_FOR;
            if !kept {
                tracing::debug!(
                    alert = pending.alert.kind.word(),
                    "nobody asked this node to send an alert; forgot it"
                );
            }
            kept
        });
        if view.node_id.is_none() {
            return;
        }
        let leads = view.role == Role::Leader;
        for _ in 0..self.pending.len() {
            let Some(pending) = self.pending.pop_front() else { return };
            let alone = view.leader_id.is_none() && now.since(pending.since) >= LEADER_WAIT;
            if self.sending.len() < MAX_SENDING && (leads || alone || pending.alert.is_local()) {
                match self.is_first(&pending.alert).await {
                    Some(true) => self.send(pending.alert, view),
                    Some(false) => {}
                    None => self.pending.push_back(pending),
                }
            } else {
                self.pending.push_back(pending);
            }
        }
    }

    /// Whether nobody sent this alert within the cool-down; `None`: that is not known.
    async fn is_first(&self, alert: &Alert) -> Option<bool> {
        let key = format!("clawster alert {} {}", alert.kind.word(), alert.subject);
        let request = OnceRequest { keys: vec![key], ttl: self.cooldown, request_id: None };
        match self.node.run_once(request).await {
            Ok(grants) => Some(grants.first().is_some_and(|grant| grant.granted)),
            Err(error) => {
                tracing::debug!(%error, "cannot ask whether an alert was sent; trying again");
                None
            }
        }
    }

    fn send(&mut self, alert: Alert, view: &StateView) {
        let (outlet, cluster, node) = (Arc::clone(&self.outlet), view.cluster.as_str().to_owned(), name(view));
        self.sending.spawn(async move {
            for sent in outlet.send(&alert, &cluster, &node).await {
                match sent.failure {
                    None => tracing::info!(
                        alert = alert.kind.word(),
                        subject = alert.subject,
                        to = sent.to,
                        "sent an alert"
                    ),
                    Some(why) => {
                        tracing::error!(
                            alert = alert.kind.word(),
                            subject = alert.subject,
                            to = sent.to,
                            "cannot send an alert: {why}"
                        );
                    }
                }
            }
        });
    }
}

fn name(view: &StateView) -> String {
    view.node_id.as_ref().map_or_else(|| "(no member)".to_owned(), ToString::to_string)
}
