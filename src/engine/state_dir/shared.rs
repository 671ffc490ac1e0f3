//! The settings of the cluster as the processes of this host have seen them, saved for use after a loss of data.
//!
//! 1. All nodes of the cluster on this host share one file; the highest version wins, whichever process writes.
//! 2. A file that cannot be read counts as absent: the configured settings then apply until a data set has others.
//!
//! Not here: using the settings (`crate::cluster::node`).

use super::{StateDir, StateError, private_file};
use crate::cluster::settings::{LeaderMode, Shared, Timing, Versioned};
use crate::cluster::time::millis;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The name of the file. It starts with a dot, which no node id does.
const FILE: &str = ".settings.json";

/// How often a write that another process overwrote is repeated.
const ATTEMPTS: u32 = 5;

/// The content of the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u64,
    heartbeat_interval_ms: u64,
    heartbeat_ttl_ms: u64,
    lease_ttl_ms: u64,
    presence_grace_ms: u64,
    mode: String,
}

impl StateDir {
    /// The newest settings of the cluster that were seen on this host, if any.
    #[must_use]
    pub fn settings(&self) -> Option<Versioned> {
        let path = self.settings_path();
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "cannot read the saved settings of the cluster; continuing without them");
                return None;
            }
        };
        let settings = serde_json::from_slice(&bytes).ok().and_then(of_kept);
        if settings.is_none() {
            tracing::warn!(file = %path.display(), "the saved settings of the cluster are damaged or from a newer version; ignoring them");
        }
        settings
    }

    /// Saves the settings of a data set, unless newer ones are saved. Version 0 is not saved: no data set has confirmed it.
    ///
    /// # Errors
    /// [`StateError`] when the disk fails.
    pub fn keep_settings(&self, new: Versioned) -> Result<(), StateError> {
        let path = self.settings_path();
        for _ in 0..ATTEMPTS {
            let kept = self.settings();
            if kept.is_none() && self.kept_version().is_some_and(|version| version > new.version) {
                // A newer version of clawster wrote them, in a form that this version cannot read.
                return Ok(());
            }
            if new.version == 0 || kept.is_some_and(|kept| kept.version > new.version || kept == new) {
                return Ok(());
            }
            let mut json = serde_json::to_vec(&to_kept(new)).map_err(|error| StateError::io(&path, &error.into()))?;
            json.push(b'\n');
            private_file::replace(&path, &json)?;
        }
        Ok(())
    }

    /// The version number in the file, even if the rest cannot be read.
    fn kept_version(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Of {
            version: u64,
        }
        let bytes = std::fs::read(self.settings_path()).ok()?;
        serde_json::from_slice::<Of>(&bytes).ok().map(|of| of.version)
    }

    fn settings_path(&self) -> PathBuf {
        self.folder.join(FILE)
    }
}

fn to_kept(Versioned { version, settings }: Versioned) -> Kept {
    let Shared { timing, presence_grace, mode } = settings;
    Kept {
        version,
        heartbeat_interval_ms: millis(timing.heartbeat_interval),
        heartbeat_ttl_ms: millis(timing.heartbeat_ttl),
        lease_ttl_ms: millis(timing.lease_ttl),
        presence_grace_ms: millis(presence_grace),
        mode: mode.word().to_owned(),
    }
}

fn of_kept(kept: Kept) -> Option<Versioned> {
    let times = [kept.heartbeat_interval_ms, kept.heartbeat_ttl_ms, kept.lease_ttl_ms, kept.presence_grace_ms];
    if times.contains(&0) {
        return None;
    }
    let [heartbeat_interval, heartbeat_ttl, lease_ttl, presence_grace] = times.map(Duration::from_millis);
    let timing = Timing { heartbeat_interval, heartbeat_ttl, lease_ttl };
    let mode = LeaderMode::from_word(&kept.mode)?;
    Some(Versioned { version: kept.version, settings: Shared { timing, presence_grace, mode } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ids::ClusterName;

    fn settings(version: u64, grace: u64) -> Versioned {
        Versioned { version, settings: Shared { presence_grace: Duration::from_millis(grace), ..Shared::default() } }
    }

    #[test]
    fn the_newest_settings_stay_and_a_damaged_file_counts_as_absent() {
        let root = tempfile::tempdir().expect("a folder");
        let dir = StateDir::open(root.path(), &ClusterName::new("c").expect("a name")).expect("a state directory");
        assert_eq!(dir.settings(), None);
        dir.keep_settings(settings(0, 100)).expect("kept");
        assert_eq!(dir.settings(), None, "nobody confirmed them");
        dir.keep_settings(settings(7, 1_500)).expect("kept");
        dir.keep_settings(settings(3, 100)).expect("kept");
        assert_eq!(dir.settings(), Some(settings(7, 1_500)));
        std::fs::write(dir.folder().join(FILE), b"{\"version\":-9}").expect("written");
        assert_eq!(dir.settings(), None);
        dir.keep_settings(settings(8, 200)).expect("kept");
        assert_eq!(dir.settings(), Some(settings(8, 200)));
    }

    #[test]
    fn settings_in_the_words_of_a_newer_version_stay_until_newer_ones_come() {
        let root = tempfile::tempdir().expect("a folder");
        let dir = StateDir::open(root.path(), &ClusterName::new("c").expect("a name")).expect("a state directory");
        dir.keep_settings(settings(9, 200)).expect("kept");
        let path = dir.folder().join(FILE);
        let newer = std::fs::read_to_string(&path).expect("read").replace("\"exclusive\"", "\"quorum\"");
        std::fs::write(&path, &newer).expect("written");
        assert_eq!(dir.settings(), None);
        dir.keep_settings(settings(8, 100)).expect("kept");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), newer);
        dir.keep_settings(settings(10, 100)).expect("kept");
        assert_eq!(dir.settings(), Some(settings(10, 100)));
    }
}
