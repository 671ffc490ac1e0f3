//! The logs as a whole, on a console that can be read back.

use super::*;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn config(level: LogLevel, format: LogFormat, file: Option<PathBuf>) -> LoggingConfig {
    LoggingConfig { level, format, file, max_bytes: 100_000, backup_count: 2, syslog: false }
}

fn logged(config: &LoggingConfig, colour: bool, work: impl FnOnce()) -> String {
    let screen = Screen::default();
    let (subscriber, guard) =
        build(config, "serve", Box::new(screen.clone()), colour, Path::new("/nonexistent")).unwrap();
    tracing::subscriber::with_default(subscriber, work);
    drop(guard);
    screen.text()
}

#[test]
fn the_level_governs_clawster_and_libraries_stay_at_warn() {
    let speak = || {
        tracing::error!("e1");
        tracing::info!("i1");
        tracing::debug!("d1");
        tracing::warn!(target: "redis", "w2");
        tracing::info!(target: "redis", "i2");
    };
    for (level, seen) in [
        (LogLevel::Error, "e1"),
        (LogLevel::Warn, "e1 w2"),
        (LogLevel::Info, "e1 i1 w2"),
        (LogLevel::Debug, "e1 i1 d1 w2"),
        (LogLevel::Trace, "e1 i1 d1 w2"),
    ] {
        let text = logged(&config(level, LogFormat::Text, None), false, speak);
        let words: Vec<&str> = text.lines().filter_map(|line| line.rsplit(' ').next()).collect();
        assert_eq!(words.join(" "), seen, "{level:?}");
    }
}

#[test]
fn the_file_holds_what_the_console_shows_without_colours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("logs/heartbeat.log");
    let config = config(LogLevel::Info, LogFormat::Text, Some(path.clone()));
    let shown = logged(&config, true, || tracing::warn!(attempt = 2, wait = ?"1 s", "heartbeat failed\nno answer"));
    let kept = std::fs::read_to_string(path).unwrap();
    assert!(kept.contains(" WARN serve["), "{kept}");
    assert!(kept.trim_end().ends_with("heartbeat failed\\nno answer attempt=2 wait=\"\\\"1 s\\\"\""), "{kept}");
    assert_eq!(shown.replace("\u{1b}[33m", "").replace("\u{1b}[0m", ""), kept);
    assert!(shown.contains("\u{1b}[33m"));
}

#[test]
fn json_lines_can_be_read_back() {
    let text = logged(&config(LogLevel::Info, LogFormat::Json, None), true, || tracing::info!(term = 7, "elected"));
    let json: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(json["level"], "info");
    assert_eq!(json["message"], "elected");
    assert_eq!(json["fields"]["term"], 7);
    assert_eq!(json["component"], "serve");
}

#[test]
fn an_unwritable_file_is_named_once_on_the_console() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plain"), "").unwrap();
    let config = config(LogLevel::Info, LogFormat::Text, Some(dir.path().join("plain/a.log")));
    let text = logged(&config, false, || (0..10).for_each(|n| tracing::info!(n, "line")));
    assert_eq!(text.matches("cannot write to the log file").count(), 1, "{text}");
    assert_eq!(text.matches("line n=").count(), 10, "{text}");
}

#[test]
fn an_end_does_not_wait_for_a_console_that_nobody_reads() {
    struct Stuck(std::sync::mpsc::Receiver<()>);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (open, gate) = std::sync::mpsc::sync_channel(1);
    let config = config(LogLevel::Info, LogFormat::Text, None);
    let (subscriber, guard) = build(&config, "serve", Box::new(Stuck(gate)), false, Path::new("/nonexistent")).unwrap();
    tracing::subscriber::with_default(subscriber, || tracing::info!("nobody reads this"));
    let begun = clock::now();
    drop(guard);
    assert!(clock::now().since(begun) < Duration::from_millis(1_500));
    drop(open);
}

#[test]
fn a_span_is_one_line_when_it_ends_and_is_named_by_what_happens_within() {
    let work = || {
        let request =
            tracing::debug_span!("request", request = 7, outcome = tracing::field::Empty, otel.kind = "server");
        request.in_scope(|| {
            let call = tracing::debug_span!("redis_call", call = "tick", request = 8);
            call.in_scope(|| tracing::warn!("late"));
        });
        let packed = tracing::debug_span!(parent: None, "packed");
        packed.follows_from(&request);
        request.record("outcome", "ok");
    };
    let text = logged(&config(LogLevel::Debug, LogFormat::Text, None), false, work);
    let bodies: Vec<&str> = text.lines().filter_map(|line| line.split_once("tests: ")).map(|(_, body)| body).collect();
    assert_eq!(bodies[0], "late call=tick request=8", "the inner one's field counts");
    assert!(bodies[1].starts_with("redis_call ended call=tick request=8 took_us="), "{text}");
    assert!(bodies[2].starts_with("packed ended took_us=") && bodies[2].ends_with(" requests=[7]"), "{text}");
    assert!(bodies[3].starts_with("request ended request=7 outcome=ok took_us="), "{text}");
    assert_eq!(bodies.len(), 4);
    let quiet = logged(&config(LogLevel::Info, LogFormat::Text, None), false, work);
    assert!(quiet.lines().count() == 1 && quiet.trim_end().ends_with(" late"), "{quiet}");
    let json = logged(&config(LogLevel::Debug, LogFormat::Json, None), false, work);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["spans"][0], serde_json::json!({"span": "redis_call", "call": "tick", "request": 8}));
    assert_eq!(first["spans"][1]["span"], "request");
    assert!(!json.contains("otel."), "{json}");
}
