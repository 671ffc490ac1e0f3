//! TLS that was asked for stays on, and passwords without TLS are warned of.

use super::*;

/// The warnings of a configuration with secrets.
fn with_secrets(config: &Value, secrets: &Value, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    Home::new(Some(&config.to_string()), Some(&secrets.to_string())).load(env)
}

#[test]
fn tls_once_asked_for_stays_on_when_only_the_host_changes() {
    let key = json!({"redis": {"tls": true, "host": "a.example.net"}});
    let url = json!({"redis": {"url": "rediss://a.example.net:7000/2"}});
    for (config, env) in [
        (json!({"redis": {"tls": true}}), ("REDIS_HOST", "b.example.net")),
        (key.clone(), ("REDIS_HOST", "b.example.net")),
        (key, ("CLAWSTER__REDIS__HOST", "b.example.net")),
        (url.clone(), ("REDIS_HOST", "b.example.net")),
        (url, ("CLAWSTER__REDIS__HOST", "b.example.net")),
    ] {
        let loaded = good(&config, &[env]);
        assert!(loaded.config.redis.tls, "{config} {env:?}");
        assert_eq!(loaded.config.redis.address, tcp("b.example.net", 6379));
        assert!(source(&loaded, "redis.tls").ends_with("config.json"), "{config} {env:?}");
    }
    let secrets = json!({"redis": {"url": "rediss://:pw@a.example.net"}});
    assert!(with_secrets(&json!({}), &secrets, &[("REDIS_HOST", "b")]).unwrap().config.redis.tls);
    let secrets = json!({"redis": {"host": "b.example.net", "password": "pw"}});
    let loaded = with_secrets(&json!({"redis": {"tls": true, "host": "a"}}), &secrets, &[]).unwrap();
    assert!(loaded.config.redis.tls && loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    // What the old format says of the host stands beside the new key.
    let old = json!({"cluster": {"redis": {"host": "a", "password": "pw"}}, "redis": {"tls": true}});
    assert!(good(&old, &[("REDIS_HOST", "b")]).config.redis.tls);
    // By way of a unix socket and back to a host.
    let redis =
        with_secrets(&json!({"redis": {"tls": true}}), &json!({"redis": {"url": "unix:///s"}}), &[("REDIS_HOST", "b")]);
    assert!(redis.unwrap().config.redis.tls);
}

#[test]
fn a_url_without_tls_is_refused_where_tls_was_asked_for() {
    let key = json!({"redis": {"tls": true}});
    let url = json!({"redis": {"url": "rediss://a.example.net"}});
    for (config, name) in [(&key, "REDIS_URL"), (&url, "REDIS_URL"), (&key, "CLAWSTER__REDIS__URL")] {
        let text = bad(config, &[(name, "redis://:hush@b.example.net")]);
        for part in [&format!("environment {name}: redis.url: "), "config.json", "TLS", "rediss://"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("hush"), "{text}");
        // A URL with TLS, a socket, and a variable that says so by name are no contradiction.
        assert!(good(config, &[(name, "rediss://:hush@b.example.net")]).config.redis.tls);
        assert!(!good(config, &[(name, "unix:///run/r.sock")]).config.redis.tls);
    }
    let secrets = json!({"redis": {"url": "redis://b.example.net"}});
    let text = with_secrets(&key, &secrets, &[]).unwrap_err().to_string();
    assert!(text.contains("secrets.json: redis.url: connects to Redis without TLS"), "{text}");
    let on = [("REDIS_URL", "redis://b.example.net"), ("CLAWSTER__REDIS__TLS", "true")];
    assert!(good(&url, &on).config.redis.tls);
    // A private server has no use for either.
    let private = json!({"redis": {"tls": true, "mode": "embedded"}});
    assert!(!good(&private, &[("REDIS_URL", "redis://b")]).warnings.is_empty());
}

#[test]
fn only_the_setting_itself_turns_tls_off_and_that_gives_a_warning() {
    for config in [json!({"redis": {"tls": true}}), json!({"redis": {"url": "rediss://a"}})] {
        for more in [None, Some(("REDIS_URL", "redis://b")), Some(("REDIS_HOST", "b"))] {
            let env: Vec<_> = more.into_iter().chain([("CLAWSTER__REDIS__TLS", "false")]).collect();
            let loaded = good(&config, &env);
            assert!(!loaded.config.redis.tls, "{config} {env:?}");
            let names_both = |text: &String| text.contains("CLAWSTER__REDIS__TLS") && text.contains("config.json");
            assert_eq!(loaded.warnings.iter().filter(|text| names_both(text)).count(), 1, "{:?}", loaded.warnings);
        }
    }
}

#[test]
fn a_password_that_would_cross_a_network_unencrypted_is_warned_of() {
    let count = |loaded: &Loaded| loaded.warnings.iter().filter(|text| text.contains("TLS")).count();
    let password = ("REDIS_PASSWORD", "hush");
    for (host, expected) in [
        ("r.example.net", 1),
        ("10.0.0.7", 1),
        ("fe80::1", 1),
        ("localhost", 0),
        ("127.0.0.9", 0),
        ("::1", 0),
        ("::ffff:127.0.0.1", 0),
    ] {
        let loaded = good(&json!({}), &[("REDIS_HOST", host), password]);
        assert_eq!(count(&loaded), expected, "{host}: {:?}", loaded.warnings);
        assert_eq!(count(&good(&json!({}), &[("REDIS_HOST", host)])), 0, "without a password: {host}");
        assert_eq!(count(&good(&json!({"redis": {"tls": true}}), &[("REDIS_HOST", host), password])), 0, "{host}");
    }
    assert_eq!(count(&good(&json!({}), &[("REDIS_URL", "unix://:hush@/run/r.sock")])), 0);
    for (uri, expected) in [
        ("mongodb://u:hush@m.example.net/x", 1),
        ("mongodb://u:hush@localhost,m.example.net:27017/?w=1", 1),
        ("mongodb+srv://u:hush@m.example.net/?tls=false", 1),
        ("mongodb://u:hush@m.example.net/?tls=true", 0),
        ("mongodb://u:hush@m.example.net/?SSL=true", 0),
        ("mongodb+srv://u:hush@m.example.net", 0),
        ("mongodb://m.example.net", 0),
        ("mongodb://u:hush@127.0.0.1:27017,[::1]:27017", 0),
        ("mongodb://u:hush@%2Ftmp%2Fmongodb-27017.sock", 0),
    ] {
        let loaded = good(&json!({}), &[("MONGODB_URI", uri)]);
        assert_eq!(count(&loaded), expected, "{uri}: {:?}", loaded.warnings);
        assert!(!format!("{:?}", loaded.warnings).contains("hush"), "{:?}", loaded.warnings);
    }
}
