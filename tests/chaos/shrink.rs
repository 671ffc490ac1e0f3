//! Shorter schedules for a failure.
//!
//! 1. The number of runs is bounded; what is returned failed at least once.
//!
//! Not here: the runs (`run.rs`).

use crate::faults::Fault;
use crate::plan::Plan;
use crate::run::{Make, run};

/// Tries a failing plan without parts of its faults, halves first, as long as there are runs left. A run that passes may do so
/// by chance, so each part is tried twice before it is kept.
pub fn shrink(plan: &Plan, make: &Make, most_runs: usize) -> Plan {
    let mut best = plan.clone();
    let mut runs = 0;
    let mut size = best.faults.len().div_ceil(2);
    while size >= 1 && runs < most_runs && best.faults.len() > 1 {
        let mut smaller = None;
        for start in (0..best.faults.len()).step_by(size) {
            let mut rest: Vec<Fault> = best.faults.clone();
            rest.drain(start..(start + size).min(best.faults.len()));
            if rest.is_empty() {
                continue;
            }
            close_up(&mut rest);
            let candidate = Plan { faults: rest, ..best.clone() };
            let fails = (0..2).any(|_| {
                runs += 1;
                runs <= most_runs && !run(&candidate, make).problems.is_empty()
            });
            if fails {
                smaller = Some(candidate);
                break;
            }
            if runs >= most_runs {
                break;
            }
        }
        match smaller {
            Some(found) => {
                println!("  shrunk to {} faults", found.faults.len());
                size = size.min(found.faults.len().div_ceil(2));
                best = found;
            }
            None if size == 1 => break,
            None => size = size.div_ceil(2),
        }
    }
    best
}

/// No more than 3 s between two faults that follow each other.
fn close_up(faults: &mut [Fault]) {
    let (mut earlier, mut saved) = (0, 0);
    for fault in faults {
        let gap = fault.at - earlier;
        earlier = fault.at + fault.lasts;
        earlier = earlier.max(fault.at);
        saved += gap.saturating_sub(3_000).min(fault.at - saved);
        fault.at -= saved;
    }
}
