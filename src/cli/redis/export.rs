//! `redis export`: all keys of the cluster into a file.
//!
//! 1. It changes nothing in Redis, and leaves no file unless everything is in it.
//! 2. Without `--force` no process of the cluster was connected, neither before nor after the reading.
//!
//! Not here: the file (`file.rs`).

use super::file::{Draft, Header, Size};
use super::{Open, Shown, connected, size};
use crate::cli::options::Form;
use crate::cli::outcome::{Failure, Outcome};
use crate::cli::signals::ending;
use crate::cli::{Session, settings};
use crate::clock;
use crate::store::redis::transfer::{BATCH, Scan};
use serde_json::json;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Runs `redis export`.
///
/// # Errors
/// [`Failure::Refused`] while nodes run, [`Failure::Failed`] when the file cannot be written or there is nothing to export.
pub(super) async fn run(session: &mut Session<'_>, file: &Path, force: bool, form: Form) -> Outcome {
    let mut config = settings::load(session.global, session.environment)?;
    let path = session.environment.folder.join(file);
    if path.symlink_metadata().is_ok() {
        return Err(Failure::Failed(format!(
            "{} exists and is not replaced; remove it, or choose another name",
            file.display()
        )));
    }
    let mut open = Open::new(&mut config, session).await?;
    let mut signals = ending()?;
    let mut shown = Shown::new(session);
    let cluster = config.cluster.as_str();
    let written = tokio::select! {
        written = write(&mut open, cluster, &path, force, &mut shown) => written,
        () = signals.next() => Err(Failure::Failed("interrupted; no file was written".to_owned())),
    };
    drop(shown);
    let (Size { keys, bytes }, server) = written?;
    let place = open.place();
    let object = json!({"file": path, "cluster": cluster, "keys": keys, "bytes": bytes, "server": server});
    let text = format!(
        "Exported {keys} keys of cluster {cluster} from {place} to {}, {}.\n\
         Keep its nodes stopped. Set REDIS_HOST (or redis.host) on all hosts, and run on one of them: clawster redis import {}",
        file.display(),
        size(bytes),
        file.display()
    );
    Ok(session.output.result(form.json, &object, text)?)
}

async fn write(
    open: &mut Open,
    cluster: &str,
    path: &Path,
    force: bool,
    shown: &mut Shown,
) -> Result<(Size, String), Failure> {
    refuse_nodes(open, cluster, force, "what they change after an export is lost").await?;
    let server = open.transfer.version().await.map_err(|why| open.failure(&why))?;
    let at_ms = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let header = Header::new(cluster, &server, u64::try_from(at_ms).unwrap_or(u64::MAX));
    let mut draft = Draft::create(path, &header).map_err(Failure::Failed)?;
    let mut scan = Scan::default();
    while let Some(keys) = open.transfer.page(&mut scan).await.map_err(|why| open.failure(&why))? {
        for batch in keys.chunks(BATCH) {
            for entry in open.transfer.read(batch).await.map_err(|why| open.failure(&why))? {
                draft.put(&entry).map_err(Failure::Failed)?;
            }
            let Size { keys, bytes } = draft.size();
            shown.show(|| format!("exporting: {keys} keys, {}", size(bytes)));
        }
    }
    if draft.size().keys == 0 {
        let (place, state) =
            (open.place(), "check the redis section, cluster.name and CLAWSTER_STATE_DIR with clawster config check");
        return Err(Failure::Failed(format!(
            "{place} has no data of cluster {cluster}, so no file was written; {state}"
        )));
    }
    refuse_nodes(open, cluster, force, "they were started during the export, so no file was written").await?;
    Ok((draft.finish().map_err(Failure::Failed)?, server))
}

/// Refuses while processes of the cluster are connected.
async fn refuse_nodes(open: &mut Open, cluster: &str, force: bool, why: &str) -> Outcome {
    if force {
        return Ok(());
    }
    match open.transfer.processes().await {
        Ok(0) => Ok(()),
        Ok(count) => {
            let who = connected(count, cluster);
            Err(Failure::Refused(format!("{who}; {why}. Stop all of them, or add --force")))
        }
        Err(why) => Err(open.failure(&why)),
    }
}
