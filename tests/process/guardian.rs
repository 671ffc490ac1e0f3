//! The command is gone whatever happens to the processes that watch it.

use rustix::process::{Pid, Signal, kill_process_group};
use testkit::stamps::one_after_the_other;
use testkit::wait::secs;
use testkit::wrapper::{PATIENCE, children, gone, runs, send, stamping};
use testkit::{RedisServer, Stamps, Wrapper, eventually, hold, stamp};

/// How much later than promised a busy machine may show it.
const SLACK: f64 = 0.35;

#[track_caller]
fn proper(stamps: &Stamps) -> usize {
    one_after_the_other(&stamps.read()).unwrap_or_else(|why| panic!("{why}"))
}

/// A wrapper around the stamping command behind a shell that was given this script; `"$@"` is the command in it.
#[track_caller]
fn scripted(stamps: &Stamps, redis: &RedisServer, script: &str) -> Wrapper {
    let command = stamping();
    let mut all = vec!["sh", "-c", script, "sh"];
    all.extend(command.iter().map(String::as_str));
    Wrapper::start(&stamps.launch(redis, "a"), &["--stop-timeout", "500ms"], &all)
}

#[test]
fn a_killed_guardian_takes_the_command_with_it_and_a_new_one_starts() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let at = send(wrapper.guardian().expect("a guardian"), Signal::KILL);
    gone(&[first.pid], secs(2.0));
    let next = stamps.after("it runs again", at, PATIENCE, |s| s.pid != first.pid);
    assert_eq!(next.wrapper, "a");
    assert!(proper(&stamps) >= 2);
}

#[test]
fn a_stopped_wrapper_loses_its_command_within_the_grace_and_its_lease_at_the_end_of_it() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &["--ttl", "3s"]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let waiter = Wrapper::stamping(&stamps.launch(&redis, "b"), &["--ttl", "3s"]);
    waiter.says("waiting", PATIENCE);
    let at = wrapper.signal(Signal::STOP);
    let dead = gone(&[first.pid], secs(5.0));
    assert!(dead - at <= secs(0.8 + SLACK), "0.8 of the grace, but {:?}", dead - at);
    let next = stamps.after("the waiter runs", dead, secs(10.0), |s| s.wrapper == "b");
    assert!(next.at - at <= secs(3.0 * 1.05 + 1.0 + SLACK), "a lease of 3 s, but {:?}", next.at - at);
    wrapper.signal(Signal::CONT);
    hold(secs(1.5), "what the first one does when it wakes");
    wrapper.says("stopping", secs(5.0));
    proper(&stamps);
}

#[test]
fn a_wrapper_whose_whole_process_group_is_stopped_loses_its_command_within_the_grace() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let at = stamp();
    kill_process_group(Pid::from_raw(wrapper.pid()).unwrap(), Signal::STOP).expect("as a shell's `kill -STOP %1`");
    let dead = gone(&[first.pid], secs(5.0));
    assert!(dead - at <= secs(0.8 + SLACK), "0.8 of the grace, but {:?}", dead - at);
}

#[test]
fn wrapper_and_guardian_killed_together_leave_no_command() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let mut wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let guardian = wrapper.guardian().expect("a guardian");
    send(guardian, Signal::KILL);
    wrapper.kill9();
    gone(&[guardian, first.pid], secs(2.0));
}

#[test]
fn a_stopped_guardian_is_woken_by_the_wrappers_death() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let mut wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    send(wrapper.guardian().expect("a guardian"), Signal::STOP);
    wrapper.kill9();
    gone(&[first.pid], secs(2.0));
}

#[test]
fn a_stopped_guardian_is_killed_when_the_lease_is_lost() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    send(wrapper.guardian().expect("a guardian"), Signal::STOP);
    redis.pause();
    let at = stamp();
    let dead = gone(&[first.pid], secs(5.0));
    redis.resume();
    assert!(dead - at <= secs(1.0 + SLACK), "the grace, but {:?}", dead - at);
}

#[test]
fn a_command_that_ignores_sigterm_is_killed() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let mut wrapper = scripted(&stamps, &redis, "trap '' TERM; exec \"$@\"");
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    wrapper.signal(Signal::TERM);
    hold(secs(0.3), "the command ignores it");
    assert!(runs(first.pid));
    let at = wrapper.kill9();
    let dead = gone(&[first.pid], secs(5.0));
    assert!(dead - at <= secs(0.8 + SLACK), "0.8 of the grace, but {:?}", dead - at);
}

#[test]
fn children_of_the_command_end_with_it_also_those_that_left_its_group() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    // One child in the group that ignores SIGTERM, one in a session of its own, one whose parent is gone already.
    let script = "trap '' TERM; sleep 1000 & setsid sleep 1001 & (sleep 1002 &) ; \"$@\"";
    let mut wrapper = scripted(&stamps, &redis, script);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let guardian = wrapper.guardian().expect("a guardian");
    let family = |root: i32| {
        let (mut all, mut next) = (vec![], vec![root]);
        while let Some(pid) = next.pop() {
            next.extend(children(pid));
            all.push(pid);
        }
        all
    };
    let all = eventually("everybody is there", PATIENCE, || {
        let all = family(guardian);
        if all.len() >= 6 { Ok(all) } else { Err(format!("{all:?}")) }
    });
    assert!(all.contains(&first.pid));
    wrapper.kill9();
    gone(&all, secs(3.0));
}

#[test]
fn what_a_command_leaves_behind_is_ended_before_the_lease_is_released() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let mut wrapper = scripted(&stamps, &redis, "\"$@\" & trap '' TERM; sleep 1000 & sleep 0.3; exit 5");
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    assert_eq!(wrapper.exit(PATIENCE).code(), Some(5));
    assert!(!runs(first.pid));
}
