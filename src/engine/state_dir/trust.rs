//! Whether a state directory can be trusted: which other users could add, change or remove files in it.
//!
//! 1. A directory of another user (neither this one nor root) is refused, and so is one in which every user can replace
//!    files.
//! 2. If other users may write to a directory of this user, its mode is narrowed, with a warning.
//! 3. In a shared place like /tmp, only a folder of this user that is not a link is used.
//!
//! Not here: single files (`private_file.rs`).

use super::StateError;
use crate::private_folder::is_trusted;
use rustix::fs::{CWD, Mode, OFlags, fchmod, fstat, openat};
use std::fs::{DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o022;
const ALL_WRITE: u32 = 0o002;

/// How far a state directory can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Only this user (and root) can change its content.
    Own,
    /// Others can add files to it; the value is its owner.
    Shared(u32),
}

/// Creates the state directory if it is missing, and checks it.
///
/// # Errors
/// [`StateError::Unsafe`] when it belongs to another user, or every user can write to it; else the error of the disk.
pub(super) fn state_root(path: &Path) -> Result<Trust, StateError> {
    let failed = |error: io::Error| StateError::io(path, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let found = std::fs::metadata(path).map_err(failed)?;
    let me = rustix::process::geteuid();
    let refuse = |detail: String| Err(StateError::Unsafe { path: path.to_owned(), detail });
    let shown = path.display();
    if !is_trusted(found.uid()) {
        if !me.is_root() {
            return refuse(format!("the state directory belongs to user {}, not to {}", found.uid(), me.as_raw()));
        }
        tracing::warn!(file = %shown, owner = found.uid(), "the state directory belongs to another user, who can change its content");
        return Ok(Trust::Shared(found.uid()));
    }
    warn_of_above(path);
    if found.mode() & OTHERS_WRITE == 0 {
        return Ok(Trust::Own);
    }
    if found.mode() & STICKY != 0 {
        tracing::warn!(file = %shown, "the state directory is shared with other users; choose a private one (CLAWSTER_STATE_DIR)");
        return Ok(Trust::Shared(found.uid()));
    }
    if found.uid() == me.as_raw() {
        let mode = found.mode() & 0o7777 & !OTHERS_WRITE;
        tracing::warn!(file = %shown, mode = %format!("{mode:o}"), "other users could write to the state directory; changing its mode");
        std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
        return Ok(Trust::Own);
    }
    if found.mode() & ALL_WRITE != 0 {
        return refuse("every user can replace the files in the state directory".to_owned());
    }
    tracing::warn!(file = %shown, "a group of users can replace the files in the state directory");
    Ok(Trust::Shared(found.uid()))
}

/// Creates a folder in a shared place, or uses an existing one of this user.
///
/// # Errors
/// [`StateError::Unsafe`] for a link and for a folder of another user; else the error of the disk.
pub(super) fn own_folder(path: &Path, owner_of_place: u32) -> Result<(), StateError> {
    let failed = |error: io::Error| StateError::io(path, &error);
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let refuse = |detail: String| Err(StateError::Unsafe { path: path.to_owned(), detail });
    // Checks and changes go through one open folder: nobody can replace it in between.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = match openat(CWD, path, flags, Mode::empty()) {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            return refuse("this is not a folder, or a link to one".to_owned());
        }
        Err(rustix::io::Errno::ACCESS) => return refuse("this user has no permission to enter the folder".to_owned()),
        Err(error) => return Err(failed(error.into())),
    };
    let found = fstat(&folder).map_err(|error| failed(error.into()))?;
    let me = rustix::process::geteuid();
    // Root may use the place of a user whose folder it is.
    if found.st_uid != me.as_raw() && !(me.is_root() && found.st_uid == owner_of_place) {
        return refuse(format!("the folder belongs to user {}, not to {}", found.st_uid, me.as_raw()));
    }
    if found.st_mode & 0o077 != 0 {
        tracing::warn!(file = %path.display(), "other users could enter the state directory; changed its mode to 0700");
        fchmod(&folder, Mode::from_raw_mode(0o700)).map_err(|error| failed(error.into()))?;
    }
    Ok(())
}

/// Warns about the first parent folder from which other users could move the state directory away.
fn warn_of_above(path: &Path) {
    let is_open =
        |found: &Metadata| !is_trusted(found.uid()) || (found.mode() & ALL_WRITE != 0 && found.mode() & STICKY == 0);
    let open = path.ancestors().skip(1).find(|folder| folder.metadata().is_ok_and(|found| is_open(&found)));
    if let Some(folder) = open {
        tracing::warn!(
            file = %path.display(), folder = %folder.display(),
            "other users can replace the state directory, because they can write to a folder above it; choose another place"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
    }

    #[test]
    fn an_own_directory_is_narrowed_and_a_shared_one_is_told_apart() {
        let place = tempfile::tempdir().expect("a folder");
        let root = place.path().join("state");
        assert_eq!(state_root(&root), Ok(Trust::Own));
        set(&root, 0o777);
        assert_eq!(state_root(&root), Ok(Trust::Own));
        assert_eq!(root.metadata().expect("it is there").mode() & 0o777, 0o755);
        set(&root, 0o1777);
        assert!(matches!(state_root(&root), Ok(Trust::Shared(_))));
    }

    #[test]
    fn in_a_shared_place_a_planted_folder_or_link_is_not_used() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("c");
        own_folder(&path, 0).expect("it is made");
        set(&path, 0o755);
        own_folder(&path, 0).expect("it is narrowed");
        assert_eq!(path.metadata().expect("it is there").mode() & 0o777, 0o700);
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(matches!(own_folder(&link, 0), Err(StateError::Unsafe { .. })));
        let file = place.path().join("file");
        std::fs::write(&file, "").expect("a file");
        assert!(matches!(own_folder(&file, 0), Err(StateError::Unsafe { .. })));
    }
}
