//! A command of clawster that ends by itself.
//!
//! 1. It sees nothing of the environment but what the test gives it, and is killed when it takes too long.
//!
//! Not here: `clawster serve` (`serve.rs`).

use crate::serve::Launch;
use crate::wait::stamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a command did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Outcome {
    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output:\n{}\nstandard error:\n{}", self.stdout, self.stderr);
        self
    }

    /// Its standard output as one JSON value.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {:?}", self.stdout))
    }

    /// Its standard output as one JSON value per line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// The program under test, which cargo names to the tests and benches that it runs.
#[track_caller]
pub fn program() -> PathBuf {
    let path = std::env::var_os("CARGO_BIN_EXE_clawster");
    path.expect("CARGO_BIN_EXE_clawster names the program: cargo sets it; without cargo, set it yourself").into()
}

/// The environment of every process: a path, a home, and the two directories of clawster.
pub fn clean_environment(home: &Path) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let dir = |name: &str| home.join(name).display().to_string();
    env.insert("HOME".to_owned(), dir("home"));
    env.insert("CLAWSTER_STATE_DIR".to_owned(), dir("state"));
    env.insert("CLAWSTER_CONFIG_DIR".to_owned(), dir("config"));
    for name in ["PATH", "TMPDIR", "CLAWSTER_REDIS_SERVER", "LLVM_PROFILE_FILE"] {
        if let Ok(value) = std::env::var(name) {
            env.insert(name.to_owned(), value);
        }
    }
    env
}

/// Runs a command in a node's environment, so that it finds the node's socket and configuration.
#[track_caller]
pub fn clawster(launch: &Launch, args: &[&str]) -> Outcome {
    clawster_with(launch, args, b"", Duration::from_secs(30))
}

/// The same with something on standard input, and a deadline after which it is killed.
#[track_caller]
pub fn clawster_with(launch: &Launch, args: &[&str], input: &[u8], within: Duration) -> Outcome {
    let mut command = Command::new(program());
    command.args(args).env_clear().envs(launch.environment()).current_dir(&launch.home);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = stamp();
    let mut child = command.spawn().expect("clawster starts");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    std::thread::spawn(move || stdin.write_all(&input));
    let out = drain(child.stdout.take().unwrap());
    let err = drain(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().expect("the command can be waited for") {
            break status;
        }
        if stamp() > started + within {
            child.kill().ok();
            child.wait().ok();
            let (out, err) = (out.join().unwrap(), err.join().unwrap());
            panic!("clawster {args:?} runs longer than {within:?}\n{out}\n{err}");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let took = stamp() - started;
    Outcome { code: status.code(), stdout: out.join().unwrap(), stderr: err.join().unwrap(), took }
}

fn drain(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).ok();
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
