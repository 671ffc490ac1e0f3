//! `clawster run`: the command runs on one host at a time, and only while its lease stands.
//!
//! Times are checked with the default grace of 1 s, while no other test runs.

use rustix::process::Signal;
use testkit::proxy::Mode;
use testkit::stamps::one_after_the_other;
use testkit::wait::secs;
use testkit::wrapper::{PATIENCE, gone, send};
use testkit::{Proxy, RedisOptions, RedisServer, Stamps, Wrapper, clawster, hold, stamp};

/// How much later than promised a busy machine may show it.
const SLACK: f64 = 0.35;

#[track_caller]
fn proper(stamps: &Stamps) -> usize {
    one_after_the_other(&stamps.read()).unwrap_or_else(|why| panic!("{why}"))
}

#[test]
fn three_wrappers_take_turns_and_a_killed_one_is_replaced_within_the_grace_and_a_second() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let mut wrappers: Vec<Wrapper> =
        ["a", "b", "c"].map(|label| Wrapper::stamping(&stamps.launch(&redis, label), &[])).into();
    let mut last = stamps.after("a command runs", stamp() - secs(60.0), PATIENCE, |_| true);
    for _ in 0..2 {
        let holder = wrappers.iter().position(|wrapper| wrapper.label == last.wrapper).unwrap();
        let killed = wrappers[holder].kill9();
        let old = last.clone();
        last = stamps.after("another command runs", killed, secs(10.0), |s| s.wrapper != old.wrapper);
        assert!(!testkit::wrapper::runs(old.pid), "the old command outlived its lease");
        assert!(last.at - killed <= secs(2.0 + SLACK), "presence_grace and a second, but: {:?}", last.at - killed);
        assert!(last.token > old.token);
    }
    assert_eq!(proper(&stamps), 3);
}

#[test]
fn exit_codes_streams_and_variables_are_the_commands_own() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let launch = stamps.launch(&redis, "a");
    let script = "read line; echo \"$line under $CLAWSTER_LEASE_NAME\"; echo \"$CLAWSTER_LEASE_TOKEN\"; exit 7";
    let mut wrapper = Wrapper::start(&launch, &["--quiet"], &["sh", "-c", script]);
    wrapper.input("hello\n");
    assert_eq!(wrapper.exit(PATIENCE).code(), Some(7));
    let said = wrapper.stdout();
    let (first, token) = said.split_once('\n').expect("two lines");
    assert_eq!(first, "hello under bot");
    assert!(token.trim().parse::<u64>().is_ok_and(|token| token > 0), "{said}");
    assert_eq!(wrapper.stderr(), "", "--quiet");
    let code = |options: &[&str], command: &[&str]| Wrapper::start(&launch, options, command).exit(PATIENCE).code();
    assert_eq!(code(&[], &["true"]), Some(0));
    assert_eq!(code(&[], &["sh", "-c", "kill -9 $$"]), Some(137));
    assert_eq!(code(&[], &["no-such-command"]), Some(127));
    assert_eq!(code(&[], &["/"]), Some(126));
    assert_eq!(code(&["--ttl", "10ms"], &["true"]), Some(2));
}

#[test]
fn a_lease_that_another_holds_is_waited_for_or_not() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let holder = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let other = stamps.launch(&redis, "b");
    for options in [&["--no-wait"][..], &["--wait", "300ms"]] {
        let mut refused = Wrapper::stamping(&other, options);
        assert_eq!(refused.exit(PATIENCE).code(), Some(4));
        refused.says("lease bot is held by a", secs(1.0));
    }
    let mut waiting = Wrapper::stamping(&other, &["--json"]);
    waiting.says("\"event\":\"waiting\",\"holder\":\"a\"", PATIENCE);
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.exit(PATIENCE).code(), Some(143), "it leaves the queue");
    let mut last = Wrapper::stamping(&other, &[]);
    last.says("waiting", PATIENCE);
    // A polite end hands over at once: the signal is the command's, and its end releases the lease.
    let ended = holder.signal(Signal::TERM);
    let next = stamps.after("the waiter runs", ended, PATIENCE, |s| s.wrapper == "b");
    assert!(next.at > ended);
    last.signal(Signal::INT);
    assert_eq!(last.exit(PATIENCE).code(), Some(130));
    assert_eq!(proper(&stamps), 2);
}

#[test]
fn a_command_is_gone_when_redis_stands_still_and_runs_again_after() {
    let redis = RedisServer::alone();
    let stamps = Stamps::new();
    let wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    redis.pause();
    let at = stamp();
    let dead = gone(&[first.pid], secs(5.0));
    assert!(dead - at <= secs(0.8 + SLACK), "0.8 of the grace, but {:?}", dead - at);
    hold(secs(1.0), "Redis is away for longer than the grace");
    redis.resume();
    let again = stamps.after("it runs again", dead, secs(20.0), |_| true);
    assert!(again.token > first.token, "a new grant");
    drop(wrapper);
    proper(&stamps);
}

#[test]
fn redis_that_comes_back_within_the_grace_changes_nothing() {
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, alone: true, ..RedisOptions::default() });
    let stamps = Stamps::new();
    let wrappers = ["a", "b"].map(|label| Wrapper::stamping(&stamps.launch(&redis, label), &[]));
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    redis.restart();
    let back = stamp();
    hold(secs(3.0), "anything that may follow from the restart");
    let later = stamps.after("somebody runs", back + secs(2.5), secs(10.0), |_| true);
    if later.pid == first.pid {
        assert_eq!(later.token, first.token, "it went on under its token");
    }
    proper(&stamps);
    drop(wrappers);
}

#[test]
fn a_black_hole_ends_the_command_before_another_one_starts() {
    let redis = RedisServer::alone();
    let proxy = Proxy::start(redis.port());
    let stamps = Stamps::new();
    let cut_off = stamps.launch(&redis, "a").port(proxy.port());
    let _a = Wrapper::stamping(&cut_off, &["--ttl", "3s"]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let waiter = Wrapper::stamping(&stamps.launch(&redis, "b"), &["--ttl", "3s"]);
    waiter.says("waiting", PATIENCE);
    proxy.set(Mode::BlackHole);
    let at = stamp();
    let dead = gone(&[first.pid], secs(5.0));
    assert!(dead - at <= secs(0.8 + SLACK), "0.8 of the grace, but {:?}", dead - at);
    let next = stamps.after("the waiter runs", dead, secs(15.0), |s| s.wrapper == "b");
    assert!(next.at - at <= secs(3.0 * 1.05 + 15.0 + SLACK), "{:?}", next.at - at);
    proxy.set(Mode::Pass);
    hold(secs(2.0), "what was held back arrives");
    proper(&stamps);
}

#[test]
fn a_lost_lease_ends_the_wrapper_where_that_is_wanted() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let mut wrapper = Wrapper::stamping(&stamps.launch(&redis, "a"), &["--exit-when-lost"]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    redis.pause();
    let status = wrapper.exit(secs(15.0));
    redis.resume();
    assert_eq!(status.code(), Some(3), "{}", wrapper.stderr());
    gone(&[first.pid], secs(1.0));
}

#[test]
fn a_wrapper_without_redis_waits_for_it_or_ends_with_3() {
    let _turn = testkit::turn::beside();
    let stamps = Stamps::new();
    let redis = RedisServer::start();
    let away = stamps.launch(&redis, "a").port(testkit::redis_server::free_port());
    let mut unwilling = Wrapper::stamping(&away, &["--no-wait"]);
    assert_eq!(unwilling.exit(PATIENCE).code(), Some(3));
    let mut patient = Wrapper::stamping(&away, &[]);
    patient.says("cannot use Redis", PATIENCE);
    send(patient.pid(), Signal::TERM);
    assert_eq!(patient.exit(PATIENCE).code(), Some(143));
    assert!(stamps.read().is_empty());
}

#[test]
fn a_draining_node_gives_its_command_up_and_takes_none_until_it_is_back() {
    let redis = RedisServer::start();
    let stamps = Stamps::new();
    let launch = stamps.launch(&redis, "a").brisk();
    let node = launch.start();
    node.until("it is a member", secs(20.0), |state| state["role"] != "observer");
    let wrapper = Wrapper::stamping(&launch, &[]);
    let first = stamps.after("it runs", stamp() - secs(60.0), PATIENCE, |_| true);
    let waiter = Wrapper::stamping(&stamps.launch(&redis, "b"), &[]);
    waiter.says("lease bot, held by a", PATIENCE);
    let at = stamp();
    clawster(&launch, &["drain"]).expect(0);
    gone(&[first.pid], secs(10.0));
    wrapper.says("until draining ends", PATIENCE);
    stamps.after("the other host runs it", at, PATIENCE, |s| s.wrapper == "b");
    clawster(&launch, &["drain", "--off"]).expect(0);
    wrapper.says("lease bot, held by b", PATIENCE);
    let ended = waiter.signal(Signal::TERM);
    stamps.after("the first host runs it again", ended, PATIENCE, |s| s.wrapper == "a");
    assert_eq!(proper(&stamps), 3);
}
