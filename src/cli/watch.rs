//! `status --watch`: prints the status again whenever it changes, for plain terminals, pipes and logs.
//!
//! 1. The output is plain text and line ends; on a terminal only colours are added.
//! 2. A heartbeat is no change: without other changes the status is printed every `--every`.
//! 3. It ends with code 0 on Ctrl-C, as `events --follow` does, and when the reader closes the pipe.
//!
//! Not here: the format of a status (`state.rs`), its source (`node_access/follow.rs`).

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::signals::interrupted;
use super::state::print_status;
use super::terminal::{Output, Tint, reader_gone, time_of_day};
use super::{Session, settings};
use crate::cli::node_access::follow::{Link, News, Source};
use crate::clock;
use crate::rpc::wire::state::{ClusterState, RedisStatus};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often the state is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs `status --watch`. `every`: the longest time between two prints.
///
/// # Errors
/// See [`Failure`].
pub(super) async fn run(session: &mut Session<'_>, form: Form, every: Duration) -> Outcome {
    let config = settings::load(session.global, session.environment)?;
    let link = Link::open(session.global, config, POLL_INTERVAL.min(every), false).await?;
    let (sender, mut news) = mpsc::channel(16);
    let mut tasks = JoinSet::new();
    tasks.spawn(link.run(sender));
    let mut last: Option<ClusterState> = None;
    let mut printed = clock::now();
    let unread = reader_gone();
    tokio::pin!(unread);
    loop {
        let came = tokio::select! {
            came = news.recv() => came,
            asked = interrupted() => return asked,
            () = &mut unread => return Ok(()),
        };
        let state = match came {
            None => return Err(Failure::Failed("internal error: the task that follows the cluster ended".to_owned())),
            Some(News::State(state, _)) => *state,
            // As a node would answer: the last view, marked as unavailable.
            Some(News::RedisLost) => match last.clone() {
                Some(mut state) => {
                    state.redis.status = RedisStatus::Unavailable;
                    state
                }
                None => continue,
            },
            Some(News::Trouble(why)) => {
                print_note(&mut session.output, form, &why)?;
                continue;
            }
            Some(News::Source(Source::Redis(_))) if last.is_some() => {
                print_note(&mut session.output, form, "no node runs on this host; reading Redis directly")?;
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

/// The state without the fields that every heartbeat changes.
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
    print_status(output, state, None)?;
    // Flushes, also into a pipe.
    output.raw(b"")
}

/// Prints a note about the watching itself; with `--json` only states are printed.
fn print_note(output: &mut Output<'_>, form: Form, text: &str) -> std::io::Result<()> {
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
