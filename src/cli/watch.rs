//! `status --watch`: the status again whenever it changes, as lines for plain terminals, pipes and logs.
//!
//! 1. Nothing but text and line ends is written where the output is no terminal; colours are all that is added on one.
//! 2. A beat is no change: what only grows older is printed when the time between two prints is over.
//! 3. It ends with code 0 on Ctrl-C, as `events --follow` does, and when its reader goes away.
//!
//! Not here: what a status looks like (`state.rs`), where it comes from (`link.rs`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::state::print_status;
use super::terminal::{Output, Tint, time_of_day};
use super::{Session, settings};
use crate::cli::node_access::follow::{Link, News, Source};
use crate::clock;
use crate::rpc::wire::state::{ClusterState, RedisStatus};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often the state is asked for.
const PACE: Duration = Duration::from_secs(1);

/// Runs `status --watch`. `every`: the longest time between two prints.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, form: Form, every: Duration) -> Outcome {
    let config = settings::load(session.global, session.environment)?;
    let link = Link::open(session.global, config, PACE.min(every), false).await?;
    let (sender, mut news) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(link.run(sender));
    let mut last: Option<ClusterState> = None;
    let mut printed = clock::now();
    loop {
        let came = tokio::select! {
            came = news.recv() => came,
            signal = tokio::signal::ctrl_c() => {
                return signal.map_err(|error| Failure::Failed(format!("cannot wait for Ctrl-C: {error}")));
            }
        };
        let state = match came {
            None => return Err(Failure::Failed("nothing is followed any more".to_owned())),
            Some(News::State(state, _)) => *state,
            // As a node would say it: the last view, and that it is the last one.
            Some(News::RedisLost) => match last.clone() {
                Some(mut state) => {
                    state.redis.status = RedisStatus::Unavailable;
                    state
                }
                None => continue,
            },
            Some(News::Trouble(why)) => {
                tell(&mut session.output, form, &why)?;
                continue;
            }
            Some(News::Source(Source::Redis(_))) if last.is_some() => {
                tell(&mut session.output, form, "no node runs here: reading Redis itself")?;
                continue;
            }
            Some(News::Source(_) | News::Event(_) | News::Latencies(_)) => continue,
        };
        let now = clock::now();
        if last.as_ref().is_none_or(|last| facts(last) != facts(&state)) || now.since(printed) >= every {
            print(&mut session.output, form, &state, last.is_none())?;
            printed = now;
        }
        last = Some(state);
    }
}

/// The state without what a beat changes.
fn facts(state: &ClusterState) -> ClusterState {
    let mut facts = ClusterState { as_of_ms: 0, age_ms: 0, lease_expires_at_ms: None, ..state.clone() };
    for node in &mut facts.nodes {
        node.last_seen_ms = 0;
    }
    facts
}

fn print(output: &mut Output<'_>, form: Form, state: &ClusterState, first: bool) -> std::io::Result<()> {
    if form.json {
        return output.json_line(state);
    }
    if !first {
        output.line("")?;
    }
    let at = format!("-- {} UTC", time_of_day(state.as_of_ms).get(..8).unwrap_or_default());
    output.line(output.paint(Tint::Dim, &at))?;
    print_status(output, state)?;
    // Also into a pipe, at once.
    output.raw(b"")
}

/// What concerns the watching itself; programs read the state only.
fn tell(output: &mut Output<'_>, form: Form, text: &str) -> std::io::Result<()> {
    if form.json {
        return Ok(());
    }
    output.line("")?;
    output.line(output.paint(Tint::Yellow, &format!("-- {text}")))?;
    output.raw(b"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tui::screen::samples;

    #[test]
    fn a_beat_is_no_change_and_a_leader_is_one() {
        let state = samples::state("a", 5, 1_000, &["a", "b"]);
        assert_eq!(facts(&state), facts(&samples::state("a", 5, 9_000, &["a", "b"])));
        assert_ne!(facts(&state), facts(&samples::state("b", 6, 1_000, &["a", "b"])));
        assert_ne!(facts(&state), facts(&samples::state("a", 5, 1_000, &["a", "b", "c"])));
    }

    #[test]
    fn a_block_has_its_time_and_no_control_codes() {
        let mut text = Vec::new();
        let state = samples::state("a", 5, 3_723_004, &["a"]);
        for first in [true, false] {
            print(&mut Output::plain(&mut text), Form::default(), &state, first).expect("writes");
        }
        let text = String::from_utf8(text).expect("text");
        assert!(text.starts_with("-- 01:02:03 UTC\nCluster    demo\n"), "{text}");
        assert_eq!(text.matches("\n\n-- 01:02:03 UTC\n").count(), 1, "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    }
}
