//! A node of a run: its settings, its way to Redis, and its lives, one process after the other.
//!
//! 1. Workers ask for the present life each time; a life that ended answers nobody.
//!
//! Not here: what workers do with it (`load/`), what befalls it (`inject/`).

use crate::clock::Clock;
use crate::plan::Settings;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use testkit::{Launch, Proxy, Serve};

/// One process of a node.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Counts the processes of this node.
    pub number: u64,
    /// The process.
    pub serve: Arc<Serve>,
}

impl Instance {
    /// How answers of this process are called in histories.
    pub fn label(&self) -> String {
        format!("{}/{}", self.serve.label, self.number)
    }
}

/// A node.
#[derive(Debug)]
pub struct Slot {
    /// Its place among the nodes.
    pub place: usize,
    /// Its way to Redis.
    pub proxy: Proxy,
    /// Its wall clock.
    pub clock: Clock,
    /// Held by the fault that has its process.
    pub process: Mutex<()>,
    /// Held by the fault that has its way to Redis.
    pub network: Mutex<()>,
    launch: Mutex<Launch>,
    instance: RwLock<Option<Instance>>,
    lives: Mutex<u64>,
}

impl Slot {
    /// A node that does not run yet.
    pub fn new(base: &Path, place: usize, redis: u16, settings: Settings) -> Self {
        let proxy = Proxy::start(redis);
        let id = name(place);
        let mut launch = Launch::new(base, &id).port(proxy.port());
        let clock = Clock::new(launch.home.join("clock"));
        for (key, value) in clock.env() {
            launch = launch.env(&key, &value);
        }
        let launch = configured(launch.env("CLAWSTER__LOGGING__SYSLOG", "false"), settings);
        Self {
            place,
            proxy,
            clock,
            process: Mutex::new(()),
            network: Mutex::new(()),
            launch: Mutex::new(launch),
            instance: RwLock::new(None),
            lives: Mutex::new(0),
        }
    }

    /// The id of its node, unless it is renamed at this moment.
    pub fn id(&self) -> String {
        name(self.place)
    }

    /// How it is started.
    pub fn launch(&self) -> Launch {
        self.launch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes how it is started next.
    pub fn relaunch(&self, change: impl FnOnce(Launch) -> Launch) {
        let mut launch = self.launch.lock().unwrap_or_else(PoisonError::into_inner);
        *launch = change(launch.clone());
    }

    /// Its present process.
    pub fn instance(&self) -> Option<Instance> {
        self.instance.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts its next process.
    pub fn start(&self) -> Instance {
        let number = {
            let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            *lives += 1;
            *lives
        };
        let instance = Instance { number, serve: Arc::new(self.launch().start()) };
        *self.instance.write().unwrap_or_else(PoisonError::into_inner) = Some(instance.clone());
        instance
    }

    /// Takes its present process away from the workers, who find none until the next is started.
    pub fn end(&self) -> Option<Instance> {
        self.instance.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Kills its process with -9.
    pub fn kill9(&self) {
        if let Some(instance) = self.end() {
            instance.serve.kill9();
        }
    }
}

/// The id of the node at a place.
pub fn name(place: usize) -> String {
    format!("n{place}")
}

/// The place of the node with this id, also while it is renamed.
pub fn place_of(id: &str) -> Option<usize> {
    let digits: String = id.strip_prefix('n')?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Gives a node the settings of its own file.
pub fn configured(launch: Launch, settings: Settings) -> Launch {
    launch
        .timing(settings.interval, settings.ttl, settings.lease)
        .env("CLAWSTER__LEADER__PRESENCE_GRACE", &settings.grace.to_string())
        .env("CLAWSTER__LEADER__MODE", if settings.fenced { "fenced" } else { "exclusive" })
}

/// The folder in which a node keeps its state.
pub fn state_dir(launch: &Launch) -> PathBuf {
    launch.home.join("state")
}
