//! E1 and E2 over what nodes said of their role.

use super::Case;
use std::collections::BTreeMap;
use testkit::checker::{Sample, one_leader};

/// What is wrong.
pub fn judge(case: &Case<'_>) -> Vec<String> {
    let samples = case.history.samples();
    let problems = if case.plan.exclusive() { one_leader(&samples) } else { one_life_each(&samples) };
    problems.into_iter().map(|problem| format!("E1: {problem}")).collect()
}

/// E2: a term is led by one life.
pub fn one_life_each(samples: &[Sample]) -> Vec<String> {
    let mut holders: BTreeMap<u64, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for sample in samples.iter().filter(|sample| sample.leads) {
        let holder = *holders.entry(sample.term).or_insert(&sample.node);
        if holder != sample.node {
            problems.push(format!("E2: term {} is led by {holder} and by {}", sample.term, sample.node));
        }
    }
    problems.dedup();
    problems
}
