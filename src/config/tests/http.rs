//! The address of the HTTP server, its earlier name, and what an address needs that other hosts can reach.

use super::*;

const TOKEN: &str = "0123456789abcdef";

fn load(config: &Value, secrets: &Value) -> Result<Loaded, Problems> {
    Home::new(Some(&config.to_string()), Some(&secrets.to_string())).load(&[])
}

fn about(loaded: &Loaded, words: &str) -> usize {
    loaded.warnings.iter().filter(|text| text.contains(words)).count()
}

#[test]
fn the_earlier_name_still_works_and_serves_others_only_the_probes() {
    for (address, warned) in [
        ("127.0.0.1:9464", 0),
        ("[::1]:9464", 0),
        ("[::ffff:127.0.0.1]:9464", 0),
        ("off", 0),
        ("0.0.0.0:9464", 1),
        ("[::]:9464", 1),
        ("192.0.2.7:9464", 1),
    ] {
        let loaded = good(&json!({"metrics": {"listen": address}}), &[]);
        assert_eq!(about(&loaded, "metrics.listen"), warned, "{address}");
        assert_eq!(loaded.config.http.listen, address.parse().ok());
        assert!(!loaded.config.http.may_serve_others());
        assert!(loaded.config.http.place.contains("config.json") || address == "off", "{:?}", loaded.config.http);
    }
    for section in ["metrics", "http"] {
        for wrong in ["9464", "localhost:9464", "127.0.0.1", "127.0.0.1:99999", "::1:9464", ""] {
            let problem = bad(&json!({section: {"listen": wrong}}), &[]);
            assert!(problem.contains(&format!("{section}.listen: ")), "{wrong}: {problem}");
        }
    }
    let two = json!({"metrics": {"listen": "127.0.0.1:1"}, "http": {"listen": "127.0.0.1:2"}});
    assert!(bad(&two, &[]).contains("metrics.listen: is the earlier name of http.listen"));
    let off = json!({"metrics": {"listen": "127.0.0.1:1"}, "http": {"listen": "off"}});
    assert_eq!(good(&off, &[]).config.http.listen, "127.0.0.1:1".parse().ok());
}

#[test]
fn an_address_that_others_reach_needs_a_token_and_tls_or_a_permission() {
    let open = json!({"http": {"listen": "0.0.0.0:9464"}});
    let problem = load(&open, &json!({})).unwrap_err().to_string();
    for part in ["http.listen", "http.token in secrets.json", "http.cert_file", "http.allow_plaintext: true"] {
        assert!(problem.contains(part), "{part}: {problem}");
    }
    let token = json!({"http": {"token": TOKEN}});
    let problem = load(&open, &token).unwrap_err().to_string();
    assert!(!problem.contains("http.token") && problem.contains("http.allow_plaintext"), "{problem}");
    let plain = json!({"http": {"listen": "0.0.0.0:9464", "allow_plaintext": true}});
    assert!(load(&plain, &json!({})).is_err());
    let loaded = load(&plain, &token).unwrap();
    assert!(loaded.config.http.may_serve_others() && about(&loaded, "without TLS") == 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.config.http.page().unwrap(), "http://127.0.0.1:9464/");
    let tls = json!({"http": {"listen": "[::]:9464", "cert_file": "a.pem", "key_file": "/k.pem"}});
    let loaded = load(&tls, &token).unwrap();
    assert_eq!(about(&loaded, "http."), 0, "{:?}", loaded.warnings);
    let (cert, key) = loaded.config.http.tls_files.clone().unwrap();
    assert!(cert.ends_with("config/a.pem") && cert.is_absolute() && key == Path::new("/k.pem"), "{cert:?}");
    assert_eq!(loaded.config.http.page().unwrap(), "https://[::1]:9464/");
    let half = json!({"http": {"listen": "127.0.0.1:1", "cert_file": "a.pem"}});
    assert!(bad(&half, &[]).contains("http.cert_file: is set without http.key_file"));
}

#[test]
fn a_token_is_a_secret_and_a_short_one_is_warned_about() {
    let config = json!({"http": {"listen": "127.0.0.1:9464"}});
    let loaded = load(&config, &json!({"http": {"token": "short"}})).unwrap();
    assert_eq!(about(&loaded, "16 random characters"), 1, "{:?}", loaded.warnings);
    let loaded = load(&config, &json!({"http": {"token": TOKEN}})).unwrap();
    assert_eq!(about(&loaded, "http.token"), 0, "{:?}", loaded.warnings);
    let shown = format!("{:?} {:?} {:?}", loaded.config, loaded.effective(), loaded.warnings);
    assert!(!shown.contains(TOKEN), "{shown}");
    assert_eq!(loaded.config.http.token, Some(Secret::new(TOKEN)));
    for wrong in ["two words and more of it", "münchen-münchen-münchen"] {
        let problem = load(&config, &json!({"http": {"token": wrong}})).unwrap_err().to_string();
        assert!(problem.contains("http.token: must consist of") && !problem.contains(wrong), "{problem}");
    }
    let problem = load(&json!({"http": {"token": TOKEN}}), &json!({})).unwrap_err().to_string();
    assert!(problem.contains("move it to secrets.json") && !problem.contains(TOKEN), "{problem}");
    let loaded = good(&config, &[("CLAWSTER__HTTP__TOKEN", TOKEN)]);
    assert!(loaded.config.secret_variables.contains(&"CLAWSTER__HTTP__TOKEN".to_owned()));
}
