//! A small linearizability check of one lease, after Wing and Gong with Lowe's memory of visited states.
//!
//! The register holds the token that stands, if one does, and the highest that was granted. A grant needs that none stands and
//! rises above all before; renewals, checks and releases that succeeded need their token to stand; refusals need it not to.
//! A token may stop standing by itself from a time on that the caller knows. A call without an answer may count at any time after
//! it was written, or never. The check asks whether some order of the calls fits both their times and the register.
//!
//! 1. Every history that one register could have made passes.
//! 2. The work is bounded: a history that would need more passes, and says so.

use crate::history::{LeaseAnswer, LeaseAsk, LeaseOp};
use std::collections::HashSet;
use testkit::Stamp;

/// Steps after which a history counts as too long to judge.
const MOST_STEPS: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Register {
    /// The token that stands, or 0.
    stands: u64,
    top: u64,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Grant(u64),
    Holds(u64),
    Stale(u64),
    Ends(u64),
    Gone(u64),
}

#[derive(Debug, Clone)]
struct Call {
    act: Act,
    from: Stamp,
    until: Stamp,
    /// Whether it may never have happened.
    perhaps: bool,
    text: String,
}

impl Act {
    fn apply(self, register: Register) -> Option<Register> {
        match self {
            Act::Grant(token) => {
                (register.stands == 0 && token > register.top).then_some(Register { stands: token, top: token })
            }
            Act::Holds(token) => (register.stands == token).then_some(register),
            Act::Stale(token) => (register.stands != token).then_some(register),
            Act::Ends(token) => (register.stands == token).then_some(Register { stands: 0, ..register }),
            // A release that is repeated may find its work done.
            Act::Gone(token) if register.stands == token => Some(Register { stands: 0, ..register }),
            Act::Gone(_) => Some(register),
        }
    }
}

/// Judges the calls of one lease. `ends` says when a grant may end by itself, at the earliest.
pub fn check(ops: &[LeaseOp], ends: impl Fn(&LeaseOp) -> Stamp) -> Result<(), String> {
    let mut calls = Vec::new();
    let mut granted = HashSet::new();
    for op in ops {
        let text = format!("n{} {:?} -> {:?} in {:?}..{:?}", op.place, op.ask, op.answer, op.sent, op.answered);
        let call = |act, perhaps| Call {
            act,
            from: op.sent,
            until: if perhaps { Stamp::MAX } else { op.answered },
            perhaps,
            text: text.clone(),
        };
        match (op.ask, op.answer) {
            (LeaseAsk::Acquire { .. }, LeaseAnswer::Granted(token)) if granted.insert(token) => {
                calls.push(call(Act::Grant(token), false));
                calls.push(Call {
                    act: Act::Ends(token),
                    from: ends(op),
                    until: Stamp::MAX,
                    perhaps: true,
                    text: format!("{token} ends by itself"),
                });
            }
            (LeaseAsk::Renew { token, .. } | LeaseAsk::Check { token }, LeaseAnswer::Yes) => {
                calls.push(call(Act::Holds(token), false))
            }
            (LeaseAsk::Renew { token, .. } | LeaseAsk::Check { token }, LeaseAnswer::No) => {
                calls.push(call(Act::Stale(token), false))
            }
            (LeaseAsk::Release { token }, LeaseAnswer::Yes) => calls.push(call(Act::Gone(token), false)),
            (LeaseAsk::Release { token }, LeaseAnswer::Unknown) => calls.push(call(Act::Ends(token), true)),
            _ => {}
        }
    }
    // Tokens of grants whose answer was lost are nobody's; what was asked about them is left out with them.
    calls.retain(|call| match call.act {
        Act::Grant(token) | Act::Holds(token) | Act::Stale(token) | Act::Ends(token) | Act::Gone(token) => {
            granted.contains(&token)
        }
    });
    calls.sort_by_key(|call| call.from);
    search(&calls)
}

fn search(calls: &[Call]) -> Result<(), String> {
    let mut done = vec![false; calls.len()];
    let mut register = Register { stands: 0, top: 0 };
    let mut visited: HashSet<(Vec<bool>, Register)> = HashSet::new();
    let mut trail: Vec<(usize, Register)> = Vec::new();
    let (mut next, mut steps, mut furthest) = (0, 0, (0, String::new()));
    loop {
        let left = |done: &[bool]| {
            calls.iter().zip(done).filter(|(call, done)| !**done && !call.perhaps).map(|(call, _)| call.until).min()
        };
        let Some(bound) = left(&done) else { return Ok(()) };
        steps += 1;
        if steps > MOST_STEPS {
            println!("note: a lease's history of {} calls is too long to judge", calls.len());
            return Ok(());
        }
        let mut moved = false;
        for at in next..calls.len() {
            // What began after the first open call ended cannot come before it.
            if calls[at].from > bound {
                break;
            }
            let Some(after) = calls[at].act.apply(register).filter(|_| !done[at]) else { continue };
            done[at] = true;
            if !visited.insert((done.clone(), after)) {
                done[at] = false;
                continue;
            }
            trail.push((at, register));
            register = after;
            moved = true;
            break;
        }
        if moved {
            next = 0;
            if trail.len() > furthest.0 {
                let stuck = calls
                    .iter()
                    .zip(&done)
                    .filter(|(call, done)| !**done && !call.perhaps)
                    .min_by_key(|(call, _)| call.until);
                furthest =
                    (trail.len(), format!("{register:?}, next due: {}", stuck.map_or("", |(call, _)| &call.text)));
            }
            continue;
        }
        let Some((at, before)) = trail.pop() else {
            return Err(format!("no order of the {} calls fits; the furthest got to {}", calls.len(), furthest.1));
        };
        done[at] = false;
        register = before;
        next = at + 1;
    }
}
