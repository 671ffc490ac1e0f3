//! The health of Redis for this node: the one notion that states, probes, events, metrics and log lines share.
//!
//! 1. Redis works when it accepted a heartbeat or join of this node and had room for more, not merely when it answers.
//! 2. One outage is one loss and one recovery, however often Redis answers, refuses and is silent in between.
//! 3. A node that is not a member sends no heartbeats: for it, an answered read is all that can be known.
//!
//! Not here: the meaning of Redis' errors (`crate::store::redis`), reporting (`crate::engine::node::driver`).

use super::{Effect, Node, Note, Standing, Ticket};
use crate::cluster::event::DegradedReason;
use crate::cluster::protocol::{Fault, Reply};
use crate::cluster::time::Moment;

/// The state of Redis when it was last checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Link {
    /// Unknown yet.
    #[default]
    Unknown,
    /// It accepted the last heartbeat.
    Well,
    /// It accepted the last heartbeat, and refuses writes that need more memory.
    Full,
    /// It answers, and refused the last heartbeat; the text says why.
    Refusing(String),
    /// It does not answer.
    Silent {
        /// What happened.
        why: String,
        /// Whether it has answered something since, and a heartbeat was sent because of that.
        answered: bool,
    },
}

/// What is wrong with Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It answers, and refuses the heartbeats of this node.
    Refuses(String),
    /// It accepts the heartbeats of this node, and refuses what needs more memory.
    Full,
}

impl Trouble {
    /// The kind of trouble.
    #[must_use]
    pub fn reason(&self) -> DegradedReason {
        match self {
            Self::Unreachable(_) => DegradedReason::Unreachable,
            Self::Refuses(_) => DegradedReason::RefusesWrites,
            Self::Full => DegradedReason::Full,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "Redis does not answer: {why}"),
            Self::Refuses(why) => f.write_str(why),
            Self::Full => f.write_str("Redis is full: it accepts heartbeats, but no new messages, leases or tasks; raise maxmemory, or remove data from it"),
        }
    }
}

impl Link {
    /// Whether Redis accepts the writes of this node's membership: heartbeats, elections, acknowledgements.
    #[must_use]
    pub fn takes_beats(&self) -> bool {
        matches!(self, Self::Well | Self::Full)
    }

    /// What is wrong; `None`: nothing, or nothing is known yet.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Unknown | Self::Well => None,
            Self::Full => Some(Trouble::Full),
            Self::Refusing(why) => Some(Trouble::Refuses(why.clone())),
            Self::Silent { why, .. } => Some(Trouble::Unreachable(why.clone())),
        }
    }

    /// Whether calls fail, as far as known.
    pub(super) fn is_down(&self) -> bool {
        matches!(self, Self::Refusing(_) | Self::Silent { .. })
    }
}

impl Node {
    /// The health of Redis for this node.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// A call was answered.
    pub(super) fn link_answered(&mut self, now: Moment, reply: &Reply) {
        let full = self.link == Link::Full;
        match reply {
            Reply::Tick(tick) if tick.full => self.set_link(now, Link::Full),
            Reply::Tick(_) => self.set_link(now, Link::Well),
            // The answer does not show whether there is room: that stays as it was.
            Reply::Join(_) => self.set_link(now, if full { Link::Full } else { Link::Well }),
            _ => self.link_heard(now),
        }
    }

    /// Redis answered a call that writes nothing.
    pub(super) fn link_heard(&mut self, now: Moment) {
        if matches!(self.standing, Standing::Out | Standing::Refused(_)) {
            self.set_link(now, Link::Well);
        } else if let Link::Silent { answered, .. } = &mut self.link
            && !std::mem::replace(answered, true)
        {
            self.beat_now(now);
        }
    }

    /// Redis did not answer something other than a call.
    pub(super) fn link_silent(&mut self, now: Moment, why: &str) {
        self.set_link(now, Link::Silent { why: why.to_owned(), answered: false });
    }

    /// A call failed. A refusal counts only for a heartbeat or a join: a refusal of another call says nothing about those.
    pub(super) fn link_failed(&mut self, now: Moment, ticket: Ticket, fault: &Fault) {
        match fault {
            Fault::Unavailable(why) => {
                let answered = matches!(self.link, Link::Silent { answered: true, .. }) && !self.is_beat(ticket);
                self.set_link(now, Link::Silent { why: why.clone(), answered });
            }
            Fault::Unwritable(why) | Fault::Refused(why) if self.is_beat(ticket) => {
                self.set_link(now, Link::Refusing(why.clone()));
            }
            Fault::Unwritable(_) | Fault::Refused(_) => {}
        }
    }

    fn set_link(&mut self, now: Moment, link: Link) {
        let before = std::mem::replace(&mut self.link, link);
        let (was, is) = (before.trouble(), self.link.trouble());
        match (&was, &is) {
            (None, Some(trouble)) => self.effects.push(Effect::Degraded(trouble.clone())),
            (Some(_), None) => self.effects.push(Effect::Recovered),
            (Some(a), Some(b)) if a.reason() != b.reason() => {
                self.effects.push(Effect::Note(Note::StillDegraded(b.clone())))
            }
            _ => {}
        }
        if before.is_down() && self.link.takes_beats() {
            self.effects.push(Effect::Reconnected);
            // Joined, or looked at from outside: the heartbeat brings what was missed.
            self.beat_now(now);
        }
    }
}
