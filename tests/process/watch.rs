//! `clawster status --watch`: one block a change, for terminals, pipes and logs.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use testkit::cluster::stage;
use testkit::turn::beside;
use testkit::wait::secs;
use testkit::{Launch, Pty, RedisOptions, RedisServer, Trio, eventually};

struct Watch {
    child: Child,
    said: Arc<Mutex<Vec<u8>>>,
}

impl Watch {
    fn start(launch: &Launch, args: &[&str]) -> Self {
        let mut command = Command::new(testkit::program());
        command.args(["status", "--watch"]).args(args).env_clear().envs(launch.environment()).current_dir(&launch.home);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("clawster starts");
        let (mut pipe, said) = (child.stdout.take().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let into = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(size @ 1..) = pipe.read(&mut chunk) {
                into.lock().unwrap().extend_from_slice(&chunk[..size]);
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        String::from_utf8(self.said.lock().unwrap().clone()).expect("text")
    }

    #[track_caller]
    fn until(&self, what: &str, look: impl Fn(&str) -> bool) {
        eventually(what, secs(20.0), || {
            let said = self.said();
            if look(&said) { Ok(()) } else { Err(said) }
        });
    }

    #[track_caller]
    fn interrupted(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("signalled");
        let status = eventually("it ends", secs(10.0), || self.child.try_wait().unwrap().ok_or("it runs"));
        assert_eq!(status.code(), Some(0));
        self.said()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn it_prints_a_block_for_each_change_and_none_for_beats() {
    let _turn = beside();
    let redis = RedisServer::start();
    let trio = Trio::brisk(&redis);
    let leader = trio.settled(secs(20.0));
    let place = (leader + 1) % 3;
    let text = Watch::start(&trio.launches[place], &["--every", "1h"]);
    let json = Watch::start(&trio.launches[place], &["--every", "1h", "--json"]);
    let often = Watch::start(&trio.launches[place], &["--every", "200ms"]);
    text.until("the status", |said| said.contains("3 alive of 3"));
    often.until("more blocks without a change", |said| said.matches("3 alive of 3").count() >= 5);
    assert_eq!(text.said().matches("-- ").count(), 1, "beats are no change\n{}", text.said());
    trio.nodes[leader].kill9();
    text.until("the change", |said| said.contains("2 alive of 3"));
    json.until("the change", |said| said.contains("\"offline\""));
    let said = text.interrupted();
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{said:?}");
    assert!(said.starts_with("-- ") && said.contains("\n\n-- "), "{said}");
    let states: Vec<Value> = json.interrupted().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(states.len() >= 2 && states.len() < 10, "{}", states.len());
    assert_ne!(states[0]["term"], states[states.len() - 1]["term"]);
}

#[test]
fn it_outlives_redis_and_its_node() {
    let _turn = beside();
    let mut redis = RedisServer::with(RedisOptions { appendonly: true, ..RedisOptions::default() });
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let watch = Watch::start(&launch, &[]);
    watch.until("the status", |said| said.contains("This node  solo (leader)"));
    node.kill9();
    watch.until("it reads Redis", |said| {
        said.contains("-- no node runs on this host; reading Redis directly")
            && said.contains("not a member (observer)")
    });
    redis.kill9();
    watch.until("Redis is gone", |said| said.contains("Redis      unavailable (this view is "));
    redis.restart();
    watch.until("and back", |said| {
        said.rsplit("\n\n-- ").next().is_some_and(|block| block.contains("Redis      ok, standalone"))
    });
    watch.interrupted();
}

#[test]
fn on_a_terminal_it_has_colours_and_ends_with_ctrl_c() {
    let _turn = beside();
    let redis = RedisServer::start();
    let dir = stage();
    let launch = Launch::new(dir.path(), "solo").redis(&redis).brisk();
    let node = launch.start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    let mut watch = Pty::clawster(&launch, &["status", "--watch"], 80, 24);
    watch.shows("solo  online  leader");
    assert!(watch.is_usable(), "it takes nothing from the terminal");
    watch.keys(b"\x03");
    assert_eq!(watch.ends().code(), Some(0));
}
