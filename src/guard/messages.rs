//! The protocol between owner and guardian: one line of text per message.
//!
//! 1. Times are absolute readings of CLOCK_BOOTTIME, so that a line that is read late keeps its meaning.
//! 2. An unknown line is skipped and never changes the guardian's limits.
//!
//! Not here: the socket (`handing.rs`), the effect of an order (`stop_schedule.rs`).

use crate::cluster::lease::holder::Limits;
use crate::cluster::time::Moment;
use std::time::Duration;

/// A message from the owner to the guardian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// New limits.
    Until(Limits),
    /// Forward this signal to the command.
    Signal(i32),
    /// Stop the command: SIGTERM now, SIGKILL after this time or when the limits pass.
    Stop(Duration),
    /// Kill the command and its descendants.
    Kill,
    /// The owner is in the foreground now: give the command the terminal.
    Foreground,
}

/// How the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Exited(i32),
    /// It was killed by this signal.
    Signalled(i32),
}

impl Ending {
    /// The exit code that a shell would report.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => u8::try_from(code & 0xff).unwrap_or(1),
            Self::Signalled(signal) => u8::try_from(128 + signal).unwrap_or(255),
        }
    }
}

/// A message from the guardian to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The command runs with this process id, which is also its process group id.
    Started(i32),
    /// The guardian has sent SIGTERM to the command.
    Terminating,
    /// Ctrl-Z was pressed; the command was continued.
    NotSuspended,
    /// The command and all its descendants are gone.
    Ended {
        /// How the command ended.
        how: Ending,
        /// Whether the guardian had asked it to stop.
        asked: bool,
    },
}

fn nanos(at: Moment) -> u128 {
    at.0.as_nanos()
}

fn moment(text: &str) -> Option<Moment> {
    Some(Moment(Duration::from_nanos(text.parse().ok()?)))
}

impl Order {
    pub(super) fn line(self) -> String {
        match self {
            Self::Until(limits) => format!("until {} {}\n", nanos(limits.terminate_at), nanos(limits.kill_at)),
            Self::Signal(signal) => format!("signal {signal}\n"),
            Self::Stop(within) => format!("stop {}\n", within.as_nanos()),
            Self::Kill => "kill\n".to_owned(),
            Self::Foreground => "foreground\n".to_owned(),
        }
    }

    pub(super) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["until", terminate, kill] => {
                Some(Self::Until(Limits { terminate_at: moment(terminate)?, kill_at: moment(kill)? }))
            }
            ["signal", number] => Some(Self::Signal(number.parse().ok()?)),
            ["stop", within] => Some(Self::Stop(Duration::from_nanos(within.parse().ok()?))),
            ["kill"] => Some(Self::Kill),
            ["foreground"] => Some(Self::Foreground),
            _ => None,
        }
    }
}

impl Report {
    pub(super) fn line(self) -> String {
        match self {
            Self::Started(pid) => format!("started {pid}\n"),
            Self::Terminating => "terminating\n".to_owned(),
            Self::NotSuspended => "not-suspended\n".to_owned(),
            Self::Ended { how, asked } => {
                let (kind, number) = match how {
                    Ending::Exited(code) => ("exited", code),
                    Ending::Signalled(signal) => ("signalled", signal),
                };
                format!("ended {kind} {number} {}\n", if asked { "asked" } else { "itself" })
            }
        }
    }

    pub(super) fn read(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["started", pid] => Some(Self::Started(pid.parse().ok()?)),
            ["terminating"] => Some(Self::Terminating),
            ["not-suspended"] => Some(Self::NotSuspended),
            ["ended", kind, number, asked] => {
                let number = number.parse().ok()?;
                let how = match *kind {
                    "exited" => Ending::Exited(number),
                    "signalled" => Ending::Signalled(number),
                    _ => return None,
                };
                Some(Self::Ended { how, asked: *asked == "asked" })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let at = |nanos| Moment(Duration::from_nanos(nanos));
        let limits = Limits { terminate_at: at(1_234_567_890_123), kill_at: at(u64::MAX) };
        let orders = [
            Order::Until(limits),
            Order::Signal(15),
            Order::Stop(Duration::from_secs(10)),
            Order::Kill,
            Order::Foreground,
        ];
        for order in orders {
            assert_eq!(Order::read(&order.line()), Some(order));
        }
        let ended = |how, asked| Report::Ended { how, asked };
        let endings = [ended(Ending::Exited(3), false), ended(Ending::Signalled(9), true)];
        for report in endings.into_iter().chain([Report::Started(7), Report::Terminating, Report::NotSuspended]) {
            assert_eq!(Report::read(&report.line()), Some(report));
        }
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        for line in
            ["", "until", "until 1", "until -1 2", "until 1 2 3", "stop x", "signal", "die", "ended flown 1 asked"]
        {
            assert_eq!((Order::read(line), Report::read(line)), (None, None), "{line}");
        }
    }

    #[test]
    fn endings_are_passed_on_as_shells_do() {
        assert_eq!(Ending::Exited(7).code(), 7);
        assert_eq!(Ending::Signalled(15).code(), 143);
    }
}
