//! Files and folders that only this user can read.
//!
//! 1. A file is replaced as a whole: a reader sees the old or the new content, even after a power cut.
//! 2. Folders have mode 0700 and files mode 0600 from their creation.
//!
//! Not here: the content of the files.

use super::StateError;
use crate::private_folder::{Unsuitable, create_guarded, create_private};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Creates a folder and its parents; narrows the mode of an existing one; refuses a folder of another user.
pub(crate) fn private_folder(path: &Path) -> Result<(), StateError> {
    if create_private(path).map_err(refused(path))? {
        tracing::warn!(file = %path.display(), "other users could enter the state directory; changed its mode to 0700");
    }
    Ok(())
}

/// Creates one folder in a place where others may write; refuses a link, a folder of another user, and one that others can
/// enter.
pub(crate) fn guarded_folder(path: &Path) -> Result<(), StateError> {
    create_guarded(path).map_err(refused(path))
}

/// Checks that a folder is not a link, belongs to this user, and that no other user can enter it.
pub(crate) fn check_guarded(path: &Path) -> Result<(), StateError> {
    crate::private_folder::check_guarded(path).map_err(refused(path))
}

fn refused(path: &Path) -> impl FnOnce(Unsuitable) -> StateError {
    move |why| match why {
        Unsuitable::Failed(_, error) => StateError::io(path, &error),
        Unsuitable::Unsafe(detail) => StateError::Unsafe { path: path.to_owned(), detail },
    }
}

/// Opens a file for reading and writing; creates it if it is missing.
pub(crate) fn open(path: &Path) -> Result<File, StateError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StateError::io(path, &error))
}

/// Replaces the content of a file through a temporary file, so that no reader and no crash sees half of it.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StateError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The process id prevents two processes from writing the same temporary file.
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| StateError::io(path, &error));
    if written.is_err() {
        // A partly written file is useless; failing to remove it changes nothing.
        let _ = std::fs::remove_file(&temporary);
        return written;
    }
    sync_folder(path)
}

/// Makes changes of names in the folder of `path` (created, renamed, removed files) survive a power cut.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StateError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StateError::io(folder, &error))
}

/// Whether the path of an open file has another file or none: the file was removed or moved. False if that cannot be
/// checked.
pub(crate) fn is_astray(file: &File, path: &Path) -> bool {
    let Ok(ours) = file.metadata() else { return false };
    match path.metadata() {
        Ok(named) => (named.dev(), named.ino()) != (ours.dev(), ours.ino()),
        Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    }
}

/// Writes the content of an open file that was removed to its path again, and returns the new file, opened in the same way.
/// Never replaces another file at that path.
pub(crate) fn put_back(file: &File, path: &Path) -> Result<File, StateError> {
    let failed = |error: io::Error| StateError::io(path, &error);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut copy = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        // Not at the file's own position, which others may use.
        let (mut at, mut chunk) = (0, vec![0; 64 << 10]);
        loop {
            let read = file.read_at(&mut chunk, at)?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            copy.write_all(bytes)?;
            at += bytes.len() as u64;
        }
        copy.sync_all()?;
        std::fs::hard_link(&temporary, path)?;
        Ok(copy)
    })();
    // The temporary name is useless; failing to remove it changes nothing.
    let _ = std::fs::remove_file(&temporary);
    let copy = written.map_err(failed)?;
    sync_folder(path)?;
    Ok(copy)
}

/// Renames a file to `<name>.<why>-<n>` with the first free number, and returns the new path.
pub(crate) fn set_aside(path: &Path, why: &str) -> Result<PathBuf, StateError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (1u32..).map(|n| path.with_file_name(format!("{name}.{why}-{n}"))).find(|path| !path.exists());
    let target = free.unwrap_or_else(|| path.with_file_name(format!("{name}.{why}")));
    std::fs::rename(path, &target).map_err(|error| StateError::io(path, &error))?;
    sync_folder(path)?;
    Ok(target)
}
