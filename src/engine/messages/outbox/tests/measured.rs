//! What needs a measurement or a special disk, and is run by hand.

use super::*;

/// Prints what a call costs here: `cargo test --lib -- --ignored --nocapture cost_of`.
#[test]
#[ignore = "a measurement"]
fn cost_of_accepting_a_hundred_messages() {
    let root = tempfile::tempdir().unwrap();
    let store = dir(&root).lock_node(&id("a")).unwrap();
    let mut costs = Vec::new();
    for call in 0..200u64 {
        let call = drafts(call * 100..call * 100 + 100);
        let started = crate::clock::now();
        store.accept(call, 1).unwrap();
        costs.push(crate::clock::now().since(started));
    }
    costs.sort_unstable();
    println!("accept(100 x 100 B): median {:?}, p99 {:?}", costs[100], costs[197]);
    println!(
        "{}",
        std::fs::read_to_string("/proc/self/status")
            .unwrap()
            .lines()
            .filter(|l| l.starts_with("VmRSS"))
            .collect::<String>()
    );
    println!("file {} bytes", std::fs::metadata(dir(&root).database_path(&id("a"))).unwrap().len());
}

/// Fills a real small disk: mount a tmpfs of 16 MiB and name it in CLAWSTER_TEST_SMALL_DISK.
#[test]
#[ignore = "needs a small file system"]
fn a_real_full_disk_refuses_calls_and_takes_them_again() {
    let root =
        std::env::var_os("CLAWSTER_TEST_SMALL_DISK").expect("CLAWSTER_TEST_SMALL_DISK names a small file system");
    let dir = StateDir::open(Path::new(&root), &ClusterName::new("c").unwrap()).unwrap();
    let store = dir.lock_node(&id("a")).unwrap();
    let ballast = Path::new(&root).join("ballast");
    let mut accepted = 0;
    for round in 0..20u64 {
        // Later rounds find less room than this; what fits is enough.
        let _ = std::fs::write(&ballast, vec![1; 200_000]);
        let error = loop {
            match store.accept(drafts(accepted..accepted + 100), 1) {
                Ok(_) => accepted += 100,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, AcceptError::State(StateError::Io { full: true, .. })), "round {round}: {error}");
        let again = store.accept(drafts(accepted..accepted + 100), 1);
        std::fs::remove_file(&ballast).unwrap();
        accepted = if again.is_ok() { accepted + 100 } else { accepted };
        assert_eq!(seqs(&store), (1..=accepted).collect::<Vec<_>>(), "round {round}: {again:?}");
        if store.accept(drafts(accepted..accepted + 1), 1).is_ok() {
            accepted += 1;
        }
        if round % 5 == 4 {
            for chunk in (1..=accepted).map(|n| (n, MessageSeq(n))).collect::<Vec<_>>().chunks(100) {
                sent(&store, chunk).unwrap();
            }
            break;
        }
    }
    println!("accepted {accepted}; {:?}", store.unsent());
}
