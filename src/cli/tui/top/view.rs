//! Draws `top`.
//!
//! 1. Drawing has no side effects: it shows a [`Model`] at an instant, at any size.
//! 2. The most important parts come first, and disappear last on a small terminal: the leader, the state of Redis, the nodes.
//!
//! Not here: the parts that all views share (`crate::cli::tui::screen`).

use super::keys::HELP;
use super::model::{Focus, Mode, Model, NodeAction, SORTABLE, Snapshot};
use crate::cli::node_access::follow::Source;
use crate::cli::state::{role, status_word};
use crate::cli::terminal::{Tint, clean, span, time_of_day};
use crate::cli::tui::screen::{Column, NodeTable, Theme, event_list, key_line, lease_line, takeover_line};
use crate::cluster::time::Moment;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

const KEYS: &str = " ? help  / filter  s r sort  d drain  u undrain  l lead  p pause  q quit ";
/// The lines above the nodes, without a banner.
const HEAD: u16 = 4;
/// The width of the lease's bar.
const BAR: u16 = 36;
/// The width from which on the events stand beside the nodes, so that both have the whole height.
const WIDE: u16 = 160;
/// The least width of the events beside the nodes.
const LEAST_EVENTS: u16 = 60;
/// The most lines of the note.
const MAX_NEWS_LINES: u16 = 3;
/// The most characters of an id or name in a line of text.
const SHOWN: usize = 40;

/// The layout: where each part is drawn.
struct Parts {
    head: Rect,
    banner: Rect,
    nodes: Rect,
    events: Rect,
    news: Rect,
    keys: Rect,
}

impl Parts {
    fn of(area: Rect, model: &Model, now: Moment) -> Self {
        let banner = u16::from(banner(model, now).is_some());
        let news = news(model).map_or(1, |(_, text)| lines(&text, area.width));
        let free = area.height.saturating_sub(HEAD + banner + news + 1);
        // Events keep a third of the height if there are more nodes than fit.
        let wanted = u16::try_from(model.shown.len().max(1)).unwrap_or(u16::MAX).saturating_add(2);
        let events = (free / 3).clamp(4, 12).max(free.saturating_sub(wanted));
        let nodes = free.saturating_sub(events).max(3).min(free);
        let wide = area.width >= WIDE;
        let nodes = if wide { free } else { nodes };
        let [head, banner, nodes, mut events, news, keys] = Layout::vertical([
            Constraint::Length(HEAD),
            Constraint::Length(banner),
            Constraint::Length(nodes),
            Constraint::Min(0),
            Constraint::Length(news),
            Constraint::Length(1),
        ])
        .areas(area);
        let mut parts = Self { head, banner, nodes, events, news, keys };
        if wide {
            let width = (area.width / 3).max(LEAST_EVENTS);
            let columns = Layout::horizontal([Constraint::Min(0), Constraint::Length(1), Constraint::Length(width)]);
            [parts.nodes, _, events] = columns.areas(nodes);
            parts.events = events;
        }
        parts
    }
}

/// The number of lines of a text at this width.
fn lines(text: &str, width: u16) -> u16 {
    let needed = Span::raw(text).width().div_ceil(usize::from(width.saturating_sub(2).max(1)));
    u16::try_from(needed).unwrap_or(MAX_NEWS_LINES).clamp(1, MAX_NEWS_LINES)
}

/// Tells the model how many rows and events fit.
pub(super) fn fit(model: &mut Model, width: u16, height: u16, now: Moment) {
    let parts = Parts::of(Rect::new(0, 0, width, height), model, model.moment(now));
    model.fit(NodeTable::room(parts.nodes.height), usize::from(parts.events.height.saturating_sub(1)));
}

/// Draws the model as it is at `now`; see [`fit`].
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, now: Moment, theme: Theme) {
    let now = model.moment(now);
    let parts = Parts::of(frame.area(), model, now);
    head(frame, parts.head, model, now, theme);
    if let Some((tint, text)) = banner(model, now) {
        let style = theme.style(tint).add_modifier(Modifier::REVERSED | Modifier::BOLD);
        frame.render_widget(Paragraph::new(format!(" {text}")).style(style), parts.banner);
    }
    nodes(frame, parts.nodes, model, now, theme);
    let focused = model.focus == Focus::Events;
    let mut title = vec![theme.span(if focused { Tint::Bold } else { Tint::Plain }, " events ")];
    if model.events_back > 0 {
        title.push(theme.span(Tint::Yellow, format!("· {} newer below ", model.events_back)));
    }
    event_list(frame, parts.events, &model.snapshot().picture.events, model.events_back, Line::from(title), theme);
    if let Some((tint, text)) = news(model) {
        let text = Paragraph::new(text).style(theme.style(tint)).wrap(Wrap { trim: false });
        let inner =
            Rect { x: parts.news.x + 1.min(parts.news.width), width: parts.news.width.saturating_sub(1), ..parts.news };
        frame.render_widget(text, inner);
    }
    bottom(frame, parts.keys, model, theme);
    if model.mode == Mode::Help {
        help(frame, theme);
    }
}

/// The banner: an error, or an unusual state.
fn banner(model: &Model, now: Moment) -> Option<(Tint, String)> {
    let Snapshot { picture, source, trouble, redis_lost, .. } = model.snapshot();
    if let Some(why) = trouble {
        return Some((Tint::Red, format!("{}; showing the last view", clean(why, 200))));
    }
    if let Some(since) = redis_lost {
        let (away, seen) = (span(now.since(*since)), time_of_day(picture.as_of_ms));
        let seen = seen.get(..8).unwrap_or_default();
        let told = picture.gossip.as_ref().map(|(_, text)| format!(". By gossip: {text}")).unwrap_or_default();
        return Some((Tint::Red, format!("REDIS HAS NOT ANSWERED for {away}; this view is from {seen} UTC{told}")));
    }
    if picture.as_of_ms == 0 {
        return Some((Tint::Yellow, "waiting for data".to_owned()));
    }
    let redis = matches!(source, Some(Source::Redis(_)));
    let told = || picture.gossip.clone().filter(|(tint, _)| *tint != Tint::Green);
    redis
        .then(|| {
            (
                Tint::Yellow,
                "no node runs on this host; reading Redis directly (start a node with clawster serve)".to_owned(),
            )
        })
        .or_else(|| told().map(|(tint, text)| (tint, format!("by gossip: {text}"))))
}

/// The note of the last action, else the last takeover.
fn news(model: &Model) -> Option<(Tint, String)> {
    let takeover = || {
        Some((Tint::Plain, format!("last takeover: {}", takeover_line(model.snapshot().picture.takeover.as_ref()?))))
    };
    model.note.clone().map(|(tint, text)| (tint, clean(&text, 400))).or_else(takeover)
}

fn head(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Moment, theme: Theme) {
    let [first, second, third, fourth] = Layout::vertical([Constraint::Length(1); 4]).areas(area);
    let snapshot = model.snapshot();
    let picture = &snapshot.picture;
    let clock = time_of_day(picture.server_now_ms(now));
    let clock =
        if model.is_paused() { " PAUSED ".to_owned() } else { format!(" {} UTC ", clock.get(..8).unwrap_or_default()) };
    let width = u16::try_from(clock.len()).unwrap_or(u16::MAX);
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(first);
    let via = match (&snapshot.this, &snapshot.source) {
        (Some((id, part)), _) => format!("{} ({})", clean(id, SHOWN), role(*part)),
        (None, Some(Source::Node(id))) => format!("{} (not a member)", clean(id, SHOWN)),
        (None, _) => "no node".to_owned(),
    };
    let nothing = picture.as_of_ms == 0;
    let redis = if nothing {
        theme.span(Tint::Dim, "?")
    } else if picture.redis_ok {
        theme.span(Tint::Green, "ok")
    } else {
        theme.span(Tint::Red, "LOST")
    };
    let mut title = vec![
        theme.span(Tint::Bold, " clawster top  "),
        theme.span(Tint::Bold, clean(&snapshot.cluster, SHOWN)),
        theme.span(Tint::Dim, "  Redis "),
        redis,
    ];
    if !picture.redis_mode.is_empty() {
        title.push(Span::raw(format!(", {}", clean(&picture.redis_mode, 40))));
    }
    title.extend([theme.span(Tint::Dim, "  via "), Span::raw(via)]);
    frame.render_widget(Line::from(title), left);
    let paused = if model.is_paused() {
        theme.style(Tint::Yellow).add_modifier(Modifier::REVERSED)
    } else {
        theme.style(Tint::Dim)
    };
    frame.render_widget(Line::from(clock).style(paused).alignment(Alignment::Right), right);

    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(BAR)]).areas(second);
    let leader = match &picture.leader {
        Some(leader) => theme.span(Tint::Bold, clean(leader, SHOWN)),
        None if nothing => theme.span(Tint::Dim, "?"),
        None => theme.span(Tint::Red, "none"),
    };
    let leads = vec![
        theme.span(Tint::Dim, " leader "),
        leader,
        theme.span(Tint::Dim, "  term "),
        Span::raw(picture.term.to_string()),
    ];
    frame.render_widget(Line::from(leads), left);
    lease_line(frame, right, picture, now, theme);

    let (alive, all) = model.alive();
    let tint = if alive == all { Tint::Plain } else { Tint::Yellow };
    let mut numbers = vec![theme.span(Tint::Dim, " alive "), theme.span(tint, format!("{alive} of {all}"))];
    for (name, tint, text) in snapshot.counters.messages() {
        numbers.extend([theme.span(Tint::Dim, format!("  {name} ")), theme.span(tint, text)]);
    }
    frame.render_widget(Line::from(numbers), third);
    let mut tasks = vec![theme.span(Tint::Dim, " tasks")];
    for (name, tint, text) in snapshot.counters.tasks() {
        tasks.extend([theme.span(Tint::Dim, format!("  {name} ")), theme.span(tint, text)]);
    }
    frame.render_widget(Line::from(tasks), fourth);
}

fn nodes(frame: &mut Frame<'_>, area: Rect, model: &Model, now: Moment, theme: Theme) {
    let picture = &model.snapshot().picture;
    let visible = model.visible();
    let tint = if model.focus == Focus::Nodes { Tint::Bold } else { Tint::Plain };
    let mut title = vec![theme.span(tint, " nodes ")];
    if visible.len() < model.shown.len() {
        let (from, to) = (model.first + 1, model.first + visible.len());
        title.push(theme.span(Tint::Dim, format!("{from}–{to} of {} ", model.shown.len())));
    }
    for (status, count) in model.unwell() {
        let (tint, word) = status_word(status);
        title.push(theme.span(tint, format!("· {count} {word} ")));
    }
    if !model.filter.is_empty() || model.mode == Mode::Filter {
        let text = format!("· {} match \"{}\" ", model.shown.len(), clean(&model.filter, SHOWN));
        title.push(theme.span(Tint::Yellow, text));
    }
    let by = SORTABLE.get(model.sort.0).copied().unwrap_or(Column::Node);
    let table = NodeTable {
        picture,
        columns: &columns(model, area.width),
        ids: visible,
        marked: model.place().and_then(|place| place.checked_sub(model.first)),
        sorted: Some((by, model.sort.1)),
        title: Line::from(title),
        theme,
        word: &|_| None,
        own: &|_, _| String::new(),
    };
    table.draw(frame, area, now);
    if visible.is_empty() && area.height > 2 && picture.as_of_ms > 0 {
        let text =
            if picture.rows.is_empty() { " no node has joined yet" } else { " no node matches; Esc clears the filter" };
        frame.render_widget(theme.span(Tint::Dim, text), Rect { y: area.y + 2, height: 1, ..area });
    }
}

/// The columns that fit, the most important ones first; the last one takes the remaining width.
fn columns(model: &Model, width: u16) -> Vec<(Column, Constraint)> {
    let rows = &model.snapshot().picture.rows;
    let widest = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| Span::raw(text).width()).max().unwrap_or(0);
    let within = |most: u16, least: u16, found: usize| u16::try_from(found).unwrap_or(most).clamp(least, most);
    let id = within((width / 3).max(9), 8, widest(&mut rows.keys().map(String::as_str)));
    let mut chosen = vec![(Column::Node, id)];
    let mut left = width.saturating_sub(id);
    let fixed = [Column::Status, Column::Role, Column::Seen, Column::Latency, Column::Up, Column::Version];
    let mut candidates: Vec<(Column, u16)> = fixed.into_iter().map(|column| (column, column.width())).collect();
    let name = widest(&mut rows.values().filter_map(|row| row.name.as_deref()));
    let capabilities = widest(&mut rows.values().map(|row| row.capabilities.as_str()));
    let labels = widest(&mut rows.values().map(|row| row.labels.as_str()));
    for (column, found) in [(Column::Name, name), (Column::Capabilities, capabilities), (Column::Labels, labels)] {
        // A column that is empty for all nodes is left out.
        if found > 0 {
            candidates.push((column, within(40, column.width().min(12), found)));
        }
    }
    for (column, wanted) in candidates {
        // Texts may be cut, numbers may not.
        let least = if matches!(column, Column::Name | Column::Capabilities | Column::Labels) { 8 } else { wanted };
        if left <= least {
            break;
        }
        let given = wanted.min(left - 1);
        chosen.push((column, given));
        left -= given + 1;
    }
    let last = chosen.len() - 1;
    let constraint = |(place, (column, given))| match place == last {
        true => (column, Constraint::Fill(1)),
        false => (column, Constraint::Length(given)),
    };
    chosen.into_iter().enumerate().map(constraint).collect()
}

fn bottom(frame: &mut Frame<'_>, area: Rect, model: &Model, theme: Theme) {
    let text = match &model.mode {
        Mode::Look | Mode::Help => return key_line(frame, area, KEYS),
        Mode::Filter => format!(" filter: {}▏  Enter keeps it, Esc clears it", clean(&model.filter, 64)),
        Mode::Ask(NodeAction::Drain { node, enabled: true }) => {
            format!(" drain {}? It will take no new work.  y/n", clean(node, SHOWN))
        }
        Mode::Ask(NodeAction::Drain { node, enabled: false }) => {
            format!(" end draining of {}?  y/n", clean(node, SHOWN))
        }
        Mode::Ask(NodeAction::Lead { node }) => format!(" hand leadership over to {}?  y/n", clean(node, SHOWN)),
    };
    let style = theme.style(Tint::Yellow).add_modifier(Modifier::REVERSED | Modifier::BOLD);
    frame.render_widget(Paragraph::new(text).style(style), area);
}

fn help(frame: &mut Frame<'_>, theme: Theme) {
    let width = HELP.iter().map(|(keys, what)| 24.max(keys.chars().count()) + what.len() + 4).max().unwrap_or(0);
    let (width, height) = (u16::try_from(width).unwrap_or(u16::MAX), u16::try_from(HELP.len() + 2).unwrap_or(u16::MAX));
    let area = frame.area().centered(Constraint::Length(width), Constraint::Length(height));
    let lines = HELP
        .iter()
        .map(|(keys, what)| Line::from(vec![theme.span(Tint::Bold, format!(" {keys:<22}")), Span::raw(*what)]));
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(" keys ").title_bottom(" any key closes this ");
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

#[cfg(test)]
mod tests;
