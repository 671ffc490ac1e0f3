//! Histories that the checkers must refuse, and good ones that they must not.

use crate::checker::{Problems, Sample, Taken, Traffic, one_leader, rising_terms, same_events};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn sample(node: &str, sent: u64, answered: u64, term: u64) -> Sample {
    let (sent, answered) = (Duration::from_millis(sent), Duration::from_millis(answered));
    Sample { node: node.to_owned(), sent, answered, leads: true, term }
}

fn found(problems: &Problems, word: &str) -> bool {
    problems.iter().any(|problem| problem.contains(word))
}

#[test]
fn a_clean_handover_passes() {
    let follower = Sample { leads: false, ..sample("a", 40, 41, 2) };
    let history = [sample("a", 0, 1, 1), sample("a", 10, 12, 1), sample("b", 20, 22, 2), follower];
    assert_eq!(one_leader(&history), Problems::new());
}

#[test]
fn answers_that_only_overlap_in_time_prove_nothing() {
    assert_eq!(one_leader(&[sample("a", 0, 100, 1), sample("b", 50, 60, 2)]), Problems::new());
}

#[test]
fn an_old_leader_that_still_leads_after_the_new_one_is_caught() {
    assert!(found(&one_leader(&[sample("b", 50, 60, 2), sample("a", 61, 62, 1)]), "leads term 1"));
    // Also when a far newer term lies between, and in whatever order the samples were collected.
    assert!(found(
        &one_leader(&[sample("a", 61, 62, 1), sample("c", 70, 71, 9), sample("b", 50, 60, 2)]),
        "leads term 1"
    ));
}

#[test]
fn two_leaders_of_one_term_are_caught() {
    assert!(found(&one_leader(&[sample("a", 0, 1, 7), sample("b", 500, 501, 7)]), "term 7"));
}

fn elected(seq: u64, term: u64) -> Value {
    json!({"seq": seq, "event": "cluster.leader_elected", "term": term})
}

#[test]
fn terms_that_repeat_or_fall_are_caught() {
    assert_eq!(rising_terms(&[elected(1, 3), elected(2, 9)]), Problems::new());
    assert!(!rising_terms(&[elected(1, 3), elected(2, 3)]).is_empty());
    assert!(!rising_terms(&[elected(1, 3), elected(2, 2)]).is_empty());
}

fn seen(a: Vec<Value>, b: Vec<Value>) -> BTreeMap<String, Vec<Value>> {
    BTreeMap::from([("a".to_owned(), a), ("b".to_owned(), b)])
}

#[test]
fn events_with_a_hole_or_a_difference_are_caught() {
    let good = vec![elected(1, 1), elected(2, 2), elected(3, 3)];
    assert_eq!(same_events(&seen(good.clone(), good[1..].to_vec())), Problems::new());
    assert!(found(&same_events(&seen(good.clone(), vec![elected(1, 1), elected(3, 3)])), "was due"));
    assert!(found(&same_events(&seen(good.clone(), vec![elected(2, 2), elected(1, 1)])), "was due"));
    assert!(found(&same_events(&seen(good, vec![elected(1, 1), elected(2, 5)])), "seq 2"));
}

#[test]
fn a_gap_covers_the_events_it_names_and_no_others() {
    let gap = |from: u64, to: u64| json!({"seq": null, "event": "cluster.gap", "from_seq": from, "to_seq": to});
    let all = (1..=5).map(|seq| elected(seq, seq)).collect::<Vec<_>>();
    let with = |gap| vec![elected(1, 1), gap, elected(5, 5)];
    assert_eq!(same_events(&seen(all.clone(), with(gap(2, 4)))), Problems::new());
    assert!(!same_events(&seen(all.clone(), with(gap(2, 3)))).is_empty());
    assert!(!same_events(&seen(all, with(gap(3, 4)))).is_empty());
}

fn taken(seq: u64, from: &str, id: &str) -> Taken {
    Taken { seq, id: id.to_owned(), from: from.to_owned() }
}

/// a sends a1 and a2, b sends b1, c only listens.
fn traffic() -> Traffic {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let (a1, b1, a2) = (taken(1, "a", "a1"), taken(2, "b", "b1"), taken(3, "a", "a2"));
    Traffic {
        sent: BTreeMap::from([("a".to_owned(), ids(&["a1", "a2"])), ("b".to_owned(), ids(&["b1"]))]),
        taken: BTreeMap::from([
            ("a".to_owned(), vec![b1.clone()]),
            ("b".to_owned(), vec![a1.clone(), a2.clone()]),
            ("c".to_owned(), vec![a1, b1, a2]),
        ]),
        gaps: BTreeMap::new(),
    }
}

fn spoiled(spoil: impl FnOnce(&mut Traffic)) -> Problems {
    let mut traffic = traffic();
    spoil(&mut traffic);
    traffic.problems()
}

#[test]
fn good_traffic_passes() {
    assert_eq!(traffic().problems(), Problems::new());
}

#[test]
fn a_lost_message_is_caught_unless_a_gap_covers_it() {
    let lose = |traffic: &mut Traffic| drop(traffic.taken.get_mut("c").unwrap().remove(1));
    assert!(found(&spoiled(lose), "S1: c never took b1"));
    let covered = |traffic: &mut Traffic, gap| {
        lose(traffic);
        traffic.gaps.insert("c".to_owned(), vec![gap]);
    };
    assert_eq!(spoiled(|traffic| covered(traffic, (2, 2))), Problems::new());
    assert!(found(&spoiled(|traffic| covered(traffic, (3, 9))), "S1: c never took b1"));
}

#[test]
fn a_message_taken_twice_is_caught() {
    assert!(found(&spoiled(|t| t.taken.get_mut("c").unwrap().push(taken(4, "a", "a1"))), "S2: c took"));
    assert!(found(&spoiled(|t| t.taken.get_mut("c").unwrap().push(taken(3, "a", "a2"))), "S2: c took"));
}

#[test]
fn an_own_message_is_caught() {
    assert!(found(
        &spoiled(|t| t.taken.get_mut("a").unwrap().insert(0, taken(1, "a", "a1"))),
        "S2: a was handed its own"
    ));
}

#[test]
fn another_order_is_caught() {
    assert!(found(&spoiled(|t| t.taken.get_mut("c").unwrap().swap(0, 1)), "S3: c took"));
    assert!(found(&spoiled(|t| t.taken.get_mut("b").unwrap()[0].id = "a2".to_owned()), "S3"));
    let swapped = |t: &mut Traffic| t.sent.get_mut("a").unwrap().swap(0, 1);
    assert!(found(&spoiled(swapped), "not in the order"));
}

#[test]
fn a_message_that_nobody_sent_is_caught() {
    assert!(found(&spoiled(|t| t.taken.get_mut("c").unwrap().push(taken(4, "b", "b9"))), "which never sent it"));
}
