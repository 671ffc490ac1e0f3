//! Recognises the process of a folder's private server.
//!
//! 1. Its working directory is the server's folder, which only this user may enter; this alone is not sufficient.
//! 2. Its program is named like Redis or Valkey, or is the one that would be started. A different process title does not exclude it:
//!    versions before 6.2 overwrite the title.
//!
//! Not here: actions on the process (`server.rs`).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The system's data about a process.
#[derive(Debug)]
struct Seen {
    folder: PathBuf,
    program: Option<PathBuf>,
    title: Vec<u8>,
}

/// What the process of a folder's server must look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks<'a> {
    /// The server's folder, with links resolved.
    pub(super) folder: &'a Path,
    /// The server's socket.
    pub(super) socket: &'a Path,
    /// The program that would be started.
    pub(super) program: Option<&'a Path>,
}

impl Looks<'_> {
    /// Whether the process with this id runs and is the server.
    pub(super) fn matches(self, pid: u32) -> bool {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let Ok(folder) = fs::read_link(process.join("cwd")) else { return false };
        let program = fs::read_link(process.join("exe")).ok();
        let title = fs::read(process.join("cmdline")).unwrap_or_default();
        self.describe(&Seen { folder, program, title })
    }

    fn describe(self, seen: &Seen) -> bool {
        if seen.folder != self.folder {
            return false;
        }
        let by_name = |program: &Path| {
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            name.contains("redis") || name.contains("valkey")
        };
        let by_program = seen.program.as_deref().is_some_and(|found| by_name(found) || self.program == Some(found));
        let socket = self.socket.as_os_str().as_encoded_bytes();
        // A program started through a wrapper or a loader has the socket's path in its arguments.
        by_program || seen.title.windows(socket.len()).any(|part| part == socket)
    }
}

/// The identity of a file or folder, which stays the same when it is renamed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file or folder at this path. The links in `/proc/<pid>` lead to it even after it was removed.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        fs::metadata(path).map(|data| Self { device: data.dev(), inode: data.ino() })
    }

    /// An open file.
    pub(super) fn of_file(file: &fs::File) -> std::io::Result<Self> {
        file.metadata().map(|data| Self { device: data.dev(), inode: data.ino() })
    }
}

/// The processes whose working directory is this folder and whose command line names this socket as a server's, including those that
/// have not written their pid file yet.
pub(super) fn servers_in(folder: FileId, socket: &Path) -> Vec<u32> {
    let option = [b"--unixsocket\0", socket.as_os_str().as_encoded_bytes(), b"\0"].concat();
    let title = [b"unixsocket:", socket.as_os_str().as_encoded_bytes()].concat();
    let is_server = |pid: &u32| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let line = || fs::read(process.join("cmdline")).unwrap_or_default();
        let has = |line: &[u8], text: &[u8]| line.windows(text.len()).any(|part| part == text);
        FileId::of(&process.join("cwd")).is_ok_and(|found| found == folder) && {
            let line = line();
            has(&line, &option) || has(&line, &title)
        }
    };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_started_on_the_socket_is_a_server_of_a_folder_also_after_it_was_removed() {
        let place = tempfile::tempdir().expect("folder");
        let folder = place.path().join("+redis");
        fs::create_dir(&folder).expect("folder");
        let id = FileId::of(&folder).expect("its identity");
        let socket = folder.join("redis.sock");
        let start = |arguments: &[&str]| {
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", "read line", "server"]).args(arguments).current_dir(&folder);
            let child = shell.stdin(std::process::Stdio::piped()).spawn().expect("sh runs");
            // The system shows a program's command line a moment after it lets the parent go on.
            let began = crate::clock::now();
            while fs::read(format!("/proc/{}/cmdline", child.id())).unwrap_or_default().is_empty() {
                assert!(
                    crate::clock::now().since(began) < std::time::Duration::from_secs(10),
                    "it has no command line"
                );
                std::thread::yield_now();
            }
            child
        };
        let path = socket.display().to_string();
        let (mut server, mut client) = (start(&["--unixsocket", &path, "--dir"]), start(&["-s", &path]));
        assert_eq!(servers_in(id, &socket), [server.id()]);
        fs::remove_dir(&folder).expect("removed");
        fs::create_dir(&folder).expect("a new one");
        assert_eq!(servers_in(id, &socket), [server.id()]);
        assert_eq!(servers_in(FileId::of(&folder).expect("its identity"), &socket), [0; 0]);
        for child in [&mut server, &mut client] {
            child.kill().expect("killed");
            child.wait().expect("reaped");
        }
    }

    #[test]
    fn a_server_is_recognised_by_its_folder_and_its_program() {
        let looks = Looks {
            folder: Path::new("/state/+redis"),
            socket: Path::new("/state/+redis/redis.sock"),
            program: Some(Path::new("/opt/store")),
        };
        let fits = |folder: &str, program: Option<&str>, title: &[u8]| {
            looks.describe(&Seen { folder: folder.into(), program: program.map(Into::into), title: title.to_vec() })
        };
        let own = "/state/+redis";
        // Redis 5 and 6.0 show no socket path.
        assert!(fits(own, Some("/usr/bin/redis-check-rdb"), b"/usr/bin/redis-server *:0"));
        assert!(fits(own, Some("/usr/bin/valkey-server (deleted)"), b""));
        assert!(fits(own, Some("/opt/store"), b"store"));
        assert!(fits(own, Some("/lib/ld-linux.so"), b"redis-server unixsocket:/state/+redis/redis.sock"));
        assert!(!fits(own, Some("/usr/bin/bash"), b"bash"));
        assert!(!fits(own, None, b""));
        assert!(!fits("/elsewhere", Some("/usr/bin/redis-server"), b"redis-server /state/+redis/redis.sock"));
    }
}
