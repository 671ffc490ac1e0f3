//! The built binary, seen from outside: real processes over real pipes, a real Redis, one module per behaviour.
//!
//! 1. A test sees only what a user sees: pipes, sockets, exit codes, files, and the Redis server.
//!
//! Not here: the pure core, the scripts and the simulation, which are tested beside the code.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

mod agents;
mod alerts;
mod backups;
mod command_lifecycle;
mod command_line;
mod commands;
mod cost;
mod cursors;
mod data_loss;
mod delayed_calls;
mod drain;
mod election;
mod events;
mod eviction;
mod failover;
mod foreign;
mod gossip;
mod gossip_hosts;
mod guardian;
mod harness;
mod history;
mod history_report;
mod input;
mod lease_contention;
mod leases;
mod lifecycle;
mod limits;
mod log_floods;
mod mcp;
mod membership;
mod messages;
mod metrics;
mod newcomers;
mod once;
mod openclaw_secret;
mod outage;
mod own_ids;
mod ownership;
mod plugin;
mod private_redis;
mod recurring;
mod redis_export;
mod redis_failover;
mod refusals;
mod removed;
mod rolling;
mod room;
mod run_lease;
mod schedules;
mod settings;
mod shared_settings;
mod slow;
mod stale_copy;
mod strangers;
mod sync_rules;
mod task_waits;
mod tasks;
mod terminal;
mod top;
mod tracing;
mod transcripts;
mod transport;
mod versions;
mod watch;
mod work;
