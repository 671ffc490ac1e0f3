//! Guardians of commands, and what happens to wrappers: the part that goes on when a wrapper is stopped or killed.
//!
//! 1. A command ends by itself, when it is asked to, or at the last moment that its limits allow.
//!
//! Not here: the wrapper itself (`wrapper.rs`).

use crate::clock::{MS, SECOND, Time};
use crate::network::{Job, News};
use crate::world::{Due, World};
use crate::wrapper::WRAPPERS;
use clawster::cluster::lease::holder::Input;

impl World {
    /// The guardian looks at the limits, again and again.
    pub(crate) fn guard(&mut self, at: usize, number: u64) {
        let clock = self.hosts[self.wrappers[at].host].clock;
        let now = clock.read(self.now);
        let Some(command) = self.wrappers[at].command.as_mut().filter(|command| command.number == number) else {
            return;
        };
        if self.wrong.guardians_sleep {
            return;
        }
        if now >= command.limits.kill_at {
            return self.command_ends(at, number, true);
        }
        let asks = !command.asked && now >= command.limits.terminate_at;
        command.asked |= asks;
        let next = if command.asked { command.limits.kill_at } else { command.limits.terminate_at };
        self.later(clock.when(next).max(self.now + 1), Due::Guard(at, number));
        if asks {
            self.coverage.see("run --lease: the guardian asks the command to end");
            if self.rng.chance(400) {
                self.later(self.now + self.rng.clone().range(0, 200 * MS), Due::CommandEnds(at, number, true));
            }
            let news = News::Hold(Box::new(Input::Terminating));
            self.later(self.now + 1, Due::Deliver(WRAPPERS + at, None, news));
        }
    }

    pub(crate) fn command_ends(&mut self, at: usize, number: u64, asked: bool) {
        let ends = self.wrappers[at].command.take_if(|command| command.number == number);
        let Some(command) = ends else { return };
        self.note(|| format!("== w{at} its command under {} is gone", command.token));
        let news = News::Hold(Box::new(Input::Ended { code: 0, asked: asked || command.asked }));
        self.later(self.now + 1, Due::Deliver(WRAPPERS + at, None, news));
    }

    /// The wrapper ended, or was killed; with its whole host, its command is gone, too.
    pub(crate) fn wrapper_is_over(&mut self, at: usize, with_host: bool) {
        let wrapper = &mut self.wrappers[at];
        wrapper.alive = false;
        wrapper.waiting.clear();
        if with_host {
            wrapper.command = None;
        }
        for conn in [wrapper.calls.take(), wrapper.presence.take()].into_iter().flatten() {
            self.conns[conn].client_open = false;
            if !with_host {
                self.send_up(conn, Job::Close);
            }
        }
        let (host, name) = (self.wrappers[at].host, self.wrappers[at].name.clone());
        let pause = self.rng.range(0, 3 * SECOND);
        self.later(self.now + pause, Due::StartWrapper(host, name));
    }

    pub(crate) fn resume_wrapper(&mut self, at: usize) {
        let now = self.now;
        if !self.wrappers[at].alive || self.wrappers[at].paused_until > now {
            return;
        }
        for (conn, news) in std::mem::take(&mut self.wrappers[at].waiting) {
            self.later(now, Due::Deliver(WRAPPERS + at, conn, news));
        }
    }

    pub(crate) fn stop_wrapper(&mut self, at: usize, length: Time) {
        let until = self.now + length;
        self.note(|| format!("!! w{at} stopped for {} ms", length / MS));
        self.wrappers[at].paused_until = until;
        self.later(until, Due::ResumeWrapper(at));
    }

    /// Something happens to a wrapper.
    pub(crate) fn fault_of_a_wrapper(&mut self, length: Time) {
        let alive: Vec<usize> = (0..self.wrappers.len()).filter(|at| self.wrappers[*at].alive).collect();
        if alive.is_empty() {
            return;
        }
        let holding: Vec<usize> = alive.iter().copied().filter(|at| self.wrappers[*at].command.is_some()).collect();
        let from = if holding.is_empty() || self.rng.chance(300) { alive } else { holding };
        let at = from[self.rng.below(from.len())];
        let until = self.now + length;
        match self.rng.below(5) {
            0 => {
                self.coverage.see("fault: wrapper killed");
                self.note(|| format!("!! w{at} killed"));
                self.wrapper_is_over(at, false);
            }
            1 => {
                self.coverage.see("fault: wrapper's host dies");
                self.note(|| format!("!! w{at} dies with its host"));
                self.wrapper_is_over(at, true);
            }
            2 => {
                self.coverage.see("fault: wrapper stopped");
                self.stop_wrapper(at, length);
            }
            3 => {
                self.coverage.see("fault: wrapper's connections in a black hole");
                self.note(|| format!("!! w{at} black hole for {} ms", length / MS));
                self.wrappers[at].hole_until = until;
                for conn in [self.wrappers[at].calls, self.wrappers[at].presence].into_iter().flatten() {
                    self.conns[conn].hole_until = until;
                }
            }
            _ => {
                if let Some(conn) = self.wrappers[at].presence {
                    self.coverage.see("fault: wrapper's presence cut");
                    self.cut(conn);
                }
            }
        }
    }
}
