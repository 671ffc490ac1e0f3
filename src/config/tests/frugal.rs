//! `redis.frugal` changes defaults, and nothing that is set.

use super::*;

const TIMES: [&str; 4] = ["node.heartbeat_interval", "node.heartbeat_ttl", "leader.lease_ttl", "leader.presence_grace"];

fn times(loaded: &Loaded) -> [u64; 4] {
    let Config { timing, leader, .. } = &loaded.config;
    [timing.heartbeat_interval, timing.heartbeat_ttl, timing.lease_ttl, leader.presence_grace]
        .map(|time| time.as_secs())
}

#[test]
fn the_switch_changes_the_defaults_and_the_list_of_values_says_so() {
    let frugal = json!({"redis": {"frugal": true}});
    let loaded = good(&frugal, &[]);
    assert_eq!(times(&loaded), [60, 180, 180, 10]);
    assert_eq!(TIMES.map(|key| source(&loaded, key)), ["default with redis.frugal"; 4].map(str::to_owned));
    assert_eq!(TIMES.map(|key| shown(&loaded, key)), [60.0, 180.0, 180.0, 10.0].map(Value::from));
    assert_eq!(shown(&loaded, "redis.frugal"), true);
    assert_eq!(loaded.warnings, Vec::<String>::new());
    let off = json!({"redis": {"frugal": false}});
    for loaded in [good(&off, &[]), good(&json!({}), &[]), good(&frugal, &[("CLAWSTER__REDIS__FRUGAL", "off")])] {
        assert_eq!(times(&loaded), [10, 30, 30, 1]);
        assert_eq!(TIMES.map(|key| source(&loaded, key)), ["default"; 4].map(str::to_owned));
    }
    assert_eq!(times(&good(&json!({}), &[("CLAWSTER__REDIS__FRUGAL", "1")])), [60, 180, 180, 10]);
}

#[test]
fn what_is_set_wins_over_it() {
    let config = json!({"redis": {"frugal": true}, "node": {"heartbeat_interval": 20}, "leader": {"lease_ttl": 90}});
    let loaded = good(&config, &[("CLAWSTER__LEADER__PRESENCE_GRACE", "2")]);
    assert_eq!(times(&loaded), [20, 180, 90, 2]);
    assert_eq!(source(&loaded, "leader.presence_grace"), "environment CLAWSTER__LEADER__PRESENCE_GRACE");
    assert_eq!(source(&loaded, "node.heartbeat_ttl"), "default with redis.frugal");
}

#[test]
fn a_key_that_is_set_to_its_usual_default_gives_a_warning() {
    let config = json!({"redis": {"frugal": true}, "node": {"heartbeat_interval": 10}, "leader": {"lease_ttl": 200}});
    let loaded = good(&config, &[]);
    assert_eq!(times(&loaded), [10, 180, 200, 10]);
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    let expected = "node.heartbeat_interval is set to 10, so redis.frugal does not change it; remove the key to get 60";
    assert!(warning.ends_with(expected) && warning.contains("config.json: "), "{warning}");
}

#[test]
fn the_rules_between_times_apply_to_the_result() {
    let text = bad(&json!({"redis": {"frugal": true}, "leader": {"lease_ttl": 30}}), &[]);
    let expected = "leader.lease_ttl: 30 s is shorter than 3 heartbeats; use at least 180 (3 times node.heartbeat_interval, which is \
                    60 s from default with redis.frugal)";
    assert!(text.contains(expected), "{text}");
    let text = bad(&json!({"redis": {"frugal": true}, "node": {"heartbeat_interval": 100}}), &[]);
    assert!(
        text.contains("default with redis.frugal: node.heartbeat_ttl: 180 s is shorter than 3 heartbeats"),
        "{text}"
    );
    let text = bad(&json!({"redis": {"frugal": "yes"}}), &[]);
    assert!(text.contains("redis.frugal: must be true or false, not \"yes\""), "{text}");
}

#[test]
fn the_switch_alone_configures_no_redis() {
    let loaded = good(&json!({"redis": {"frugal": true}}), &[]);
    assert!(!loaded.config.redis.configured, "the host still finds its Redis by itself");
    let embedded = good(&json!({"redis": {"frugal": true, "mode": "embedded"}}), &[]);
    assert_eq!((embedded.warnings.len(), times(&embedded)), (0, [60, 180, 180, 10]));
}

#[test]
fn it_works_beside_the_old_format() {
    let old = json!({"cluster": {"heartbeat": {"interval_ms": 5_000}}, "redis": {"frugal": true}});
    assert_eq!(times(&good(&old, &[])), [5, 180, 180, 10]);
}
