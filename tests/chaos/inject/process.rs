//! Faults of a node's process: kills, stops, restarts with another file or another version, its clock, its disk.

use crate::faults::Fault;
use crate::numbers::Numbers;
use crate::plan::Settings;
use crate::slot::{Slot, configured, state_dir};
use crate::world::World;
use rustix::process::Signal;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use testkit::wrapper::send;
use testkit::{Stamp, stamp};

/// kill -9, and the next process after a while.
pub fn kill(_world: &World, slot: &Slot, down: Duration) -> Result<(), String> {
    slot.kill9();
    std::thread::sleep(down);
    slot.start();
    Ok(())
}

/// A polite end, and the next process after a while. One that does not end in time is killed.
pub fn end_politely(world: &World, slot: &Slot) {
    let Some(instance) = slot.instance() else { return };
    instance.serve.close_stdin();
    let end: Stamp = stamp() + Duration::from_secs(10);
    while instance.serve.runs() && stamp() < end && !world.over() {
        std::thread::sleep(Duration::from_millis(10));
    }
    slot.end();
    instance.serve.kill9();
}

/// A polite restart.
pub fn restart(world: &World, slot: &Slot, down: Duration) -> Result<(), String> {
    end_politely(world, slot);
    std::thread::sleep(down);
    slot.start();
    Ok(())
}

/// SIGSTOP for a while.
pub fn stop(slot: &Slot, lasts: Duration) -> Result<(), String> {
    let instance = slot.instance().ok_or("no process")?;
    let pid = instance.serve.pid();
    send(pid, Signal::STOP);
    std::thread::sleep(lasts);
    send(pid, Signal::CONT);
    Ok(())
}

/// A jump of its wall clock, and back.
pub fn clock(slot: &Slot, fault: &Fault, lasts: Duration) -> Result<(), String> {
    crate::clock::preload().ok_or("no preload")?;
    slot.clock.jump(fault.jump_us());
    std::thread::sleep(lasts);
    slot.clock.jump(-fault.jump_us());
    Ok(())
}

/// A restart with other settings in its file.
pub fn reconfigure(world: &World, slot: &Slot, fault: &Fault, down: Duration) -> Result<(), String> {
    let mut numbers = Numbers::new(world.plan.seed, 900 + fault.amount);
    let mut settings = world.plan.nodes[numbers.place(world.plan.nodes.len())];
    settings.grace = numbers.pick(&[0.3_f64, 0.5, 0.8, 1.0]).min(settings.lease / 3.0);
    let settings = Settings { fenced: settings.fenced && !world.plan.exclusive(), ..settings };
    slot.relaunch(|launch| configured(launch, settings));
    slot.kill9();
    std::thread::sleep(down);
    slot.start();
    Ok(())
}

/// A restart with the other version's program.
pub fn other_version(world: &World, slot: &Slot, down: Duration) -> Result<(), String> {
    let other = other_program().ok_or("no other version")?;
    let own = testkit::program();
    end_politely(world, slot);
    slot.relaunch(|mut launch| {
        launch.program = if launch.program == own { other } else { own };
        launch
    });
    std::thread::sleep(down);
    slot.start();
    Ok(())
}

/// The program of another version, named by `CLAWSTER_OTHER_BINARY`.
pub fn other_program() -> Option<PathBuf> {
    let path = std::env::var_os("CLAWSTER_OTHER_BINARY").filter(|path| !path.is_empty()).map(PathBuf::from)?;
    assert!(path.is_file(), "CLAWSTER_OTHER_BINARY={path:?} is no file");
    Some(path)
}

/// Gives a node's state a small disk of its own; says why when it cannot.
pub fn mount(slot: &Slot) -> Result<Mounted, String> {
    let dir = state_dir(&slot.launch());
    let output = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=24m,mode=0700", "chaos"])
        .arg(&dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(Mounted { dir })
}

/// A small disk, given back when dropped.
#[derive(Debug)]
pub struct Mounted {
    dir: PathBuf,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.dir).stdin(Stdio::null()).status().ok();
    }
}

fn is_mounted(dir: &Path) -> bool {
    let own = rustix::fs::stat(dir).map(|stat| stat.st_dev);
    let parent = rustix::fs::stat(dir.join("..")).map(|stat| stat.st_dev);
    own.is_ok() && own != parent
}

/// Fills the disk of its state for a while.
pub fn full_disk(slot: &Slot, lasts: Duration) -> Result<(), String> {
    let dir = state_dir(&slot.launch());
    if !is_mounted(&dir) {
        return Err("its state is on no disk of its own: mounting one needs root".to_owned());
    }
    let ballast = dir.join("ballast");
    let mut file = std::fs::File::create(&ballast).map_err(|error| error.to_string())?;
    let chunk = vec![0; 64 << 10];
    let until = stamp() + lasts;
    while stamp() < until {
        // What the node gives back meanwhile is taken at once.
        while file.write(&chunk).is_ok_and(|size| size > 0) {}
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(file);
    std::fs::remove_file(&ballast).map_err(|error| error.to_string())
}
