//! Creates and checks folders that only this user may enter.
//!
//! 1. A user who can write to the server's folder could make this user run or kill processes; so only this user may.
//!
//! Not here: what is in the folders (`server.rs`).

use super::Error;
use crate::private_folder::{Unsuitable, create_guarded, create_private};
use std::path::Path;

/// Creates a folder with its parents; restricts the mode of an existing one; refuses another user's folder.
pub(super) fn private_folder(path: &Path) -> Result<(), Error> {
    if create_private(path).map_err(refused(path))? {
        tracing::warn!(file = %path.display(), "other users could enter the private Redis's folder; set its mode to 0700");
    }
    Ok(())
}

/// Creates a folder in a place where other users may write; refuses a link, another user's folder, and one that others can enter.
pub(super) fn guarded_folder(path: &Path) -> Result<(), Error> {
    create_guarded(path).map_err(refused(path))
}

fn refused(path: &Path) -> impl FnOnce(Unsuitable) -> Error {
    move |why| match why {
        Unsuitable::Failed(what, error) => Error::file(what, path)(error),
        Unsuitable::Unsafe(_) => Error::ForeignFolder(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

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
