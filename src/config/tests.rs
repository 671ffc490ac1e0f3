//! Whole loads from folders and variables.

mod addresses;
mod alerts;
mod frugal;
mod http;
mod old_format;
mod secrecy;
mod transport;

use super::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A home with a `config` folder in its working directory.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: Option<&str>, secrets: Option<&str>) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(home.path("config")).unwrap();
        for (name, text) in [("config.json", config), ("secrets.json", secrets)] {
            if let Some(text) = text {
                let path = home.path("config").join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            }
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sources(&self, env: &[(&str, &str)]) -> Sources {
        let home = self.0.path().display().to_string();
        let home = [("HOME", home.as_str())];
        let env = home.iter().chain(env).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Sources { flag_dir: None, env: env.collect(), cwd: self.0.path().to_path_buf() }
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
        load(&self.sources(env))
    }
}

fn good(config: &Value, env: &[(&str, &str)]) -> Loaded {
    Home::new(Some(&config.to_string()), None).load(env).unwrap_or_else(|problems| panic!("{config}: {problems}"))
}

fn bad(config: &Value, env: &[(&str, &str)]) -> String {
    match Home::new(Some(&config.to_string()), None).load(env) {
        Ok(_) => panic!("{config} {env:?} was taken"),
        Err(problems) => problems.to_string(),
    }
}

fn source(loaded: &Loaded, key: &str) -> String {
    loaded.effective().into_iter().find(|value| value.key == key).unwrap().source
}

fn shown(loaded: &Loaded, key: &str) -> Value {
    loaded.effective().into_iter().find(|value| value.key == key).unwrap().value
}

fn tcp(host: &str, port: u16) -> RedisAddress {
    RedisAddress::Tcp { host: host.into(), port }
}

#[test]
fn nothing_given_means_the_defaults() {
    let home = Home::new(None, None);
    let loaded = home.load(&[]).unwrap();
    let config = &loaded.config;
    assert_eq!(config.timing, crate::cluster::settings::Timing::default());
    assert_eq!(config.leader, crate::cluster::settings::LeaderSettings::default());
    assert_eq!(config.sync, crate::cluster::settings::SyncSettings::default());
    assert_eq!(config.node.retry, crate::cluster::settings::Retry::default());
    assert_eq!(config.cluster.as_str(), "openclaw");
    assert_eq!((config.redis.configured, config.redis.mode), (false, RedisMode::Standalone));
    assert_eq!(config.redis.address, tcp("127.0.0.1", 6379));
    assert_eq!(config.state_dir, home.path(".local/state/clawster"));
    assert_eq!(config.logging.file, Some(home.path(".local/state/clawster/logs/heartbeat.log")));
    assert_eq!((config.logging.max_bytes, config.logging.backup_count, config.logging.syslog), (10 << 20, 5, true));
    assert_eq!((config.rpc.max_line_bytes, config.http.listen), (4 << 20, None));
    assert_eq!((config.node.auto_join, config.config_dir.as_ref()), (true, None));
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(loaded.effective().iter().all(|value| value.source == "default"));
}

#[test]
fn a_private_server_gets_nothing_that_is_meant_for_another_one() {
    let url = [("CLAWSTER__REDIS__MODE", "embedded"), ("REDIS_URL", "redis://u:hush@h:1/2")];
    let loaded = Home::new(None, None).load(&url).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let keys = [("CLAWSTER__REDIS__MODE", "embedded"), ("REDIS_PASSWORD", "hush"), ("REDIS_DB", "3")];
    let loaded = Home::new(None, None).load(&keys).unwrap();
    for key in ["redis.password has no effect", "redis.db has no effect"] {
        assert!(loaded.warnings.iter().any(|warning| warning.contains(key)), "{key}: {:?}", loaded.warnings);
    }
    let mut redis = loaded.config.redis;
    redis.use_private("/run/redis.sock".into());
    assert_eq!(redis.address, RedisAddress::Unix("/run/redis.sock".into()));
    assert_eq!((redis.db, redis.username, redis.password, redis.tls), (0, None, None, false));
}

#[test]
fn the_shipped_files_load_without_a_warning_and_leave_redis_open() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let read = |name: &str| std::fs::read_to_string(shipped.join(name)).unwrap();
    let home = Home::new(Some(&read("config.json")), Some(&read("secrets.template.json")));
    let loaded = home.load(&[]).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert!(!loaded.config.redis.configured);
    let mut config = loaded.config;
    config.config_dir = None;
    assert_eq!(
        config,
        Home::new(None, None)
            .load(&[("HOME", &home.path("").display().to_string())])
            .map(|l| Config { state_dir: config.state_dir.clone(), logging: config.logging.clone(), ..l.config })
            .unwrap()
    );
}

#[test]
fn the_environment_beats_secrets_which_beat_config_which_beats_the_default() {
    let config = json!({"redis": {"host": "from-config", "port": 1, "db": 1, "username": "c"}});
    let secrets = json!({"redis": {"host": "from-secrets", "port": 2, "password": "s3cret"}});
    let home = Home::new(Some(&config.to_string()), Some(&secrets.to_string()));
    let env = [("REDIS_HOST", "from-env"), ("REDIS_DB", ""), ("CLAWSTER__NODE__CAPABILITIES", "a, b")];
    let loaded = home.load(&env).unwrap();
    let redis = &loaded.config.redis;
    assert_eq!((&redis.address, redis.db), (&tcp("from-env", 2), 1), "an empty variable counts as unset");
    assert_eq!(redis.password, Some(Secret::new("s3cret")));
    assert_eq!(loaded.config.node.metadata.capabilities, ["a", "b"]);
    assert_eq!(source(&loaded, "redis.host"), "environment REDIS_HOST");
    assert_eq!(source(&loaded, "redis.port"), home.path("config/secrets.json").display().to_string());
    assert_eq!(source(&loaded, "redis.db"), home.path("config/config.json").display().to_string());
    assert_eq!(source(&loaded, "redis.tls"), "default");
    assert_eq!(shown(&loaded, "redis.password"), "***");
    assert!(!format!("{loaded:?}").contains("s3cret"));
    let above = home.load(&[("REDIS_HOST", "a"), ("CLAWSTER__REDIS__HOST", "b")]).unwrap();
    assert_eq!(above.config.redis.address, tcp("b", 2));
}

#[test]
fn every_wrong_value_is_named_with_its_key_and_what_is_allowed() {
    let table = [
        (
            json!({"node": {"heartbeat_interval": "ten"}}),
            "node.heartbeat_interval: must be a number 0.05 to 3600, not \"ten\"",
        ),
        (
            json!({"node": {"heartbeat_interval": 0.01}}),
            "node.heartbeat_interval: must be a number 0.05 to 3600, not 0.01",
        ),
        (
            json!({"node": {"heartbeat_ttl": 29}}),
            "node.heartbeat_ttl: 29 s is shorter than 3 heartbeats; use at least 30",
        ),
        (json!({"leader": {"lease_ttl": 29.9}}), "leader.lease_ttl: 29.9 s is shorter than 3 heartbeats"),
        (
            json!({"leader": {"presence_grace": 11}}),
            "leader.presence_grace: 11 s is more than a third of leader.lease_ttl",
        ),
        (json!({"leader": {"presence_grace": 0.05}}), "leader.presence_grace: must be a number 0.1 to 3600, not 0.05"),
        (json!({"leader": {"mode": "quick"}}), "leader.mode: must be one of exclusive, fenced, not \"quick\""),
        (json!({"node": {"id": "a b"}}), "node.id: node id \"a b\" is not allowed"),
        (json!({"node": {"id": 7}}), "node.id: must be a string of 1 to 64 characters, not 7"),
        (json!({"node": {"auto_join": "yes"}}), "node.auto_join: must be true or false, not \"yes\""),
        (
            json!({"node": {"capabilities": ["a", 1]}}),
            "node.capabilities: entry 2 must be a string of 1 to 256 characters, not 1",
        ),
        (
            json!({"node": {"labels": {"zone": 1}}}),
            "node.labels: entry \"zone\" must be a string of at most 256 characters, not 1",
        ),
        (json!({"node": {"name": "a\nb"}}), "node.name: must not contain control characters"),
        (json!({"node": {"retry_count": -1}}), "node.retry_count: must be a whole number 0 to 100, not -1"),
        (json!({"node": {"retry_count": 1.5}}), "node.retry_count: must be a whole number 0 to 100, not 1.5"),
        (json!({"cluster": {"name": ""}}), "cluster.name: must be a string of 1 to 64 characters, not \"\""),
        (json!({"sync": {"batch_size": 0}}), "sync.batch_size: must be a whole number 1 to 100000, not 0"),
        (
            json!({"sync": {"max_stream_length": 0}}),
            "sync.max_stream_length: must be a whole number 1 to 1000000000, not 0",
        ),
        (json!({"redis": {"port": 65536}}), "redis.port: must be a whole number 1 to 65535, not 65536"),
        (json!({"redis": {"port": null}}), "redis.port: must be a whole number 1 to 65535, not null"),
        (json!({"redis": {"db": -1}}), "redis.db: must be a whole number 0 to 65535, not -1"),
        (
            json!({"redis": {"host": "a:6379"}}),
            "redis.host: is not a host name or address; set the port with redis.port",
        ),
        (
            json!({"redis": {"mode": "sentinel", "nodes": ["a"]}}),
            "redis.master_name: is needed with redis.mode sentinel",
        ),
        (json!({"redis": {"wait_replicas": "all"}}), "redis.wait_replicas: needs redis.replicas"),
        (
            json!({"redis": {"password": "hush"}}),
            "redis.password: is a secret and not allowed in this file; move it to secrets.json",
        ),
        (json!({"redis": {"url": "http://h"}}), "redis.url: does not start with redis://"),
        (json!({"redis": {"url": "redis://h", "host": "g"}}), "redis.host: cannot be combined with redis.url"),
        (json!({"redis": {"username": "u"}}), "redis.username: is set without a password"),
        (json!({"metrics": {"listen": "9464"}}), "metrics.listen: must be \"off\" or ip:port"),
        (json!({"logging": {"level": "loud"}}), "logging.level: must be one of error, warn, info, debug, trace"),
        (json!({"history": {"recent_hours": 169}}), "history.recent_hours: must be a whole number 0 to 168, not 169"),
        (json!({"history": {"recent_hours": "day"}}), "history.recent_hours: must be a whole number 0 to 168"),
        (json!({"mongodb": {"db": "a.b"}}), "mongodb.db: contains a character that is not allowed in a database name"),
        (json!({"mongodb": {"collection": "a$b"}}), "mongodb.collection: is not a valid collection name"),
        (json!({"mongodb": {"collection": "system.x"}}), "mongodb.collection: is not a valid collection name"),
        (json!({"rpc": {"max_line_bytes": 1}}), "rpc.max_line_bytes: must be a whole number 65536 to 268435456, not 1"),
        (
            json!({"node": {"heartbeat_intervall": 1}}),
            "node.heartbeat_intervall: is not a known key; did you mean node.heartbeat_interval?",
        ),
        (json!({"node": {"lease_ttl": 30}}), "node.lease_ttl: is not a known key; did you mean leader.lease_ttl?"),
        (json!({"nodes": {}}), "nodes: is not a known section; did you mean node?"),
        (json!({"heartbeat_ttl": 30}), "heartbeat_ttl: is not a known section; did you mean node.heartbeat_ttl?"),
        (json!({"node": []}), "node: must be an object, not a list"),
        (json!([]), "must be a JSON object, not a list"),
    ];
    for (config, expected) in table {
        let text = bad(&config, &[]);
        assert!(text.contains(expected), "{config} gave {text:?}, expected {expected:?}");
        assert!(text.contains("config/config.json: "), "{text}");
        assert_eq!(text.lines().count(), 1, "one problem, but: {text}");
        assert!(!text.contains("hush"));
    }
}

#[test]
fn several_problems_are_reported_together_and_no_secret_is_shown() {
    let config = json!({"node": {"heartbeat_ttl": "x", "nme": "n"}, "redis": {"port": 0}});
    let secrets = json!({"redis": {"password": ["hush1"], "url": "redis://u:hush2@:x/"}, "mongodb": {"uri": "hush3", "password": "hush4"}});
    let home = Home::new(Some(&config.to_string()), Some(&secrets.to_string()));
    let env = [
        ("REDIS_PORT", "abc"),
        ("CLAWSTER__NODE__RETRIES", "1"),
        ("CLAWSTER__NODE", "1"),
        ("REDIS_URL", "redis://:hush5@h:99999"),
    ];
    let text = home.load(&env).unwrap_err().to_string();
    for part in [
        "node.heartbeat_ttl",
        "did you mean node.name?",
        "redis.port: must be a whole number 1 to 65535, not 0",
        "redis.password: must be",
        "secrets.json: redis.url: is not a valid URL",
        "mongodb.uri: must start with",
        "mongodb.password: is not a known key",
        "environment REDIS_PORT: redis.port",
        "environment REDIS_URL: redis.url",
        "environment CLAWSTER__NODE__RETRIES: does not name a known key",
        "environment CLAWSTER__NODE: does not name a setting",
    ] {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    assert!(!text.contains("hush"), "{text}");
    assert!(text.starts_with("invalid configuration, 11 problems:"), "{text}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    for (text, expected) in [
        ("{\n  \"node\": {,}\n}", "config.json: is not valid JSON: key must be a string at line 2 column 12"),
        ("", "is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (&"[".repeat(100_000), "is not valid JSON: recursion limit exceeded"),
    ] {
        let problems = Home::new(Some(text), None).load(&[]).unwrap_err().to_string();
        assert!(problems.contains(expected), "{problems}");
    }
    let home = Home::new(None, None);
    std::fs::create_dir(home.path("config/config.json")).unwrap();
    assert!(home.load(&[]).unwrap_err().to_string().contains("cannot be read: it is not a regular file"));
    std::fs::write(home.path("config/secrets.json"), [0xff]).unwrap();
    assert!(home.load(&[]).unwrap_err().to_string().contains("secrets.json: is not valid UTF-8"));
    std::fs::write(home.path("config/secrets.json"), "{}").unwrap();
    std::fs::remove_dir(home.path("config/config.json")).unwrap();
    std::fs::write(home.path("config/config.json"), "\u{feff}{}").unwrap();
    assert!(home.load(&[]).unwrap().warnings[0].contains("other users may read this file"));
}

#[test]
fn the_folder_is_the_one_that_was_named_else_a_default_that_holds_a_file() {
    let home = Home::new(None, None);
    for dir in ["flag", "var", ".config/clawster"] {
        std::fs::create_dir_all(home.path(dir)).unwrap();
        std::fs::write(home.path(dir).join("config.json"), json!({"node": {"name": dir}}).to_string()).unwrap();
    }
    let name = |sources: &Sources| load(sources).unwrap().config.node.metadata.name;
    assert_eq!(name(&home.sources(&[])), ".config/clawster", "an empty ./config is passed over");
    let mut sources = home.sources(&[("CLAWSTER_CONFIG_DIR", "var")]);
    assert_eq!(name(&sources), "var");
    sources.flag_dir = Some("flag".into());
    assert_eq!(name(&sources), "flag");
    sources.flag_dir = Some("flag/config.json".into());
    assert_eq!(name(&sources), "flag");
    assert_eq!(load(&sources).unwrap().config.config_dir, Some(home.path("flag")));
    sources.flag_dir = Some("nowhere".into());
    let text = load(&sources).unwrap_err().to_string();
    assert!(text.contains("--config") && text.contains("does not exist"), "{text}");
    let state = home.load(&[("CLAWSTER_STATE_DIR", "/s"), ("CLAWSTER_REDIS_SERVER", "bin/redis")]).unwrap().config;
    assert_eq!((state.state_dir, state.redis_server), ("/s".into(), Some(home.path("bin/redis"))));
    assert!(home.load(&[]).unwrap().warnings.is_empty());
    std::fs::write(home.path("config/config.json"), "{}").unwrap();
    let loaded = home.load(&[]).unwrap();
    assert_eq!(loaded.config.config_dir, Some(home.path("config")));
    assert!(loaded.warnings[0].contains(".config/clawster is ignored"), "{:?}", loaded.warnings);
    let mut homeless = home.sources(&[]);
    homeless.env.remove("HOME");
    assert!(load(&homeless).unwrap_err().to_string().contains("set CLAWSTER_STATE_DIR"));
}

#[test]
fn variables_are_read_by_the_type_of_their_key() {
    let env = [
        ("CLAWSTER__NODE__AUTO_JOIN", "off"),
        ("CLAWSTER__NODE__HEARTBEAT_INTERVAL", "0.2"),
        ("CLAWSTER__NODE__CAPABILITIES", "[\"a,b\"]"),
        ("CLAWSTER__NODE__LABELS", "{\"zone\": \"eu\"}"),
        ("CLAWSTER__NODE__NAME", "5"),
        ("CLAWSTER__LOGGING__LEVEL", "DEBUG"),
        ("CLAWSTER__LOGGING__FILE", "off"),
        ("CLAWSTER__REDIS__PASSWORD", "pw"),
        ("OPENCLAW_NODE_ID", "n1"),
    ];
    let config = good(&json!({}), &env).config;
    assert!(!config.node.auto_join);
    assert_eq!(config.timing.heartbeat_interval, Duration::from_millis(200));
    assert_eq!(config.node.metadata.capabilities, ["a,b"]);
    assert_eq!(config.node.metadata.labels["zone"], "eu");
    assert_eq!(config.node.metadata.name, "5");
    assert_eq!(config.logging.level, LogLevel::Debug);
    assert_eq!(config.logging.file, None);
    assert_eq!(config.redis.password, Some(Secret::new("pw")));
    assert_eq!(config.node.id.unwrap().as_str(), "n1");
    for (name, text) in [("CLAWSTER__NODE__LABELS", "zone"), ("REDIS_DB", "x"), ("CLAWSTER__NODE__CAPABILITIES", "[1")]
    {
        assert!(bad(&json!({}), &[(name, text)]).contains(&format!("environment {name}: ")));
    }
    assert!(bad(&json!({}), &[("REDIS_HOST", "a\u{fffd}")]).contains("is not valid UTF-8"));
}

#[test]
fn the_schemas_describe_bound_and_default_every_key() {
    for schema in [schema::config_schema(), schema::secrets_schema()] {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"]["$schema"].is_object());
        assert!(!schema.to_string().contains("$ref"));
        for (name, section) in schema["properties"].as_object().unwrap() {
            assert!(section["description"].is_string(), "{name}");
            for (key, inner) in section["properties"].as_object().into_iter().flatten() {
                assert!(inner["description"].is_string(), "{name}.{key} has no description");
                assert!(inner.get("default").is_some(), "{name}.{key} has no default");
                let numeric = inner["type"] == "integer" || inner["type"] == "number";
                assert!(
                    !numeric || inner["minimum"].is_number() && inner["maximum"].is_number(),
                    "{name}.{key} has no bounds"
                );
            }
        }
    }
    assert_eq!(schema::config_schema()["properties"]["node"]["properties"]["heartbeat_ttl"]["default"], 30.0);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_load_panic(text in ".{0,40}", url in "(redis|rediss|unix|redis\\+unix):.{0,30}") {
        let sources = |env: &[(&str, &str)]| Sources {
            flag_dir: None,
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            cwd: "/nonexistent".into(),
        };
        drop(load(&sources(&[("HOME", "/h"), ("REDIS_URL", &url), ("CLAWSTER__NODE__LABELS", &text)])));
        drop(load(&sources(&[("HOME", "/h"), ("REDIS_URL", &text), ("OPENCLAW_NODE_ID", &text)])));
    }
}
