//! The disk alone: how long it takes to have 4 KiB more, one after the other. clawster waits for that once before it answers a sender.

use crate::load::{Load, Run, Subject};
use std::io::Write;
use std::path::Path;
use testkit::stamp;

/// Writes in a round.
const WRITES: usize = 500;

/// A file that grows.
pub struct Disk(std::fs::File);

impl Disk {
    /// In this folder, which should be on the disk of the nodes' state.
    pub fn at(dir: &Path) -> Self {
        Self(std::fs::File::create(dir.join("growing")).expect("a file"))
    }
}

impl Subject for Disk {
    fn name(&self) -> &str {
        "this disk, write and fdatasync of 4 KiB"
    }

    fn run(&mut self, load: &Load) -> Option<Run> {
        if load.paced == 0 {
            return None;
        }
        let began = stamp();
        let times = (0..WRITES).map(|_| {
            let at = stamp();
            self.0.write_all(&[b'x'; 4096]).and_then(|()| self.0.sync_data()).expect("room");
            u64::try_from((stamp() - at).as_nanos()).unwrap()
        });
        let times: Vec<u64> = times.collect();
        Some(Run::new(load, (stamp() - began).as_secs_f64(), [None; 3], &times))
    }
}
