//! The demo's picture in the terminal.
//!
//! 1. Drawing changes nothing and asks nothing: it shows a [`Model`] at an instant, at any size.
//!
//! Not here: keys and the terminal itself (`live.rs`).

use super::model::Model;
use crate::cli::state::status_word;
use crate::cli::terminal::{Tint, age, time_of_day};
use crate::cluster::time::Moment;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Gauge, Paragraph, Row, Table};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);
const KEYS: &str = " k kill the leader (-9)   t end the leader   m send a message   r restart dead nodes   q quit ";

/// Draws the model as it is at `now`.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment) {
    let members = u16::try_from(model.rows.len()).unwrap_or(9) + 3;
    let [head, lease, table, news, events, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(members),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(model), head);
    draw_lease(frame, lease, model, now);
    frame.render_widget(member_table(model, now), table);
    frame.render_widget(headline(model), news);
    frame.render_widget(event_list(model, events), events);
    frame.render_widget(Paragraph::new(KEYS).style(Style::new().add_modifier(Modifier::REVERSED)), keys);
}

fn style(tint: Tint) -> Style {
    match tint {
        Tint::Plain => Style::new(),
        Tint::Green => Style::new().fg(Color::Green),
        Tint::Yellow => Style::new().fg(Color::Yellow),
        Tint::Red => Style::new().fg(Color::Red),
        Tint::Dim => Style::new().add_modifier(Modifier::DIM),
        Tint::Bold => Style::new().add_modifier(Modifier::BOLD),
    }
}

fn header(model: &Model) -> Line<'_> {
    let leader = model.leader.as_deref().unwrap_or("none");
    let redis =
        if model.redis_ok { Span::styled("ok", style(Tint::Green)) } else { Span::styled("?", style(Tint::Red)) };
    Line::from(vec![
        Span::styled(" clawster demo ", style(Tint::Bold)),
        Span::raw("  leader "),
        Span::styled(leader, style(Tint::Bold)),
        Span::raw(format!("  term {}  Redis ", model.term)),
        redis,
    ])
}

fn draw_lease(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Moment) {
    let left = model.lease_left(now).unwrap_or_default();
    let ratio = (left.as_secs_f64() / LEASE.as_secs_f64()).clamp(0.0, 1.0);
    let label = match model.leader {
        Some(_) => format!("lease: {:.1} s left", left.as_secs_f64()),
        None => "no leader".to_owned(),
    };
    frame.render_widget(Gauge::default().ratio(ratio).label(label).gauge_style(Style::new().fg(Color::Blue)), area);
}

fn member_table(model: &Model, now: Moment) -> Table<'_> {
    let server_now = model.server_now_ms(now);
    let rows = model.rows.iter().map(|(id, row)| {
        let (tint, word) = match (row.running, row.status) {
            (false, _) => (Tint::Red, "dead"),
            (true, None) => (Tint::Dim, "starting"),
            (true, Some(status)) => status_word(status),
        };
        let seen = match row.last_seen_ms {
            0 => "-".to_owned(),
            at => age(Duration::from_millis(server_now.saturating_sub(at))),
        };
        let from: Vec<String> = row.received.iter().map(|(from, count)| format!("{from} {count}")).collect();
        Row::new(vec![
            Cell::from(id.as_str()),
            Cell::from(Span::styled(word, style(tint))),
            Cell::from(if row.leads { Span::styled("LEADER", style(Tint::Bold)) } else { Span::raw("follower") }),
            Cell::from(seen),
            Cell::from(row.sent.to_string()),
            Cell::from(row.received_in_all().to_string()),
            Cell::from(from.join(", ")),
        ])
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(6),
        Constraint::Length(8),
        Constraint::Fill(1),
    ];
    let heading = Row::new(["NODE", "STATUS", "ROLE", "SEEN", "SENT", "RECEIVED", "FROM"]).style(style(Tint::Dim));
    Table::new(rows, widths).header(heading).block(Block::bordered().title(" members "))
}

fn headline(model: &Model) -> Line<'_> {
    let takeover = model.takeover_text().map(|text| Span::styled(format!(" {text}"), style(Tint::Green)));
    let note = (!model.note.is_empty()).then(|| Span::styled(format!("  {}", model.note), style(Tint::Yellow)));
    Line::from_iter(takeover.into_iter().chain(note))
}

fn event_list(model: &Model, area: Rect) -> Paragraph<'_> {
    let room = usize::from(area.height.saturating_sub(2));
    let first = model.events.len().saturating_sub(room);
    let lines: Vec<Line<'_>> = model
        .events
        .iter()
        .skip(first)
        .map(|(at, tint, text)| {
            Line::from(vec![
                Span::styled(format!("{} ", time_of_day(*at)), style(Tint::Dim)),
                Span::styled(text.as_str(), style(*tint)),
            ])
        })
        .collect();
    Paragraph::new(lines).block(Block::bordered().title(" events "))
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
        terminal.draw(|frame| draw(frame, model, at(1_100))).expect("draws");
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
        assert!(screen[1].contains("lease: 29.0 s left"), "{}", screen[1]);
        assert!(screen[4].contains("node-a   online    LEADER    1 s ago   3      0"), "{}", screen[4]);
        assert!(screen[5].contains("node-b") && screen[5].contains("node-a 3"), "{}", screen[5]);
        assert!(screen[6].contains("dead"), "{}", screen[6]);
        assert!(screen[8].contains("node-c was killed; who takes over?"), "{}", screen[8]);
        assert!(screen[10].contains("00:00:01.000 node-c joined (incarnation 1)"), "{}", screen[10]);
        assert!(screen[23].contains("k kill the leader"), "{}", screen[23]);
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
