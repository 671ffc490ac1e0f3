//! Membership: joining, waiting for the end of a dead holder of the id, rejoining after a loss of data.
//!
//! 1. A join waits for its own presence connection, so that others can see that the member is alive.
//! 2. An id whose holder is present is refused. An id whose holder's presence is gone is taken after the grace, counted by
//!    this node's clock, and only if nothing about it has changed.
//! 3. A node that was replaced does not take its id back: it stays out until a client asks it to join.

use super::attempt::{Attempt, describe};
use super::requests::{Refusal, Response};
use super::{Admission, Effect, JoinRequest, Node, Note, Settings, Standing, Ticket};
use crate::cluster::ids::{Incarnation, Nonce};
use crate::cluster::lease::margins::takeover_wait;
use crate::cluster::protocol::{Call, Fault, Instance, Join, JoinReply, ServerId};
use crate::cluster::time::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// How often an id that may become free is asked for again.
const POLL: Duration = Duration::from_millis(150);
/// How often a refused automatic join checks whether the holder sends heartbeats at all.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// How often the join checks a holder that is present: its process may have just died.
const PRESENT_POLLS: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct Joining {
    pub(super) attempt: Option<Attempt>,
    asked: VecDeque<(Ticket, JoinRequest)>,
    pub(super) waiting_for_view: Vec<Ticket>,
    pub(super) leave: Option<(Ticket, Vec<Ticket>)>,
    /// Clients that asked to leave while a join was under way, which must end first.
    pub(super) leave_next: Vec<Ticket>,
    failures: u32,
    /// Whether the first attempt of the automatic join has ended, successfully or not.
    pub(super) settled: bool,
}

impl Joining {
    pub(super) fn at_start(settings: &Settings) -> Self {
        let attempt = settings.auto_join.then(|| Attempt::of(settings, None, Moment::default()));
        Self { settled: !settings.auto_join, attempt, ..Self::default() }
    }

    /// Whether this ticket belongs to the attempt under way.
    pub(super) fn is_asked(&self, ticket: Ticket) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.ticket == Some(ticket))
    }

    /// When the next attempt is due; none is without a presence connection.
    pub(super) fn due(&self, connected: bool) -> Option<Moment> {
        self.attempt.as_ref().filter(|a| connected && self.leave.is_none() && a.ticket.is_none()).and_then(|a| a.next)
    }
}

impl Node {
    /// Whether the first attempt of the automatic join has ended.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.join.settled
    }

    /// Whether the node is, or is trying to become, a member.
    pub(super) fn wants_presence(&self) -> bool {
        let asks = self.join.attempt.is_some() || !self.join.asked.is_empty();
        asks || matches!(self.standing, Standing::Member(_))
    }

    pub(super) fn asked_to_join(&mut self, client: Ticket, ask: JoinRequest) {
        self.known = self.known.max(ask.known);
        // A forced join does not wait for what other clients asked for.
        let forced = self.join.asked.iter().take_while(|(_, earlier)| earlier.force).count();
        let at = if ask.force { forced } else { self.join.asked.len() };
        self.join.asked.insert(at, (client, ask));
        if !matches!(self.standing, Standing::Member(_)) {
            self.standing = Standing::Joining;
        }
    }

    /// Starts the next client's join, if no earlier join is under way. An automatic attempt that was not sent, or is known
    /// not to have happened, is dropped; an attempt that waits for the holder of the id is dropped for a forced join.
    fn take_up(&mut self, now: Moment) {
        let forced = self.join.asked.front().is_some_and(|(_, ask)| ask.force);
        let free = match &self.join.attempt {
            None => true,
            Some(attempt) if attempt.ticket.is_some() || attempt.unsettled => false,
            Some(attempt) => attempt.automatic || (forced && !attempt.force),
        };
        if !free || self.leaving() {
            return;
        }
        let Some((client, ask)) = self.join.asked.pop_front() else { return };
        self.drop_waiting_join(
            now,
            "a forced join was made first; check the state of the cluster, and join again if you still want to",
        );
        let mut attempt = Attempt::of(&self.settings, Some(&ask), now);
        attempt.clients.push(client);
        attempt.rename_from =
            self.instance().map(|instance| instance.node_id.clone()).filter(|id| *id != attempt.node_id);
        self.join.attempt = Some(attempt);
        if !matches!(self.standing, Standing::Member(_)) {
            self.standing = Standing::Joining;
        }
    }

    /// Drops a join that waits for the holder of the id; `why` is the reason.
    pub(super) fn drop_waiting_join(&mut self, now: Moment, why: &str) {
        let Some(attempt) = self.join.attempt.take() else { return };
        let holder = format!("its earlier process (this join was waiting for that process to end); {why}");
        for client in attempt.clients {
            let refusal = Refusal::InUse { node_id: attempt.node_id.clone(), holder: holder.clone() };
            self.reply(client, Err(refusal));
        }
        if attempt.rename_from.is_some() {
            // The rename had suspended leadership.
            self.lead_again(now, attempt.lost);
        }
    }

    /// The store does not know this incarnation any more, because data was lost or it was declared dead: the node joins
    /// again.
    pub(super) fn rejoin(&mut self, now: Moment) {
        if self.join.attempt.is_none() {
            self.join.attempt = Some(Attempt::of(&self.settings, None, now));
        }
        self.beat.stop();
    }

    /// The store has an older statement of this node about itself (a stale copy): the node states it again, and continues.
    pub(super) fn restate(&mut self, now: Moment) {
        if self.join.attempt.is_none() {
            self.join.attempt = Some(Attempt::of(&self.settings, None, now));
        }
    }

    pub(super) fn act_join(&mut self, now: Moment) {
        self.act_leave(now);
        self.take_up(now);
        let Some(presence) = self.presence.standing().cloned() else { return };
        let Some(attempt) = &self.join.attempt else { return };
        if self.leaving() || attempt.ticket.is_some() || attempt.next.is_none_or(|at| at > now) {
            return;
        }
        // The store checks whether it has been gone for long enough: the grace is the cluster's, which this node may not
        // know yet.
        let (dead, dead_for) = attempt.gone.clone().map(|(nonce, since)| (nonce, now.since(since))).unzip();
        let same_life = attempt.rename_from.is_none() && attempt.node_id == self.settings.node_id;
        if attempt.rename_from.is_some() {
            // The old id gives up leadership in the same transition: stop leading before the store is told.
            if let Some(leadership) = &mut self.leadership {
                leadership.resigning = true;
            }
        }
        let news = attempt.metadata != self.settings.metadata;
        self.revision += u64::from(news);
        let (revision, draining) = (self.revision, self.draining.wanted());
        let join = Join {
            node_id: attempt.node_id.clone(),
            process: self.settings.process.clone(),
            kind: self.kind(),
            metadata: serde_json::to_string(&attempt.metadata).unwrap_or_else(|_| "{}".to_owned()),
            candidate: attempt.metadata.candidate,
            settings: self.shared(),
            known: self.known,
            fresh_epoch: Nonce::new(format!("{}-e{}", self.settings.process, self.counter)).unwrap_or(presence.clone()),
            force: attempt.force,
            dead_presence: dead,
            dead_for: dead_for.unwrap_or_default(),
            own: if same_life { self.incarnation } else { Incarnation(0) },
            presence: Some(presence),
            producer: self.settings.producer.clone(),
            cursor: self.settings.cursor.clone(),
            rename_from: attempt.rename_from.clone(),
            former: self.settings.former.as_ref().map(|former| former.process.clone()),
            draining: Some(draining),
            revision,
            aliases: self.aliases.clone(),
            stood: attempt.stood.clone(),
            elsewhere: self.settings.cursor_of.as_ref().unwrap_or(&self.settings.node_id) != &attempt.node_id,
        };
        let ticket = self.call(Call::Join(Box::new(join)));
        if let Some(attempt) = &mut self.join.attempt {
            attempt.ticket = Some(ticket);
            attempt.unsettled = true;
            (attempt.revision, attempt.draining) = (revision, draining);
        }
    }

    pub(super) fn join_answered(&mut self, now: Moment, ticket: Ticket, reply: JoinReply, server: ServerId) {
        let Some(mut attempt) = self.join.attempt.take_if(|a| a.ticket == Some(ticket)) else { return };
        attempt.ticket = None;
        attempt.unsettled = false;
        match reply {
            JoinReply::Joined { now: at, incarnation, joined_at, cursor, aliases, data, registered, stood } => {
                let instance = Instance { node_id: attempt.node_id.clone(), incarnation };
                (self.view.as_of, self.seen) = (at, now);
                self.known = self.known.max(data.numbers);
                self.adopt(now, &data);
                let admission =
                    Admission { instance: instance.clone(), cursor, stood, aliases, joined_at, data: data.clone() };
                if self.view.take_data(data.clone()) {
                    self.effects.push(Effect::DataSet(Box::new(data)));
                }
                self.admitted(now, attempt, instance, admission, registered.then_some(server));
            }
            JoinReply::Held { incarnation, presence, present, provable, left, metadata } => {
                let holder = describe(&attempt.node_id, incarnation, &metadata);
                self.held(now, attempt, holder, presence, present, provable, (left, server));
            }
            JoinReply::Replaced => {
                self.join.attempt = Some(attempt);
                self.replaced();
            }
        }
    }

    fn admitted(
        &mut self,
        now: Moment,
        attempt: Attempt,
        instance: Instance,
        admission: Admission,
        stored: Option<ServerId>,
    ) {
        let renamed = attempt.rename_from.is_some();
        if renamed && let Some(leadership) = self.leadership.take() {
            self.effects.push(Effect::Note(Note::SteppedDown(leadership.term)));
            self.release_leader_channel();
        }
        if self.incarnation != instance.incarnation || renamed {
            self.effects.push(Effect::Note(Note::Joined(instance.clone())));
        }
        self.join.failures = 0;
        self.join.settled = true;
        self.settings.node_id = instance.node_id.clone();
        if self.settings.cursor_of.as_ref() != Some(&instance.node_id) {
            // A position saved under another id is no longer needed.
            self.settings.cursor = Some((admission.cursor, admission.data.epoch.clone()));
            self.settings.cursor_of = Some(instance.node_id.clone());
        }
        self.settings.metadata = attempt.metadata;
        self.confirmed_revision = self.confirmed_revision.max(attempt.revision);
        self.aliases.clone_from(&admission.aliases);
        self.recording.admitted(&instance, self.settings.former.take().as_ref());
        self.incarnation = instance.incarnation;
        self.joined_at = admission.joined_at;
        self.standing = Standing::Member(instance);
        self.join.waiting_for_view.extend(attempt.clients);
        self.effects.push(Effect::Joined(Box::new(admission)));
        self.presence.joined(stored);
        self.drain_joined(attempt.draining);
        self.beat.stop();
        self.beat_now(now);
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one reply")]
    fn held(
        &mut self,
        now: Moment,
        mut attempt: Attempt,
        holder: String,
        presence: Option<String>,
        present: bool,
        provable: bool,
        left: (Duration, ServerId),
    ) {
        // Another server process may have lost the last heartbeats, and cluster time with them: that moves the deadline,
        // too.
        let beats = attempt.left.as_ref().is_some_and(|before| before.1 == left.1 && left.0 > before.0);
        attempt.left = Some(left);
        attempt.seen_present = if present { attempt.seen_present + 1 } else { 0 };
        attempt.gone = match (presence.filter(|_| !present && provable), attempt.gone.take()) {
            (Some(nonce), Some((known, since))) if nonce == known => Some((known, since)),
            (Some(nonce), _) => Some((nonce, now)),
            (None, _) => None,
        };
        if attempt.seen_present >= PRESENT_POLLS || (beats && !present) {
            let known = matches!(self.standing, Standing::Refused(_));
            if !known {
                let note = Note::Refused { node_id: attempt.node_id.clone(), holder: holder.clone() };
                self.effects.push(Effect::Note(note));
            }
            let refusal = Refusal::InUse { node_id: attempt.node_id.clone(), holder: holder.clone() };
            for client in std::mem::take(&mut attempt.clients) {
                self.reply(client, Err(refusal.clone()));
            }
            if !matches!(self.standing, Standing::Member(_)) {
                self.standing = Standing::Refused(holder);
                if attempt.automatic && !beats {
                    // The host may have lost power: then the server still has the connection, but no heartbeat arrives, and
                    // the deadline decides.
                    self.join.settled = true;
                    self.join.attempt = Some(Attempt { clients: Vec::new(), next: Some(now + SLOW_POLL), ..attempt });
                    return;
                }
                self.close_presence();
            } else {
                // The refused rename had suspended leadership.
                self.lead_again(now, attempt.lost);
                self.beat_now(now);
            }
            self.join.settled = true;
            return;
        }
        let grace = takeover_wait(self.settings.leader.presence_grace);
        let ripe = attempt.gone.as_ref().map(|(_, since)| *since + grace);
        attempt.next = Some(ripe.filter(|at| *at > now).unwrap_or(now + POLL).min(now + POLL));
        self.join.attempt = Some(attempt);
    }

    /// Another process took over the id: this incarnation has ended.
    pub(super) fn replaced(&mut self) {
        let holder = "another process that took it over".to_owned();
        let node_id = self.settings.node_id.clone();
        self.effects.push(Effect::Note(Note::Refused { node_id: node_id.clone(), holder: holder.clone() }));
        if let Some(attempt) = self.join.attempt.take() {
            for client in attempt.clients {
                let refusal = Refusal::InUse { node_id: node_id.clone(), holder: holder.clone() };
                self.reply(client, Err(refusal));
            }
        }
        self.depart(Standing::Refused(holder));
        self.incarnation = Incarnation(0);
    }

    pub(super) fn join_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        self.leave_failed(now, ticket, fault);
        let Some(attempt) = &mut self.join.attempt else { return };
        if attempt.ticket != Some(ticket) {
            return;
        }
        attempt.ticket = None;
        attempt.next = Some(now + self.settings.retry.delay);
        attempt.unsettled = matches!(fault, Fault::Unavailable(_));
        attempt.lost |= attempt.unsettled;
        self.attempt_failed(now, &fault.to_string(), self.settings.retry.delay);
    }

    /// An attempt to join failed: clients are answered, an automatic join is retried.
    pub(super) fn attempt_failed(&mut self, now: Moment, error: &str, wait: Duration) {
        // No client waits until Redis is back: neither those whose join was not started yet, nor those who asked for a
        // heartbeat.
        let mut clients: Vec<Ticket> = self.join.asked.drain(..).map(|(client, _)| client).collect();
        self.beats_exhausted(error);
        self.view_is_late();
        let Some(attempt) = &mut self.join.attempt else { return self.refuse_clients(clients, error) };
        clients.append(&mut attempt.clients);
        self.join.failures += 1;
        self.join.settled = true;
        // Every attempt at first, then about one line per minute.
        if self.join.failures <= 5 || self.join.failures.is_multiple_of(60) {
            self.effects.push(Effect::Note(Note::JoinFailed { error: error.to_owned(), wait }));
        }
        let asked_only = !attempt.automatic && !self.settings.auto_join;
        // A rename that may have happened must be completed, else the new id would be left behind.
        if (attempt.rename_from.is_some() && !attempt.unsettled) || asked_only {
            let lost = attempt.lost;
            self.join.attempt = None;
            self.lead_again(now, lost);
            if matches!(self.standing, Standing::Member(_)) {
                self.beat_now(now);
            } else {
                self.standing = Standing::Out;
                self.close_presence();
            }
        }
        self.refuse_clients(clients, error);
    }

    fn refuse_clients(&mut self, clients: Vec<Ticket>, error: &str) {
        for client in clients {
            self.reply(client, Err(Refusal::Unavailable(error.to_owned())));
        }
    }

    /// The view is complete: clients that asked to join are answered.
    pub(super) fn view_is_complete(&mut self, now: Moment) {
        let Some(instance) = self.instance().cloned() else { return };
        // The node's own row proves that the view is not of a data set that was lost in the meantime.
        if self.view.members.get(&instance.node_id).is_none_or(|m| m.incarnation != instance.incarnation) {
            return;
        }
        for client in std::mem::take(&mut self.join.waiting_for_view) {
            self.reply(client, Ok(Response::Joined { instance: instance.clone(), joined_at: self.joined_at }));
        }
        self.plan_watch(now);
    }

    /// The view cannot be read now: clients that asked to join are answered with what is known.
    pub(super) fn view_is_late(&mut self) {
        let Some(instance) = self.instance().cloned() else { return };
        for client in std::mem::take(&mut self.join.waiting_for_view) {
            self.reply(client, Ok(Response::Joined { instance: instance.clone(), joined_at: self.joined_at }));
        }
    }
}
