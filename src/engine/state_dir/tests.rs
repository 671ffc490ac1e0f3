//! The folder as several processes use it.

use super::*;
use crate::cluster::ids::{Incarnation, Nonce, Term};
use crate::cluster::oneshot::{HeldLease, Saved};
use crate::engine::oneshot::state::{OneshotState, boot_id};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;

fn open(root: &Path) -> StateDir {
    StateDir::open(root, &ClusterName::new("c").unwrap()).unwrap()
}

fn id(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

#[test]
fn folders_and_files_are_private() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("c")).unwrap();
    std::fs::set_permissions(root.path().join("c"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let dir = open(root.path());
    let _generated = dir.lock_generated().unwrap();
    assert_eq!(std::fs::metadata(dir.folder()).unwrap().mode() & 0o777, 0o700);
    for entry in std::fs::read_dir(dir.folder()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{entry:?}");
    }
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = StateDir::open(&file, &ClusterName::new("c").unwrap()).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[test]
fn a_node_id_has_one_holder_and_a_stale_pid_fools_nobody() {
    let root = tempfile::tempdir().unwrap();
    let dir = open(root.path());
    std::fs::write(dir.folder().join("a.lock"), "1\n").unwrap();
    let store = dir.lock_node(&id("a")).unwrap();
    let error = dir.lock_node(&id("a")).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(store);
    dir.lock_node(&id("a")).unwrap();
}

#[test]
fn generated_ids_are_taken_again_and_never_twice() {
    let root = tempfile::tempdir().unwrap();
    let taken: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| open(root.path()).lock_generated().unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut ids: Vec<_> = taken.iter().map(|(id, _)| id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
    drop(taken);
    let (first, store) = open(root.path()).lock_generated().unwrap();
    assert!(ids.contains(&first));
    let (second, _other) = open(root.path()).lock_generated().unwrap();
    assert!(ids.contains(&second) && first != second);
    drop(store);
    assert!(open(root.path()).lock_generated().is_ok());
}

#[test]
fn a_socket_has_a_short_path_and_is_found() {
    let root = tempfile::tempdir().unwrap();
    for depth in [0, 60, 200] {
        let folder = root.path().join("d".repeat(depth));
        let mut dir = open(&folder);
        let runtime = tempfile::tempdir().unwrap();
        dir.runtime = Some(runtime.path().to_owned());
        for name in ["a".to_owned(), "n".repeat(64)] {
            let id = id(&name);
            let path = dir.prepare_socket(&id).unwrap();
            assert_eq!(path, dir.socket_path(&id));
            assert!(path.as_os_str().len() <= MAX);
            let _listener = UnixListener::bind(&path).unwrap();
            let mut elsewhere = dir.clone();
            elsewhere.runtime = None;
            assert!(elsewhere.sockets().contains(&(id.clone(), path.clone())), "{path:?}");
            assert_eq!(elsewhere.socket_path(&id), path);
        }
        assert_eq!(dir.sockets().len(), 2);
    }
}

const MAX: usize = 100;

#[test]
fn a_short_folder_that_others_can_enter_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut dir = open(&root.path().join("d".repeat(200)));
    let runtime = tempfile::tempdir().unwrap();
    dir.runtime = Some(runtime.path().to_owned());
    let short = runtime.path().join("clawster");
    let node = id("a");
    let path = dir.prepare_socket(&node).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(dir.prepare_socket(&node), Err(StateError::Unsafe { .. })));
    assert!(matches!(dir.checked_socket(&node), Err(StateError::Unsafe { .. })), "nobody connects there either");
    assert!(dir.sockets().is_empty());
    std::fs::remove_dir_all(&short).unwrap();
    assert_eq!(dir.checked_socket(&node), Ok(path), "nobody listens there, which connecting will tell");
    std::os::unix::fs::symlink(root.path(), &short).unwrap();
    assert!(matches!(dir.prepare_socket(&node), Err(StateError::Unsafe { .. })));
}

#[test]
fn a_one_shot_state_comes_back_unless_the_host_rebooted_or_it_is_garbage() {
    let root = tempfile::tempdir().unwrap();
    let dir = open(root.path());
    let boot = boot_id().unwrap();
    let node = id("a");
    assert_eq!(OneshotState::load(&dir, &node, &boot), None);
    let state = OneshotState {
        boot_id: boot.clone(),
        run: Saved {
            incarnation: Incarnation(2),
            process: Nonce::from_bytes([1; 16]),
            lease: Some(HeldLease { term: Term(4), deadline_ms: 99 }),
            numbers: Default::default(),
            observed: None,
        },
        beats: 4,
        summary: None,
    };
    state.store(&dir, &node).unwrap();
    assert_eq!(OneshotState::load(&dir, &node, &boot), Some(state));
    assert_eq!(OneshotState::load(&dir, &node, "another boot"), None);
    for garbage in [&b""[..], b"{", b"[]", b"\xff\xfe", b"{\"boot_id\":1}"] {
        std::fs::write(dir.folder().join("a.heartbeat.json"), garbage).unwrap();
        assert_eq!(OneshotState::load(&dir, &node, &boot), None);
    }
    OneshotState::remove(&dir, &node).unwrap();
    OneshotState::remove(&dir, &node).unwrap();
}
