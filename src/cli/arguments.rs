//! The command line as the user types it: the commands, and the arguments of the small ones.
//!
//! 1. Parsing checks the form only; the commands check values against the cluster.
//! 2. Every command shows examples in its `--help`.
//!
//! Not here: the arguments of larger commands (`arguments.rs` in each command's folder), the options that several commands
//! share (`options.rs`), what the commands do.

mod config;
mod help;
pub use super::alerts::AlertsAction;
pub use super::forget::arguments::NodesAction;
pub use super::history::arguments::HistoryArguments;
pub use super::internal::InternalCommand;
pub use super::leases::arguments::LeaseAction;
pub use super::limits::arguments::{PermitsAction, SlotsAction};
pub use super::membership::arguments::JoinArguments;
pub use super::messages::arguments::{RecvArguments, SendArguments};
pub use super::notify::NotifyArguments;
pub use super::once::arguments::OnceArguments;
pub use super::options::{Form, Global};
pub use super::redis::arguments::RedisAction;
pub use super::run::arguments::RunArguments;
pub use super::schedules::arguments::{ScheduleAction, SetArguments};
pub use super::tasks::arguments::{SubmitArguments, TasksAction};
pub use super::work::arguments::WorkArguments;
pub use config::ConfigAction;

use super::history::arguments::HISTORY_HELP;
use super::leases::arguments::LEASE_HELP;
use super::mcp::ToolsArgument;
use super::notify::NOTIFY_HELP;
use super::once::arguments::ONCE_HELP;
use super::openclaw::OpenclawAction;
use super::options::{duration, pace};
use super::redis::arguments::REDIS_HELP;
use super::run::arguments::RUN_HELP;
use super::tasks::arguments::TASKS_HELP;
use super::work::arguments::WORK_HELP;
use clap::{Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use config::CONFIG_HELP;
use help::{DEMO_HELP, OPENCLAW_HELP, SCHEDULE_HELP, STATUS_HELP, UI_HELP};
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
  clawster status                     show the leader and the members
  clawster top                        the same as a live view
  clawster doctor                     find problems and how to fix them")]
pub struct Arguments {
    /// Options that every command accepts.
    #[command(flatten)]
    pub global: Global,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. The first line of each comment is its line in `--help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run this gateway's node until standard input ends or a signal arrives
    #[command(after_help = "\
Standard output carries only JSON-RPC responses and events; logs go to standard error and the log file. \
Log level debug adds a line for every request, heartbeat and Redis call when it ends. A build with the feature otel sends \
these spans to the collector at OTEL_EXPORTER_OTLP_ENDPOINT.

Examples:
  clawster serve                      as a gateway's child process
  clawster serve --stay               as a separate service: end of standard input does not stop it
  clawster serve --node gateway-2     with this node id")]
    Serve {
        /// Keep running when standard input ends; only a signal stops the node
        #[arg(long)]
        stay: bool,
    },
    /// Serve an MCP host, such as a coding agent: the cluster as tools, resources and messages
    #[command(after_help = "\
Attaches to the running node of this host, or runs a node itself if there is none: all sessions on a host are one member.

Examples:
  clawster mcp                         the command an MCP host starts; speaks MCP on standard input and output
  clawster mcp --tools core            a shorter list of tools, for models with little room
  clawster mcp --node gateway-2        attach to this node if several run here")]
    Mcp {
        /// Which methods are tools
        #[arg(long, value_enum, value_name = "SET", default_value_t = ToolsArgument::All)]
        tools: ToolsArgument,
    },
    /// Show the cluster: leader, members and whether Redis answers
    #[command(after_help = STATUS_HELP)]
    Status {
        /// Output format.
        #[command(flatten)]
        form: Form,
        /// Read the state from Redis now instead of using the node's view
        #[arg(long)]
        fresh: bool,
        /// Print the node's metrics as well
        #[arg(long)]
        metrics: bool,
        /// For probes: print in one line whether this host's node is healthy
        #[arg(long, conflicts_with_all = ["fresh", "metrics"])]
        check: bool,
        /// Print the status again whenever it changes, until Ctrl-C
        #[arg(long, short, conflicts_with_all = ["fresh", "metrics", "check"])]
        watch: bool,
        /// With --watch: print at least this often
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = pace, requires = "watch")]
        every: Duration,
    },
    /// Watch the cluster in a terminal: nodes, leader, lease, metrics and live events
    #[command(after_help = "\
Keys: ? lists them; s and r sort, / filters, d and u drain, l hands leadership over, p pauses, q quits. \
Shows the view of this host's node, or reads Redis directly if no node runs here. Never joins.

Examples:
  clawster top
  clawster top --node gateway-2        use this node if several run here
  clawster top --interval 5s           refresh less often
  clawster status --watch              without a terminal, or on a very simple one")]
    Top {
        /// How often the state is refreshed; events appear at once
        #[arg(long, value_name = "TIME", default_value = "1s", value_parser = pace)]
        interval: Duration,
    },
    /// Try whether alerts arrive
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:\n  clawster alerts test")]
    Alerts {
        /// The subcommand.
        #[command(subcommand)]
        action: AlertsAction,
    },
    /// Open the page of this host's node in a browser
    #[command(after_help = UI_HELP)]
    Ui {
        /// Only print the address
        #[arg(long)]
        print: bool,
    },
    /// List the members
    #[command(after_help = "\
Examples:
  clawster nodes
  clawster nodes --json | jq -r '.[] | select(.status == \"offline\") | .node_id'
  clawster nodes forget old-pod-7      remove a member that is away from the list")]
    #[command(args_conflicts_with_subcommands = true)]
    Nodes {
        /// What to do instead of listing them.
        #[command(subcommand)]
        action: Option<NodesAction>,
        /// Output format.
        #[command(flatten)]
        form: Form,
        /// Read the state from Redis now instead of using the node's view
        #[arg(long)]
        fresh: bool,
    },
    /// Show or elect the leader, or hand leadership over
    #[command(after_help = "\
Examples:
  clawster elect                                  show the leader; elect one if there is none
  clawster elect --force                          make this node the leader
  clawster elect --candidate gateway-2 --force    make gateway-2 the leader")]
    Elect {
        /// The member to make leader [default: this node]
        #[arg(long, value_name = "ID")]
        candidate: Option<String>,
        /// Hand leadership over even if the current leader is alive
        #[arg(long)]
        force: bool,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Make the running node join, or change its metadata
    #[command(after_help = "\
Examples:
  clawster join
  clawster join gateway-2 --name \"Kitchen\" --capability gpu --label zone=eu")]
    Join(JoinArguments),
    /// Make the running node leave the cluster; it keeps running
    #[command(after_help = "Example:\n  clawster leave")]
    Leave {
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Send one heartbeat now: through the running node, or without one (for schedulers)
    #[command(after_help = "\
Exit code 3 when all attempts failed. Without a running node the command also records the heartbeat in the history, within \
2 s; what MongoDB does not accept in that time waits in the state directory for the next process of this host.

Examples:
  clawster heartbeat
  clawster heartbeat --node gateway-2 --json")]
    Heartbeat {
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Send a message to the other members; needs a running node
    #[command(after_help = "\
A message that is valid JSON is sent as JSON, anything else as a string.

Examples:
  clawster send 'kitchen is on fire'
  clawster send --topic alerts --to gateway-2 '{\"level\": 3}'
  echo '[1, 2, 3]' | clawster send -")]
    Send(SendArguments),
    /// Receive this node's messages; needs a running node
    #[command(after_help = "\
All clients of a node share its cursor: what this command acknowledges, which it does without --no-ack, the gateway does not \
receive.

Examples:
  clawster recv --no-ack               look, and leave the messages to the gateway
  clawster recv --wait 30s --json
  clawster recv --limit 0 --ack 17-0")]
    Recv(RecvArguments),
    /// Send a short note by gossip, also while Redis is down; needs a running node
    #[command(after_help = NOTIFY_HELP)]
    Notify(NotifyArguments),
    /// Show the cluster's events; needs a running node
    #[command(after_help = "\
Examples:
  clawster events                      the events that Redis still keeps
  clawster events --follow             live, until Ctrl-C
  clawster events --follow --messages --json | jq .event")]
    Events {
        /// Keep showing new events until interrupted
        #[arg(long, short)]
        follow: bool,
        /// Only events after this event id
        #[arg(long, value_name = "EVENT_ID")]
        after: Option<String>,
        /// Show messages too (they stay unacknowledged)
        #[arg(long)]
        messages: bool,
        /// Output format; with --json one object per line.
        #[command(flatten)]
        form: Form,
    },
    /// Run a command only while this host holds a lease
    #[command(after_help = RUN_HELP)]
    Run(RunArguments),
    /// Run a command on exactly one host per key, for the same cron line on every host
    #[command(after_help = ONCE_HELP)]
    Once(OnceArguments),
    /// A process that clawster starts beside itself.
    #[command(flatten)]
    Internal(InternalCommand),
    /// Acquire, renew and release leases: one holder per name at a time; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = LEASE_HELP)]
    Lease {
        /// The subcommand.
        #[command(subcommand)]
        action: LeaseAction,
    },
    /// Take permits of a rate that all nodes share; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:\n  clawster permits take model-api --rate 60 --per 1m --burst 10 --wait 30s")]
    Permits {
        /// The subcommand.
        #[command(subcommand)]
        action: PermitsAction,
    },
    /// Acquire, renew and release slots: so many holders per name at a time; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true)]
    #[command(after_help = "Example:\n  clawster slots acquire gpu --slots 2 --ttl 10m")]
    Slots {
        /// The subcommand.
        #[command(subcommand)]
        action: SlotsAction,
    },
    /// Submit and manage tasks; needs a running node
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = TASKS_HELP)]
    Tasks {
        /// The subcommand.
        #[command(subcommand)]
        action: TasksAction,
    },
    /// Keep schedules: tasks that come again by the clock, once per cluster; needs a running node
    #[command(subcommand, arg_required_else_help = true, after_help = SCHEDULE_HELP)]
    Schedule(ScheduleAction),
    /// Claim tasks of a kind and run a command for each; needs a running node
    #[command(after_help = WORK_HELP)]
    Work(WorkArguments),
    /// Stop this node from taking new work, to restart it without loss; needs a running node
    #[command(after_help = "\
Running work continues; leadership is handed to another node. Draining ends with --off or with the node's process.

Examples:
  clawster drain                       start draining; print what still runs
  clawster drain --wait --timeout 5m   wait until nothing runs; exit code 4 when something still runs after that
  clawster drain --off                 take new work again")]
    Drain {
        /// End draining: take new work again
        #[arg(long, conflicts_with = "wait")]
        off: bool,
        /// Wait until this node runs no task and holds no lease
        #[arg(long)]
        wait: bool,
        /// How long --wait waits at most, such as 5m; without it as long as it takes
        #[arg(long, requires = "wait", value_name = "DURATION", value_parser = duration)]
        timeout: Option<Duration>,
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Query heartbeat history and availability: members, leaders and failovers as a table, JSON or a picture
    #[command(after_help = HISTORY_HELP)]
    History(HistoryArguments),
    /// Check the configuration, or push its cluster settings to all nodes
    #[command(subcommand_required = true, arg_required_else_help = true, after_help = CONFIG_HELP)]
    Config {
        /// The subcommand.
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Move the cluster's data to another Redis: write it into a file, and read it there
    #[command(subcommand, arg_required_else_help = true, after_help = REDIS_HELP)]
    Redis(RedisAction),
    /// Print the JSON Schemas of methods, events and configuration files
    #[command(after_help = "\
Examples:
  clawster schema                      list the documents
  clawster schema openrpc.json         print one document
  clawster schema --write schemas      write all of them into a folder")]
    Schema {
        /// The document to print; without a name, list them
        name: Option<String>,
        /// Write all documents into this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "name")]
        write: Option<PathBuf>,
    },
    /// Find problems of this host, its node and Redis, and say how to fix them
    #[command(after_help = "\
Exit code 1 when a check fails, 3 when Redis is unreachable.

Examples:
  clawster doctor
  clawster doctor --json | jq '.checks[] | select(.level != \"ok\")'")]
    Doctor {
        /// Output format.
        #[command(flatten)]
        form: Form,
    },
    /// Give OpenClaw the secrets of the channel accounts that this host's gateway may run, and the page
    #[command(subcommand, after_help = OPENCLAW_HELP)]
    Openclaw(OpenclawAction),
    /// Print the completion script of a shell
    #[command(after_help = "\
Examples:
  clawster completions bash > ~/.local/share/bash-completion/completions/clawster
  clawster completions zsh > \"${fpath[1]}/_clawster\"
  clawster completions fish > ~/.config/fish/completions/clawster.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write a page for each command
    #[command(after_help = "\
Examples:
  clawster man | man -l -
  clawster man --write ~/.local/share/man/man1")]
    Man {
        /// Write a page for each command, such as clawster-serve.1, into this folder
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        write: Option<PathBuf>,
    },
    /// Show a real cluster at work on a private Redis, with nothing to configure
    #[command(after_help = DEMO_HELP)]
    Demo {
        /// Print lines instead of the live view, and end by itself
        #[arg(long)]
        plain: bool,
        /// Number of nodes
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=9))]
        nodes: u8,
    },
}

#[cfg(test)]
mod tests;
