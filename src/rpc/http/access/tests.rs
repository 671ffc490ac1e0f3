//! The rules of access, without a connection.

use super::*;
use crate::config::HttpConfig;
use hyper::header::HeaderValue;

const TOKEN: &str = "a-token-of-some-length";

fn access(listen: &str, token: Option<&str>) -> Access {
    let config = HttpConfig {
        listen: Some(listen.parse().unwrap()),
        key: "http.listen",
        place: "config.json".to_owned(),
        token: token.map(Secret::new),
        allow_plaintext: true,
        hosts: vec!["proxy.example".to_owned()],
        tls_files: None,
    };
    Access::new(&config, Some("Own-Name"))
}

fn ask(access: &Access, headers: &[(HeaderName, &str)], probe: bool) -> Result<Caller, StatusCode> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    access.admit(&map, &Uri::from_static("/x"), Version::HTTP_11, probe).map_err(|refusal| refusal.status)
}

#[test]
fn only_names_of_this_server_are_served() {
    let (near, far) = (access("127.0.0.1:1", None), access("0.0.0.0:1", Some(TOKEN)));
    let bearer = format!("Bearer {TOKEN}");
    for (host, on_loopback, elsewhere) in [
        ("localhost:1", true, true),
        ("LOCALHOST", true, true),
        ("127.0.0.1:1", true, true),
        ("127.8.8.8", true, true),
        ("[::1]:1", true, true),
        ("own-name", true, true),
        ("proxy.example:443", true, true),
        ("proxy.example.:443", true, true),
        ("192.0.2.7:1", false, true),
        ("[2001:db8::7]", false, true),
        ("evil.example", false, false),
        ("localhost.evil.example", false, false),
        ("127.0.0.1.evil.example", false, false),
        ("user@localhost", false, false),
        ("", false, false),
    ] {
        let outcome = ask(&near, &[(HOST, host)], false);
        assert_eq!(outcome.is_ok(), on_loopback, "{host}");
        assert!(on_loopback || outcome == Err(StatusCode::FORBIDDEN), "{host}");
        assert_eq!(ask(&far, &[(HOST, host), (AUTHORIZATION, &bearer)], false).is_ok(), elsewhere, "{host}");
    }
    assert_eq!(ask(&near, &[], false), Err(StatusCode::BAD_REQUEST));
    assert_eq!(ask(&near, &[(HOST, "localhost"), (HOST, "localhost")], false), Err(StatusCode::BAD_REQUEST));
    let absolute = Uri::from_static("http://evil.example/rpc");
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    assert!(near.admit(&headers, &absolute, Version::HTTP_11, false).is_err());
}

#[test]
fn only_this_servers_own_page_is_an_origin() {
    let near = access("127.0.0.1:1", None);
    for (origin, good) in [
        ("http://localhost:9464", true),
        ("https://LOCALHOST:9464", true),
        ("http://localhost:9465", false),
        ("http://127.0.0.1:9464", false),
        ("http://evil.example", false),
        ("null", false),
        ("", false),
    ] {
        let outcome = ask(&near, &[(HOST, "localhost:9464"), (ORIGIN, origin)], false);
        assert_eq!(outcome.is_ok(), good, "{origin}");
    }
}

#[test]
fn other_hosts_need_the_token_for_all_but_the_probes() {
    let far = access("0.0.0.0:1", Some(TOKEN));
    let host = (HOST, "192.0.2.7");
    assert_eq!(ask(&far, std::slice::from_ref(&host), false), Err(StatusCode::UNAUTHORIZED));
    assert_eq!(ask(&far, &[(HOST, "whatever.example")], true), Ok(Caller::Reader));
    for (given, good) in [
        (format!("Bearer {TOKEN}"), true),
        (format!("bearer  {TOKEN}"), true),
        (format!("Bearer {TOKEN}x"), false),
        (format!("Bearer {}", &TOKEN[1..]), false),
        ("Bearer ".to_owned(), false),
        ("Bearer".to_owned(), false),
        (format!("Basic {TOKEN}"), false),
        (TOKEN.to_owned(), false),
    ] {
        let outcome = ask(&far, &[host.clone(), (AUTHORIZATION, &given)], false);
        assert_eq!(outcome, if good { Ok(Caller::Trusted) } else { Err(StatusCode::UNAUTHORIZED) }, "{given}");
    }
    let without = access("0.0.0.0:1", None);
    assert_eq!(ask(&without, &[host], false), Err(StatusCode::FORBIDDEN));
    // On loopback a wrong token is refused as well, and none is fine.
    let near = access("127.0.0.1:1", Some(TOKEN));
    assert_eq!(ask(&near, &[(HOST, "localhost"), (AUTHORIZATION, "Bearer x")], false), Err(StatusCode::UNAUTHORIZED));
    assert_eq!(ask(&near, &[(HOST, "localhost")], false), Ok(Caller::Reader));
    assert_eq!(near.refuse_change().status, StatusCode::UNAUTHORIZED);
    assert_eq!(access("127.0.0.1:1", None).refuse_change().status, StatusCode::FORBIDDEN);
}
