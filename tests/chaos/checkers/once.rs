//! `run_once`: a key is granted to one caller, as long as the data is kept. Its time is longer than any run.

use super::{Case, era};
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let losses = case.history.losses(case.settle);
    let mut granted: BTreeMap<(usize, String), BTreeSet<usize>> = BTreeMap::new();
    for op in case.history.once().iter().filter(|op| op.granted == Some(true)) {
        if let Some(era) = era(&losses, op.sent, op.answered) {
            granted.entry((era, op.key.clone())).or_default().insert(op.place);
        }
    }
    let twice = granted.iter().filter(|(_, places)| places.len() > 1);
    twice.map(|((_, key), places)| format!("run_once: {key} was granted to the nodes {places:?}")).collect()
}
