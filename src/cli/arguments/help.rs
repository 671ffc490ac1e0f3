//! The longer texts behind the options in `--help`.
//!
//! Not here: those of commands with a folder of their own.

/// The text behind the options in `status --help`.
pub(super) const STATUS_HELP: &str = "\
Asks the node of this host, or reads Redis directly if no node runs here. Never joins.

Examples:
  clawster status
  clawster status --fresh --json | jq .leader_id
  clawster status --watch              print again on every change, until Ctrl-C; for terminals, pipes and logs
  clawster status --watch --json       one object per line
  clawster status --metrics            with the node's metrics
  clawster status --check              for probes: one line; exit code 0 healthy, 1 unhealthy, 3 Redis does not answer

With --check this host is healthy when its node runs, is a member, reaches Redis and knows a leader. Without a running node it \
is healthy only while one-shot heartbeats keep a member alive.";

/// Examples of `ui`.
pub(super) const UI_HELP: &str = "\
The page needs http.listen. It asks for http.token before it changes anything, or to be read from another host.

Examples:
  clawster ui                          print the address, and open it if there is a screen
  clawster ui --print                  only print it";

/// The text behind the subcommands in `openclaw --help`.
pub(super) const OPENCLAW_HELP: &str = "Example:\n  clawster openclaw secret --help";

/// Examples of `schedule`.
pub(super) const SCHEDULE_HELP: &str = "\
Examples:
  clawster schedule set nightly report '{}' --cron '30 3 * * *' --tz Europe/Berlin
  clawster schedule list
  clawster schedule pause nightly";

/// Keys and examples of `demo`.
pub(super) const DEMO_HELP: &str = "\
Keys: k kills the leader (SIGKILL), t stops it (SIGTERM), m sends a message, r restarts dead nodes, q quits.

Examples:
  clawster demo
  clawster demo --nodes 5
  clawster demo --plain                lines instead of a view; ends by itself";
