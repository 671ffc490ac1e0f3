//! The demo as a live view: its keys and what they do to the nodes.
//!
//! 1. However it ends, the nodes are stopped first and then their Redis.
//!
//! Not here: the terminal (`crate::cli::tui::screen`), the drawing (`view.rs`).

use super::model::{Input, Model};
use super::nodes::{Nodes, ids};
use super::view;
use crate::cli::Environment;
use crate::cli::outcome::Outcome;
use crate::cli::tui::screen::{Signals, Stage, Theme, ViewInput};
use crate::clock;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often the view is redrawn while nothing happens.
const REDRAW: Duration = Duration::from_millis(100);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DemoCommand {
    Kill,
    Terminate,
    Message,
    Restart,
    Quit,
}

/// Runs the live view.
///
/// # Errors
/// See [`crate::cli::outcome::Failure`].
pub(super) async fn run(environment: &Environment, count: usize) -> Outcome {
    // Before the nodes: a signal that arrives while they start must not leave them running.
    let signals = Signals::listen()?;
    let (reports, inputs) = mpsc::channel(1_024);
    // Before the screen changes: errors up to here are printed in the shell.
    let mut nodes = Nodes::prepare(environment, reports).await?;
    let names = ids(count);
    for id in &names {
        if let Err(failure) = nodes.start(id).await {
            drop(inputs);
            nodes.shutdown().await;
            return Err(failure);
        }
    }
    let outcome = match Stage::open(signals, "clawster demo --plain", environment) {
        Ok(mut stage) => show(&mut stage, &mut nodes, inputs, &names, Theme::of(environment)).await,
        Err(failure) => {
            drop(inputs);
            Err(failure)
        }
    };
    nodes.shutdown().await;
    outcome
}

async fn show(
    stage: &mut Stage,
    nodes: &mut Nodes,
    mut inputs: mpsc::Receiver<Input>,
    names: &[String],
    theme: Theme,
) -> Outcome {
    let mut model = Model::new(names.iter().cloned());
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
                stage.draw(|frame| view::draw(frame, &model, clock::now(), theme))?;
            }
            input = stage.next() => match input? {
                ViewInput::End(code) => return ViewInput::outcome(code),
                ViewInput::Redraw => redraw.reset_immediately(),
                ViewInput::Key(key) => match request(key) {
                    Some(DemoCommand::Quit) => return Ok(()),
                    Some(request) => {
                        if let Err(failure) = execute(request, nodes, &mut model, names).await {
                            model.take(Input::Note(failure.to_string()), clock::now());
                        }
                    }
                    None => {}
                },
            },
        }
    }
}

async fn execute(request: DemoCommand, nodes: &mut Nodes, model: &mut Model, names: &[String]) -> Outcome {
    let leader = model.picture.leader.clone().filter(|leader| nodes.is_running(leader));
    let mut note = String::new();
    match (request, leader) {
        (DemoCommand::Kill, Some(leader)) => {
            model.take(Input::Ending { node: leader.clone(), how: "was killed" }, clock::now());
            nodes.kill(&leader).await;
        }
        (DemoCommand::Terminate, Some(leader)) => {
            model.take(Input::Ending { node: leader.clone(), how: "was stopped" }, clock::now());
            nodes.terminate(&leader);
        }
        (DemoCommand::Kill | DemoCommand::Terminate, None) => "there is no leader at the moment".clone_into(&mut note),
        (DemoCommand::Message, _) => match names.iter().find(|id| nodes.is_running(id)) {
            Some(id) => {
                nodes.send(id, "hello from the keyboard").await?;
                note = format!("{id} sent a message");
            }
            None => "no node is running; press r to restart them".clone_into(&mut note),
        },
        (DemoCommand::Restart, _) => {
            for id in names {
                if !nodes.is_running(id) {
                    nodes.start(id).await?;
                }
            }
        }
        (DemoCommand::Quit, _) => {}
    }
    model.take(Input::Note(note), clock::now());
    Ok(())
}

fn request(key: KeyEvent) -> Option<DemoCommand> {
    match key.code {
        KeyCode::Char('d') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(DemoCommand::Quit),
        KeyCode::Char('k') => Some(DemoCommand::Kill),
        KeyCode::Char('t') => Some(DemoCommand::Terminate),
        KeyCode::Char('m') => Some(DemoCommand::Message),
        KeyCode::Char('r') => Some(DemoCommand::Restart),
        KeyCode::Char('q') | KeyCode::Esc => Some(DemoCommand::Quit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let plain = |c| request(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        assert_eq!(plain('k'), Some(DemoCommand::Kill));
        assert_eq!(plain('t'), Some(DemoCommand::Terminate));
        assert_eq!(plain('m'), Some(DemoCommand::Message));
        assert_eq!(plain('r'), Some(DemoCommand::Restart));
        assert_eq!(plain('q'), Some(DemoCommand::Quit));
        assert_eq!(plain('x'), None);
    }
}
