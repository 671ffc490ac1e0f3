//! What is wrong with Redis is said with its cause and what to do, by the commands and the doctor alike.

use std::path::Path;
use std::process::Command;
use testkit::redis_server::free_port;
use testkit::wait::secs;
use testkit::{Launch, RedisOptions, RedisServer, SentinelSet, Trio, clawster, eventually};

/// What `status` says when it cannot use Redis.
#[track_caller]
fn trouble(launch: &Launch) -> String {
    let said = clawster(launch, &["status"]).expect(3).stderr;
    let doctor = clawster(launch, &["doctor"]).expect(3).stdout;
    assert!(doctor.contains("FAIL"), "{doctor}");
    said + &doctor
}

#[test]
fn limits_databases_and_names_are_named() {
    let redis = RedisServer::start();
    let dir = testkit::cluster::stage();
    let launch = |id: &str| Launch::new(dir.path(), id).redis(&redis);
    let said = trouble(&launch("db").env("REDIS_DB", "99"));
    assert_eq!(said.matches("no such database").count(), 2, "{said}");
    let said = trouble(&launch("name").env("REDIS_HOST", "redis.invalid"));
    assert_eq!(said.matches("host name cannot be resolved").count(), 2, "{said}");
    redis.cli(&["CONFIG", "SET", "maxclients", "1"]);
    // Until the server has closed the connection of that command, it refuses this one.
    let held = eventually("the only connection is held", secs(10.0), || {
        let mut held = testkit::resp::Resp::connect(redis.port())?;
        let pong = held.call(&["PING"])?;
        if pong.contains("PONG") { Ok(held) } else { Err(std::io::Error::other(pong)) }
    });
    let said = trouble(&launch("full"));
    assert_eq!(said.matches("limit of connections").count(), 2, "{said}");
    drop(held);
}

#[test]
fn a_user_that_may_call_nothing_beside_its_scripts_works_without_config_client_and_select() {
    let redis = RedisServer::start();
    if redis.cli(&["ACL", "WHOAMI"]).contains("unknown command") {
        println!("this server has no users (Redis 5)");
        return;
    }
    let acl = redis
        .cli(&["ACL", "SETUSER", "bot", "on", ">pw", "~*", "&*", "+@all", "-config", "-client", "-select", "-script"]);
    assert_eq!(acl, "OK");
    let trio =
        Trio::with(|launch| launch.redis(&redis).brisk().env("REDIS_USERNAME", "bot").env("REDIS_PASSWORD", "pw"));
    trio.settled(secs(20.0));
    redis.cli(&["ACL", "SETUSER", "bot", "-info"]);
    let said = clawster(&trio.launches[0], &["doctor"]).stdout;
    assert!(said.contains("INFO (not permitted)") && said.contains("allow INFO"), "{said}");
}

#[test]
fn a_server_of_another_kind_is_named() {
    let set = SentinelSet::start(1, secs(60.0), 0);
    let dir = testkit::cluster::stage();
    let said = clawster(&Launch::new(dir.path(), "s").port(set.sentinels[0].port()), &["status"]).expect(3).stderr;
    assert!(said.contains("this is a sentinel; set redis.mode to sentinel"), "{said}");
    let port = format!("127.0.0.1:{}", set.servers[0].port());
    let launch =
        Launch::new(dir.path(), "c").env("CLAWSTER__REDIS__MODE", "cluster").env("CLAWSTER__REDIS__NODES", &port);
    let said = clawster(&launch, &["status"]).expect(3).stderr;
    assert!(said.contains("no node of a Redis Cluster"), "{said}");
}

fn openssl(dir: &Path, args: &str) {
    let output =
        Command::new("openssl").args(args.split_whitespace()).current_dir(dir).output().expect("openssl is installed");
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A key and a certificate that `ca` signs, for a name.
fn certificate(dir: &Path, ca: &str, name: &str, alternative: &str) {
    openssl(dir, &format!("req -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
    std::fs::write(dir.join("san.cnf"), format!("subjectAltName={alternative}\n")).unwrap();
    let sign = format!(
        "x509 -req -in {name}.csr -CA {ca}.pem -CAkey {ca}.key -CAcreateserial -days 2 -out {name}.pem -extfile san.cnf"
    );
    openssl(dir, &sign);
}

#[test]
#[ignore = "needs openssl and a redis-server that was built with TLS"]
fn what_is_wrong_with_tls_is_named() {
    let dir = testkit::cluster::stage();
    for ca in ["ca", "other"] {
        openssl(
            dir.path(),
            &format!("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {ca}.key -out {ca}.pem -subj /CN={ca}"),
        );
    }
    certificate(dir.path(), "ca", "redis", "IP:127.0.0.1");
    certificate(dir.path(), "ca", "client", "DNS:client");
    certificate(dir.path(), "other", "stranger", "DNS:stranger");
    let (port, at) = (free_port(), dir.path().display());
    let extra = vec![
        format!("tls-port {port}"),
        format!("tls-cert-file {at}/redis.pem"),
        format!("tls-key-file {at}/redis.key"),
        format!("tls-ca-cert-file {at}/ca.pem"),
        "tls-auth-clients yes".to_owned(),
    ];
    let redis = RedisServer::with(RedisOptions { extra, ..RedisOptions::default() });
    let launch = |id: &str, host: &str, ca: &str, client: Option<&str>| {
        let launch = Launch::new(dir.path(), id).brisk().env("REDIS_URL", &format!("rediss://{host}:{port}"));
        let launch = launch.env("CLAWSTER__REDIS__CA_FILE", &format!("{at}/{ca}.pem"));
        match client {
            Some(name) => launch
                .env("CLAWSTER__REDIS__CERT_FILE", &format!("{at}/{name}.pem"))
                .env("CLAWSTER__REDIS__KEY_FILE", &format!("{at}/{name}.key")),
            None => launch,
        }
    };
    let node = launch("good", "127.0.0.1", "ca", Some("client")).start();
    node.until("it leads over TLS", secs(20.0), |state| state["role"] == "leader");
    let named = |launch: &Launch, cause: &str| {
        let said = trouble(launch);
        assert_eq!(said.matches(cause).count(), 2, "{cause}: {said}");
    };
    named(&launch("a", "127.0.0.1", "other", Some("client")), "signed by an unknown authority");
    named(&launch("b", "localhost", "ca", Some("client")), "is for another host name");
    named(&launch("c", "127.0.0.1", "ca", None), "asks for a client certificate");
    named(&launch("d", "127.0.0.1", "ca", Some("stranger")), "refuses this client certificate");
    // A server without TLS does not answer a handshake at all.
    let plain = launch("e", "127.0.0.1", "ca", Some("client"))
        .env("REDIS_URL", &format!("rediss://127.0.0.1:{}", redis.port()));
    let said = trouble(&plain);
    assert!(said.contains("no answer in time") && said.contains("check firewall and TLS"), "{said}");
    eventually("a plain connection to the TLS port is explained", secs(5.0), || {
        let said = clawster(&Launch::new(dir.path(), "f").port(port), &["status"]).expect(3).stderr;
        if said.contains("redis.tls: true") { Ok(()) } else { Err(said) }
    });
}
