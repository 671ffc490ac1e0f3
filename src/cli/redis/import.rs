//! `redis import`: the keys of an export into the Redis that the configuration leads to.
//!
//! 1. Nothing is written before the whole file was checked, nor into a Redis that has keys or processes of the cluster.
//! 2. An import that fails removes what it wrote, and says so.
//!
//! Not here: the file (`file.rs`).

use super::file::{Export, Size};
use super::{Open, Shown, connected, said, size};
use crate::cli::options::Form;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::signals::ending;
use crate::cli::{Session, settings, settle};
use crate::config::Config;
use crate::store::redis::transfer::{BATCH, Entry, TransferFault};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// How often the removal after a failure is tried, and the pause between two attempts.
const REMOVALS: u32 = 5;
const REMOVAL_PAUSE: Duration = Duration::from_secs(1);
/// A batch is written once its values have this many bytes, whatever their number.
const BATCH_BYTES: usize = 4 << 20;

/// How far the import is.
#[derive(Default)]
struct Done {
    /// Entries of the file whose batches are complete.
    entries: u64,
    /// How many of them had expired.
    expired: u64,
    /// The keys of the batch that is under way, or failed, which may have been written.
    under_way: Vec<Vec<u8>>,
}

/// Runs `redis import`.
///
/// # Errors
/// [`Failure::Failed`] when the file or the import is bad, [`Failure::Refused`] when the Redis has data of the cluster.
pub(super) async fn run(session: &mut Session<'_>, file: &Path, form: Form) -> Outcome {
    let mut config = settings::load(session.global, session.environment)?;
    let mut export = Export::open(&session.environment.folder.join(file)).map_err(Failure::Failed)?;
    let cluster = config.cluster.as_str().to_owned();
    if export.header.cluster != cluster {
        let of = &export.header.cluster;
        return Err(Failure::Failed(format!(
            "{} is of cluster {of}, and this host is configured for cluster {cluster}; set cluster.name (CLAWSTER__CLUSTER__NAME) to {of}",
            file.display()
        )));
    }
    let own = settle::own_redis(&config);
    let mut open = Open::new(&mut config, session).await?;
    let mut signals = ending()?;
    settle::refuse_eviction(&config, &open.settled).await?;
    tokio::select! {
        checked = refuse_data(&mut open, &config, own) => checked?,
        () = signals.next() => return Err(Failure::Failed("interrupted; nothing was written".to_owned())),
    }
    let mut shown = Shown::new(session);
    let mut done = Done::default();
    let total = export.size.keys;
    let written = tokio::select! {
        written = write(&mut open, &mut export, &mut done, &mut shown) => written,
        () = signals.next() => Err("interrupted".to_owned()),
    };
    drop(shown);
    if let Err(why) = written {
        let removed = remove(&mut open, &mut export, &done).await;
        return Err(Failure::Failed(format!("the import failed: {why}; {removed}")));
    }
    let (Size { bytes, .. }, expired) = (export.size, done.expired);
    let keys = total - expired;
    let object = json!({"file": session.environment.folder.join(file), "cluster": cluster, "keys": keys, "expired": expired, "bytes": bytes});
    let left_out = if expired == 0 { String::new() } else { format!(" {expired} others have expired meanwhile.") };
    let text = format!("Imported {keys} keys of cluster {cluster} into {}, {}.{left_out}", open.place(), size(bytes));
    Ok(session.output.result(form.json, &object, text)?)
}

/// Refuses a Redis that has keys or processes of the cluster.
async fn refuse_data(open: &mut Open, config: &Config, own: Option<&str>) -> Outcome {
    let cluster = config.cluster.as_str();
    let running = open.transfer.processes().await.map_err(|why| open.failure(&why))?;
    let keys = open.transfer.count().await.map_err(|why| open.failure(&why))?;
    let place = open.place();
    let hint =
        own.map_or(String::new(), |own| format!(" ({own}; set REDIS_HOST or redis.host to import into a shared one)"));
    if running > 0 {
        let who = connected(running, cluster);
        return Err(Failure::Refused(format!("{place}: {who}{hint}; nothing was written. Stop all of them first")));
    }
    if keys > 0 {
        return Err(Failure::Refused(format!(
            "{place} already has {keys} keys of cluster {cluster}{hint}; nothing was written. Import into another Redis or database \
             (redis.db). If that data is not needed, such as that of an import that was killed, delete all keys that match {} there first",
            open.transfer.pattern()
        )));
    }
    Ok(())
}

/// Writes all entries of the file. The error says what went wrong.
async fn write(open: &mut Open, export: &mut Export, done: &mut Done, shown: &mut Shown) -> Result<(), String> {
    let total = export.size.keys;
    loop {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(entry) = export.next()? else { break };
            if !entry.key.starts_with(open.transfer.prefix().as_bytes()) {
                return Err("the file has a key of another cluster".to_owned());
            }
            bytes += entry.value.len();
            batch.push(entry);
        }
        if batch.is_empty() {
            return Ok(());
        }
        write_batch(open, export, &batch, done).await?;
        shown.show(|| format!("importing: {} of {total} keys", done.entries));
    }
}

async fn write_batch(open: &mut Open, export: &Export, batch: &[Entry], done: &mut Done) -> Result<(), String> {
    done.under_way = batch.iter().map(|entry| entry.key.clone()).collect();
    let (restored, outcome) = open.transfer.write(batch).await;
    if let Err(why) = outcome {
        done.under_way = restored.written;
        return Err(match why {
            TransferFault::Unreadable { .. } => {
                let here = open.transfer.version().await.unwrap_or_else(|_| "a Redis of unknown version".to_owned());
                let from = &export.header.server;
                format!(
                    "{} is {here}, which cannot read the data of {from}; import into {from} or a newer server",
                    open.place()
                )
            }
            other => said(&open.store, &other),
        });
    }
    done.under_way.clear();
    done.entries += batch.len() as u64;
    done.expired += restored.expired;
    Ok(())
}

/// Removes what was written, and says how that went.
async fn remove(open: &mut Open, export: &mut Export, done: &Done) -> String {
    if done.entries == 0 && done.under_way.is_empty() {
        return "nothing was written".to_owned();
    }
    let mut failed = String::new();
    for attempt in 0..REMOVALS {
        if attempt > 0 {
            tokio::time::sleep(REMOVAL_PAUSE).await;
        }
        match remove_once(open, export, done).await {
            Ok(0) => return "everything that it wrote was removed again".to_owned(),
            Ok(left) => {
                return format!(
                    "what it wrote was removed again, but {left} keys that match {} are there, which something else writes",
                    open.transfer.pattern()
                );
            }
            Err(why) => failed = why,
        }
    }
    format!(
        "what it wrote could not be removed again: {failed}. Delete all keys that match {} there before the next import",
        open.transfer.pattern()
    )
}

/// One attempt; returns how many keys of the cluster are there afterwards.
async fn remove_once(open: &mut Open, export: &mut Export, done: &Done) -> Result<usize, String> {
    open.transfer.reopen().await.map_err(|fault| fault.to_string())?;
    open.transfer.remove(&done.under_way).await.map_err(|why| said(&open.store, &why))?;
    export.rewind()?;
    let mut left = done.entries;
    while left > 0 {
        let mut batch = Vec::new();
        while batch.len() < BATCH && left > 0 {
            let Some(entry) = export.next()? else { return Err("the file was changed meanwhile".to_owned()) };
            batch.push(entry.key);
            left -= 1;
        }
        open.transfer.remove(&batch).await.map_err(|why| said(&open.store, &why))?;
    }
    open.transfer.count().await.map_err(|why| said(&open.store, &why))
}
