//! `top`: a live view of the cluster in a terminal.
//!
//! 1. It only reads, except for actions that the user requests and confirms.
//! 2. When the node or Redis goes away, it says so, keeps the last view, and continues by itself.
//! 3. Actions run in the background; the view never waits for them.
//!
//! Not here: the terminal (`crate::cli::tui::screen`), the source of the news (`crate::cli::node_access::follow`).

pub(crate) mod actions;
mod counters;
mod keys;
mod model;
mod view;

use super::screen::{Signals, Stage, Theme, ViewInput};
use crate::cli::node_access::follow::Link;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::terminal::Tint;
use crate::cli::{Session, settings};
use crate::clock;
use crate::config::Config;
use keys::{KeyCommand, press};
use model::Model;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often the view is redrawn while nothing happens.
const REDRAW: Duration = Duration::from_millis(250);
/// How long a redraw waits after news: a flood of events is drawn together.
const NEWS_DELAY: Duration = Duration::from_millis(40);
const NEWS_QUEUED: usize = 1_024;

/// Runs `top`.
///
/// # Errors
/// See [`Failure`]: no terminal, several nodes and none chosen, neither a node nor Redis.
pub(crate) async fn run(session: &mut Session<'_>, pace: Duration) -> Outcome {
    if !Stage::is_possible(session.environment) {
        let text = "top needs a terminal that can be drawn on; use `clawster status --watch` for plain text";
        return Err(Failure::Usage(text.to_owned()));
    }
    let signals = Signals::listen()?;
    let config = settings::load(session.global, session.environment)?;
    // Before the screen changes: errors up to here are printed in the shell.
    let link = Link::open(session.global, config.clone(), pace, true).await?;
    let (sender, news) = mpsc::channel(NEWS_QUEUED);
    let mut tasks = JoinSet::new();
    tasks.spawn(link.run(sender));
    let mut stage = Stage::open(signals, "clawster status --watch", session.environment)?;
    show(session, &config, &mut stage, news).await
}

async fn show(
    session: &Session<'_>,
    config: &Config,
    stage: &mut Stage,
    mut news: mpsc::Receiver<crate::cli::node_access::follow::News>,
) -> Outcome {
    let (mut model, theme) = (Model::default(), Theme::of(session.environment));
    let mut actions: JoinSet<(Tint, String)> = JoinSet::new();
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            item = news.recv() => {
                let Some(item) = item else {
                    return Err(Failure::Failed("internal error: the task that follows the cluster ended".to_owned()));
                };
                model.take(item, clock::now());
                while let Ok(more) = news.try_recv() {
                    model.take(more, clock::now());
                }
                redraw.reset_after(NEWS_DELAY);
            }
            Some(done) = actions.join_next() => {
                model.note = Some(done.unwrap_or_else(|error| (Tint::Red, error.to_string())));
                redraw.reset_immediately();
            }
            _ = redraw.tick() => {
                let (width, height) = stage.size()?;
                model.expire_notice(clock::now());
                view::fit(&mut model, width, height, clock::now());
                stage.draw(|frame| view::draw(frame, &model, clock::now(), theme))?;
            }
            input = stage.next() => match input? {
                ViewInput::End(code) => return ViewInput::outcome(code),
                ViewInput::Redraw => redraw.reset_immediately(),
                ViewInput::Key(key) => {
                    model.note = None;
                    match press(&mut model, key) {
                        Some(KeyCommand::Quit) => return Ok(()),
                        Some(KeyCommand::Do(action)) => {
                            model.note = Some((Tint::Yellow, "requested; waiting for the answer".to_owned()));
                            actions.spawn(actions::perform(action, session.global.clone(), config.clone()));
                        }
                        None => {}
                    }
                    redraw.reset_immediately();
                }
            },
        }
    }
}
