//! Checks that a program can be started, before a lease or key is acquired for it.
//!
//! 1. The check finds a program like the system does: through PATH, unless the name contains a slash. It is no guarantee: a file that
//!    is not a program, or that disappears meanwhile, fails only at the start.
//!
//! Not here: starting it (the commands).

use rustix::fs::{Access, access};
use std::ffi::OsStr;
use std::io::{Error, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The search path when PATH is not set, as in the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Checks that a program exists and that this user may run it.
///
/// # Errors
/// The error that starting it would give; see [`exit_code`].
pub(super) fn look(program: &OsStr, path: Option<&str>) -> Result<(), Error> {
    if program.is_empty() {
        return Err(ErrorKind::NotFound.into());
    }
    if program.as_bytes().contains(&b'/') {
        return runnable(Path::new(program));
    }
    let mut trouble = Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
    for folder in std::env::split_paths(path.unwrap_or(DEFAULT_PATH)) {
        // An empty entry means the working directory; joining yields the bare name, which is relative to it.
        match runnable(&folder.join(program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => trouble = error,
            Err(_) => {}
        }
    }
    Err(trouble)
}

fn runnable(path: &Path) -> Result<(), Error> {
    if path.metadata()?.is_dir() {
        return Err(Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error()));
    }
    Ok(access(path, Access::EXEC_OK)?)
}

/// The exit code that a shell gives when it cannot start a program: 127 if it does not exist, 126 if it cannot be run.
#[must_use]
pub(super) fn exit_code(error: &Error) -> u8 {
    if error.kind() == ErrorKind::NotFound { 127 } else { 126 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        let place = tempfile::tempdir().expect("a folder");
        let make = |name: &str, mode: u32| {
            let path = place.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("its mode");
            path
        };
        let (good, bad) = (make("good", 0o755), make("bad", 0o644));
        std::fs::create_dir(place.path().join("folder")).expect("a folder");
        let code = |program: &OsStr, path: Option<&str>| look(program, path).map_err(|error| exit_code(&error));
        let here = place.path().display().to_string();
        let path = format!("/nonexistent:{here}");
        assert_eq!(code(good.as_os_str(), None), Ok(()));
        assert_eq!(code(bad.as_os_str(), None), Err(126));
        assert_eq!(code("good".as_ref(), Some(&path)), Ok(()));
        assert_eq!(code("bad".as_ref(), Some(&path)), Err(126));
        assert_eq!(code("folder".as_ref(), Some(&path)), Err(126));
        assert_eq!(code("none".as_ref(), Some(&path)), Err(127));
        assert_eq!(code("none".as_ref(), None), Err(127));
        assert_eq!(code("".as_ref(), Some(&path)), Err(127));
        assert_eq!(code("sh".as_ref(), None), Ok(()));
        assert_eq!(code(place.path().join("good/x").as_os_str(), None), Err(126), "a file is not a folder");
    }
}
