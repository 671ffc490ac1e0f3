//! Who can be reached: the SWIM protocol, driven by its timers in the caller's time.
//!
//! 1. A member is probed directly, then through others. It is down when it does not answer within the time of suspicion.
//! 2. A process that was paused does not blame the others for it: every timer that came too late starts again from there.
//! 3. The load of a node does not depend on the number of nodes; the time of suspicion grows with its logarithm, because news takes
//!    that long.
//!
//! Not here: what nodes say (`record.rs`), sending (`mod.rs`). The protocol itself is the crate foca.

use super::frame::MAX_MEMBERSHIP;
use super::identity::Identity;
use super::wire::Wire;
use crate::cluster::ids::NodeId;
use crate::cluster::time::Moment;
use foca::{Config, Foca, NoCustomBroadcast, Notification, OwnedNotification, PeriodicParams, Timer};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

/// How often a node probes one member.
pub const PROBE_PERIOD: Duration = Duration::from_millis(250);
/// How long a member has to answer a probe before others are asked to try.
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(100);
/// How long up to ten nodes suspect a silent member before it counts as unreachable.
pub const SUSPICION: Duration = Duration::from_millis(750);
/// How long a member that is down is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// A timer that is this late was late because the process was paused.
const PAUSED: Duration = Duration::from_millis(500);

/// Messages of the protocol, each with its receiver.
type Sends = Vec<(Identity, Vec<u8>)>;
/// Changes of the membership.
type Changes = Vec<OwnedNotification<Identity>>;

/// What the protocol asks for.
#[derive(Default)]
struct Wanted {
    sends: Sends,
    timers: Vec<(Timer<Identity>, Duration)>,
    changes: Changes,
}

impl foca::Runtime<Identity> for &mut Wanted {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        self.changes.push(notification.to_owned());
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        self.timers.push((event, after));
    }
}

/// The membership of one node; see the head of this file.
pub(super) struct Members {
    foca: Foca<Identity, Wire, SmallRng, NoCustomBroadcast>,
    timers: BTreeMap<(Moment, u64), Timer<Identity>>,
    /// Numbers the timers, so that those of one moment keep their order.
    count: u64,
    wanted: Wanted,
    /// The number of active members that the current settings are for, as a power of two.
    scale: u32,
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let active = self.foca.num_members();
        f.debug_struct("Members").field("me", self.foca.identity()).field("active", &active).finish_non_exhaustive()
    }
}

/// The settings for a number of nodes.
fn config(nodes: usize) -> Config {
    let every = |frequency, members| {
        Some(PeriodicParams { frequency, num_members: NonZeroUsize::new(members).unwrap_or(NonZeroUsize::MIN) })
    };
    let doublings = nodes.max(2).ilog2();
    Config {
        probe_period: PROBE_PERIOD,
        probe_rtt: PROBE_TIMEOUT,
        num_indirect_probes: NonZeroUsize::MIN.saturating_add(2),
        // Half as many are enough among nodes that know each other. While many start at once each knows few, and tells those twice.
        max_transmissions: u8::try_from(4 + 2 * doublings).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MAX),
        // Three doublings are about the ten nodes that the shortest time is for.
        suspect_to_down_after: SUSPICION * doublings.max(3) / 3,
        remove_down_after: Some(REMEMBERED),
        max_packet_size: NonZeroUsize::new(MAX_MEMBERSHIP).unwrap_or(NonZeroUsize::MIN),
        notify_down_members: true,
        periodic_announce: every(Duration::from_secs(30), 1),
        periodic_announce_to_down_members: every(Duration::from_secs(2), 1),
        periodic_gossip: every(Duration::from_millis(200), 3),
    }
}

impl Members {
    pub(super) fn new(me: Identity, seed: u64) -> Self {
        Self {
            foca: Foca::new(me, config(2), SmallRng::seed_from_u64(seed), Wire),
            timers: BTreeMap::new(),
            count: 0,
            wanted: Wanted::default(),
            scale: 1,
        }
    }

    pub(super) fn me(&self) -> &Identity {
        self.foca.identity()
    }

    pub(super) fn active(&self) -> impl Iterator<Item = &Identity> {
        self.foca.iter_members().map(foca::Member::id)
    }

    pub(super) fn wake_at(&self) -> Option<Moment> {
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Asks a node to take this one in, or to tell its members again.
    pub(super) fn announce(&mut self, now: Moment, to: Identity) {
        // It fails only if this node cannot encode itself.
        let _ = self.foca.announce(to, &mut self.wanted);
        self.settle(now);
    }

    /// Takes a message of the protocol.
    ///
    /// # Errors
    /// [`foca::Error`] when the message is malformed, or comes from a node with the same id.
    pub(super) fn heard(&mut self, now: Moment, message: &[u8]) -> Result<(), foca::Error> {
        let outcome = self.foca.handle_data(message, &mut self.wanted);
        self.settle(now);
        outcome
    }

    /// Takes a later life, because the others know one that this process did not.
    pub(super) fn live_again(&mut self, now: Moment, life: u64) {
        let me = self.me().living(life);
        // It fails only for the same identity.
        let _ = self.foca.change_identity(me, &mut self.wanted);
        self.settle(now);
    }

    pub(super) fn leave(&mut self, now: Moment) {
        let _ = self.foca.leave_cluster(&mut self.wanted);
        self.settle(now);
    }

    /// Runs the timers that are due.
    pub(super) fn wake(&mut self, now: Moment) {
        if let Some(late) = self.wake_at().map(|at| now.since(at)).filter(|late| *late >= PAUSED) {
            let timers = std::mem::take(&mut self.timers);
            self.timers = timers.into_iter().map(|((at, n), timer)| ((at + late, n), timer)).collect();
        }
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now) {
            // An error says that a probe was incomplete, which the protocol has mended by then.
            let _ = self.foca.handle_timer(entry.remove(), &mut self.wanted);
            self.settle(now);
        }
    }

    /// The messages to send, and the changes, since the last call.
    pub(super) fn results(&mut self) -> (Sends, Changes) {
        (std::mem::take(&mut self.wanted.sends), std::mem::take(&mut self.wanted.changes))
    }

    /// Whether this node is active in the eyes of this one.
    pub(super) fn is_active(&self, node_id: &NodeId) -> bool {
        self.active().any(|identity| identity.node_id == *node_id)
    }

    fn settle(&mut self, now: Moment) {
        for (timer, after) in self.wanted.timers.drain(..) {
            self.count += 1;
            self.timers.insert((now + after, self.count), timer);
        }
        let nodes = self.foca.num_members() + 1;
        let scale = nodes.ilog2();
        if scale != self.scale {
            self.scale = scale;
            // Only the times that may change differ.
            let _ = self.foca.set_config(config(nodes));
        }
    }
}
