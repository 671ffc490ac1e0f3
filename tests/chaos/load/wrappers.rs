//! `clawster run --lease` around a command that leaves stamps, and what else of the command line runs beside the nodes.

use crate::slot::configured;
use crate::world::World;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use testkit::stamps::Stamped;
use testkit::wrapper::{self, FILE, LABEL, Wrapper};
use testkit::{Launch, Proxy, Stamp, stamp};

/// A place for wrappers, one after the other.
#[derive(Debug)]
pub struct WrapperSlot {
    pub proxy: Proxy,
    /// Held by the fault that has it.
    pub busy: Mutex<()>,
    launch: Launch,
    running: Mutex<Option<Wrapper>>,
}

impl WrapperSlot {
    /// One that does not run yet.
    pub fn new(
        base: &Path,
        place: usize,
        redis: u16,
        settings: crate::plan::Settings,
        env: &[(String, String)],
    ) -> Self {
        let (proxy, label) = (Proxy::start(redis), format!("w{place}"));
        let launch = Launch::new(base, &label).port(proxy.port());
        let launch = launch.env(FILE, &file(base).display().to_string()).env(LABEL, &label);
        let launch = env.iter().fold(launch, |launch, (key, value)| launch.env(key, value));
        Self { proxy, busy: Mutex::new(()), launch: configured(launch, settings), running: Mutex::new(None) }
    }

    /// Starts it.
    pub fn start(&self) {
        let program = std::env::current_exe().expect("this program").display().to_string();
        let wrapper = Wrapper::start(&self.launch, &["--ttl", "2s"], &[&program, "stamp"]);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(wrapper);
    }

    /// Looks at the running one.
    pub fn with<T>(&self, look: impl FnOnce(&mut Wrapper) -> T) -> Option<T> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(look)
    }

    /// Ends it.
    pub fn end(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn file(base: &Path) -> PathBuf {
    base.join("stamps")
}

/// All stamps of a run.
pub fn stamps(base: &Path) -> Vec<Stamped> {
    Stamped::all(&std::fs::read_to_string(file(base)).unwrap_or_default())
}

/// The command of the wrappers.
pub fn leave_stamps() -> ExitCode {
    wrapper::leave_stamps(Duration::from_millis(10));
    ExitCode::FAILURE
}

/// A scheduler's heartbeat every second, of a node that has no process, until everything ends.
pub fn one_shots(world: &World, launch: &Launch) {
    while !world.over() {
        let mut command = std::process::Command::new(&launch.program);
        command.args(["heartbeat", "--json"]).env_clear().envs(launch.environment()).current_dir(&launch.home);
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        if let Ok(mut child) = command.spawn() {
            let end: Stamp = stamp() + Duration::from_secs(20);
            while child.try_wait().is_ok_and(|status| status.is_none()) && stamp() < end && !world.over() {
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill().ok();
            child.wait().ok();
        }
        world.pause(Duration::from_secs(1));
    }
}
