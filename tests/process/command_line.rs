//! Commands where no node runs: arguments, exit codes, streams, files.
//!
//! Not here: commands beside a running node (`commands.rs`).

use std::path::Path;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use testkit::turn::{Turn, beside};

/// Runs the binary in an environment of its own.
fn clawster(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(testkit::program())
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("CLAWSTER_STATE_DIR", folder.join("state"))
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs")
}

/// A folder for a test that runs beside others.
struct Folder {
    dir: TempDir,
    _turn: Turn,
}

impl Folder {
    fn path(&self) -> &Path {
        self.dir.path()
    }
}

fn folder() -> Folder {
    Folder { dir: tempfile::tempdir().expect("a folder"), _turn: beside() }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_is_done_and_wrong_usage_is_two() {
    let folder = folder();
    let code = |arguments: &[&str]| clawster(folder.path(), arguments, &[]).status.code();
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["recv", "--help"]), Some(0));
    assert_eq!(code(&[]), Some(2));
    assert_eq!(code(&["frobnicate"]), Some(2));
    assert_eq!(code(&["status", "--node", "a b"]), Some(2));
    assert_eq!(code(&["schema", "no-such-document"]), Some(2));
}

#[test]
fn commands_that_need_a_node_say_how_to_start_one() {
    let folder = folder();
    let calls: [&[&str]; 6] = [&["join"], &["leave"], &["elect"], &["send", "x"], &["recv"], &["events"]];
    for arguments in calls {
        let output = clawster(folder.path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(errors(&output).contains("clawster serve"), "{arguments:?}: {}", errors(&output));
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    assert!(!folder.path().join("state").exists(), "asking left something behind");
}

#[test]
fn a_wrong_value_is_one_clear_message() {
    let folder = folder();
    let output = clawster(folder.path(), &["config", "check"], &[("REDIS_PORT", "x"), ("REDIS_PASSWORD", "hush")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("REDIS_PORT"), "{}", errors(&output));
    let output = clawster(folder.path(), &["config", "check"], &[("REDIS_PASSWORD", "hush")]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned() + &errors(&output);
    assert!(shown.contains("REDIS_PASSWORD") && !shown.contains("hush"), "{shown}");
}

#[test]
fn doctor_tells_an_unreachable_redis_from_a_failure() {
    let folder = folder();
    let away = [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", "1")];
    let output = clawster(folder.path(), &["doctor", "--json"], &away);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["ok"], false);
    let redis = report["checks"].as_array().and_then(|all| all.iter().find(|check| check["name"] == "redis"));
    assert!(redis.is_some_and(|check| check["fix"].is_string()), "{report}");
    assert_eq!(clawster(folder.path(), &["doctor"], &[("REDIS_PORT", "x")]).status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = folder();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Command::new(testkit::program())
        .args(["schema", "openrpc.json"])
        .env_clear()
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("the binary runs");
    assert_eq!((status.status.code(), errors(&status)), (Some(0), String::new()));
}

#[test]
fn schemas_are_written_where_they_were_asked_for() {
    let folder = folder();
    let output = clawster(folder.path(), &["schema", "--write", "out"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let text = std::fs::read(folder.path().join("out/openrpc.json")).expect("written");
    assert!(serde_json::from_slice::<serde_json::Value>(&text).expect("JSON").is_object());
}

#[test]
fn the_start_script_hands_its_arguments_to_the_node() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let script = folder.path().join("start-node.sh");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("start-node.sh"), &script).expect("a copy");
    let program = folder.path().join("clawster");
    std::fs::write(&program, "#!/bin/sh\nprintf '%s|' \"$@\"\n").expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let run = |arguments: &[&str]| {
        let output = Command::new("sh").arg(&script).args(arguments).output().expect("sh runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(&[]), (Some(0), "serve|--stay|".to_owned()));
    assert_eq!(run(&["gw 1", "/my config"]), (Some(0), "serve|--stay|--node|gw 1|--config|/my config|".to_owned()));
    assert_eq!(run(&["a", "b", "c"]).0, Some(2));
    assert!(run(&["--help"]).1.contains("NODE_ID"));
}
