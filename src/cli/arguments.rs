//! The command line as the user types it.
//!
//! 1. What parses here is not checked against a cluster; the commands do that.
//! 2. Every command shows examples in its `--help`.
//!
//! `members.rs`, `leases.rs`, `running.rs`, `tasks.rs` and `history.rs` hold the arguments of larger commands, `values.rs` reads
//! their values.
//!
//! Not here: what the commands do (one file per group beside this one).

pub use super::history::arguments::HistoryArguments;
pub use super::leases::arguments::LeaseAction;
pub use super::membership::arguments::JoinArguments;
pub use super::messages::arguments::{RecvArguments, SendArguments};
pub use super::once::arguments::OnceArguments;
pub use super::options::{Form, Global};
pub use super::run::arguments::{GuardArguments, LaunchArguments, RunArguments};
pub use super::tasks::arguments::{SubmitArguments, TasksAction};
pub use super::work::arguments::WorkArguments;

use super::history::arguments::HISTORY_HELP;
use super::once::arguments::ONCE_HELP;
use super::options::pace;
use super::run::arguments::RUN_HELP;
use super::work::arguments::WORK_HELP;
use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

/// Turns several OpenClaw gateways into one cluster: membership, one leader, messages without loss.
#[derive(Debug, Parser)]
#[command(name = "clawster", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Redis unreachable, 4 refused by the cluster.

Examples:
  clawster demo                       see a cluster of three nodes, nothing to configure
  clawster serve                      run this gateway's node (JSON-RPC on standard input and output)
  clawster status                     who leads, who is there
  clawster top                        the same as a live view
  clawster doctor                     what is wrong, and how to mend it")]
pub struct Arguments {
    /// What all commands share.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run this gateway's node until standard input ends or a signal comes
    #[command(after_help = "\
Standard output carries nothing but JSON-RPC answers and events; logs go to standard error and the log file.
At the log level debug they tell of each request, each heartbeat and each call to Redis when it ends. A build with the
feature otel sends these spans to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names.

Examples:
  clawster serve                      as a gateway's child process
  clawster serve --stay               as a service of its own: the end of standard input does not stop it
  clawster serve --node gateway-2     under this id")]
    Serve {
        /// Keep running when standard input ends; only a signal stops the node
        #[arg(long)]
        stay: bool,
    },
    /// Serve an MCP host, such as a coding agent: the cluster as tools, resources and messages
    #[command(after_help = "\
Attaches to the running node of this host, or runs one itself where there is none: all sessions of a host are one member.

Examples:
  clawster mcp                         what a host starts; it speaks MCP on standard input and output
  clawster mcp --node gateway-2        on this node, where several run")]
    Mcp,
    /// Show the cluster: who leads, who is there, whether Redis answers
    #[command(after_help = "\
Asks the node of this host, or Redis itself where none runs. Never joins.

Examples:
  clawster status
  clawster status --fresh --json | jq .leader_id
  clawster status --watch              again whenever something changes, until Ctrl-C; for terminals, pipes and logs
  clawster status --watch --json       one object a line
  clawster status --metrics            the node's numbers as well
  clawster status --check              for probes: one line; 0 healthy, 1 not, 3 Redis does not answer

With --check this host is healthy when its node runs, is a member, reaches Redis and knows a leader. Where no node runs, it is \
healthy only while one-shot heartbeats keep a member alive.")]
    Status {
        /// How to answer.
        #[command(flatten)]
        form: Form,
        /// Ask Redis now instead of taking the node's view
        #[arg(long)]
        fresh: bool,
        /// Print the node's numbers, too
        #[arg(long)]
        metrics: bool,
        /// Say in one line whether this host's node is well, for probes
        #[arg(long, conflicts_with_all = ["fresh", "metrics"])]
        check: bool,
        /// Print it again whenever something changes, until Ctrl-C
        #[arg(long, short, conflicts_with_all = ["fresh", "metrics", "check"])]
        watch: bool,
        /// With --watch: print it at least this often
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = pace, requires = "watch")]
        every: Duration,
    },
    /// Watch the cluster in a terminal: nodes, leader, lease, numbers and events as they come
    #[command(after_help = "\
Keys: ? lists them; s and r sort, / filters, d and u drain, l hands leadership over, p pauses, q quits.
Shows what the node of this host knows; where none runs it reads Redis itself. Never joins.

Examples:
  clawster top
  clawster top --node gateway-2        through this node, where several run
  clawster top --interval 5s           ask less often
  clawster status --watch              where there is no terminal, or a very plain one")]
    Top {
        /// How often to ask for the state; events come at once
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = pace)]
        interval: Duration,
    },
    /// The process that restores the terminal when a view was killed
    #[command(hide = true)]
    KeepScreen,
    /// List the members
    #[command(after_help = "\
Examples:
  clawster nodes
  clawster nodes --json | jq -r '.[] | select(.status == \"offline\") | .node_id'")]
    Nodes {
        /// How to answer.
        #[command(flatten)]
        form: Form,
        /// Ask Redis now instead of taking the node's view
        #[arg(long)]
        fresh: bool,
    },
    /// Name the leader, or hand leadership over
    #[command(after_help = "\
Examples:
  clawster elect                                  who leads (elects one when nobody does)
  clawster elect --force                          this node shall lead
  clawster elect --candidate gateway-2 --force    gateway-2 shall lead")]
    Elect {
        /// The member that shall lead; this node when absent
        #[arg(long, value_name = "ID")]
        candidate: Option<String>,
        /// Hand over even from a live leader
        #[arg(long)]
        force: bool,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Make the running node join, or change what it says about itself
    #[command(after_help = "\
Examples:
  clawster join
  clawster join gateway-2 --name \"Kitchen\" --capability gpu --label zone=eu")]
    Join(JoinArguments),
    /// Make the running node leave the cluster; it keeps running
    #[command(after_help = "Example:\n  clawster leave")]
    Leave {
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Beat once now: by the running node, or without one on its own (for schedulers)
    #[command(after_help = "\
Exit code 3 when all attempts failed. Without a running node the heartbeat is then recorded in the history, within 2 s;
what MongoDB does not take in that time waits in the state directory for the next process of this host.

Examples:
  clawster heartbeat
  clawster heartbeat --node gateway-2 --json")]
    Heartbeat {
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Send a message to the other members; needs a running node
    #[command(after_help = "\
A message that is JSON is sent as JSON, anything else as a string.

Examples:
  clawster send 'kitchen is on fire'
  clawster send --topic alerts --to gateway-2 '{\"level\": 3}'
  echo '[1, 2, 3]' | clawster send -")]
    Send(SendArguments),
    /// Receive this node's messages; needs a running node
    #[command(after_help = "\
All clients of a node share its messages: what is acknowledged here, the gateway does not see again.

Examples:
  clawster recv --wait 30s
  clawster recv --no-ack --json
  clawster recv --limit 0 --ack 17-0")]
    Recv(RecvArguments),
    /// Show the cluster's events; needs a running node
    #[command(after_help = "\
Examples:
  clawster events                      those that are kept
  clawster events --follow             until Ctrl-C
  clawster events --follow --messages --json | jq .event")]
    Events {
        /// Go on until interrupted
        #[arg(long, short)]
        follow: bool,
        /// Only those behind this event id
        #[arg(long, value_name = "EVENT_ID")]
        after: Option<String>,
        /// Show messages too (they stay unacknowledged)
        #[arg(long)]
        messages: bool,
        /// How to answer; one JSON object a line.
        #[command(flatten)]
        form: Form,
    },
    /// Run a command only while this host holds a lease
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Run a command on exactly one host for a key, for cron lines that stand on all of them
    #[command(after_help = ONCE_HELP)]
    Once(OnceArguments),
    /// The process that guards a command
    #[command(hide = true)]
    GuardCommand(GuardArguments),
    /// The process that becomes a command
    #[command(hide = true)]
    LaunchCommand(LaunchArguments),
    /// Take, hold and give back leases: one holder at a time for a name; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Lease {
        /// What to do.
        #[command(subcommand)]
        action: LeaseAction,
    },
    /// Put up tasks and look after them; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Tasks {
        /// What to do.
        #[command(subcommand)]
        action: TasksAction,
    },
    /// Run a command for each task of a kind; needs a running node
    #[command(after_help = WORK_HELP)]
    Work(WorkArguments),
    /// Make this node take no new work, for a restart without loss; needs a running node
    #[command(after_help = "\
What runs goes on; leadership goes to another node. Draining ends with --off, and with the node's process.

Examples:
  clawster drain                       at once; prints what still runs
  clawster drain --wait                until nothing runs any more
  clawster drain --off                 take part in everything again")]
    Drain {
        /// Take part in everything again
        #[arg(long, conflicts_with = "wait")]
        off: bool,
        /// Wait until no task runs and no lease is held on this node
        #[arg(long)]
        wait: bool,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Show who was there, who led and what failed, as a table, as JSON, or as a picture
    #[command(after_help = HISTORY_HELP)]
    History(HistoryArguments),
    /// The configuration
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Config {
        /// What to do with it.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Print the JSON Schemas of methods, events and configuration files
    #[command(after_help = "\
Examples:
  clawster schema                      the names of the documents
  clawster schema openrpc.json         one document
  clawster schema --write schemas      all of them into a folder")]
    Schema {
        /// The document to print; without it their names
        name: Option<String>,
        /// Write all documents into this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "name")]
        write: Option<PathBuf>,
    },
    /// Look for what is wrong, and say how to mend it
    #[command(after_help = "\
Exit code 1 when a check fails, 3 when Redis is unreachable.

Examples:
  clawster doctor
  clawster doctor --json | jq '.checks[] | select(.level != \"ok\")'")]
    Doctor {
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Print the completions of a shell
    #[command(after_help = "\
Examples:
  clawster completions bash > ~/.local/share/bash-completion/completions/clawster
  clawster completions zsh > \"${fpath[1]}/_clawster\"
  clawster completions fish > ~/.config/fish/completions/clawster.fish")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example:\n  clawster man | man -l -")]
    Man,
    /// Show a cluster at work: a private Redis and real nodes, nothing to configure
    #[command(after_help = "\
Keys: k kills the leader (kill -9), t ends it politely, m sends a message, r restarts dead nodes, q quits.

Examples:
  clawster demo
  clawster demo --nodes 5
  clawster demo --plain                lines instead of a view; ends by itself")]
    Demo {
        /// Print lines instead of the live view, and end by itself
        #[arg(long)]
        plain: bool,
        /// How many nodes
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
        nodes: u8,
    },
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Check it, and show every value with its source; secrets are masked
    #[command(after_help = "Examples:\n  clawster config check\n  clawster config check --config ./config --json")]
    Check {
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
    /// Make this host's heartbeat, lease, grace and mode the settings of the cluster, for all nodes
    #[command(after_help = "Examples:\n  clawster config push --dry-run\n  clawster config push --json")]
    Push {
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// How to answer.
        #[command(flatten)]
        form: Form,
    },
}

#[cfg(test)]
mod tests;
