//! Configuration seen from outside: wrong values stop the start with one clear message, secrets stay secret.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use testkit::cluster::{online, settled, stage};
use testkit::command::clawster_with;
use testkit::redis_server::free_port;
use testkit::turn::beside;
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, clawster};

/// Every key of config.json with a value of a wrong type.
fn wrong_types() -> Vec<(&'static str, Value)> {
    let texts = [
        "node.id",
        "node.name",
        "node.endpoint",
        "cluster.name",
        "leader.mode",
        "redis.url",
        "redis.host",
        "redis.username",
        "redis.mode",
        "redis.master_name",
        "mongodb.db",
        "mongodb.collection",
        "logging.level",
        "logging.format",
        "logging.file",
        "metrics.listen",
    ];
    let numbers = [
        "node.heartbeat_interval",
        "node.heartbeat_ttl",
        "node.retry_count",
        "node.retry_delay",
        "leader.lease_ttl",
        "leader.presence_grace",
        "sync.batch_size",
        "sync.max_stream_length",
        "sync.max_stream_bytes",
        "sync.outbox_bytes",
        "redis.port",
        "redis.db",
        "mongodb.retention_days",
        "history.recent_hours",
        "logging.max_bytes",
        "logging.backup_count",
        "rpc.max_line_bytes",
    ];
    let truths = ["node.auto_join", "leader.candidate", "redis.frugal", "redis.tls", "logging.syslog"];
    let mut all: Vec<(&str, Value)> = Vec::new();
    all.extend(texts.map(|key| (key, json!(12))));
    all.extend(numbers.map(|key| (key, json!("many"))));
    all.extend(truths.map(|key| (key, json!("perhaps"))));
    all.push(("node.capabilities", json!("gpu")));
    all.push(("node.labels", json!(["zone"])));
    all.push(("redis.nodes", json!("one")));
    all
}

fn file_with(key: &str, value: &Value) -> String {
    let (section, name) = key.split_once('.').unwrap();
    json!({section: {name: value}}).to_string()
}

#[test]
fn every_key_with_a_wrong_type_is_named_with_its_file() {
    let _turn = beside();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a");
    for (key, value) in wrong_types() {
        launch.config(&file_with(key, &value));
        let outcome = clawster(&launch, &["config", "check"]);
        let said = outcome.stderr.clone() + &outcome.stdout;
        assert_eq!(outcome.code, Some(1), "{key}: {value} was taken: {said}");
        assert!(said.contains("config.json") && said.contains(key), "{key} is not named with its file: {said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn several_problems_are_reported_together_and_stop_the_start() {
    let _turn = beside();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a");
    let mut config = json!({});
    for (key, value) in wrong_types() {
        let (section, name) = key.split_once('.').unwrap();
        config[section][name] = value;
    }
    config["node"]["hartbeat_interval"] = json!(1);
    launch.config(&config.to_string());
    let outcome = clawster_with(&launch, &["serve"], b"", secs(10.0));
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "", "nothing but protocol on standard output");
    for (key, _) in wrong_types() {
        assert!(outcome.stderr.contains(key), "{key} is missing in: {}", outcome.stderr);
    }
    assert!(outcome.stderr.contains("hartbeat_interval"), "{}", outcome.stderr);
}

#[test]
fn each_wrong_setting_says_what_is_wrong() {
    let _turn = beside();
    // What is written, where, and words that the message must hold.
    let cases: [(&str, &str, &[&str]); 10] = [
        ("{\"node\": {\"hartbeat_interval\": 5}}", "config.json", &["hartbeat_interval", "heartbeat_interval"]),
        ("{\"nodes\": {}}", "config.json", &["nodes"]),
        ("{\"node\": {\"id\": \"a b\"}}", "config.json", &["node.id"]),
        ("{\"node\": {\"heartbeat_interval\": 10, \"heartbeat_ttl\": 20}}", "config.json", &["heartbeat_ttl", "3"]),
        ("{\"leader\": {\"lease_ttl\": 5}}", "config.json", &["lease_ttl"]),
        ("{\"leader\": {\"mode\": \"both\"}}", "config.json", &["leader.mode", "exclusive", "fenced"]),
        ("{\"redis\": {\"port\": 70000}}", "config.json", &["redis.port", "65535"]),
        ("{\"redis\": {\"password\": \"hunter2\"}}", "config.json", &["redis.password", "secrets.json"]),
        ("{\"node\": ", "config.json", &["JSON"]),
        ("[1]", "config.json", &["object"]),
    ];
    let dir = stage();
    for (at, (text, file, words)) in cases.into_iter().enumerate() {
        let launch = Launch::new(dir.path(), &format!("n{at}"));
        launch.config(text);
        let outcome = clawster_with(&launch.env("OPENCLAW_NODE_ID", ""), &["serve"], b"", secs(10.0));
        assert_eq!(outcome.code, Some(1), "{text} was taken");
        assert!(outcome.stderr.contains(file), "{text}: {}", outcome.stderr);
        for word in words {
            assert!(outcome.stderr.contains(word), "{text}: {word} is missing in: {}", outcome.stderr);
        }
        assert!(!outcome.stderr.contains("hunter2") && !outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    }
}

#[test]
fn wrong_variables_are_named() {
    let _turn = beside();
    let dir = stage();
    let cases = [
        ("REDIS_PORT", "six"),
        ("REDIS_DB", "-1"),
        ("OPENCLAW_NODE_ID", "a/b"),
        ("REDIS_URL", "http://x"),
        ("MONGODB_URI", "mongodb://u:p@h/?w=none&tls=perhaps"),
        ("CLAWSTER__NODE__HEARTBEAT_INTERVAL", "often"),
        ("CLAWSTER__NODE__NO_SUCH", "1"),
        ("CLAWSTER__LEADER__CANDIDATE", "maybe"),
    ];
    for (variable, value) in cases {
        let launch = Launch::new(dir.path(), "a").env(variable, value);
        let outcome = clawster_with(&launch, &["serve"], b"", secs(10.0));
        assert_eq!(outcome.code, Some(1), "{variable}={value} was taken: {}", outcome.stderr);
        assert!(outcome.stderr.contains(variable), "{variable}: {}", outcome.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let _turn = beside();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a");
    // A directory in the file's place is unreadable for root as well.
    std::fs::create_dir(launch.home.join("config/config.json")).unwrap();
    let outcome = clawster_with(&launch, &["serve"], b"", secs(10.0));
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("config.json"), "{}", outcome.stderr);
    std::fs::remove_dir(launch.home.join("config/config.json")).unwrap();
    let missing = launch.env("CLAWSTER_CONFIG_DIR", "/no/such/folder");
    let outcome = clawster_with(&missing, &["serve"], b"", secs(10.0));
    assert_eq!(outcome.code, Some(1), "a folder that was named must exist");
    assert!(outcome.stderr.contains("/no/such/folder"), "{}", outcome.stderr);
}

#[test]
fn an_unreachable_redis_is_one_message_and_exit_code_3() {
    let _turn = beside();
    let dir = stage();
    let port = free_port();
    let launch = Launch::new(dir.path(), "a")
        .port(port)
        .env("REDIS_PASSWORD", "hunter2")
        .env("CLAWSTER__NODE__RETRY_DELAY", "0.1");
    for command in [&["status"][..], &["nodes"], &["status", "--json"], &["heartbeat"]] {
        let outcome = clawster(&launch, command).expect(3);
        assert!(outcome.stderr.contains(&port.to_string()), "{command:?} does not say where: {}", outcome.stderr);
        assert!(!(outcome.stderr + &outcome.stdout).contains("hunter2"), "{command:?} shows the password");
    }
}

#[test]
fn a_wrong_password_is_told_and_the_password_is_not() {
    let redis = RedisServer::with(RedisOptions { password: Some("right".into()), ..RedisOptions::default() });
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").redis(&redis).env("REDIS_PASSWORD", "hunter2");
    let outcome = clawster(&launch, &["status"]);
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.stderr.to_lowercase().contains("password"), "{}", outcome.stderr);
    assert!(!(outcome.stderr + &outcome.stdout).contains("hunter2"));
    let node = launch.start();
    let error = node.refused("distributed.join_cluster", Value::Null, -32002);
    assert!(!format!("{error:?}").contains("hunter2"));
    assert!(!node.stderr().contains("hunter2"));
}

#[test]
fn password_user_and_database_are_used() {
    let dir = stage();
    let secured = RedisServer::with(RedisOptions { password: Some("p@ss:word/1".into()), ..RedisOptions::default() });
    let by_variable =
        Launch::new(dir.path(), "v").redis(&secured).brisk().env("REDIS_PASSWORD", "p@ss:word/1").env("REDIS_DB", "3");
    let by_file =
        Launch::new(dir.path(), "f").redis(&secured).brisk().env("REDIS_DB", "3").env("SECRET_OF_MINE", "p@ss:word/1");
    by_file.secrets("{\"redis\": {\"password\": \"${SECRET_OF_MINE}\"}}");
    let (by_variable, by_file) = (by_variable.start(), by_file.start());
    settled(&[&by_variable, &by_file], secs(20.0));
    let keyspace = secured.cli(&["INFO", "keyspace"]);
    assert!(keyspace.contains("db3:") && !keyspace.contains("db0:"), "{keyspace}");

    let ruled = RedisServer::with(RedisOptions { user: Some(("bot".into(), "pw".into())), ..RedisOptions::default() });
    let by_user =
        Launch::new(dir.path(), "u").redis(&ruled).brisk().env("REDIS_USERNAME", "bot").env("REDIS_PASSWORD", "pw");
    let by_url =
        Launch::new(dir.path(), "w").brisk().env("REDIS_URL", &format!("redis://bot:pw@127.0.0.1:{}/0", ruled.port()));
    let (by_user, by_url) = (by_user.start(), by_url.start());
    settled(&[&by_user, &by_url], secs(20.0));
    assert_eq!(online(&by_user.state()).len(), 2);
}

#[test]
fn a_unix_socket_is_used() {
    let dir = stage();
    let socket = dir.path().join("redis.sock");
    let redis = RedisServer::with(RedisOptions {
        extra: vec![format!("unixsocket {}", socket.display())],
        ..RedisOptions::default()
    });
    let url = format!("redis+unix://{}", socket.display());
    let node = Launch::new(dir.path(), "a").brisk().env("REDIS_URL", &url).start();
    node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    assert!(redis.cli(&["DBSIZE"]).parse::<u64>().unwrap() > 0);
}

/// Runs openssl; the test that needs it is ignored by default for that reason.
fn openssl(dir: &Path, args: &str) {
    let output =
        Command::new("openssl").args(args.split_whitespace()).current_dir(dir).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs openssl and a redis-server that was built with TLS"]
fn tls_is_used_and_a_strange_certificate_is_refused() {
    let dir = stage();
    openssl(dir.path(), "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj /CN=ca");
    openssl(dir.path(), "req -newkey rsa:2048 -nodes -keyout redis.key -out redis.csr -subj /CN=localhost");
    std::fs::write(dir.path().join("san.cnf"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
    openssl(
        dir.path(),
        "x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out redis.pem -extfile san.cnf",
    );
    let (port, at) = (free_port(), dir.path().display());
    let lines = [
        format!("tls-port {port}"),
        format!("tls-cert-file {at}/redis.pem"),
        format!("tls-key-file {at}/redis.key"),
        format!("tls-ca-cert-file {at}/ca.pem"),
        "tls-auth-clients no".to_owned(),
    ];
    let _redis = RedisServer::with(RedisOptions { extra: lines.to_vec(), ..RedisOptions::default() });
    let launch = |id: &str| Launch::new(dir.path(), id).brisk().env("REDIS_URL", &format!("rediss://127.0.0.1:{port}"));
    let trusting = launch("trusting").env("SSL_CERT_FILE", &format!("{at}/ca.pem")).start();
    trusting.until("it leads over TLS", secs(20.0), |state| state["role"] == "leader");
    launch("careful").start().refused("distributed.join_cluster", Value::Null, -32002);
}

#[test]
fn config_check_shows_sources_and_masks_secrets() {
    let _turn = beside();
    let dir = stage();
    let launch = Launch::new(dir.path(), "a").env("REDIS_PORT", "7001");
    launch.config("{\"node\": {\"heartbeat_interval\": 5}, \"redis\": {\"port\": 7002}}");
    launch.secrets("{\"redis\": {\"password\": \"hunter2\", \"port\": 7003}}");
    for args in [&["config", "check"][..], &["config", "check", "--json"]] {
        let outcome = clawster(&launch, args).expect(0);
        let said = &outcome.stdout;
        for word in
            ["7001", "REDIS_PORT", "heartbeat_interval", "config.json", "password", "secrets.json", "OPENCLAW_NODE_ID"]
        {
            assert!(said.contains(word), "{word} is missing in: {said}");
        }
        assert!(!(said.clone() + &outcome.stderr).contains("hunter2"), "{said}");
        assert!(!said.contains("7003") && !said.contains("7002"), "only the effective value: {said}");
    }
}

#[test]
fn the_legacy_file_loads_and_each_new_key_is_named() {
    let dir = stage();
    let redis = RedisServer::start();
    let launch = Launch::new(dir.path(), "x").env("OPENCLAW_NODE_ID", "");
    let legacy = json!({"cluster": {
        "enabled": true, "node_id": "old-1", "node_name": "Old One",
        "redis": {"host": "127.0.0.1", "port": redis.port()},
        "heartbeat": {"interval_ms": 500, "timeout_ms": 2000},
        "election": {"timeout_ms": 3000, "renewal_interval_ms": 500},
        "sync": {"batch_size": 50, "max_stream_length": 5000},
    }});
    launch.config(&legacy.to_string());
    let node = launch.start();
    let state = node.until("it leads", secs(20.0), |state| state["role"] == "leader");
    assert_eq!((&state["node_id"], &state["nodes"][0]["name"]), (&json!("old-1"), &json!("Old One")), "{state}");
    let said = node.stderr();
    for key in [
        "node.id",
        "node.name",
        "redis.port",
        "node.heartbeat_interval",
        "node.heartbeat_ttl",
        "leader.lease_ttl",
        "sync.batch_size",
    ] {
        assert!(said.contains(key), "{key} is missing in: {said}");
    }
}
