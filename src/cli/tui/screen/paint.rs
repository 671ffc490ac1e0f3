//! The parts that all views draw alike: colours, the lease, events, a takeover, the line of keys.
//!
//! 1. Drawing has no side effects and works at any size.
//! 2. Nothing is shown by colour alone: the text says it, too.
//!
//! Not here: the table of nodes (`nodes.rs`), the layout (the views).

use super::events::Events;
use super::picture::{Picture, Takeover, Took};
use crate::cli::Environment;
use crate::cli::terminal::{Tint, clean, span, time_of_day};
use crate::cluster::time::Moment;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use std::time::Duration;

/// The most characters of an id that are shown in a sentence.
const ID_SHOWN: usize = 40;

/// The styles of tints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    /// Whether to use colours. Bold, dim and reversed text are not colours.
    pub(crate) colour: bool,
}

impl Theme {
    /// Uses colours unless `NO_COLOR` is set.
    #[must_use]
    pub(crate) fn of(environment: &Environment) -> Self {
        Self { colour: environment.get("NO_COLOR").is_none() }
    }

    /// The style of a tint.
    #[must_use]
    pub(crate) fn style(self, tint: Tint) -> Style {
        let coloured = |colour| if self.colour { Style::new().fg(colour) } else { Style::new() };
        match tint {
            Tint::Plain => Style::new(),
            Tint::Green => coloured(Color::Green),
            Tint::Yellow => coloured(Color::Yellow),
            Tint::Red => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Tint::Dim => Style::new().add_modifier(Modifier::DIM),
            Tint::Bold => Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// A text in the style of a tint.
    #[must_use]
    pub(crate) fn span<'a>(self, tint: Tint, text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
        Span::styled(text, self.style(tint))
    }

    /// A part of the view below a line with its title.
    #[must_use]
    pub(crate) fn part(self, title: Line<'_>) -> Block<'_> {
        Block::new().borders(Borders::TOP).border_style(self.style(Tint::Dim)).title(title)
    }
}

/// Draws the remaining time of the leader's lease as a bar.
pub(crate) fn lease_line(frame: &mut Frame<'_>, area: Rect, picture: &Picture, now: Moment, theme: Theme) {
    const TITLE: &str = " lease ";
    let left = picture.lease_left(now).unwrap_or_default();
    let whole = picture.lease_span.max(Duration::from_millis(1));
    let (tint, text) = match (&picture.leader, left.is_zero()) {
        (None, _) if picture.as_of_ms == 0 => (Tint::Dim, "?".to_owned()),
        (None, _) => (Tint::Red, "no leader".to_owned()),
        (Some(_), true) => (Tint::Red, "expired".to_owned()),
        // The leader renews it at each heartbeat, long before half of it has passed.
        (Some(_), false) if left < whole / 2 => (Tint::Yellow, format!("{:.1} s left", left.as_secs_f64())),
        (Some(_), false) => (Tint::Green, format!("{:.1} s left", left.as_secs_f64())),
    };
    let room = usize::from(area.width).saturating_sub(TITLE.len() + text.len() + 2);
    let full =
        usize::try_from(left.as_millis().saturating_mul(room as u128) / whole.as_millis()).unwrap_or(0).min(room);
    let line = vec![
        theme.span(Tint::Dim, TITLE),
        theme.span(tint, "█".repeat(full)),
        theme.span(Tint::Dim, "░".repeat(room - full)),
        Span::raw(format!(" {text}")),
    ];
    frame.render_widget(Line::from(line), area);
}

/// The last change of the leader, in one sentence.
pub(crate) fn takeover_line(takeover: &Takeover) -> String {
    let Takeover { from, how, to, begun, at_ms } = takeover;
    let from = clean(from, ID_SHOWN);
    let Some((leader, term, took)) = to else { return format!("{from} {how}; waiting for a new leader") };
    let leader = clean(leader, ID_SHOWN);
    if begun.is_some() {
        let took = if let Took::Exactly(took) = took { took.as_millis() } else { 0 };
        return format!("{leader} took over after {took} ms (term {term})");
    }
    let took = match took {
        Took::Exactly(took) => format!(" after {}", fine(*took)),
        Took::AtMost(took) => format!(" in at most {}", fine(*took)),
        Took::Unknown => "; it is not known how long there was no leader".to_owned(),
    };
    let at = time_of_day(*at_ms);
    format!("{} {leader} took over from {from} ({how}){took}", at.get(..8).unwrap_or_default())
}

/// A short duration, with one more digit than [`span`].
fn fine(duration: Duration) -> String {
    match duration.as_millis() {
        1_000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => span(duration),
    }
}

/// Draws events, the newest at the bottom. `back`: how many of the newest are scrolled out of sight.
pub(crate) fn event_list(
    frame: &mut Frame<'_>,
    area: Rect,
    events: &Events,
    back: usize,
    title: Line<'_>,
    theme: Theme,
) {
    let room = usize::from(area.height.saturating_sub(1));
    let lines: Vec<Line<'_>> = events
        .window(room, back)
        .map(|line| {
            let at = format!(" {} ", time_of_day(line.at_ms));
            Line::from(vec![theme.span(Tint::Dim, at), theme.span(line.tint, line.text.as_str())])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(theme.part(title)), area);
}

/// Draws the available keys in the last line.
pub(crate) fn key_line(frame: &mut Frame<'_>, area: Rect, keys: &str) {
    frame.render_widget(Paragraph::new(keys).style(Style::new().add_modifier(Modifier::REVERSED)), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_takeover_says_what_is_known() {
        let mut takeover = Takeover {
            from: "a\u{1b}".to_owned(),
            how: "was killed".to_owned(),
            begun: Some(Moment::default()),
            to: None,
            at_ms: 3_723_004,
        };
        assert_eq!(takeover_line(&takeover), "a\u{fffd} was killed; waiting for a new leader");
        takeover.to = Some(("b".to_owned(), 6, Took::Exactly(Duration::from_millis(1_234))));
        assert_eq!(takeover_line(&takeover), "b took over after 1234 ms (term 6)");
        (takeover.begun, takeover.how) = (None, "process died".to_owned());
        takeover.to = Some(("b".to_owned(), 6, Took::AtMost(Duration::from_millis(8_250))));
        assert_eq!(takeover_line(&takeover), "01:02:03 b took over from a\u{fffd} (process died) in at most 8.2 s");
    }

    #[test]
    fn without_colours_there_are_none() {
        for tint in [Tint::Plain, Tint::Green, Tint::Yellow, Tint::Red, Tint::Dim, Tint::Bold] {
            assert_eq!(Theme { colour: false }.style(tint).fg, None);
        }
        assert_eq!(Theme { colour: true }.style(Tint::Green).fg, Some(Color::Green));
    }
}
