//! The kinds of faults: their names, what they hit, how often they come, and how long they last.
//!
//! 1. A fault is a kind, a target, a time, a duration and one number; its text form is read back to the same fault.
//!
//! Not here: doing them (`inject/`), putting them in order (`plan.rs`), what each allows (`checkers/mod.rs`).

use crate::numbers::Numbers;
use std::fmt;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Kill,
    Restart,
    Stop,
    Hole,
    HoleUp,
    HoleDown,
    Delay,
    Throttle,
    Cut,
    LostReplies,
    RedisStop,
    RedisSleep,
    RedisPause,
    RedisRestart,
    LostTail,
    EmptyRestart,
    Flush,
    Promote,
    StalePromote,
    RedisClock,
    NodeClock,
    FullRedis,
    FullDisk,
    Impostor,
    ForcedImpostor,
    Rename,
    Drain,
    Leave,
    Handover,
    Reconfigure,
    OtherVersion,
    WrapperKill,
    WrapperStop,
    WrapperHole,
}

/// What a fault takes hold of: two that share one never overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// A node's process.
    Process,
    /// A node's way to Redis.
    Network,
    /// The Redis servers.
    Redis,
    /// A `clawster run --lease`.
    Wrapper,
    /// Nothing that another fault could hold.
    Nothing,
}

use Kind::*;

/// Every kind with its name, hold, weight in a schedule, and range of durations in ms.
pub const KINDS: [(Kind, &str, Hold, u64, u64, u64); 34] = [
    (Kill, "kill", Hold::Process, 12, 50, 2500),
    (Restart, "restart", Hold::Process, 4, 50, 1000),
    (Stop, "stop", Hold::Process, 10, 300, 5000),
    (Hole, "hole", Hold::Network, 6, 300, 4500),
    (HoleUp, "hole-up", Hold::Network, 4, 300, 4500),
    (HoleDown, "hole-down", Hold::Network, 4, 300, 4500),
    (Delay, "delay", Hold::Network, 4, 500, 4000),
    (Throttle, "throttle", Hold::Network, 3, 500, 4000),
    (Cut, "cut", Hold::Network, 6, 0, 1),
    (LostReplies, "lost-replies", Hold::Network, 6, 500, 1500),
    (RedisStop, "redis-stop", Hold::Redis, 4, 300, 4500),
    (RedisSleep, "redis-sleep", Hold::Redis, 2, 300, 3000),
    (RedisPause, "redis-pause", Hold::Redis, 2, 300, 3000),
    (RedisRestart, "redis-restart", Hold::Redis, 4, 50, 2500),
    (LostTail, "lost-tail", Hold::Redis, 2, 200, 2500),
    (EmptyRestart, "empty-restart", Hold::Redis, 2, 50, 1500),
    (Flush, "flushall", Hold::Redis, 2, 0, 1),
    (Promote, "promote", Hold::Redis, 2, 200, 3000),
    (StalePromote, "stale-promote", Hold::Redis, 1, 200, 2000),
    (RedisClock, "redis-clock", Hold::Redis, 3, 500, 3000),
    (NodeClock, "node-clock", Hold::Process, 2, 500, 3000),
    (FullRedis, "full-redis", Hold::Redis, 2, 500, 4000),
    (FullDisk, "full-disk", Hold::Process, 2, 500, 4000),
    (Impostor, "impostor", Hold::Process, 2, 800, 3000),
    (ForcedImpostor, "forced-impostor", Hold::Process, 2, 800, 3000),
    (Rename, "rename", Hold::Process, 2, 300, 2500),
    (Drain, "drain", Hold::Process, 3, 300, 2500),
    (Leave, "leave", Hold::Process, 3, 200, 2500),
    (Handover, "handover", Hold::Nothing, 6, 0, 1),
    (Reconfigure, "reconfigure", Hold::Process, 3, 50, 500),
    (OtherVersion, "other-version", Hold::Process, 3, 50, 500),
    (WrapperKill, "wrapper-kill", Hold::Wrapper, 4, 50, 1500),
    (WrapperStop, "wrapper-stop", Hold::Wrapper, 4, 300, 4000),
    (WrapperHole, "wrapper-hole", Hold::Wrapper, 3, 300, 4000),
];

impl Kind {
    fn row(self) -> &'static (Kind, &'static str, Hold, u64, u64, u64) {
        KINDS.iter().find(|row| row.0 == self).expect("every kind has a row")
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What it takes hold of.
    pub fn hold(self) -> Hold {
        self.row().2
    }

    /// A duration for it, in ms.
    pub fn duration(self, numbers: &mut Numbers) -> u64 {
        numbers.between(self.row().4, self.row().5)
    }

    /// Whether Redis comes back without something that it had acknowledged.
    pub fn loses_data(self) -> bool {
        matches!(self, LostTail | EmptyRestart | Flush | StalePromote | Promote)
    }

    /// A fault of this kind whose target, where it has one, is drawn.
    pub fn at(self, at: u64, nodes: usize, wrappers: usize, numbers: &mut Numbers) -> Fault {
        let who = match self.hold() {
            Hold::Wrapper => Who::Place(numbers.place(wrappers.max(1))),
            Hold::Redis => Who::All,
            _ if numbers.chance(50) => Who::Leader,
            _ => Who::Place(numbers.place(nodes)),
        };
        let amount = match self {
            Delay => numbers.between(20, 400),
            Throttle => numbers.between(20_000, 200_000),
            LostReplies => numbers.between(1, 5),
            RedisClock | NodeClock => numbers.pick(&[500, 1_500, 3_000, 10_000, 60_000]) * 2 + numbers.below(2),
            _ => numbers.below(1_000),
        };
        Fault { at, kind: self, who, lasts: self.duration(numbers), amount }
    }
}

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The leader at that time.
    Leader,
    /// The node (or wrapper) at this place.
    Place(usize),
    /// Redis.
    All,
}

/// One fault of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// ms since the schedule began.
    pub at: u64,
    /// What.
    pub kind: Kind,
    /// Whom it hits.
    pub who: Who,
    /// ms until it ends.
    pub lasts: u64,
    /// What the kind makes of it: ms of delay, bytes per second, a jump of a clock (odd numbers: back), a choice.
    pub amount: u64,
}

impl Fault {
    /// The jump of a clock, in microseconds.
    pub fn jump_us(&self) -> i64 {
        let size = i64::try_from(self.amount / 2).unwrap() * 1_000;
        if self.amount % 2 == 1 { -size } else { size }
    }

    /// Reads the text form.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let mut part = || parts.next().ok_or_else(|| format!("a fault reads AT:KIND:WHO:LASTS:AMOUNT, not {text:?}"));
        let number = |text: &str| text.parse().map_err(|_| format!("{text:?} is no number"));
        let (at, kind, who) = (part()?, part()?, part()?);
        Ok(Self {
            at: number(at)?,
            kind: Kind::named(kind).ok_or_else(|| format!("no kind of fault: {kind:?}"))?,
            who: match who {
                "leader" => Who::Leader,
                "all" => Who::All,
                place => Who::Place(usize::try_from(number(place)?).unwrap()),
            },
            lasts: number(part()?)?,
            amount: number(part()?)?,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.who {
            Who::Leader => "leader".to_owned(),
            Who::All => "all".to_owned(),
            Who::Place(place) => place.to_string(),
        };
        write!(f, "{}:{}:{who}:{}:{}", self.at, self.kind.name(), self.lasts, self.amount)
    }
}
