//! What holds for every story, also for one that no cluster could have lived through.
//!
//! Not here: what a report says of stories that make sense (`mod.rs`).

use super::*;
use proptest::prelude::*;

fn reason() -> impl Strategy<Value = LeftReason> {
    prop::sample::select(vec![
        LeftReason::Left,
        LeftReason::HeartbeatTimeout,
        LeftReason::ProcessDied,
        LeftReason::Replaced,
    ])
}

fn fact() -> impl Strategy<Value = ClusterFact> {
    let incarnation = (1_u64..5).prop_map(Incarnation);
    let joined = incarnation.clone().prop_map(|incarnation| ClusterFact::NodeJoined {
        name: String::new(),
        incarnation,
        rejoined: false,
    });
    let left = (incarnation, reason()).prop_map(|(incarnation, reason)| ClusterFact::NodeLeft { incarnation, reason });
    let node = prop::sample::select(vec!["a", "b", "c"]).prop_map(id);
    let elected = (node.clone(), 1_u64..9, prop::option::of(node.clone())).prop_map(|(leader_id, term, before)| {
        let (term, previous_leader_id) = (Term(term), before);
        ClusterFact::LeaderElected { leader_id, term, previous_leader_id, reason: ElectedReason::Expired }
    });
    let lost = (node, 1_u64..9).prop_map(|(leader_id, term)| ClusterFact::LeaderLost {
        leader_id,
        term: Term(term),
        reason: LostReason::Resigned,
    });
    prop_oneof![joined, left, elected, lost]
}

prop_compose! {
    fn stories()(
        facts in prop::collection::vec((0_u64..3_000, 1_u64..4, prop::sample::select(vec!["a", "b", "c"]), fact()), 0..30),
        beats in prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), 1_u64..5, 0_u64..3_000, 0_u64..300, 0_u64..9), 0..8),
        rows in prop::option::of(prop::collection::vec((0_usize..3, 1_u64..5, 0_usize..4, 0_u64..3_000, 0_u64..3_000), 0..3)),
    ) -> Story {
        let mut story = Story::default();
        let mut seq = 0;
        for (second, step, node, fact) in facts {
            story = story.event(second, node, fact);
            seq += step;
            if let Some(event) = story.events.last_mut() {
                event.seq = EventSeq(seq);
            }
        }
        for (node, instance, from, length, term) in beats {
            story = story.beats(node, instance, from..=from + length, term);
        }
        for (node, instance, status, joined, seen) in rows.into_iter().flatten() {
            let status = [StoredStatus::Online, StoredStatus::Draining, StoredStatus::Offline, StoredStatus::Left][status];
            let name = ["a", "b", "c"][node];
            if story.members.iter().flatten().all(|row| row.node_id != id(name)) {
                story = story.member(name, instance, status, joined, seen);
            }
        }
        story
    }
}

proptest! {
    #[test]
    fn spans_lie_in_the_window_in_order_and_fill_it_from_the_first_one(story in stories(), from in 0_u64..2_000, length in 1_u64..2_000) {
        let report = story.report(from, from + length);
        let inside = |a: ServerTime, b: ServerTime| at(from) <= a && a <= b && b <= at(from + length);
        for node in &report.nodes {
            let mut spans: Vec<_> = node.online.iter().map(|stay| (stay.from, stay.to)).collect();
            spans.extend(node.away.iter().map(|absence| (absence.from, absence.to)));
            spans.sort_unstable();
            prop_assert!(spans.iter().all(|(a, b)| inside(*a, *b)), "{node:?}");
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 == pair[1].0 ), "neither holes nor overlaps: {node:?}");
            let share = node.availability();
            prop_assert!(share.is_none_or(|share| (0.0..=1.0).contains(&share)));
            prop_assert!(node.online_for() + node.down_for() <= report.window.length());
            prop_assert!(node.gaps.iter().all(|gap| inside(gap.from, gap.to) && gap.missed > 0));
            prop_assert!(node.away.iter().all(|absence| !absence.flap || absence.is_down()));
        }
        prop_assert!(report.nodes.windows(2).all(|pair| pair[0].node_id < pair[1].node_id));
        prop_assert!(report.reigns.iter().all(|reign| inside(reign.from, reign.until)));
        prop_assert!(report.reigns.windows(2).all(|pair| pair[0].until <= pair[1].from), "{:?}", report.reigns);
        prop_assert!(report.failovers.iter().all(|change| inside(change.at, change.at)));
        let leads = report.reigns.iter().filter(|reign| reign.end == ReignEnd::Leads).count();
        prop_assert!(leads <= 1 && (leads == 0 || report.reigns.last().is_some_and(|last| last.end == ReignEnd::Leads)));
    }

    #[test]
    fn the_order_of_the_evidence_does_not_matter(story in stories(), seed in any::<prop::sample::Index>()) {
        let mut turned = story.clone();
        if !turned.events.is_empty() {
            let by = seed.index(turned.events.len());
            turned.events.rotate_left(by);
        }
        turned.members.iter_mut().for_each(|rows| rows.reverse());
        prop_assert_eq!(story.report(500, 2_500), turned.report(500, 2_500));
    }
}
