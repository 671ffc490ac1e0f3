//! The demo in a terminal: the picture, the keys, and the way back to the shell.
//!
//! 1. The terminal is restored on every way out: a key, a signal, an error, a panic.
//! 2. The thread that reads keys ends with the demo.

use super::model::{Input, Model};
use super::nodes::{Nodes, ids};
use super::view;
use crate::cli::Environment;
use crate::cli::outcome::{Failure, Outcome};
use crate::clock;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::DefaultTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

const REDRAW: Duration = Duration::from_millis(100);
const KEY_WAIT: Duration = Duration::from_millis(50);

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Kill,
    Terminate,
    Message,
    Restart,
    Redraw,
    Quit,
}

/// The screen, given back when this is dropped; a panic gives it back before it is told of.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> Result<Self, Failure> {
        let opened = ratatui::try_init();
        opened.map(Self).map_err(|error| {
            Failure::Failed(format!("this terminal cannot show the view: {error}; use `clawster demo --plain`"))
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Tells the thread that reads keys to end.
struct Keys(Arc<AtomicBool>);

impl Drop for Keys {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs the live view.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(environment: &Environment, count: usize) -> Outcome {
    let failed = Failure::Output;
    let mut signals = [
        signal(SignalKind::terminate()).map_err(failed)?,
        signal(SignalKind::interrupt()).map_err(Failure::Output)?,
        signal(SignalKind::hangup()).map_err(Failure::Output)?,
    ];
    let (reports, inputs) = mpsc::channel(1_024);
    // Before the screen changes: what goes wrong here is told in the shell.
    let mut nodes = Nodes::prepare(environment, reports).await?;
    let names = ids(count);
    for id in &names {
        if let Err(failure) = nodes.start(id).await {
            drop(inputs);
            nodes.shutdown().await;
            return Err(failure);
        }
    }
    let outcome = match Screen::open() {
        Ok(mut screen) => show(&mut screen, &mut nodes, inputs, &mut signals, &names).await,
        Err(failure) => {
            drop(inputs);
            Err(failure)
        }
    };
    nodes.shutdown().await;
    outcome
}

async fn show(
    screen: &mut Screen,
    nodes: &mut Nodes,
    mut inputs: mpsc::Receiver<Input>,
    [terminate, interrupt, hangup]: &mut [Signal; 3],
    names: &[String],
) -> Outcome {
    let mut model = Model::new(names.iter().cloned());
    let (keys, mut wishes) = mpsc::channel(16);
    let _keys = read_keys(keys)?;
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        for input in nodes.news() {
            model.take(input, clock::now());
        }
        tokio::select! {
            input = inputs.recv() => {
                if let Some(input) = input {
                    model.take(input, clock::now());
                }
            }
            _ = redraw.tick() => {
                nodes.reap();
                screen.0.draw(|frame| view::draw(frame, &model, clock::now()))?;
            }
            wish = wishes.recv() => match wish {
                None | Some(Wish::Quit) => return Ok(()),
                Some(wish) => {
                    if let Err(failure) = fulfil(wish, nodes, &mut model, names).await {
                        model.take(Input::Note(failure.to_string()), clock::now());
                    }
                }
            },
            _ = terminate.recv() => return Err(Failure::Said(143)),
            _ = interrupt.recv() => return Err(Failure::Said(130)),
            _ = hangup.recv() => return Err(Failure::Said(129)),
        }
    }
}

async fn fulfil(wish: Wish, nodes: &mut Nodes, model: &mut Model, names: &[String]) -> Outcome {
    let leader = model.leader.clone().filter(|leader| nodes.is_running(leader));
    let mut note = String::new();
    match (wish, leader) {
        (Wish::Kill, Some(leader)) => {
            model.take(Input::Ending { node: leader.clone(), how: "was killed" }, clock::now());
            nodes.kill(&leader).await;
        }
        (Wish::Terminate, Some(leader)) => {
            model.take(Input::Ending { node: leader.clone(), how: "was asked to end" }, clock::now());
            nodes.terminate(&leader);
        }
        (Wish::Kill | Wish::Terminate, None) => "there is no leader to end just now".clone_into(&mut note),
        (Wish::Message, _) => match names.iter().find(|id| nodes.is_running(id)) {
            Some(id) => {
                nodes.say(id, "hello from the keyboard").await?;
                note = format!("{id} sent a message");
            }
            None => "no node runs; r restarts them".clone_into(&mut note),
        },
        (Wish::Restart, _) => {
            for id in names {
                if !nodes.is_running(id) {
                    nodes.start(id).await?;
                }
            }
        }
        (Wish::Redraw | Wish::Quit, _) => {}
    }
    model.take(Input::Note(note), clock::now());
    Ok(())
}

/// Reads keys on a thread of its own, as reading blocks.
fn read_keys(keys: mpsc::Sender<Wish>) -> Result<Keys, Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let read = move || {
        while !seen.load(Ordering::Relaxed) {
            let wish = match event::poll(KEY_WAIT) {
                Ok(false) => continue,
                Ok(true) => event::read().map_or(Some(Wish::Quit), |event| wish(&event)),
                // The terminal is gone.
                Err(_) => Some(Wish::Quit),
            };
            if let Some(wish) = wish
                && keys.blocking_send(wish).is_err()
            {
                return;
            }
        }
    };
    let started = std::thread::Builder::new().name("keys".to_owned()).spawn(read);
    started.map(|_| Keys(over)).map_err(|error| Failure::Failed(format!("cannot read keys: {error}")))
}

fn wish(event: &Event) -> Option<Wish> {
    let key = match event {
        Event::Resize(..) => return Some(Wish::Redraw),
        Event::Key(key) if key.kind == KeyEventKind::Press => key,
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
        KeyCode::Char('k') => Some(Wish::Kill),
        KeyCode::Char('t') => Some(Wish::Terminate),
        KeyCode::Char('m') => Some(Wish::Message),
        KeyCode::Char('r') => Some(Wish::Restart),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let pressed = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        let plain = |c| pressed(KeyCode::Char(c), KeyModifiers::NONE);
        assert_eq!(plain('k'), Some(Wish::Kill));
        assert_eq!(plain('t'), Some(Wish::Terminate));
        assert_eq!(plain('m'), Some(Wish::Message));
        assert_eq!(plain('r'), Some(Wish::Restart));
        assert_eq!(plain('q'), Some(Wish::Quit));
        assert_eq!(plain('x'), None);
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Wish::Quit));
    }
}
