//! Decides when the guardian signals the command: a state machine without a clock.
//!
//! 1. When the first limit passes, or the owner is gone, the command gets SIGTERM; when the last limit passes it is killed, again and
//!    again until no process of it is left.
//! 2. Later limits extend the time of a command that has not got SIGTERM yet; afterwards they only delay the killing.
//! 3. After SIGTERM the command has until the limits pass, but at most the stop timeout or the time given with the request.
//!
//! Not here: processes and signals (`guardian.rs`, `descendants.rs`).

use crate::cluster::lease::holder::Limits;
use crate::cluster::time::Moment;
use crate::guard::messages::Ending;
use std::time::Duration;

/// An action on the command and its process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopAction {
    /// Send SIGTERM.
    Terminate,
    /// Send SIGKILL, also to all descendants.
    Kill,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub(super) struct StopSchedule {
    limits: Limits,
    stop_timeout: Duration,
    asked_at: Option<Moment>,
    stop_deadline: Option<Moment>,
    killing: bool,
    ended: Option<(Ending, bool)>,
}

impl StopSchedule {
    /// For a command that starts with these limits. `stop_timeout`: how long it may take to stop after SIGTERM.
    pub(super) fn new(limits: Limits, stop_timeout: Duration) -> Self {
        Self { limits, stop_timeout, asked_at: None, stop_deadline: None, killing: false, ended: None }
    }

    /// Sets new limits.
    pub(super) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The owner asks to stop the command within this time.
    pub(super) fn stop(&mut self, now: Moment, within: Duration) -> Option<StopAction> {
        let until = now + within;
        self.stop_deadline = Some(self.stop_deadline.map_or(until, |earlier| earlier.min(until)));
        self.ask(now)
    }

    /// The owner asks to kill the command.
    pub(super) fn kill(&mut self) -> Option<StopAction> {
        self.killing = true;
        Some(StopAction::Kill)
    }

    /// The owner is gone: its last limits remain in force.
    pub(super) fn owner_gone(&mut self, now: Moment) -> Option<StopAction> {
        self.ask(now)
    }

    /// The command itself has ended; its descendants get SIGTERM next.
    pub(super) fn ended(&mut self, how: Ending) {
        if self.ended.is_none() {
            self.ended = Some((how, self.asked_at.is_some() || self.killing));
        }
    }

    /// How the command ended, and whether it was asked to stop before.
    pub(super) fn ending(&self) -> Option<(Ending, bool)> {
        self.ended
    }

    /// Whether the command was asked to stop, was killed, or has ended.
    pub(super) fn is_ending(&self) -> bool {
        self.asked_at.is_some() || self.killing || self.ended.is_some()
    }

    fn ask(&mut self, now: Moment) -> Option<StopAction> {
        let first = self.asked_at.is_none();
        self.asked_at = self.asked_at.or(Some(now));
        (first && !self.killing).then_some(StopAction::Terminate)
    }

    fn kill_at(&self) -> Moment {
        let deadline = self.asked_at.map(|at| at + self.stop_timeout);
        [deadline, self.stop_deadline].into_iter().flatten().fold(self.limits.kill_at, Moment::min)
    }

    /// The action that is due now.
    pub(super) fn due(&mut self, now: Moment) -> Option<StopAction> {
        if self.killing || now >= self.kill_at() {
            return self.kill();
        }
        if self.ended.is_some() || now >= self.limits.terminate_at {
            return self.ask(now);
        }
        None
    }

    /// When the next action may be due.
    pub(super) fn wake_at(&self) -> Moment {
        if self.asked_at.is_some() { self.kill_at() } else { self.limits.terminate_at.min(self.kill_at()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP_GRACE: Duration = Duration::from_secs(10);

    fn at(ms: u64) -> Moment {
        Moment(Duration::from_millis(ms))
    }

    fn limits(terminate: u64, kill: u64) -> Limits {
        Limits { terminate_at: at(terminate), kill_at: at(kill) }
    }

    #[test]
    fn a_command_whose_limits_pass_is_asked_once_and_then_killed_until_it_is_gone() {
        let mut schedule = StopSchedule::new(limits(500, 800), STOP_GRACE);
        assert_eq!(schedule.due(at(499)), None);
        assert_eq!(schedule.wake_at(), at(500));
        assert_eq!(schedule.due(at(500)), Some(StopAction::Terminate));
        assert_eq!((schedule.due(at(799)), schedule.wake_at()), (None, at(800)));
        assert_eq!(schedule.due(at(800)), Some(StopAction::Kill));
        assert_eq!(schedule.due(at(801)), Some(StopAction::Kill));
        schedule.ended(Ending::Signalled(9));
        assert_eq!(schedule.ending(), Some((Ending::Signalled(9), true)));
        assert_eq!(schedule.due(at(802)), Some(StopAction::Kill), "its descendants");
    }

    #[test]
    fn new_limits_keep_it_alive_and_delay_only_the_killing_once_it_was_asked() {
        let mut schedule = StopSchedule::new(limits(500, 800), STOP_GRACE);
        schedule.limit(limits(900, 1200));
        assert_eq!(schedule.due(at(899)), None);
        assert_eq!(schedule.due(at(900)), Some(StopAction::Terminate));
        schedule.limit(limits(50_000, 60_000));
        assert_eq!((schedule.due(at(1200)), schedule.wake_at()), (None, at(10_900)));
        assert_eq!(schedule.due(at(10_900)), Some(StopAction::Kill), "its patience is over");
    }

    #[test]
    fn an_owner_that_dies_ends_the_command_at_once_and_kills_it_at_the_limit() {
        let mut schedule = StopSchedule::new(limits(500, 800), STOP_GRACE);
        assert_eq!(schedule.owner_gone(at(100)), Some(StopAction::Terminate));
        assert_eq!(schedule.due(at(500)), None, "it was asked already");
        assert_eq!(schedule.due(at(800)), Some(StopAction::Kill));
    }

    #[test]
    fn a_stop_has_its_own_time_but_never_more_than_the_limits() {
        let mut schedule = StopSchedule::new(limits(500, 800), STOP_GRACE);
        assert_eq!(schedule.stop(at(0), Duration::from_millis(200)), Some(StopAction::Terminate));
        assert_eq!(schedule.stop(at(10), Duration::from_secs(5)), None);
        assert_eq!(schedule.due(at(200)), Some(StopAction::Kill));
        let mut schedule = StopSchedule::new(limits(500, 800), STOP_GRACE);
        schedule.stop(at(0), Duration::from_secs(60));
        assert_eq!(schedule.due(at(800)), Some(StopAction::Kill));
    }

    #[test]
    fn what_a_command_leaves_behind_is_asked_and_killed_too() {
        let mut schedule = StopSchedule::new(limits(50_000, 80_000), STOP_GRACE);
        schedule.ended(Ending::Exited(0));
        assert_eq!(schedule.due(at(7)), Some(StopAction::Terminate));
        assert_eq!(schedule.ending(), Some((Ending::Exited(0), false)), "it ended by itself");
        assert_eq!(schedule.due(at(8)), None);
        assert_eq!(schedule.due(at(10_007)), Some(StopAction::Kill));
    }
}
