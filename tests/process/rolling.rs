//! A rolling upgrade and the way back: node by node another version takes over, while all of them send, receive and lead.
//!
//! The other version is the program in `CLAWSTER_OTHER_BINARY`.
//!
//! Not here: what single records of two versions look like to each other (`versions.rs`).

use crate::redis_failover::sentinel::at as behind_sentinels;
use std::ffi::OsString;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::checker::{Sample, judge, one_leader};
use testkit::cluster::{settled, stage};
use testkit::sampler::sample_of;
use testkit::traffic::{BATCH, Slot, run};
use testkit::wait::secs;
use testkit::{Launch, RedisServer, SentinelSet, Serve, program, stamp};

/// How many calls each node sends its messages in, and the pause after each.
const CALLS: usize = 120;
const PAUSE: f64 = 0.3;

/// Asks a node for its role until the end, whichever life it is in.
fn ask(slot: &Slot, samples: &Mutex<Vec<Sample>>, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let answer = slot.get().ask("distributed.get_cluster_state", serde_json::Value::Null, secs(5.0));
        samples.lock().unwrap().extend(answer.ok().and_then(|answer| sample_of(slot.id(), &answer)));
        std::thread::sleep(secs(0.005));
    }
}

/// Three nodes of the other version are replaced by this one, one after the other, and then the other way round.
fn to_and_fro(other: &OsString, at: impl Fn(Launch) -> Launch) {
    let dir = stage();
    let slots: Vec<Slot> = ["a", "b", "c"]
        .map(|id| at(Launch::new(dir.path(), id)).program(other))
        .map(|launch| Slot::paced(launch.clone(), launch.start(), secs(PAUSE)))
        .into();
    let agree = || {
        let nodes: Vec<_> = slots.iter().map(Slot::get).collect();
        settled(&nodes.iter().map(|node| &**node).collect::<Vec<&Serve>>(), secs(30.0))
    };
    agree();
    let (samples, done) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let traffic = std::thread::scope(|scope| {
        for slot in &slots {
            let (samples, done) = (&samples, &done);
            scope.spawn(move || ask(slot, samples, done));
        }
        let traffic = run(&slots, CALLS * BATCH, None, secs(240.0), || {
            for (way, program) in [("up", program().into_os_string()), ("down", other.clone())] {
                for slot in &slots {
                    let began = stamp();
                    slot.replace(&program);
                    let leader = slots[agree()].id();
                    println!("{way}: {} is replaced, {leader} leads after {:?}", slot.id(), stamp() - began);
                }
            }
        });
        done.store(true, Ordering::SeqCst);
        traffic
    });
    judge("messages", &traffic.problems());
    assert!(traffic.gaps.values().all(Vec::is_empty), "{:?}", traffic.gaps);
    let samples = samples.into_inner().unwrap();
    println!("{} messages for each node, {} answers about the leader", 2 * CALLS * BATCH, samples.len());
    judge("one leader at a time", &one_leader(&samples));
}

#[test]
#[ignore = "needs a program of another version in CLAWSTER_OTHER_BINARY; scripts/other-version builds one"]
fn another_version_is_replaced_node_by_node_and_back() {
    let named = std::env::var_os("CLAWSTER_OTHER_BINARY").filter(|path| !path.is_empty());
    let other = named.expect("CLAWSTER_OTHER_BINARY names a program of another version");
    let redis = RedisServer::start();
    to_and_fro(&other, |launch| launch.redis(&redis).brisk());
    let set = SentinelSet::start(1, secs(1.0), 0);
    let dir = stage();
    let knows = behind_sentinels(&set)(Launch::new(dir.path(), "d")).program(&other);
    let check = Command::new(&other).args(["config", "check"]).env_clear().envs(knows.environment()).output();
    if check.expect("the other version runs").status.success() {
        to_and_fro(&other, behind_sentinels(&set));
    } else {
        println!("the other version knows no sentinels");
    }
}
