//! What messages do not show, what is not passed over in silence, and what is too large.

use super::*;

#[test]
fn no_message_shows_what_may_be_a_credential() {
    let url = "redis://bot:hunter2@h";
    for (section, key) in [("node", "heartbeat_interval"), ("node", "id"), ("cluster", "name"), ("leader", "mode")] {
        let text = bad(&json!({section: {key: url}}), &[]);
        assert!(text.contains(key) && !text.contains("hunter2"), "{text}");
    }
    let text = bad(&json!({"node": {"labels": {"bot:hunter2@h": 1}}}), &[]);
    assert!(text.contains("node.labels") && !text.contains("hunter2"), "{text}");
    for (secrets, env) in
        [("{\"redis\": {\"port\": \"hunter2\"}}", ""), ("{\"redis\": {\"port\": \"${P}\"}}", "hunter2")]
    {
        let text = Home::new(None, Some(secrets)).load(&[("P", env)]).unwrap_err().to_string();
        assert!(text.contains("redis.port") && !text.contains("hunter2"), "{text}");
    }
}

#[test]
fn debug_output_names_variables_and_shows_no_values() {
    let home = Home::new(None, None);
    let sources = home.sources(&[("REDIS_PASSWORD", "hunter2")]);
    let shown = format!("{sources:?} {:?}", crate::config::redis::parse("redis://:hunter2@h"));
    assert!(shown.contains("REDIS_PASSWORD") && !shown.contains("hunter2"), "{shown}");
    let source = layer::Source::Default;
    assert!(!format!("{:?}", layer::Given { value: "hunter2".into(), source }).contains("hunter2"));
}

#[test]
fn a_connection_string_is_checked_by_its_driver_and_never_shown() {
    let home = Home::new(None, Some("{\"mongodb\": {\"uri\": \"mongodb://u:hunter2@h\"}}"));
    let loaded =
        load_with(&home.sources(&[]), |text| if text.ends_with("@h") { Ok(()) } else { Err("is odd".to_owned()) });
    let loaded = loaded.expect("the driver takes it");
    assert_eq!(loaded.config.mongodb.uri, Some(Secret::new("mongodb://u:hunter2@h")));
    assert!(!format!("{loaded:?} {:?}", loaded.effective()).contains("hunter2"));
    assert!(!loaded.warnings.iter().any(|text| text.contains("hunter2")), "{:?}", loaded.warnings);
    let refused =
        |env: &[(&str, &str)]| load_with(&home.sources(env), |_| Err("is odd".to_owned())).unwrap_err().to_string();
    assert!(refused(&[]).contains("config/secrets.json: mongodb.uri: is odd"), "{}", refused(&[]));
    let by_variable = refused(&[("MONGODB_URI", "mongodb://u:hunter2@x")]);
    assert!(by_variable.contains("environment MONGODB_URI: mongodb.uri"), "{by_variable}");
    assert!(!by_variable.contains("hunter2"));
}

#[test]
fn a_folder_that_cannot_be_looked_into_is_a_problem_and_not_passed_over() {
    let home = Home::new(None, None);
    std::fs::remove_dir(home.path("config")).unwrap();
    // A link to itself cannot be entered by anybody, root included.
    std::os::unix::fs::symlink("config", home.path("config")).unwrap();
    let text = home.load(&[]).unwrap_err().to_string();
    assert!(text.contains("config/config.json: cannot be read"), "{text}");
}

#[test]
fn a_named_folder_without_files_is_warned_of() {
    let home = Home::new(None, None);
    let folder = home.path("config").display().to_string();
    let loaded = home.load(&[("CLAWSTER_CONFIG_DIR", &folder)]).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(loaded.warnings[0].contains("neither config.json nor secrets.json"), "{:?}", loaded.warnings);
}

#[test]
fn what_the_node_says_of_itself_is_bounded_in_bytes() {
    let long = "ä".repeat(129);
    let (fits, many) = ("ä".repeat(128), vec!["x"; 257]);
    let good_one = json!({"node": {"name": fits, "capabilities": [fits], "labels": {(fits.as_str()): fits}}});
    assert_eq!(good(&good_one, &[]).config.node.metadata.name, fits);
    for node in [
        json!({"name": long}),
        json!({"endpoint": "ä".repeat(1025)}),
        json!({"capabilities": [long]}),
        json!({"capabilities": many}),
        json!({"labels": {"zone": long}}),
        json!({"labels": {(long.as_str()): "eu"}}),
        json!({"labels": (0..257).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>()}),
    ] {
        let key = node.as_object().unwrap().keys().next().unwrap().clone();
        let text = bad(&json!({"node": node}), &[]);
        assert!(text.contains(&format!("node.{key}: ")), "{text}");
        assert!(text.contains("256") || text.contains("2048"), "{text}");
    }
}
