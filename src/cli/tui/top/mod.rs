//! `top`: the cluster in a terminal, as it is and as it changes.
//!
//! 1. It only reads, but for what its user asks for and confirms.
//! 2. Whatever goes away, the node or Redis, it says so, keeps the last view, and goes on by itself.
//! 3. What is done to a node runs beside the view, which never waits for it.
//!
//! Not here: the terminal (`crate::cli::tui::screen`), where news comes from (`crate::cli::node_access::follow`).

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

/// How often ages and the lease are drawn anew while nothing happens.
const REDRAW: Duration = Duration::from_millis(250);
/// The least time between two drawings that news asks for: a flood of events is not drawn one by one.
const SETTLE: Duration = Duration::from_millis(40);
const NEWS_QUEUED: usize = 1_024;

/// Runs `top`.
///
/// # Errors
/// See [`Failure`]: no terminal, no choice of a node, neither a node nor Redis.
pub(crate) async fn run(session: &mut Session<'_>, pace: Duration) -> Outcome {
    if !Stage::is_possible() {
        let text = "this is no terminal, which top needs; use `clawster status --watch` for plain text";
        return Err(Failure::Usage(text.to_owned()));
    }
    let signals = Signals::listen()?;
    let config = settings::load(session.global, session.environment)?;
    // Before the screen changes: what is wrong is told in the shell.
    let link = Link::open(session.global, config.clone(), pace, true).await?;
    let (sender, news) = mpsc::channel(NEWS_QUEUED);
    let mut tasks = JoinSet::new();
    tasks.spawn(link.run(sender));
    let mut stage = Stage::open(signals, "clawster status --watch")?;
    show(session, &config, &mut stage, news).await
}

async fn show(
    session: &Session<'_>,
    config: &Config,
    stage: &mut Stage,
    mut news: mpsc::Receiver<crate::cli::node_access::follow::News>,
) -> Outcome {
    let (mut model, theme) = (Model::default(), Theme::of(session.environment));
    let mut acts: JoinSet<(Tint, String)> = JoinSet::new();
    let mut redraw = tokio::time::interval(REDRAW);
    loop {
        tokio::select! {
            came = news.recv() => {
                let Some(came) = came else { return Err(Failure::Failed("nothing is followed any more".to_owned())) };
                model.take(came, clock::now());
                while let Ok(more) = news.try_recv() {
                    model.take(more, clock::now());
                }
                redraw.reset_after(SETTLE);
            }
            Some(done) = acts.join_next() => {
                model.note = Some(done.unwrap_or_else(|error| (Tint::Red, error.to_string())));
                redraw.reset_immediately();
            }
            _ = redraw.tick() => {
                let (width, height) = stage.size()?;
                model.age(clock::now());
                view::fit(&mut model, width, height, clock::now());
                stage.draw(|frame| view::draw(frame, &model, clock::now(), theme))?;
            }
            happened = stage.next() => match happened? {
                ViewInput::End(code) => return ViewInput::outcome(code),
                ViewInput::Redraw => redraw.reset_immediately(),
                ViewInput::Key(key) => {
                    model.note = None;
                    match press(&mut model, key) {
                        Some(KeyCommand::Quit) => return Ok(()),
                        Some(KeyCommand::Do(act)) => {
                            model.note = Some((Tint::Yellow, "asked for; waiting for the answer".to_owned()));
                            acts.spawn(actions::perform(act, session.global.clone(), config.clone()));
                        }
                        None => {}
                    }
                    redraw.reset_immediately();
                }
            },
        }
    }
}
