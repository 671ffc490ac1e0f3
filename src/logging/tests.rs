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
    assert_eq!(text.matches("cannot be written").count(), 1, "{text}");
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
