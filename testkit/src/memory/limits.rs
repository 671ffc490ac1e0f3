//! Limits: the counterpart of `scripts/limits/`: buckets of permits, slots and who waits for them.
//!
//! 1. A bucket is counted in cluster time, and filled at the slower of two callers' rates.
//! 2. Free slots are reserved for the first waiters, each for its grace.

use super::data::{answered, score};
use super::state::Step;
use clawster::cluster::ids::{Incarnation, LimitName, NodeId, Nonce, TaskToken};
use clawster::cluster::members::member::StoredStatus;
use clawster::cluster::protocol::{
    AcquireSlot, ForgetSlot, Identity, Instance, LimitCall, LimitReply, MOST_LIMITS, MOST_SLOT_WAITERS, Permits,
    PermitsReply, ReleaseSlot, RenewSlot, Slot, SlotReply, TakePermits,
};
use clawster::cluster::time::{ServerTime, millis};
use clawster::store::Notice;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a grant is told again, in milliseconds: the TTL within these bounds; and how long a release is.
const TOLD: (i64, i64, i64) = (3_600_000, 86_400_000, 600_000);

/// A bucket of permits.
#[derive(Debug, Clone)]
struct Bucket {
    level: f64,
    /// In cluster time.
    at: i64,
    rate: u64,
    /// Milliseconds.
    per: u64,
    /// The cluster time at which it is full.
    full_at: i64,
}

/// A slot that is held.
#[derive(Debug, Clone)]
struct Held {
    by: Instance,
    /// Milliseconds.
    ttl: i64,
    ticket: Nonce,
    /// In cluster time.
    expires: i64,
}

/// A waiter for a slot, and until when one is reserved for it, in cluster time.
#[derive(Debug, Clone)]
struct Waiter {
    ticket: Nonce,
    by: Instance,
    grace: i64,
    offer: Option<i64>,
}

/// The slots of one name.
#[derive(Debug, Clone, Default)]
struct Slots {
    held: BTreeMap<TaskToken, Held>,
    queue: Vec<Waiter>,
    most: u64,
}

/// All limits.
#[derive(Debug, Clone, Default)]
pub(super) struct Limits {
    buckets: BTreeMap<LimitName, Bucket>,
    /// Requests for permits: when they are valid, in cluster time, and until when that is told again.
    permitted: BTreeMap<(NodeId, LimitName, String), (i64, i64)>,
    slots: BTreeMap<LimitName, Slots>,
    /// Requests for slots: the token, when it expires on the server's clock, and until when that is told again.
    granted: BTreeMap<(NodeId, LimitName, String), (TaskToken, ServerTime, i64)>,
    released: BTreeMap<TaskToken, (Instance, LimitName, i64)>,
}

fn float(number: u64) -> f64 {
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let float = number as f64;
    float
}

fn whole(number: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation)]
    let whole = number as i64;
    whole
}

impl Step<'_> {
    pub(super) fn limit(&mut self, call: &LimitCall) -> LimitReply {
        self.guard_stall();
        match call {
            LimitCall::Take(take) => LimitReply::Taken(self.take_permits(take)),
            LimitCall::Acquire(acquire) => LimitReply::Slot(self.acquire_slot(acquire)),
            LimitCall::Renew(renew) => LimitReply::Renewed(self.renew_slot(renew)),
            LimitCall::Release(release) => LimitReply::Released(self.release_slot(release)),
            LimitCall::Forget(forget) => {
                self.forget_slot(forget);
                LimitReply::Forgotten
            }
        }
    }

    fn take_permits(&mut self, take: &TakePermits) -> PermitsReply {
        let identity = self.identify(&take.instance, "");
        let nothing = |outcome| PermitsReply { identity, outcome, remaining: 0 };
        if identity != Identity::Ok {
            return nothing(Permits::Refused { retry_after: Duration::ZERO });
        }
        let (time, now) = (self.cluster_now(), score(self.now.0));
        let (rate, per, burst) = (float(take.rate), float(millis(take.per)), float(take.burst));
        let buckets = &mut self.data.limits.buckets;
        let known = buckets.get(&take.name).cloned();
        let level = match &known {
            Some(bucket) => {
                let passed = float(u64::try_from(time - bucket.at).unwrap_or(0));
                let (slow, slow_per) = (float(bucket.rate), float(bucket.per));
                let added = if slow * per < rate * slow_per { passed * slow / slow_per } else { passed * rate / per };
                (bucket.level + added).min(burst)
            }
            None => {
                buckets.retain(|_, bucket| bucket.full_at > time);
                if buckets.len() >= MOST_LIMITS {
                    return nothing(Permits::Overloaded);
                }
                burst
            }
        };
        let left = |level: f64| u64::try_from(whole(level.floor())).unwrap_or(0);
        let ms = |wait: i64| Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        let request = take.request_id.clone().map(|id| (take.instance.node_id.clone(), take.name.clone(), id));
        let told = request.as_ref().and_then(|request| self.data.limits.permitted.get(request));
        if let Some((valid, _)) = told.filter(|(_, until)| now < *until) {
            let at = answered(valid + self.data.skew);
            let outcome = Permits::Granted { at, wait: ms((valid - time).max(0)) };
            return PermitsReply { identity, outcome, remaining: left(level) };
        }
        let wait = whole(((float(take.permits) - level) * per / rate).ceil()).max(0);
        let taken = wait <= score(millis(take.wait));
        let level = if taken { level - float(take.permits) } else { level };
        let changed = known.is_some_and(|known| known.rate != take.rate || known.per != millis(take.per));
        if taken || changed {
            let full_at = time + whole(((burst - level) * per / rate).ceil());
            let stored = (level * 1e6).floor() / 1e6;
            let bucket = Bucket { level: stored, at: time, rate: take.rate, per: millis(take.per), full_at };
            self.data.limits.buckets.insert(take.name.clone(), bucket);
        }
        if !taken {
            return PermitsReply {
                identity,
                outcome: Permits::Refused { retry_after: ms(wait) },
                remaining: left(level),
            };
        }
        if let Some(request) = request {
            self.data.limits.permitted.insert(request, (time + wait, now + TOLD.0 + wait));
        }
        let outcome = Permits::Granted { at: answered(time + wait + self.data.skew), wait: ms(wait) };
        PermitsReply { identity, outcome, remaining: left(level) }
    }

    fn slots(&mut self, name: &LimitName) -> &mut Slots {
        self.data.limits.slots.entry(name.clone()).or_default()
    }

    fn expire_slots(&mut self, name: &LimitName) {
        let now = self.cluster_now();
        self.slots(name).held.retain(|_, held| held.expires >= now);
    }

    fn can_hold(&self, by: &Instance) -> bool {
        let row = self.data.members.get(&by.node_id);
        row.is_some_and(|row| row.status == StoredStatus::Online && row.incarnation == by.incarnation)
    }

    /// Reserves free slots for the first waiters; returns how many are in use, and when the first reservation lapses.
    fn offer_slots(&mut self, name: &LimitName, most: u64, own: Option<&Nonce>) -> (u64, Option<i64>) {
        let now = self.cluster_now();
        let in_use = self.slots(name).held.len() as u64;
        let free = usize::try_from(most.saturating_sub(in_use)).unwrap_or(usize::MAX);
        let (mut first, mut place) = (None, 0);
        while place < free {
            let Some(waiter) = self.slots(name).queue.get(place).cloned() else { break };
            let asks = own == Some(&waiter.ticket);
            let lapsed = waiter.offer.is_some_and(|until| until <= now) && !asks;
            if lapsed || !self.can_hold(&waiter.by) {
                self.slots(name).queue.remove(place);
                continue;
            }
            let until = waiter.offer.unwrap_or(now + waiter.grace);
            if waiter.offer.is_none() {
                self.slots(name).queue[place].offer = Some(until);
                let presence = self.data.presence.get(&waiter.by.node_id).map(|(nonce, _)| nonce.clone());
                if let Some(nonce) = presence.filter(|_| !asks) {
                    self.server.notice_one(&nonce, Notice::Lease(waiter.ticket.clone()));
                }
            }
            first = Some(first.map_or(until, |first: i64| first.min(until)));
            place += 1;
        }
        (in_use, first)
    }

    fn offer_freed(&mut self, name: &LimitName) -> u64 {
        let most = self.slots(name).most.max(1);
        self.offer_slots(name, most, None).0
    }

    fn acquire_slot(&mut self, acquire: &AcquireSlot) -> SlotReply {
        let AcquireSlot { instance, name, ticket, .. } = acquire;
        let identity = self.identify(instance, "");
        if identity != Identity::Ok {
            return SlotReply { identity, outcome: Slot::Barred, in_use: 0 };
        }
        self.expire_slots(name);
        let now = score(self.now.0);
        let request = (instance.node_id.clone(), name.clone(), acquire.request_id.clone());
        let told = self.data.limits.granted.get(&request).filter(|(_, _, until)| now < *until);
        if let Some((token, expires_at, _)) = told.filter(|(token, _, _)| token.0 > instance.incarnation.0).copied() {
            let in_use = self.slots(name).held.len() as u64;
            return SlotReply { identity, outcome: Slot::Granted { token, expires_at }, in_use };
        }
        let leave = |slots: &mut Slots| {
            let before = slots.queue.len();
            slots.queue.retain(|waiter| waiter.ticket != *ticket);
            slots.queue.len() < before
        };
        if !self.can_hold(instance) || self.is_withdrawn(ticket) {
            if leave(self.slots(name)) {
                self.offer_freed(name);
            }
            let in_use = self.slots(name).held.len() as u64;
            return SlotReply { identity, outcome: Slot::Barred, in_use };
        }
        let (in_use, lapses) = self.offer_slots(name, acquire.slots, Some(ticket));
        let queue = &self.slots(name).queue;
        let rank = queue.iter().position(|waiter| waiter.ticket == *ticket);
        let before = rank.unwrap_or(queue.len());
        if (before as u64) < acquire.slots.saturating_sub(in_use) {
            let token = TaskToken(self.next_token());
            let ttl = score(millis(acquire.ttl));
            let expires = self.cluster_now() + ttl;
            let expires_at = answered(expires + self.data.skew);
            let slots = self.slots(name);
            leave(slots);
            slots.most = acquire.slots;
            slots.held.insert(token, Held { by: instance.clone(), ttl, ticket: ticket.clone(), expires });
            let own = acquire.request_id == ticket.as_str();
            let kept = if own { ttl.min(60_000) } else { ttl.clamp(TOLD.0, TOLD.1) };
            self.data.limits.granted.insert(request, (token, expires_at, now + kept));
            return SlotReply { identity, outcome: Slot::Granted { token, expires_at }, in_use: in_use + 1 };
        }
        let now = self.cluster_now();
        let grace = score(millis(acquire.grace));
        let slots = self.slots(name);
        if !acquire.wait {
            leave(slots);
        } else if rank.is_none() {
            if before >= MOST_SLOT_WAITERS {
                return SlotReply { identity, outcome: Slot::Overloaded, in_use };
            }
            slots.queue.push(Waiter { ticket: ticket.clone(), by: instance.clone(), grace, offer: None });
            slots.most = acquire.slots;
        }
        let first = slots.held.values().map(|held| held.expires).min();
        let again = first.into_iter().chain(lapses).min().map_or(grace, |at| at + 1 - now).max(1);
        let again = Duration::from_millis(u64::try_from(again).unwrap_or(1));
        SlotReply { identity, outcome: Slot::Full { again }, in_use }
    }

    fn own_slot(&mut self, name: &LimitName, token: TaskToken, by: &Instance) -> Option<&mut Held> {
        let now = self.cluster_now();
        self.slots(name).held.get_mut(&token).filter(|held| held.expires >= now && held.by == *by)
    }

    fn renew_slot(&mut self, renew: &RenewSlot) -> Option<ServerTime> {
        let (now, skew) = (self.cluster_now(), self.data.skew);
        let held = self.own_slot(&renew.name, renew.token, &renew.instance)?;
        held.ttl = renew.ttl.map_or(held.ttl, |ttl| score(millis(ttl)));
        held.expires = now + held.ttl;
        Some(answered(held.expires + skew))
    }

    fn release_slot(&mut self, release: &ReleaseSlot) -> Option<u64> {
        let ReleaseSlot { instance, name, token } = release;
        let now = score(self.now.0);
        if self.own_slot(name, *token, instance).is_some() {
            self.slots(name).held.remove(token);
            let told = (instance.clone(), name.clone(), now + TOLD.2);
            self.data.limits.released.insert(*token, told);
        } else {
            let told = self.data.limits.released.get(token);
            told.filter(|(by, of, until)| by == instance && of == name && now < *until)?;
        }
        self.expire_slots(name);
        Some(self.offer_freed(name))
    }

    fn forget_slot(&mut self, forget: &ForgetSlot) {
        let ForgetSlot { instance, name, ticket, request_id } = forget;
        self.mark(ticket);
        self.slots(name).queue.retain(|waiter| waiter.ticket != *ticket);
        let request = (instance.node_id.clone(), name.clone(), request_id.clone());
        let now = score(self.now.0);
        let told = self.data.limits.granted.get(&request).filter(|(_, _, until)| now < *until);
        if let Some((token, _, _)) = told.copied()
            && self.own_slot(name, token, instance).is_some_and(|held| held.ticket == *ticket)
        {
            self.slots(name).held.remove(&token);
            self.data.limits.granted.remove(&request);
        }
        self.offer_freed(name);
    }

    /// The slots of a life end with it.
    pub(super) fn release_slots(&mut self, id: &NodeId, incarnation: Incarnation) {
        let instance = Instance { node_id: id.clone(), incarnation };
        let holds = |slots: &Slots| slots.held.values().any(|held| held.by == instance);
        let slots = &self.data.limits.slots;
        let names: Vec<LimitName> =
            slots.iter().filter(|(_, slots)| holds(slots)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.slots(&name).held.retain(|_, held| held.by != instance);
            self.offer_freed(&name);
        }
    }
}
