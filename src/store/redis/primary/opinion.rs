//! What sentinels and cluster nodes say about the primary, and whom to believe first.

use super::HostPort;

/// What one server says about the primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opinion {
    pub(super) primary: HostPort,
    /// Rises with each promotion, where the servers count them.
    pub(super) epoch: u64,
}

/// The different answers: the highest epoch first, then the one that most give.
pub(super) fn by_weight(answers: Vec<Opinion>) -> Vec<Opinion> {
    let mut different: Vec<(Opinion, usize)> = Vec::new();
    for answer in answers {
        match different.iter_mut().find(|(known, _)| known.primary == answer.primary) {
            Some((known, votes)) => {
                known.epoch = known.epoch.max(answer.epoch);
                *votes += 1;
            }
            None => different.push((answer, 1)),
        }
    }
    different.sort_by_key(|(answer, votes)| std::cmp::Reverse((answer.epoch, *votes)));
    different.into_iter().map(|(answer, _)| answer).collect()
}
