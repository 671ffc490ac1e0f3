//! `clawster run` on a terminal: the command has it as if nothing stood in between.
//!
//! The terminal is made by `script`, which is part of util-linux.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testkit::wait::secs;
use testkit::wrapper::PATIENCE;
use testkit::{RedisServer, Stamps, eventually};

/// A shell line on a terminal of its own.
struct Typed {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Typed {
    #[track_caller]
    fn start(redis: &RedisServer, stamps: &Stamps, line: &str) -> Self {
        let launch = stamps.launch(redis, "a");
        let line = line.replace("clawster", &testkit::program().display().to_string());
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).env_clear().envs(launch.environment());
        script.env("SHELL", "/bin/sh").current_dir(&launch.home);
        let started = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = started.expect("`script` starts; it is part of util-linux");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let (mut pipe, into) = (child.stdout.take().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(size @ 1..) = pipe.read(&mut chunk) {
                into.lock().unwrap().extend_from_slice(&chunk[..size]);
            }
        });
        Self { child, shown }
    }

    fn keys(&mut self, keys: &[u8]) {
        let pipe = self.child.stdin.as_mut().expect("a keyboard");
        pipe.write_all(keys).and_then(|()| pipe.flush()).expect("typed");
    }

    /// Waits until a text was shown so often.
    #[track_caller]
    fn shows(&self, text: &str, times: usize) {
        eventually(&format!("{text:?} is shown {times} times"), PATIENCE, || {
            let shown = String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
            if shown.matches(text).count() >= times { Ok(()) } else { Err(shown) }
        });
    }

    #[track_caller]
    fn ends(&mut self, within: Duration) -> ExitStatus {
        eventually("it ends", within, || {
            let shown = || String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned();
            self.child.try_wait().unwrap().ok_or_else(shown)
        })
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn the_command_reads_keys_and_ctrl_c_is_its_own() {
    let (redis, stamps) = (RedisServer::start(), Stamps::new());
    let script = "trap 'echo caught; exit 9' INT; read x </dev/tty; echo got-$x; while :; do sleep 0.1; done";
    let mut typed = Typed::start(
        &redis,
        &stamps,
        &format!("exec clawster run --lease bot -- sh -c \"{}\"", script.replace('$', "\\$")),
    );
    typed.shows("starting the command", 1);
    typed.keys(b"kitchen\n");
    typed.shows("got-kitchen", 1);
    typed.keys(b"\x03");
    assert_eq!(typed.ends(PATIENCE).code(), Some(9));
    typed.shows("caught", 1);
    typed.shows("released lease bot", 1);
}

#[test]
fn ctrl_z_does_not_suspend_it_and_the_terminal_comes_back_after_it() {
    let (redis, stamps) = (RedisServer::start(), Stamps::new());
    let line = "clawster run --lease bot -- sh -c 'echo ready; sleep 2; echo over'; read y; echo shell-$y";
    let mut typed = Typed::start(&redis, &stamps, line);
    typed.shows("ready", 1);
    typed.keys(b"\x1a");
    typed.shows("the command was not suspended", 1);
    typed.shows("over", 1);
    typed.shows("released lease bot", 1);
    typed.keys(b"back\n");
    typed.shows("shell-back", 1);
    assert!(typed.ends(secs(10.0)).success());
}
