//! Runs a program for an alert.
//!
//! 1. It gets the alert on standard input, no shell, and none of the variables that hold secrets. It is killed after [`RUN_TIMEOUT`].
//!
//! Not here: when it is run (`outlet.rs`).

use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a program with its arguments; the error says how it failed.
pub(super) async fn run(command: &[String], input: &str, secret_variables: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    for name in secret_variables {
        command.env_remove(name);
    }
    let mut child = command.spawn().map_err(|error| format!("cannot start the program: {error}"))?;
    let mut stdin = child.stdin.take();
    let finish = async {
        if let Some(stdin) = &mut stdin {
            // A program that does not read it need not.
            let _ = stdin.write_all(format!("{input}\n").as_bytes()).await;
        }
        drop(stdin.take());
        child.wait().await
    };
    match tokio::time::timeout(RUN_TIMEOUT, finish).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("the program failed: {status}")),
        Ok(Err(error)) => Err(format!("cannot wait for the program: {error}")),
        Err(_) => Err(format!("the program did not end within {} s, and was killed", RUN_TIMEOUT.as_secs())),
    }
}
