//! `doctor`: finds problems and says how to fix them.
//!
//! 1. It changes nothing: it joins nothing, starts nothing, and leaves nothing in Redis.
//! 2. Every warning and failure says how to fix it.
//! 3. A value that the Redis user may not read is reported as not readable, not as a failure.
//!
//! Not here: the checks themselves (`host.rs`, `server.rs`, `cluster.rs`).

mod access;
mod cluster;
mod host;
mod server;

use super::options::Form;
use super::outcome::{Failure, Outcome};
use super::terminal::{Output, Tint, clean};
use super::{Session, settings};
use redis::RedisError;
use serde::Serialize;

/// The error of Redis or the system, on one line.
fn text(error: &RedisError) -> String {
    clean(&error.to_string(), 200)
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    /// Good.
    Ok,
    /// For information.
    Info,
    /// Works now, but can cause trouble.
    Warn,
    /// Does not work.
    Fail,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    name: &'static str,
    level: Level,
    found: String,
    fix: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), fix: None }
    }

    fn info(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Info, found: found.into(), fix: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Runs `doctor`.
///
/// # Errors
/// Code 3 when Redis is unreachable, else 1 when a check failed.
pub(super) async fn run(session: &mut Session<'_>, form: Form) -> Outcome {
    let mut checks = Vec::new();
    let mut unreachable = false;
    match settings::load_all(session.global, session.environment) {
        Err(problems) => checks.extend(problems.0.iter().map(|problem| {
            Check::fail("configuration", problem.to_string(), "correct it; `clawster config check` shows all values")
        })),
        Ok(loaded) => {
            checks.extend(host::configuration(&loaded));
            let config = settings::with_node(loaded.config, session.global)?;
            let seek = settings::seek(&config, session.environment);
            unreachable = server::checks(&config, &seek, &mut checks).await;
            let mut observed = None;
            if !unreachable && checks.iter().any(|check| check.name == "redis") {
                let found;
                (found, observed) = cluster::checks(&config).await;
                checks.extend(found);
            }
            checks.extend(host::state_dir(&config));
            checks.push(host::disk(&config));
            checks.extend(host::node(session.global, &config, observed.as_ref()).await);
        }
    }
    let report = Report { ok: checks.iter().all(|check| check.level != Level::Fail), checks };
    if form.json {
        session.output.json(&report)?;
    } else {
        print(&mut session.output, &report)?;
    }
    match (unreachable, report.ok) {
        (true, _) => Err(Failure::Reported(3)),
        (false, false) => Err(Failure::Reported(1)),
        (false, true) => Ok(()),
    }
}

fn print(output: &mut Output<'_>, report: &Report) -> std::io::Result<()> {
    for check in &report.checks {
        let (tint, word) = match check.level {
            Level::Ok => (Tint::Green, "ok  "),
            Level::Info => (Tint::Dim, "info"),
            Level::Warn => (Tint::Yellow, "warn"),
            Level::Fail => (Tint::Red, "FAIL"),
        };
        let word = output.paint(tint, word);
        output.line(format!("{word}  {:<13} {}", check.name, clean(&check.found, 400)))?;
        if let Some(fix) = &check.fix {
            output.line(format!("      {:<13} → {fix}", ""))?;
        }
    }
    let count = |level| report.checks.iter().filter(|check| check.level == level).count();
    output.line("")?;
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => output.line("No problems found."),
        (0, warnings) => output.line(format!("No failures, {warnings} warnings.")),
        (failures, warnings) => output.line(format!("{failures} failed, {warnings} warnings.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_come_with_their_remedy() {
        let checks = vec![
            Check::ok("version", "Redis 7.0.15"),
            Check::warn("persistence", "none", "set appendonly yes"),
            Check::fail("eviction", "allkeys-lru", "set noeviction"),
        ];
        let mut text = Vec::new();
        print(&mut Output::plain(&mut text), &Report { ok: false, checks }).expect("writes");
        let expected = "\
ok    version       Redis 7.0.15
warn  persistence   none
                    → set appendonly yes
FAIL  eviction      allkeys-lru
                    → set noeviction

1 failed, 1 warnings.
";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }
}
