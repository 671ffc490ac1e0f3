//! How this node stands with Redis: the one notion of health that states, probes, events, metrics and log lines share.
//!
//! 1. Redis is well when it took a beat or a join of this node and had room for more, not when it answers.
//! 2. One outage is one loss and one recovery, however often Redis answers, refuses and falls silent in between.
//! 3. A node that is no member does not beat: there an answered read is all that can be known.
//!
//! Not here: what Redis' errors mean (`crate::store::redis`), who is told (`crate::engine::node::driver`).

use super::{Effect, Node, Note, Standing, Ticket};
use crate::cluster::protocol::{Fault, Reply};
use crate::cluster::time::Moment;

/// How Redis was the last time that it could be judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Link {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// It took the last beat.
    Well,
    /// It took the last beat, and refuses writes that need more memory.
    Full,
    /// It answers, and took no beat; why.
    Refusing(String),
    /// It does not answer; why.
    Silent {
        /// What was seen.
        why: String,
        /// It answered something since, and a beat was sent for that.
        answered: bool,
    },
}

/// Why Redis is not well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer.
    Unreachable(String),
    /// It answers, and refuses the beats of this node.
    Refuses(String),
    /// It takes the beats of this node, and refuses what needs more memory.
    Full,
}

impl Trouble {
    /// One word for programs.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refuses(_) => "refuses_writes",
            Self::Full => "full",
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
    /// Whether Redis takes the writes of this node's membership: beats, elections, acknowledgements.
    #[must_use]
    pub fn takes_beats(&self) -> bool {
        matches!(self, Self::Well | Self::Full)
    }

    /// What is wrong; `None` when all is well or nothing is known yet.
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
    /// How this node stands with Redis.
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
            // It says nothing of the room: that stays as it was.
            Reply::Join(_) => self.set_link(now, if full { Link::Full } else { Link::Well }),
            _ => self.link_heard(now),
        }
    }

    /// Redis answered something that writes nothing.
    pub(super) fn link_heard(&mut self, now: Moment) {
        if matches!(self.standing, Standing::Out | Standing::Refused(_)) {
            self.set_link(now, Link::Well);
        } else if let Link::Silent { answered, .. } = &mut self.link
            && !std::mem::replace(answered, true)
        {
            self.beat_now(now);
        }
    }

    /// Redis did not answer something that is no call.
    pub(super) fn link_silent(&mut self, now: Moment, why: &str) {
        self.set_link(now, Link::Silent { why: why.to_owned(), answered: false });
    }

    /// A call failed. A refusal counts only where it is a beat's or a join's: of another call it says nothing of those.
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
            (Some(a), Some(b)) if a.word() != b.word() => {
                self.effects.push(Effect::Note(Note::StillDegraded(b.clone())))
            }
            _ => {}
        }
        if before.is_down() && self.link.takes_beats() {
            self.effects.push(Effect::Reconnected);
            // Joined, or looked at from outside: the beat brings what was missed.
            self.beat_now(now);
        }
    }
}
