//! Creates and checks folders that only this user may enter.
//!
//! 1. A user who can write to the server's folder could make this user run or kill processes; so only this user may.
//!
//! Not here: what is in the folders (`server.rs`).

use super::Error;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Creates a folder with its parents; restricts the mode of an existing one; refuses another user's folder.
pub(super) fn private_folder(path: &Path) -> Result<(), Error> {
    create(path)?;
    let found = fs::metadata(path).map_err(Error::file("cannot read", path))?;
    let me = rustix::process::geteuid();
    // Another user's link could redirect to a different folder.
    let link = fs::symlink_metadata(path).map_err(Error::file("cannot read", path))?;
    if link.is_symlink() && link.uid() != 0 && link.uid() != me.as_raw() {
        return Err(Error::ForeignFolder(path.to_owned()));
    }
    if !found.is_dir() || (found.uid() != me.as_raw() && !me.is_root()) {
        return Err(Error::ForeignFolder(path.to_owned()));
    }
    if found.mode() & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "other users could enter the private Redis's folder; set its mode to 0700");
        fs::set_permissions(path, Permissions::from_mode(0o700))
            .map_err(Error::file("cannot change the mode of", path))?;
    }
    Ok(())
}

/// Creates a folder in a place where other users may write; refuses a link, another user's folder, and one that others can enter.
pub(super) fn guarded_folder(path: &Path) -> Result<(), Error> {
    create(path)?;
    let found = fs::symlink_metadata(path).map_err(Error::file("cannot read", path))?;
    let own = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && own && found.mode() & 0o077 == 0 { Ok(()) } else { Err(Error::ForeignFolder(path.to_owned())) }
}

fn create(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(Error::file("cannot create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_folder_is_narrowed_and_a_guarded_one_is_refused() {
        let place = tempfile::tempdir().expect("folder");
        let path = place.path().join("wide");
        fs::create_dir(&path).expect("folder");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("mode");
        assert!(matches!(guarded_folder(&path), Err(Error::ForeignFolder(_))));
        private_folder(&path).expect("narrows");
        assert_eq!(fs::metadata(&path).expect("folder").mode() & 0o777, 0o700);
        guarded_folder(&path).expect("fits");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        assert!(matches!(guarded_folder(&link), Err(Error::ForeignFolder(_))));
    }
}
