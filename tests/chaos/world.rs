//! Everything that a run consists of: servers, nodes, wrappers, and what they wrote down.
//!
//! Not here: the faults (`inject/`), the order of things (`run.rs`).

use crate::backing::Backing;
use crate::history::History;
use crate::load::wrappers::WrapperSlot;
use crate::plan::Plan;
use crate::slot::Slot;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testkit::{Stamp, stamp};

/// A run's parts.
#[derive(Debug)]
pub struct World {
    pub plan: Plan,
    pub dir: PathBuf,
    pub backing: Backing,
    /// Held by the fault that has Redis.
    pub redis: Mutex<()>,
    pub slots: Vec<Slot>,
    pub wrappers: Vec<WrapperSlot>,
    pub history: History,
    /// No new messages, tasks and keys from now on; what is under way is finished.
    pub closing: AtomicBool,
    /// Everything ends.
    pub over: AtomicBool,
    /// How long everything may take to work again.
    pub patience: Duration,
    leader: AtomicUsize,
    led_at: Mutex<Stamp>,
}

const NOBODY: usize = usize::MAX;

impl World {
    /// Puts a run together; nothing runs yet but Redis.
    pub fn new(plan: Plan, dir: PathBuf, backing: Backing, slots: Vec<Slot>, wrappers: Vec<WrapperSlot>) -> Self {
        Self {
            plan,
            dir,
            backing,
            redis: Mutex::new(()),
            slots,
            wrappers,
            history: History::default(),
            closing: AtomicBool::new(false),
            over: AtomicBool::new(false),
            patience: Duration::from_secs(45),
            leader: AtomicUsize::new(NOBODY),
            led_at: Mutex::new(Stamp::ZERO),
        }
    }

    /// Whether workers are to end.
    pub fn over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Whether workers are to begin nothing new.
    pub fn closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Notes that this node said that it leads.
    pub fn leads(&self, place: usize, at: Stamp) {
        self.leader.store(place, Ordering::SeqCst);
        *self.led_at.lock().unwrap() = at;
    }

    /// The node that was seen to lead last, and when.
    pub fn leader(&self) -> (Option<usize>, Stamp) {
        let place = self.leader.load(Ordering::SeqCst);
        ((place != NOBODY).then_some(place), *self.led_at.lock().unwrap())
    }

    /// Lets time pass, unless everything ends.
    pub fn pause(&self, time: Duration) {
        let end = stamp() + time;
        while !self.over() && stamp() < end {
            std::thread::sleep(Duration::from_millis(20).min(end.saturating_sub(stamp())));
        }
    }

    /// How long after a fault nothing is taken for undisturbed: nodes may be declared dead late, and register again.
    pub fn settle(&self) -> Duration {
        let slowest = self.plan.nodes.iter().fold(0.0_f64, |most, node| most.max(node.ttl).max(node.lease));
        Duration::from_secs_f64(2.0 * slowest + 4.0)
    }
}
