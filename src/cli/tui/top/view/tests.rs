//! The drawing, at the sizes that terminals have and at those that they should not have.

use super::*;
use crate::cli::node_access::follow::News;
use crate::cli::tui::screen::samples::{at, elected, node};
use crate::cli::tui::top::keys::press;
use crate::cli::tui::top::model::tests::{key, many, seen, typed};
use crossterm::event::KeyCode;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use serde_json::json;

const PLAIN: Theme = Theme { colour: false };

fn backend(model: &mut Model, width: u16, height: u16, theme: Theme) -> TestBackend {
    let now = at(3_000);
    fit(model, width, height, now);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, model, now, theme)).expect("draws");
    terminal.backend().clone()
}

fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
    let backend = backend(model, width, height, PLAIN);
    let buffer = backend.buffer();
    let line = |y| {
        let mut skip = 0;
        let mut line = String::new();
        for x in 0..width {
            // The cell behind a wide character holds nothing of its own.
            if skip == 0 {
                line.push_str(buffer[(x, y)].symbol());
                skip = Span::raw(buffer[(x, y)].symbol()).width().max(1);
            }
            skip -= 1;
        }
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

#[test]
fn three_nodes_in_a_small_terminal() {
    let mut model = many(3);
    model.take(News::Event(elected("node-002", 7, 4, Some("node-003"), 99_990)), at(2_000));
    let shown = screen(&mut model, 80, 24);
    let all = shown.join("\n");
    assert!(shown[0].starts_with(" clawster top  openclaw  Redis ok, standalone  via node-002 (foll"), "{all}");
    assert!(shown[0].ends_with(" 00:01:42 UTC"), "{all}");
    assert!(
        shown[1].starts_with(" leader node-002  term 7")
            && shown[1].contains(" lease ███")
            && shown[1].ends_with(" 28.0 s left"),
        "{all}"
    );
    assert!(shown[2].starts_with(" alive 3 of 3  sent -  received -  lag -  outbox -  leases -"), "{all}");
    assert!(shown[3].starts_with(" tasks  waiting -"), "{all}");
    assert!(shown[5].starts_with("NODE▲    STATUS    ROLE      SEEN       LATENCY   UP      VERSION"), "{all}");
    assert!(shown[7].starts_with("node-002 online    LEADER    2 s ago    -         1 min   0.1.0"), "{all}");
    assert!(all.contains(" 00:01:39.990 node-002 became leader after node-003: process died (term 7)"), "{all}");
    assert!(all.contains("last takeover: 00:01:39 node-002 took over from node-003 (process died) in at"), "{all}");
    assert!(shown[23].contains("q quit"), "{all}");
}

#[test]
fn one_node_and_five_hundred_at_both_sizes() {
    for (width, height) in [(80, 24), (200, 50)] {
        let one = screen(&mut many(1), width, height).join("\n");
        assert!(one.contains("node-001 online") && one.contains("alive 1 of 1") && one.contains(" events "), "{one}");
        let mut model = many(500);
        press(&mut model, key(KeyCode::End));
        let last = screen(&mut model, width, height).join("\n");
        assert!(last.contains("node-500 online") && !last.contains("node-400"), "{last}");
        assert!(last.contains("–500 of 500") && last.contains(" events ") && last.contains("q quit"), "{last}");
        let rows = last.lines().filter(|line| line.starts_with("node-")).count();
        assert!(rows >= usize::from(height) / 3, "{rows} rows\n{last}");
    }
}

#[test]
fn a_wide_terminal_shows_more_columns() {
    let mut model = many(3);
    let mut nodes = vec![node("a", true, 99_000), node("b", false, 99_000)];
    nodes[0]["name"] = json!("Küche");
    nodes[0]["capabilities"] = json!(["gpu", "web"]);
    nodes[1]["labels"] = json!({"zone": "eu"});
    model.take(seen("a", nodes), at(1_000));
    let all = screen(&mut model, 200, 50).join("\n");
    for text in ["NAME", "CAPABILITIES", "LABELS", "Küche", "gpu,web", "zone=eu"] {
        assert!(all.contains(text), "{text}\n{all}");
    }
}

#[test]
fn names_cannot_break_the_columns() {
    let mut model = many(1);
    let mut nodes = vec![node("a", true, 99_000), node("b", false, 99_000)];
    nodes[0]["name"] = json!("漢字の名前がとても長いノードです漢字の名前");
    nodes[1]["name"] = json!("x\u{1b}[2J\u{202e}evil\ny");
    nodes[1]["version"] = json!("0\t\u{7}1");
    model.take(seen("a", nodes), at(1_000));
    for width in 40..120 {
        let shown = screen(&mut model, width, 24);
        let all = shown.join("\n");
        assert!(!all.chars().any(|c| c != '\n' && crate::config::is_unsafe(c)), "{all:?}");
        assert!(shown.iter().all(|line| Span::raw(line.as_str()).width() <= usize::from(width)), "{all}");
        let status = |line: &String| line.find("online");
        assert_eq!(shown.iter().filter_map(status).collect::<Vec<_>>().len(), 2, "{all}");
    }
}

#[test]
fn what_is_wrong_is_said_in_words_and_in_red() {
    let mut model = many(3);
    model.take(News::RedisLost, at(1_000));
    let all = screen(&mut model, 80, 24).join("\n");
    assert!(all.contains("REDIS HAS NOT ANSWERED for 2 s; this view is from 00:01:40 UTC"), "{all}");
    assert!(all.contains("Redis LOST") && all.contains("node-003 online"), "the last view stays\n{all}");
    let coloured = backend(&mut model, 80, 24, Theme { colour: true });
    assert!(coloured.buffer().content().iter().any(|cell| cell.fg == Color::Red));
    let plain = backend(&mut model, 80, 24, PLAIN);
    assert!(plain.buffer().content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
}

#[test]
fn questions_the_filter_and_the_keys_are_shown() {
    let mut model = many(3);
    typed(&mut model, "d");
    assert!(screen(&mut model, 80, 24)[23].starts_with(" drain node-001? It will take no new work.  y/n"));
    typed(&mut model, "nl");
    assert!(screen(&mut model, 80, 24)[23].starts_with(" hand leadership over to node-001?  y/n"));
    typed(&mut model, "n/02");
    let all = screen(&mut model, 80, 24).join("\n");
    assert!(all.contains("filter: 02▏") && all.contains("1 match \"02\"") && !all.contains("node-001 online"), "{all}");
    press(&mut model, key(KeyCode::Esc));
    typed(&mut model, "?");
    let all = screen(&mut model, 80, 24).join("\n");
    for (keys, what) in HELP {
        assert!(all.contains(keys) && all.contains(what), "{keys}\n{all}");
    }
    typed(&mut model, "x p");
    assert!(screen(&mut model, 80, 24)[0].ends_with("UTC"));
    typed(&mut model, "p");
    assert!(screen(&mut model, 80, 24)[0].ends_with("PAUSED"));
}

#[test]
fn a_picture_that_stands_still_does_not_age() {
    let mut model = many(3);
    typed(&mut model, "p");
    let shown = |model: &Model, now| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
        terminal.draw(|frame| draw(frame, model, now, PLAIN)).expect("draws");
        terminal.backend().clone()
    };
    let begun = shown(&model, at(1_000));
    model.take(News::RedisLost, at(90_000));
    assert_eq!(shown(&model, at(99_000)), begun, "the lease is not over, and nobody is late");
}

#[test]
fn what_came_of_something_is_told_in_full() {
    let mut model = many(3);
    let text = "node node-003 does not run on this host; run `clawster drain --node node-003` on its own host";
    model.note = Some((Tint::Red, text.to_owned()));
    let shown = screen(&mut model, 80, 24).join(" ");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains(text), "{shown}");
}

#[test]
fn any_size_is_drawn() {
    for count in [1, 3, 500] {
        let mut model = many(count);
        model.take(News::RedisLost, at(1_000));
        model.take(News::Event(elected("node-001", 8, 1, Some("node-002"), 1)), at(0));
        for keys in ["", "?", "xd", "n/"] {
            typed(&mut model, keys);
            for (width, height) in [(1, 1), (2, 30), (10, 3), (20, 5), (79, 7), (300, 2), (25, 11), (500, 200)] {
                screen(&mut model, width, height);
            }
        }
    }
    screen(&mut Model::default(), 80, 24);
}

#[test]
fn a_wide_terminal_shows_nodes_and_events_beside_each_other() {
    let shown = screen(&mut many(40), 200, 30);
    let all = shown.join("\n");
    let rows = shown.iter().filter(|line| line.starts_with("node-")).count();
    assert!(rows >= 20, "{rows} rows\n{all}");
    let heading = shown.iter().find(|line| line.contains(" nodes ")).expect("a heading");
    assert!(heading.contains(" events "), "{all}");
}
