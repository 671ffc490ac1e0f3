//! Redis addresses from URLs and single keys, and variables inside secrets.json.

use super::*;

#[test]
fn redis_urls_are_taken_apart() {
    let unix = |path: &str| RedisAddress::Unix(path.into());
    let table = [
        ("redis://h", tcp("h", 6379), false, 0, None, None),
        ("redis://h:7000/3", tcp("h", 7000), false, 3, None, None),
        ("rediss://u%40x:p%2Fw%25@h/?db=4", tcp("h", 6379), true, 4, Some("u@x"), Some("p/w%")),
        ("REDIS://:pw@[::1]:7", tcp("::1", 7), false, 0, None, Some("pw")),
        ("redis+unix:///run/r.sock?db=2", unix("/run/r.sock"), false, 2, None, None),
        ("unix://u:p%20w@/run/r%20s", unix("/run/r s"), false, 0, Some("u"), Some("p w")),
    ];
    for (url, address, tls, db, username, password) in table {
        let redis = good(&json!({}), &[("REDIS_URL", url)]).config.redis;
        let expected = (&address, tls, db, username, password);
        let found = (
            &redis.address,
            redis.tls,
            redis.db,
            redis.username.as_deref(),
            redis.password.as_ref().map(Secret::expose),
        );
        assert_eq!(found, expected, "{url}");
        assert!(redis.configured);
    }
    for url in [
        "redis://",
        "redis:///1",
        "redis://h:0",
        "redis://h:65536",
        "redis://h/x",
        "redis://h/1?db=2",
        "redis://h/70000",
        "redis://h?x=1",
        "redis://h#insecure",
        "redis://h/%zz",
        "redis://:%ff@h",
        "unix://",
        "unix:rel",
        "unix:u:pw@//b",
        "unix://host/p",
        "unix:///",
        "h:6379",
        "redis",
        "rédis://h",
        "redis+unix:///a%00b",
        "redis://a%20b",
    ] {
        let text = bad(&json!({}), &[("REDIS_URL", url)]);
        assert!(text.contains("environment REDIS_URL: redis.url: ") && text.contains("use redis://"), "{url}: {text}");
    }
}

#[test]
fn a_url_and_single_keys_do_not_mix_across_layers() {
    let url = json!({"redis": {"url": "redis://u:pw@h:1/2"}});
    let table = [
        (url.clone(), vec![("REDIS_HOST", "other")], tcp("other", 6379), 0, None),
        (url.clone(), vec![("REDIS_PORT", "9")], tcp("h", 9), 2, Some("pw")),
        (url.clone(), vec![("REDIS_PASSWORD", "new"), ("REDIS_DB", "5")], tcp("h", 1), 5, Some("new")),
        (url, vec![("REDIS_URL", "redis://g")], tcp("g", 6379), 0, None),
        (
            json!({"redis": {"host": "h", "port": 3, "db": 4}}),
            vec![("REDIS_URL", "redis://g")],
            tcp("g", 6379),
            0,
            None,
        ),
        (json!({}), vec![("REDIS_URL", "redis://g"), ("REDIS_PASSWORD", "p")], tcp("g", 6379), 0, Some("p")),
    ];
    for (config, env, address, db, password) in table {
        let redis = good(&config, &env).config.redis;
        assert_eq!(
            (&redis.address, redis.db, redis.password.as_ref().map(Secret::expose)),
            (&address, db, password),
            "{config} {env:?}"
        );
    }
    let loaded = good(&json!({"redis": {"url": "redis://u:pw@h:1/2"}}), &[]);
    assert!(loaded.warnings[0].contains("move it to secrets.json"));
    assert_eq!(shown(&loaded, "redis.url"), "redis://u:***@h:1/2");
    assert_eq!(shown(&loaded, "redis.password"), "***");
    assert!(
        bad(&json!({}), &[("REDIS_URL", "redis://h"), ("REDIS_HOST", "h")])
            .contains("REDIS_HOST: redis.host: cannot be combined with redis.url")
    );
    assert!(
        bad(&json!({}), &[("REDIS_URL", "redis://:a@h"), ("REDIS_PASSWORD", "b")])
            .contains("is also part of redis.url")
    );
    assert!(bad(&json!({"redis": {"url": "unix:///s"}}), &[("REDIS_PORT", "1")]).contains("names a unix socket"));
}

#[test]
fn secrets_take_variables() {
    let secrets = r#"{"redis": {"password": "a${PW}b$c${", "port": "${PORT}", "host": ""}}"#;
    let home = Home::new(None, Some(secrets));
    let redis = home.load(&[("PW", "x}"), ("PORT", "77")]).unwrap().config.redis;
    assert_eq!((redis.password.unwrap().expose(), redis.address), ("ax}b$c${", tcp("127.0.0.1", 77)));
    let text = home.load(&[("PW", ""), ("PORT", "77")]).unwrap_err().to_string();
    assert!(text.contains("secrets.json: redis.password: refers to the variable PW, which is not set"), "{text}");
}

#[test]
fn the_list_of_effective_values_masks_every_password_in_a_url() {
    for (url, expected) in [
        ("redis://u:hush@h:1/2", "redis://u:***@h:1/2"),
        ("rediss://:hush@h", "rediss://:***@h"),
        ("unix://u:hush@/s?db=1", "unix://u:***@/s?db=1"),
        ("unix:/s", "***"),
        ("redis://h/1", "redis://h/1"),
    ] {
        let loaded = good(&json!({}), &[("REDIS_URL", url)]);
        assert_eq!(shown(&loaded, "redis.url"), expected);
        assert!(!format!("{loaded:?}").contains("hush"), "{loaded:?}");
    }
}
