//! The file of an export: what is read is what was written, or nothing.

use super::*;
use std::os::unix::fs::PermissionsExt;

fn entries() -> Vec<Entry> {
    let entry = |key: &str, value: &[u8], expires_at| Entry { key: key.into(), value: value.to_vec(), expires_at };
    vec![
        entry("p:once:report 1\n", b"\0\xff\n{\"name\":1}\n", Some(1_700_000_000_123)),
        entry("p:empty", b"", None),
        entry("p:meta", &[7; 300], None),
    ]
}

fn written(folder: &Path) -> PathBuf {
    let path = folder.join("x.export");
    let mut draft = Draft::create(&path, &Header::new("a", "Redis 7.0.15", 5)).expect("creates");
    entries().iter().for_each(|entry| draft.put(entry).expect("takes it"));
    assert!(!path.exists(), "no half file under the name");
    let size = draft.finish().expect("finishes");
    assert_eq!(size, Size { keys: 3, bytes: path.metadata().expect("a file").len() });
    path
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

#[test]
fn what_was_written_is_read_again_and_once_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = written(folder.path());
    assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["x.export"]);
    let mut export = Export::open(&path).expect("opens");
    assert_eq!(
        (export.header.cluster.as_str(), export.header.server.as_str(), export.size.keys),
        ("a", "Redis 7.0.15", 3)
    );
    for _ in 0..2 {
        let read: Vec<Entry> = std::iter::from_fn(|| export.next().expect("reads")).collect();
        assert_eq!(read, entries());
        assert_eq!(export.next(), Ok(None), "the end stays the end");
        export.rewind().expect("goes back");
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = std::fs::read(written(folder.path())).expect("a file");
    let path = folder.path().join("bad");
    let refuse = |bytes: &[u8], what: String| {
        std::fs::write(&path, bytes).expect("writes");
        let why = Export::open(&path).expect_err(&what);
        assert!(["is damaged", "is no export", "has format"].iter().any(|words| why.contains(words)), "{what}: {why}");
    };
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        refuse(&bytes, format!("bit {bit}"));
    }
    for length in 0..good.len() {
        refuse(&good[..length], format!("cut at {length}"));
    }
    refuse(&[good.as_slice(), b"\n"].concat(), "something behind it".to_owned());
    refuse(&[good.as_slice(), good.as_slice()].concat(), "twice".to_owned());
}

#[test]
fn what_is_no_export_or_of_another_version_is_named_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other");
    for text in ["", "REDIS0011", "{}\n", "[1]\n"] {
        std::fs::write(&path, text).expect("writes");
        assert!(Export::open(&path).expect_err(text).contains("is no export of clawster"), "{text}");
    }
    std::fs::write(&path, "{\"clawster_export\":2,\"new\":true}\n").expect("writes");
    let why = Export::open(&path).expect_err("another format");
    assert!(why.contains("has format 2, and this version of clawster reads format 1"), "{why}");
    assert!(Export::open(folder.path()).expect_err("a folder").contains("is not a regular file"));
    assert!(Export::open(&folder.path().join("none")).expect_err("none").contains("cannot read"));
}

#[test]
fn no_file_is_replaced_and_an_unfinished_one_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.export");
    let header = Header::new("a", "Redis 7.0.15", 5);
    let mut draft = Draft::create(&path, &header).expect("creates");
    draft.put(&entries()[0]).expect("takes it");
    assert_eq!(names(folder.path()).len(), 1);
    drop(draft);
    assert_eq!(names(folder.path()), [""; 0]);

    let late = Draft::create(&path, &header).expect("creates");
    std::fs::write(&path, "mine").expect("writes");
    assert!(late.finish().expect_err("a file appeared").contains("is not replaced"));
    assert!(Draft::create(&path, &header).err().expect("a file is there").contains("is not replaced"));
    assert_eq!(std::fs::read_to_string(&path).expect("reads"), "mine");
    assert_eq!(names(folder.path()), ["x.export"]);
}
