//! A sorted set of nodes, leases or tasks: each has one score, and they are read by it.
//!
//! 1. Those of one score come in the order of their names, as in Redis.
//!
//! Not here: what the scores mean (`data.rs`).

use clawster::cluster::ids::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Nodes, or what has a name of another type, by score.
#[derive(Debug, Clone)]
pub(super) struct Sorted<T = NodeId> {
    scores: BTreeMap<T, i64>,
    order: BTreeSet<(i64, T)>,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self { scores: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<T: Clone + Ord> Sorted<T> {
    pub(super) fn set(&mut self, id: &T, score: i64) {
        self.remove(id);
        self.scores.insert(id.clone(), score);
        self.order.insert((score, id.clone()));
    }

    pub(super) fn remove(&mut self, id: &T) {
        if let Some(score) = self.scores.remove(id) {
            self.order.remove(&(score, id.clone()));
        }
    }

    pub(super) fn score(&self, id: &T) -> Option<i64> {
        self.scores.get(id).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.scores.len()
    }

    /// All of them, lowest score first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&T, i64)> {
        self.order.iter().map(|(score, id)| (id, *score))
    }

    pub(super) fn first(&self) -> Option<(T, i64)> {
        self.order.first().map(|(score, id)| (id.clone(), *score))
    }

    /// At most `limit` of them whose score lies below `bound`, lowest first.
    pub(super) fn below(&self, bound: i64, limit: usize) -> Vec<T> {
        self.order.iter().take_while(|(score, _)| *score < bound).take(limit).map(|(_, id)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> NodeId {
        NodeId::new(text).unwrap()
    }

    #[test]
    fn nodes_come_by_score_then_by_id_and_have_one_score() {
        let mut set: Sorted = Sorted::default();
        for (name, score) in [("b", 2), ("c", 1), ("a", 2), ("c", 3)] {
            set.set(&id(name), score);
        }
        let all: Vec<(String, i64)> = set.iter().map(|(id, score)| (id.to_string(), score)).collect();
        assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 2), ("c".to_owned(), 3)]);
        assert_eq!(set.below(3, 8), [id("a"), id("b")]);
        set.remove(&id("a"));
        assert_eq!((set.first(), set.len()), (Some((id("b"), 2)), 2));
    }
}
