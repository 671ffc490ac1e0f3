//! The contract of the cluster's shared state, run on every store: the one in memory and a real Redis; and that of the
//! history, on a real Redis and a real MongoDB.
//!
//! 1. Each behaviour is one generic function, and one test for each store.
//! 2. Time is put forward, never waited for.
//!
//! Not here: what only Redis can go through is in `corrupt_data.rs`; nodes that use the store are tested beside their code.

#![allow(missing_docs, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]

/// One test for each store from each generic behaviour.
macro_rules! contract {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(<crate::fixture::Memory as crate::fixture::Fixture>::start()).await;
            })+
        }
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(<crate::fixture::Redis as crate::fixture::Fixture>::start()).await;
            })+
        }
    };
}

/// The same for the stores of history.
macro_rules! history_contract {
    ($($behaviour:ident),+ $(,)?) => {
        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(<crate::history_fixture::InRedis as crate::history_fixture::Kept>::start()).await;
            })+
        }
        mod on_mongodb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(<crate::history_fixture::InMongodb as crate::history_fixture::Kept>::start()).await;
            })+
        }
    };
}

mod bound;
mod calls;
mod census;
mod corrupt_data;
mod corrupt_tasks;
mod differential;
mod draining;
mod election;
mod fixture;
mod foreign;
mod full;
mod handing;
mod history;
mod history_day;
mod history_faults;
mod history_fixture;
mod history_mongodb;
mod history_redis;
mod history_rights;
mod identity;
mod jumps;
mod lease_calls;
mod lease_steps;
mod leases;
mod limits;
mod losses;
mod lost_keys;
mod membership;
mod node_records;
mod oneshot;
mod promises;
mod room;
mod schedules;
mod steps;
mod symbols;
mod sync;
mod task_calls;
mod task_ends;
mod task_room;
mod task_steps;
mod task_waits;
mod tasks;
mod ticks;
mod transcripts;
mod withdrawn;
