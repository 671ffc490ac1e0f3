//! Replaces a file atomically.
//!
//! 1. A reader of the path sees the old content or the new content, never a part of it; a failure keeps the old content.
//!
//! Not here: what is written.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// How many names are tried for the temporary file.
const MAX_NAMES: u32 = 100;

/// Writes to a temporary file beside the path and renames it. A pipe or a device is written to directly.
///
/// # Errors
/// One sentence that names the path and what to do.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), String> {
    let failed = |what: &str, error: &std::io::Error| {
        format!("cannot write {}: {what}{error}; choose a file in a writable folder", path.display())
    };
    // A symbolic link stays, and the file that it points at is replaced.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match std::fs::metadata(&target) {
        Ok(known) if known.is_dir() => return Err(format!("cannot write {}: it is a folder", path.display())),
        Ok(known) if !known.is_file() => {
            let written = OpenOptions::new().write(true).open(&target).and_then(|mut file| file.write_all(content));
            return written.map_err(|error| failed("", &error));
        }
        _ => {}
    }
    let (beside, mut file) = beside(&target).map_err(|error| failed("", &error))?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    drop(file);
    written.and_then(|()| std::fs::rename(&beside, &target)).map_err(|error| {
        // Best effort: the temporary file is useless, and the error to report is the one above.
        let _ = std::fs::remove_file(&beside);
        failed("", &error)
    })
}

/// Creates the temporary file in the target's folder.
fn beside(target: &Path) -> std::io::Result<(PathBuf, File)> {
    let name =
        target.file_name().ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "the path has no file name"))?;
    let mut last = None;
    for number in 0..MAX_NAMES {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{number}.tmp", std::process::id()));
        let path = target.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::from(ErrorKind::AlreadyExists)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.svg");
        replace(&path, b"one").expect("writes");
        replace(&path, b"two").expect("replaces");
        assert_eq!(std::fs::read(&path).expect("a file"), b"two");
        let link = folder.path().join("link.svg");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        replace(&link, b"three").expect("writes through it");
        assert_eq!(std::fs::read(&path).expect("a file"), b"three");
        assert!(link.is_symlink() && folder.path().read_dir().expect("a folder").count() == 2);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no/such/a.svg");
        let error = replace(&missing, b"x").expect_err("no folder");
        assert!(error.contains("no/such/a.svg") && error.contains("choose a file"), "{error}");
        assert!(replace(folder.path(), b"x").expect_err("a folder").contains("it is a folder"));
        replace(Path::new("/dev/null"), b"x").expect("a device takes it");
    }
}
