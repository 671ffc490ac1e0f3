//! The model: order, filter, selection, pause.

use super::*;
use crate::cli::tui::screen::samples::{at, elected, node, state};
use crate::cli::tui::top::keys::{KeyCommand, press};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

pub(crate) fn typed(model: &mut Model, text: &str) {
    for c in text.chars() {
        assert_eq!(press(model, key(KeyCode::Char(c))), None);
    }
}

/// A state with nodes as given.
pub(crate) fn seen(leader: &str, nodes: Vec<Value>) -> News {
    let mut state = state(leader, 7, 100_000, &[leader]);
    state.nodes = nodes.into_iter().map(|node| serde_json::from_value(node).expect("a node")).collect();
    state.cluster = "openclaw".to_owned();
    News::State(Box::new(state), None)
}

/// So many nodes, the second of which leads.
pub(crate) fn many(count: usize) -> Model {
    let mut model = Model::default();
    model.take(News::Source(Source::Node("node-001".to_owned())), at(0));
    let ids: Vec<String> = (1..=count).map(|number| format!("node-{number:03}")).collect();
    let leader = ids.get(1).unwrap_or(&ids[0]).clone();
    let seen_at = |place: usize| 100_000 - 10 * u64::try_from(place).expect("small");
    let nodes = ids.iter().enumerate().map(|(place, id)| node(id, *id == leader, seen_at(place))).collect();
    model.take(seen(&leader, nodes), at(1_000));
    model.fit(10, 5);
    model
}

#[test]
fn rows_are_sorted_by_each_column_both_ways_and_equal_ones_by_id() {
    let mut model = Model::default();
    let mut nodes = vec![node("c", false, 3_000), node("a", false, 2_000), node("b", true, 1_000)];
    nodes[0]["status"] = json!("offline");
    nodes[1]["version"] = json!("0.2.0");
    nodes[2]["joined_at_ms"] = json!(5);
    model.take(seen("b", nodes), at(0));
    model.take(
        News::Latencies(
            [("a".to_owned(), Duration::from_millis(9)), ("b".to_owned(), Duration::from_millis(3))].into(),
        ),
        at(0),
    );
    let mut order = |keys: &str| {
        typed(&mut model, keys);
        model.shown.concat()
    };
    assert_eq!(order("1"), "abc");
    assert_eq!(order("r"), "cba");
    assert_eq!(order("2"), "abc", "online before offline");
    assert_eq!(order("3"), "bac", "the leader first");
    assert_eq!(order("r"), "acb");
    assert_eq!(order("4"), "cab", "the youngest heartbeat first");
    assert_eq!(order("5"), "cba", "none, then by latency");
    assert_eq!(order("6"), "bac", "the youngest life first");
    assert_eq!(order("7"), "bca");
    assert_eq!(order("sS"), "bca", "to the next column and back");
    assert_eq!(order("8s"), "abc", "around to the first");
}

#[test]
fn the_filter_looks_at_everything_that_is_shown_and_esc_clears_it() {
    let mut model = Model::default();
    let mut nodes = vec![node("kitchen", false, 1), node("cellar", true, 1), node("attic", false, 1)];
    nodes[0]["capabilities"] = json!(["GPU", "web"]);
    nodes[1]["labels"] = json!({"zone": "eu"});
    nodes[2]["name"] = json!("Dachboden");
    model.take(seen("cellar", nodes), at(0));
    for (text, found) in
        [("gpu", "kitchen"), ("zone=eu", "cellar"), ("LEADER", "cellar"), ("dachb", "attic"), ("itch", "kitchen")]
    {
        typed(&mut model, "/");
        typed(&mut model, text);
        assert_eq!(model.shown, [found], "{text}");
        press(&mut model, key(KeyCode::Enter));
        assert_eq!((&model.mode, model.shown.len()), (&Mode::Look, 1), "Enter keeps it");
        press(&mut model, key(KeyCode::Esc));
        assert_eq!(model.shown.len(), 3);
    }
    typed(&mut model, "/qzx");
    assert_eq!((model.shown.len(), model.selected.clone()), (0, None));
    press(&mut model, key(KeyCode::Backspace));
    press(&mut model, key(KeyCode::Backspace));
    press(&mut model, key(KeyCode::Backspace));
    assert_eq!((model.mode.clone(), model.shown.len()), (Mode::Filter, 3));
    assert!(model.selected.is_some());
}

#[test]
fn the_selection_stays_with_its_node_when_rows_move() {
    let mut model = many(30);
    typed(&mut model, "jjjj");
    assert_eq!(model.selected.as_deref(), Some("node-005"));
    typed(&mut model, "r");
    assert_eq!((model.selected.as_deref(), model.place()), (Some("node-005"), Some(25)));
    assert!(model.visible().contains(&"node-005".to_owned()), "it is in sight");
    // The node goes: the row stays.
    let nodes = (1..=30).filter(|number| *number != 5).map(|number| node(&format!("node-{number:03}"), false, 1));
    model.take(seen("node-001", nodes.collect()), at(2_000));
    assert_eq!((model.selected.as_deref(), model.place()), (Some("node-004"), Some(25)));
}

#[test]
fn the_rows_in_sight_follow_the_selection() {
    let mut model = many(500);
    let snapshot = |model: &Model| (model.first, model.visible().len());
    assert_eq!(snapshot(&model), (0, 10));
    press(&mut model, key(KeyCode::PageDown));
    press(&mut model, key(KeyCode::PageDown));
    assert_eq!((model.place(), snapshot(&model)), (Some(18), (9, 10)));
    press(&mut model, key(KeyCode::Up));
    assert_eq!((model.place(), snapshot(&model)), (Some(17), (9, 10)), "it does not scroll before it has to");
    press(&mut model, key(KeyCode::End));
    assert_eq!((model.place(), snapshot(&model)), (Some(499), (490, 10)));
    model.fit(40, 5);
    assert_eq!(snapshot(&model), (460, 40), "a larger terminal is filled");
    model.fit(0, 0);
    assert_eq!(model.visible().len(), 0);
    press(&mut model, key(KeyCode::Home));
    assert_eq!((model.place(), model.first), (Some(0), 0));
}

#[test]
fn older_events_stay_in_sight_while_new_ones_come() {
    let mut model = many(3);
    for seq in 1..=50 {
        model.take(News::Event(elected("node-001", 7, seq, None, seq)), at(0));
    }
    assert_eq!(model.events_back, 0);
    press(&mut model, key(KeyCode::Tab));
    press(&mut model, key(KeyCode::PageUp));
    assert_eq!((model.events_back, model.place()), (4, Some(0)), "the arrows move the events now");
    model.take(News::Event(elected("node-001", 7, 51, None, 51)), at(0));
    assert_eq!(model.events_back, 5);
    press(&mut model, key(KeyCode::Home));
    assert_eq!(model.events_back, 46, "no further than to the oldest");
    press(&mut model, key(KeyCode::End));
    assert_eq!(model.events_back, 0);
}

#[test]
fn paused_the_picture_stands_still_and_nothing_is_lost() {
    let mut model = many(3);
    typed(&mut model, "p");
    model.take(seen("node-001", vec![node("node-001", true, 1)]), at(2_000));
    model.take(News::Event(elected("node-001", 8, 1, None, 1)), at(2_000));
    assert_eq!((model.shown.len(), model.snapshot().picture.term, model.snapshot().picture.events.len()), (3, 7, 0));
    typed(&mut model, "r");
    assert_eq!(model.shown[0], "node-003", "it can still be looked at");
    typed(&mut model, "p");
    assert_eq!((model.shown.len(), model.snapshot().picture.term, model.snapshot().picture.events.len()), (1, 8, 1));
}

#[test]
fn nothing_is_done_without_a_yes_and_without_a_node() {
    let mut model = many(3);
    typed(&mut model, "jd");
    let act = NodeAction::Drain { node: "node-002".to_owned(), enabled: true };
    assert_eq!(model.mode, Mode::Ask(act.clone()));
    typed(&mut model, "n");
    assert_eq!(model.mode, Mode::Look);
    typed(&mut model, "d");
    assert_eq!(press(&mut model, key(KeyCode::Char('y'))), Some(KeyCommand::Do(act)));
    typed(&mut model, "l");
    let act = NodeAction::Lead { node: "node-002".to_owned() };
    assert_eq!(press(&mut model, key(KeyCode::Char('y'))), Some(KeyCommand::Do(act)));
    model.take(News::Source(Source::Redis("no node".to_owned())), at(0));
    typed(&mut model, "u");
    assert_eq!(model.mode, Mode::Look);
    assert!(model.note.as_ref().is_some_and(|(_, text)| text.contains("clawster serve")), "{:?}", model.note);
    assert_eq!(press(&mut model, key(KeyCode::Char('q'))), Some(KeyCommand::Quit));
}

#[test]
fn a_lost_redis_and_its_return_are_told() {
    let mut model = many(3);
    model.take(News::RedisLost, at(2_000));
    assert_eq!(model.snapshot().redis_lost, Some(at(2_000)));
    model.take(News::RedisLost, at(3_000));
    assert_eq!((model.snapshot().redis_lost, model.shown.len()), (Some(at(2_000)), 3), "the last view stays");
    model.take(seen("node-002", vec![node("node-002", true, 1)]), at(7_500));
    assert_eq!(model.snapshot().redis_lost, None);
    assert_eq!(model.note.clone().map(|(_, text)| text), Some("Redis answers again after 5.5 s".to_owned()));
    model.expire_notice(at(17_400));
    assert!(model.note.is_some(), "too early");
    model.expire_notice(at(17_500));
    assert_eq!(model.note, None, "it makes room for the last takeover");
    model.take(News::Trouble("node a is gone".to_owned()), at(8_000));
    assert!(model.snapshot().trouble.is_some());
    model.take(News::Source(Source::Node("a".to_owned())), at(9_000));
    assert_eq!(model.snapshot().trouble, None);
}
