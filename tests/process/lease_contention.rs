//! Many processes contend for one lease while everything goes wrong; and the same checks on a lock that is none.

use rustix::process::Signal;
use std::sync::Mutex;
use std::time::Duration;
use testkit::resp::Resp;
use testkit::stamps::{Stamped, one_after_the_other};
use testkit::wait::secs;
use testkit::wrapper::{PATIENCE, send};
use testkit::{RedisOptions, RedisServer, Stamp, Stamps, Wrapper, hold, stamp};

const WRAPPERS: usize = 20;

/// A small generator of numbers, so that a failing seed can be tried again.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most).unwrap()).unwrap()
    }
}

#[track_caller]
fn contend(time: Duration) {
    let seed = std::env::var("CLAWSTER_FIGHT_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::try_from(stamp().as_nanos()).unwrap() | 1);
    println!("CLAWSTER_FIGHT_SEED={seed}");
    let mut numbers = Numbers(seed);
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, alone: true, ..RedisOptions::default() });
    let stamps = Stamps::new();
    let start = |number: usize, redis: &RedisServer| {
        Wrapper::stamping(&stamps.launch(redis, &format!("w{number}")), &["--ttl", "2s"])
    };
    let mut wrappers: Vec<Wrapper> = (0..WRAPPERS).map(|number| start(number, &redis)).collect();
    stamps.after("somebody runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let mut stopped: Vec<(Stamp, i32)> = Vec::new();
    let end = stamp() + time;
    while stamp() < end {
        stopped.retain(|(until, pid)| {
            let due = *until <= stamp();
            if due {
                send(*pid, Signal::CONT);
            }
            !due
        });
        // Most of the time it hits whoever holds the lease.
        let holder = stamps.read().last().map(|last| last.wrapper.clone());
        let holder = wrappers.iter().position(|wrapper| Some(&wrapper.label) == holder.as_ref());
        let victim = holder.filter(|_| numbers.below(4) > 0).unwrap_or(numbers.below(WRAPPERS));
        match numbers.below(12) {
            0 => redis.restart(),
            1..5 => {
                wrappers[victim].signal(Signal::STOP);
                let time = Duration::from_millis(200 + 100 * u64::try_from(numbers.below(30)).unwrap());
                stopped.push((stamp() + time, wrappers[victim].pid()));
            }
            5 => {
                let guardian = wrappers[victim].guardian();
                guardian.map(|pid| send(pid, Signal::KILL));
            }
            _ => {
                let pid = wrappers[victim].pid();
                stopped.retain(|(_, known)| *known != pid);
                wrappers[victim].kill9();
                wrappers[victim] = start(victim, &redis);
            }
        }
        hold(Duration::from_millis(u64::try_from(numbers.below(1000)).unwrap()), "the lease may move");
    }
    for (_, pid) in stopped {
        send(pid, Signal::CONT);
    }
    let calm = stamp();
    stamps.after("in the end somebody runs", calm, secs(60.0), |_| true);
    let count = one_after_the_other(&stamps.read()).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    println!("{count} commands, one after the other");
    assert!(count >= 2, "hardly anything happened: {count}");
}

#[test]
fn twenty_processes_never_hold_a_lease_together() {
    contend(secs(10.0));
}

#[test]
#[ignore = "takes a minute"]
fn twenty_processes_never_hold_a_lease_together_for_a_minute() {
    contend(secs(60.0));
}

/// What many programs do instead: `SET NX PX`, work without looking back, `DEL`.
#[track_caller]
fn plain_lock(redis: &RedisServer, history: &Mutex<Vec<Stamped>>, pid: i32, work: Duration) {
    let mut connection = Resp::connect(redis.port()).unwrap();
    let end = stamp() + secs(3.0);
    let mut token = 0;
    while stamp() < end {
        if connection.call(&["SET", "lock", &pid.to_string(), "NX", "PX", "200"]).unwrap() == "OK" {
            token = connection.call(&["INCR", "token"]).unwrap().parse().unwrap_or(token);
            let until = stamp() + work;
            while stamp() < until {
                history.lock().unwrap().push(Stamped { at: stamp(), token, pid, wrapper: pid.to_string() });
                std::thread::sleep(Duration::from_millis(5));
            }
            connection.call(&["DEL", "lock"]).unwrap();
        }
    }
}

#[test]
fn a_plain_lock_fails_the_same_check() {
    let redis = RedisServer::start();
    let history = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for pid in 1..=2 {
            let (redis, history) = (&redis, &history);
            // One that is slower than its lock, as one that was stopped for a moment.
            scope.spawn(move || plain_lock(redis, history, pid, Duration::from_millis(500)));
        }
    });
    let verdict = one_after_the_other(&history.lock().unwrap());
    assert!(verdict.is_err(), "two holders went unseen: {verdict:?}");
}
