//! The keys of `top`.
//!
//! 1. An action on a node starts only after the user has confirmed it with y.
//! 2. [`HELP`] lists every key.
//!
//! Not here: Ctrl-C and Ctrl-Z (`crate::cli::tui::screen`), the actions themselves (`actions.rs`).

use super::model::{Focus, Mode, Model, NodeAction, SORTABLE};
use crate::cli::node_access::follow::Source;
use crate::cli::terminal::Tint;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// The most bytes of a filter.
const MAX_FILTER: usize = 64;

/// The keys and what they do, for the help overlay.
pub(super) const HELP: [(&str, &str); 14] = [
    ("↑ ↓  j k", "move the selection"),
    ("PgUp PgDn  Home End", "move by a page, to the first, to the last"),
    ("Tab", "switch between nodes and events"),
    ("s  S", "sort by the next column, the previous one"),
    ("1 … 8", "sort by this column"),
    ("r", "reverse the order"),
    ("/", "filter by text; Enter keeps it, Esc clears it"),
    ("d  u", "drain the selected node, or end draining"),
    ("l", "hand leadership over to the selected node"),
    ("y  n", "confirm or cancel"),
    ("p  Space", "pause, resume"),
    ("?  h", "this help"),
    ("q  Ctrl-C", "quit"),
    ("Ctrl-Z", "back to the shell; fg returns"),
];

/// What the program must do after a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyCommand {
    /// End the view.
    Quit,
    /// Perform this action.
    Do(NodeAction),
}

/// Applies a key to the model.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Option<KeyCommand> {
    match model.mode.clone() {
        Mode::Look => press_in_view(model, key),
        Mode::Filter => {
            filter(model, key);
            None
        }
        Mode::Ask(act) => {
            model.mode = Mode::Look;
            match key.code {
                KeyCode::Char('y' | 'Y') => return Some(KeyCommand::Do(act)),
                _ => model.note = Some((Tint::Dim, "cancelled".to_owned())),
            }
            None
        }
        Mode::Help => {
            model.mode = Mode::Look;
            (key.code == KeyCode::Char('q')).then_some(KeyCommand::Quit)
        }
    }
}

fn press_in_view(model: &mut Model, key: KeyEvent) -> Option<KeyCommand> {
    if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return None;
    }
    let whole = isize::try_from(model.shown.len().max(model.snapshot().picture.events.len())).unwrap_or(isize::MAX);
    match key.code {
        KeyCode::Char('q') => return Some(KeyCommand::Quit),
        KeyCode::Up | KeyCode::Char('k') => model.step(-1),
        KeyCode::Down | KeyCode::Char('j') => model.step(1),
        KeyCode::PageUp => model.step(-model.page()),
        KeyCode::PageDown => model.step(model.page()),
        KeyCode::Home | KeyCode::Char('g') => model.step(-whole),
        KeyCode::End | KeyCode::Char('G') => model.step(whole),
        KeyCode::Tab => model.focus = if model.focus == Focus::Nodes { Focus::Events } else { Focus::Nodes },
        KeyCode::Char('s') => sort(model, (model.sort.0 + 1) % SORTABLE.len()),
        KeyCode::Char('S') => sort(model, (model.sort.0 + SORTABLE.len() - 1) % SORTABLE.len()),
        KeyCode::Char(digit @ '1'..='8') => sort(model, digit as usize - '1' as usize),
        KeyCode::Char('r') => {
            model.sort.1 = !model.sort.1;
            model.arrange();
        }
        KeyCode::Char('/') => (model.mode, model.focus) = (Mode::Filter, Focus::Nodes),
        KeyCode::Esc => {
            model.filter.clear();
            model.note = None;
            model.arrange();
        }
        KeyCode::Char('d') => ask(model, |node| NodeAction::Drain { node, enabled: true }),
        KeyCode::Char('u') => ask(model, |node| NodeAction::Drain { node, enabled: false }),
        KeyCode::Char('l' | 'L') => ask(model, |node| NodeAction::Lead { node }),
        KeyCode::Char('p' | ' ') => model.pause(),
        KeyCode::Char('?' | 'h') => model.mode = Mode::Help,
        _ => {}
    }
    None
}

fn sort(model: &mut Model, column: usize) {
    model.sort = (column, false);
    model.arrange();
}

fn filter(model: &mut Model, key: KeyEvent) {
    match key.code {
        KeyCode::Enter => model.mode = Mode::Look,
        KeyCode::Esc => {
            model.filter.clear();
            model.mode = Mode::Look;
        }
        KeyCode::Backspace => drop(model.filter.pop()),
        KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) && model.filter.len() < MAX_FILTER => {
            model.filter.push(c);
        }
        KeyCode::Up => model.step(-1),
        KeyCode::Down => model.step(1),
        _ => {}
    }
    model.arrange();
}

fn ask(model: &mut Model, act: impl FnOnce(String) -> NodeAction) {
    let Some(node) = model.selected.clone() else {
        model.note = Some((Tint::Yellow, "no node is selected".to_owned()));
        return;
    };
    if matches!(model.source(), Some(Source::Node(_))) {
        model.mode = Mode::Ask(act(node));
    } else {
        let text = "this needs a node on this host; start one with `clawster serve`".to_owned();
        model.note = Some((Tint::Yellow, text));
    }
}
