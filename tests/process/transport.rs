//! TLS that was asked for, as a user sees it: never dropped without a word.

use testkit::cluster::stage;
use testkit::{Launch, clawster};

/// What `config check` says of a configuration; the code, and all that was written.
fn check(launch: &Launch) -> (Option<i32>, String) {
    let outcome = clawster(launch, &["config", "check"]);
    (outcome.code, outcome.stdout + &outcome.stderr)
}

fn tls(text: &str) -> Option<&str> {
    text.lines().find(|line| line.starts_with("redis.tls ")).and_then(|line| line.split_whitespace().nth(1))
}

#[test]
fn tls_that_a_file_asks_for_is_not_dropped_by_a_variable() {
    let dir = stage();
    let url = Launch::new(dir.path(), "a");
    url.config(r#"{"redis": {"url": "rediss://a.example.net"}}"#);
    let key = Launch::new(dir.path(), "b");
    key.config(r#"{"redis": {"tls": true, "host": "a.example.net"}}"#);
    for launch in [&url, &key] {
        let (code, text) = check(&launch.clone().env("REDIS_HOST", "b.example.net"));
        assert_eq!((code, tls(&text)), (Some(0), Some("true")), "{text}");
        let (code, text) = check(&launch.clone().env("REDIS_URL", "redis://:hush@b.example.net"));
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("REDIS_URL") && text.contains("config.json") && text.contains("TLS"), "{text}");
        assert!(!text.contains("hush"), "{text}");
        // The node itself stops as well.
        let outcome = clawster(&launch.clone().env("REDIS_URL", "redis://b.example.net"), &["serve"]);
        assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    }
}

#[test]
fn a_password_without_tls_to_another_host_is_warned_of() {
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").env("REDIS_PASSWORD", "hush");
    let (_, text) = check(&launch.clone().env("REDIS_HOST", "r.example.net"));
    assert!(text.contains("Warning: ") && text.contains("without TLS") && !text.contains("hush"), "{text}");
    let (_, text) = check(&launch.clone().env("REDIS_HOST", "127.0.0.1"));
    assert!(!text.contains("TLS"), "{text}");
    // The doctor looks at nobody else's server for it: nothing listens there.
    let here = launch
        .env("REDIS_HOST", "127.0.0.1")
        .env("REDIS_PORT", "1")
        .env("MONGODB_URI", "mongodb://u:hush@m.example.net");
    let outcome = clawster(&here, &["doctor"]);
    assert!(outcome.stdout.contains("TLS") && !outcome.stdout.contains("hush"), "{}", outcome.stdout);
}
