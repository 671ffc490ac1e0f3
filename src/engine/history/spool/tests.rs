//! What is on disk comes back, in order, whatever happened to the file or to the process.

use super::super::tests::sample;
use super::*;
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

fn batch(numbers: std::ops::RangeInclusive<u64>) -> Batch {
    let samples: Vec<Sample> = numbers.map(sample).collect();
    let summaries = Summary::of_all(&samples);
    Batch { samples, summaries, unsure: false }
}

fn numbers(portion: &Portion) -> Vec<u64> {
    portion.batch.samples.iter().map(|sample| sample.number).collect()
}

fn drain(spool: &mut Spool) -> Vec<u64> {
    let mut all = Vec::new();
    while let Some(portion) = spool.front(500) {
        all.extend(numbers(&portion));
        spool.confirm(portion.entries);
    }
    all
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("the folder").map(|found| found.expect("a file").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn taken_over(folder: &Path, name: &str) -> Spool {
    let mut spool = Spool::within(folder, name, MOST_BYTES);
    spool.take_over();
    spool
}

#[test]
fn what_was_taken_in_comes_back_in_order_and_leaves_no_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=3)) && spool.append(batch(4..=4)));
    assert_eq!((spool.waiting(), spool.on_disk()), (4, 4));
    let first = spool.front(3).expect("something waits");
    assert_eq!((numbers(&first), first.entries, first.batch.unsure), (vec![1, 2, 3], 1, false));
    assert_eq!(first.batch.summaries.len(), 1);
    let both = spool.front(4).expect("something waits");
    assert_eq!((numbers(&both), both.entries), (vec![1, 2, 3, 4], 2));
    assert_eq!(both.batch.summaries.len(), 1, "of one life and ten minutes the last one");
    spool.doubt(1);
    assert!(spool.front(3).expect("something waits").batch.unsure);
    assert_eq!(drain(&mut spool), [1, 2, 3, 4]);
    spool.close();
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[test]
fn another_process_goes_on_where_one_was_killed() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut killed = taken_over(&folder, "a");
    for n in 1..=5 {
        assert!(killed.append(batch(n..=n)));
    }
    killed.confirm(2);
    let mut beside = taken_over(&folder, "b");
    assert_eq!(beside.waiting(), 0, "the other one lives");
    // Dropped without a word, as by kill -9.
    drop(killed);
    let mut next = taken_over(&folder, "c");
    assert!(next.append(batch(6..=6)));
    let portion = next.front(500).expect("something waits");
    assert_eq!((numbers(&portion), portion.batch.unsure), (vec![3, 4, 5, 6], true));
    assert_eq!(drain(&mut next), [3, 4, 5, 6]);
    next.close();
    beside.close();
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[test]
fn half_a_record_at_the_end_is_cut_off() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=1)) && spool.append(batch(2..=2)));
    drop(spool);
    let path = folder.join(&files(&folder)[0]);
    let file = OpenOptions::new().write(true).open(&path).expect("opens");
    file.set_len(file.metadata().expect("its length").len() - 10).expect("is cut");
    let mut next = taken_over(&folder, "b");
    assert_eq!(drain(&mut next), [1]);
    next.close();
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[test]
fn a_damaged_file_is_read_up_to_the_damage_and_set_aside() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=1)));
    let end = spool.files[0].1.bytes();
    assert!(spool.append(batch(2..=2)) && spool.append(batch(3..=3)));
    drop(spool);
    let path = folder.join(&files(&folder)[0]);
    OpenOptions::new().write(true).open(&path).expect("opens").write_all_at(b"nonsense", end + 20).expect("writes");
    let mut next = taken_over(&folder, "b");
    assert_eq!(drain(&mut next), [1]);
    next.close();
    let left = files(&folder);
    assert!(left.len() == 1 && left[0].contains("corrupt"), "{left:?}");
}

#[test]
fn what_only_a_newer_version_can_read_is_passed_over_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=1)));
    spool.files[0].1.append(br#"{"samples":{"packed":7},"summaries":[]}"#).expect("a record of a newer version");
    assert!(spool.append(batch(3..=3)));
    drop(spool);
    let other = folder.join("other-1.spool");
    std::fs::write(&other, b"clawsp02 and what that means").expect("a file of a newer version");
    let mut next = taken_over(&folder, "b");
    assert_eq!(drain(&mut next), [1, 3]);
    next.close();
    let left = files(&folder);
    assert!(left.len() == 2 && left.iter().any(|name| name.ends_with(".newer-1")), "{left:?}");
    assert_eq!(std::fs::read(&other).expect("it is there"), b"clawsp02 and what that means");
}

#[test]
fn a_removed_spool_is_written_again_with_all_that_waits() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=2)));
    std::fs::remove_dir_all(&folder).expect("a cleaner removes it");
    assert!(spool.append(batch(3..=3)));
    assert_eq!((spool.waiting(), spool.on_disk()), (3, 3));
    drop(spool);
    assert_eq!(drain(&mut taken_over(&folder, "b")), [1, 2, 3]);
}

#[test]
fn room_is_bounded_and_comes_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let mut spool = Spool::within(&folder, "a", 20_000);
    let mut taken = 0;
    while spool.on_disk() == spool.waiting() {
        taken += 1;
        assert!(spool.append(batch(taken..=taken)), "memory takes what the disk does not");
    }
    assert!((5..200).contains(&taken), "{taken}");
    for n in taken + 1..taken + MOST_IN_MEMORY as u64 {
        assert!(spool.append(batch(n..=n)));
    }
    assert!(!spool.append(batch(0..=0)), "memory is bounded, too");
    assert_eq!(drain(&mut spool).len() as u64, taken + MOST_IN_MEMORY as u64 - 1);
    assert!(spool.append(batch(1..=1)) && spool.on_disk() == 1);
}

#[test]
fn many_files_are_taken_over_a_few_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let many = 3 * MOST_OPEN as u64;
    for n in 1..=many {
        assert!(Spool::within(&folder, &format!("p{n:04}"), MOST_BYTES).append(batch(n..=n)));
    }
    let mut next = Spool::within(&folder, "q", MOST_BYTES);
    assert!(next.append(batch(many + 1..=many + 1)));
    next.take_over();
    let mut all = Vec::new();
    while let Some(portion) = next.front(10) {
        assert!(next.files.len() <= MOST_OPEN + 1, "{} files are open", next.files.len());
        all.extend(numbers(&portion));
        next.confirm(portion.entries);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=many + 1).collect::<Vec<_>>());
    assert!(next.append(batch(1..=1)) && next.on_disk() == 1);
    assert_eq!(drain(&mut next), [1]);
    next.close();
    assert_eq!(files(&folder), Vec::<String>::new());
}

#[test]
fn short_processes_share_a_file_and_the_room() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    let short = |n: u64, limit: u64| {
        let mut spool = Spool::within(&folder, &format!("p{n}"), limit);
        spool.go_on();
        assert!(spool.append(batch(n..=n)));
        let kept = spool.on_disk() == spool.waiting();
        spool.close();
        kept
    };
    (1..=20).for_each(|n| assert!(short(n, MOST_BYTES)));
    assert_eq!(files(&folder).len(), 1);
    assert!(!short(21, 1_000), "the others' files fill the room");
    assert!(!Spool::within(&folder, "r", 1_000).append_to_disk(22), "also without going on with one");
    let mut next = taken_over(&folder, "q");
    assert_eq!(drain(&mut next), (1..=20).collect::<Vec<_>>());
    next.close();
    assert_eq!(files(&folder), Vec::<String>::new());
}

impl Spool {
    fn append_to_disk(&mut self, number: u64) -> bool {
        self.append(batch(number..=number)) && self.on_disk() == 1
    }
}

#[test]
fn a_folder_that_cannot_be_used_costs_no_sample() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("history");
    std::fs::write(&folder, "a file").expect("writes");
    let mut spool = taken_over(&folder, "a");
    assert!(spool.append(batch(1..=2)));
    assert_eq!((spool.waiting(), spool.on_disk()), (2, 0));
    assert_eq!(drain(&mut spool), [1, 2]);
    spool.close();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn files_that_are_no_spool_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), from in 0_usize..100) {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = dir.path().join("history");
        let mut spool = taken_over(&folder, "a");
        prop_assert!(spool.append(batch(1..=1)));
        drop(spool);
        let path = folder.join(&files(&folder)[0]);
        let mut content = std::fs::read(&path).expect("reads");
        content.truncate(from);
        content.extend(&bytes);
        std::fs::write(&path, &content).expect("writes");
        let mut next = taken_over(&folder, "b");
        drain(&mut next);
        prop_assert!(next.append(batch(2..=2)));
        prop_assert_eq!(drain(&mut next), [2]);
    }
}
