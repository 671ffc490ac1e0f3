//! The steps of the comparison of both stores, and how often each comes.
//!
//! 1. A step names nodes and what they remember, not numbers.
//!
//! Not here: which call a step is on a store (`differential.rs`).

use crate::lease_steps::{LeaseStep, lease_step};
use crate::task_steps::{TaskStep, task_step};
use proptest::prelude::*;

pub const NODES: usize = 4;

#[derive(Debug, Clone)]
pub enum Step {
    Join { node: usize, other_process: bool, force: bool, dead: bool, own: bool, one_shot: bool, keeps: bool },
    Rename { node: usize, from: usize },
    TakeOver { node: usize },
    Tick { node: usize, renew: bool, leads: bool, acknowledge: bool, knows: bool, viewed: bool },
    Leave { node: usize },
    Resign { node: usize, other_term: bool },
    HandOver { node: usize },
    Campaign { node: usize, rule: u8, knows: bool, other_term: bool, other_nonce: bool },
    Register { node: usize, term: bool },
    Sweep { node: usize },
    Publish { node: usize, counts: Vec<u64>, again: bool, keep: u64 },
    Acknowledge { node: usize, back: u64, other_epoch: bool },
    Subscribe { node: usize, leader: bool },
    HangUp { node: usize },
    Advance { seconds: u64 },
    Flush,
    Restart { keep: bool },
    Copy,
    RestartOnCopy,
    Task(TaskStep),
    Lease { node: usize, step: LeaseStep },
}

pub fn step() -> impl Strategy<Value = Step> {
    let node = || 0..NODES;
    let rarely = || prop::bool::weighted(0.15);
    let often = || prop::bool::weighted(0.8);
    prop_oneof![
        12 => (node(), rarely(), rarely(), any::<bool>(), rarely(), rarely(), any::<bool>()).prop_map(
            |(node, other_process, force, dead, own, one_shot, keeps)| Step::Join {
                node, other_process, force, dead, own, one_shot, keeps
            }
        ),
        2 => (node(), node()).prop_map(|(node, from)| Step::Rename { node, from }),
        1 => node().prop_map(|node| Step::TakeOver { node }),
        16 => (node(), often(), any::<bool>(), any::<bool>(), any::<bool>(), often()).prop_map(
            |(node, renew, leads, acknowledge, knows, viewed)| Step::Tick { node, renew, leads, acknowledge, knows, viewed }
        ),
        2 => node().prop_map(|node| Step::Leave { node }),
        4 => (node(), rarely()).prop_map(|(node, other_term)| Step::Resign { node, other_term }),
        4 => node().prop_map(|node| Step::HandOver { node }),
        14 => (node(), 0..7u8, rarely(), rarely(), rarely()).prop_map(|(node, rule, knows, other_term, other_nonce)| {
            Step::Campaign { node, rule, knows, other_term, other_nonce }
        }),
        8 => (node(), often()).prop_map(|(node, term)| Step::Register { node, term }),
        5 => node().prop_map(|node| Step::Sweep { node }),
        8 => (node(), prop::collection::vec(0..4u64, 0..4), rarely(), 1..6u64).prop_map(|(node, counts, again, keep)| {
            Step::Publish { node, counts, again, keep }
        }),
        4 => (node(), 0..6u64, rarely()).prop_map(|(node, back, other_epoch)| Step::Acknowledge { node, back, other_epoch }),
        8 => (node(), any::<bool>()).prop_map(|(node, leader)| Step::Subscribe { node, leader }),
        4 => node().prop_map(|node| Step::HangUp { node }),
        10 => prop::sample::select(vec![4u64, 8, 22]).prop_map(|seconds| Step::Advance { seconds }),
        2 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|keep| Step::Restart { keep }),
        1 => Just(Step::Copy),
        1 => Just(Step::RestartOnCopy),
        24 => task_step().prop_map(Step::Task),
        40 => lease_step().prop_map(|(node, step)| Step::Lease { node, step }),
    ]
}
