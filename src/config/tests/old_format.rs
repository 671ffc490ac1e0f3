//! The old single config.json.

use super::*;

#[test]
fn the_old_format_loads_with_a_warning_per_key() {
    let old = json!({"cluster": {
        "enabled": false, "node_id": "n1", "node_name": "Node 1",
        "redis": {"host": "h", "port": 6380, "password": "hush", "db": 2},
        "heartbeat": {"interval_ms": 5000, "timeout_ms": 12000},
        "election": {"timeout_ms": 2000, "renewal_interval_ms": 500},
        "sync": {"batch_size": 7, "max_stream_length": 70}
    }});
    let loaded = good(&old, &[]);
    let config = &loaded.config;
    assert!(!config.node.auto_join);
    assert_eq!((config.node.id.as_ref().unwrap().as_str(), config.node.metadata.name.as_str()), ("n1", "Node 1"));
    assert_eq!((&config.redis.address, config.redis.db), (&tcp("h", 6380), 2));
    assert_eq!(config.redis.password, Some(Secret::new("hush")));
    assert_eq!(config.timing.heartbeat_interval, Duration::from_secs(5));
    assert_eq!(
        (config.timing.heartbeat_ttl, config.timing.lease_ttl),
        (Duration::from_secs(15), Duration::from_secs(15))
    );
    assert_eq!((config.sync.batch_size, config.sync.max_stream_length), (7, 70));
    for new in [
        "cluster.enabled is deprecated; use node.auto_join",
        "use node.id",
        "use node.name",
        "use redis.host",
        "use redis.port",
        "use redis.password in secrets.json",
        "use redis.db",
        "use node.heartbeat_interval",
        "use node.heartbeat_ttl",
        "use leader.lease_ttl",
        "cluster.election.renewal_interval_ms is deprecated and has no effect",
        "use sync.batch_size",
        "use sync.max_stream_length",
        "leader.lease_ttl is raised from 2 s to 15 s",
        "node.heartbeat_ttl is raised from 12 s to 15 s",
        "the Redis password is sent to h:6380 without TLS",
    ] {
        assert_eq!(
            loaded.warnings.iter().filter(|warning| warning.contains(new)).count(),
            1,
            "{new}: {:?}",
            loaded.warnings
        );
    }
    assert_eq!(loaded.warnings.len(), 16);
    assert!(source(&loaded, "leader.lease_ttl").ends_with("config.json (adjusted)"));
    assert!(!format!("{loaded:?}").contains("hush"));
    // Quick times: the default grace gives way.
    let quick = good(&json!({"cluster": {"heartbeat": {"interval_ms": 200}, "election": {"timeout_ms": 600}}}), &[]);
    assert_eq!(quick.config.leader.presence_grace, Duration::from_millis(200));
    let slow = good(&json!({"cluster": {"heartbeat": {"interval_ms": 20000}}}), &[]);
    assert_eq!(slow.config.timing.lease_ttl, Duration::from_secs(60));
    assert_eq!(
        good(&json!({"cluster": {"node_id": "old", "name": "c"}, "node": {"id": "new"}}), &[])
            .config
            .node
            .id
            .unwrap()
            .as_str(),
        "new"
    );
    let text = bad(&json!({"cluster": {"redis": {"port": 0, "hots": "x"}, "heartbeat": 1}}), &[]);
    for part in [
        "cluster.redis.port: must be",
        "cluster.redis.hots: is not a known key",
        "cluster.heartbeat: must be an object",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
