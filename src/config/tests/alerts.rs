//! Where alerts go, and what about.

use super::*;

fn load(config: &Value, secrets: &Value) -> Result<Loaded, Problems> {
    Home::new(Some(&config.to_string()), Some(&secrets.to_string())).load(&[])
}

#[test]
fn alerts_are_off_until_they_go_somewhere() {
    assert!(!good(&json!({}), &[]).config.alerts.is_on());
    let program = good(&json!({"alerts": {"command": ["mail", "-s", "clawster"]}}), &[]).config.alerts;
    assert!(program.is_on() && program.on.len() == 7, "{program:?}");
    assert!(!good(&json!({"alerts": {"command": ["mail"], "on": []}}), &[]).config.alerts.is_on());
    let some = json!({"alerts": {"webhook": "https://hooks.example/x", "on": ["task_dead", "lag"], "format": "slack", "cooldown": 60}});
    let some = good(&some, &[]).config.alerts;
    assert_eq!((some.on, some.format), (vec![AlertKind::TaskDead, AlertKind::Lag], AlertFormat::Slack));
    for (wrong, word) in [
        (json!({"on": ["node_died"]}), "alerts.on"),
        (json!({"webhook": "hooks.example"}), "alerts.webhook"),
        (json!({"webhook": "file:///etc/passwd"}), "alerts.webhook"),
        (json!({"command": [" "]}), "alerts.command"),
        (json!({"flapping": 1}), "alerts.flapping"),
    ] {
        assert!(bad(&json!({"alerts": wrong}), &[]).contains(word), "{wrong}");
    }
}

#[test]
fn the_address_of_a_webhook_is_shown_nowhere() {
    let secrets = json!({"alerts": {"webhook": "https://hooks.example/T0P/s3cret", "key": "signing-key"}});
    let loaded = load(&json!({}), &secrets).unwrap();
    assert!(loaded.config.alerts.is_on());
    let shown = format!("{:?} {:?} {:?}", loaded.config, loaded.effective(), loaded.warnings);
    assert!(!shown.contains("s3cret") && !shown.contains("signing-key"), "{shown}");
    let wrong =
        load(&json!({}), &json!({"alerts": {"webhook": "ftp://hooks.example/s3cret"}})).unwrap_err().to_string();
    assert!(wrong.contains("alerts.webhook") && !wrong.contains("s3cret"), "{wrong}");
    let plain = load(&json!({}), &json!({"alerts": {"webhook": "http://hooks.example/s3cret"}})).unwrap();
    assert!(
        plain.warnings.iter().any(|text| text.contains("has no TLS") && !text.contains("s3cret")),
        "{:?}",
        plain.warnings
    );
}
