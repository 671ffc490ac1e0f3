//! Draws the demo in the terminal.
//!
//! 1. Drawing has no side effects: it shows a [`Model`] at an instant, at any size.
//!
//! Not here: the parts that all views share (`crate::cli::tui::screen`), keys and the terminal (`live.rs`).

use super::model::Model;
use crate::cli::terminal::Tint;
use crate::cli::tui::screen::{Column, NodeTable, Theme, event_list, key_line, lease_line, takeover_line};
use crate::cluster::time::Moment;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::text::Line;

const KEYS: &str = " k kill the leader   t stop it   m send a message   r restart dead   q quit ";
const COLUMNS: [(Column, Constraint); 7] = [
    (Column::Node, Constraint::Length(8)),
    (Column::Status, Constraint::Length(9)),
    (Column::Role, Constraint::Length(9)),
    (Column::Seen, Constraint::Length(9)),
    (Column::Own(0, "SENT", 6), Constraint::Length(6)),
    (Column::Own(1, "RECEIVED", 8), Constraint::Length(8)),
    (Column::Own(2, "FROM", 0), Constraint::Fill(1)),
];

/// Draws the model as it is at `now`.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment, theme: Theme) {
    let ids: Vec<String> = model.processes.keys().cloned().collect();
    let [head, lease, table, news, events, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(u16::try_from(ids.len()).unwrap_or(9) + 2),
        Constraint::Length(1),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(model, theme), head);
    lease_line(frame, lease, &model.picture, now, theme);
    let nodes = NodeTable {
        picture: &model.picture,
        columns: &COLUMNS,
        ids: &ids,
        marked: None,
        sorted: None,
        title: Line::from(" nodes "),
        theme,
        word: &|id| word(model, id),
        own: &|id, place| own(model, id, place),
    };
    nodes.draw(frame, table, now);
    frame.render_widget(headline(model, theme), news);
    event_list(frame, events, &model.picture.events, 0, Line::from(" events "), theme);
    key_line(frame, keys, KEYS);
}

fn header(model: &Model, theme: Theme) -> Line<'_> {
    let leader = model.picture.leader.as_deref().unwrap_or("none");
    let redis = if model.picture.redis_ok { theme.span(Tint::Green, "ok") } else { theme.span(Tint::Red, "?") };
    Line::from(vec![
        theme.span(Tint::Bold, " clawster demo "),
        theme.span(Tint::Plain, "  leader "),
        theme.span(Tint::Bold, leader),
        theme.span(Tint::Plain, format!("  term {}  Redis ", model.picture.term)),
        redis,
    ])
}

/// The status that only the demo knows: it knows that a process is dead before the cluster does.
fn word(model: &Model, id: &str) -> Option<(Tint, &'static str)> {
    let running = model.processes.get(id).is_some_and(|process| process.running);
    let known = model.picture.rows.get(id).is_some_and(|row| row.status.is_some());
    match (running, known) {
        (false, _) => Some((Tint::Red, "dead")),
        (true, false) => Some((Tint::Dim, "starting")),
        (true, true) => None,
    }
}

fn own(model: &Model, id: &str, place: usize) -> String {
    let Some(process) = model.processes.get(id) else { return String::new() };
    match place {
        0 => process.sent.to_string(),
        1 => process.received_in_all().to_string(),
        _ => {
            let from: Vec<String> = process.received.iter().map(|(from, count)| format!("{from} {count}")).collect();
            from.join(", ")
        }
    }
}

fn headline(model: &Model, theme: Theme) -> Line<'_> {
    let takeover = model.picture.takeover.as_ref();
    let takeover = takeover.map(|takeover| theme.span(Tint::Green, format!(" {}", takeover_line(takeover))));
    let note = (!model.note.is_empty()).then(|| theme.span(Tint::Yellow, format!("  {}", model.note)));
    Line::from_iter(takeover.into_iter().chain(note))
}

#[cfg(test)]
mod tests {
    use super::super::model::Input;
    use super::super::model::tests::{at, three};
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(model: &Model, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("terminal");
        terminal.draw(|frame| draw(frame, model, at(1_100), Theme { colour: true })).expect("draws");
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    fn busy() -> Model {
        let mut model = three();
        let event = serde_json::json!({"event": "cluster.node_joined", "seq": 1, "at_ms": 1_000, "node_id": "node-c",
            "incarnation": 1, "rejoined": false, "name": "node-c"});
        model.take(Input::Event(event), at(100));
        model.take(Input::Sent { node: "node-a".to_owned(), count: 3 }, at(100));
        let received = Input::Received { node: "node-b".to_owned(), from: "node-a".to_owned(), count: 3 };
        model.take(received, at(100));
        model.take(Input::Ending { node: "node-c".to_owned(), how: "was killed" }, at(100));
        model.take(Input::Gone("node-c".to_owned()), at(101));
        model
    }

    #[test]
    fn a_small_terminal_shows_all_parts() {
        let screen = screen(&busy(), 80, 24);
        assert_eq!(screen[0], " clawster demo   leader node-a  term 5  Redis ok");
        assert!(screen[1].starts_with(" lease ██") && screen[1].ends_with(" 29.0 s left"), "{}", screen[1]);
        assert!(screen[4].contains("node-a   online    LEADER    1 s ago   3      0"), "{}", screen[4]);
        assert!(screen[5].contains("node-b") && screen[5].contains("node-a 3"), "{}", screen[5]);
        assert!(screen[6].contains("dead"), "{}", screen[6]);
        assert!(screen[7].contains("node-c was killed; waiting for a new leader"), "{}", screen[7]);
        assert!(screen[9].contains("00:00:01.000 node-c joined (incarnation 1)"), "{}", screen[9]);
        assert!(screen[23].starts_with(" k kill the leader") && screen[23].ends_with(" q quit"), "{}", screen[23]);
    }

    #[test]
    fn any_size_is_drawn() {
        let large = screen(&busy(), 200, 50);
        assert!(large[49].contains("q quit"), "{}", large[49]);
        for (width, height) in [(1, 1), (10, 3), (79, 7), (300, 2)] {
            screen(&busy(), width, height);
        }
    }
}
