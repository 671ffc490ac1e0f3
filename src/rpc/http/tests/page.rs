//! The page: its policy, what it may not hold, and the picture beside it.

use super::*;

const PAGE: &str = include_str!("../page.html");

fn nonce(head: &str) -> String {
    let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).expect("a policy");
    for part in
        ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"]
    {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    policy.split_once("script-src 'nonce-").unwrap().1.split('\'').next().unwrap().to_owned()
}

#[tokio::test]
async fn each_answer_has_a_nonce_of_its_own_and_no_other_script_runs() {
    let server = serve("127.0.0.1:0");
    let (head, body) = get(&server, "/").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/html; charset=utf-8"), "{head}");
    let first = nonce(&head);
    assert_eq!(body.matches(&format!("nonce=\"{first}\"")).count(), 2, "one style, one script");
    assert!(!body.contains("{{"), "a place was left");
    assert!(body.contains("data-reads=\"\""), "the page of a node must not think that it only reads");
    let second = nonce(&get(&server, "/").await.0);
    assert!(first != second && first.len() == 32, "{first} {second}");
    let head = exchange(server.address, "HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn the_page_asks_nobody_else_and_reads_no_name_as_markup() {
    assert!(PAGE.len() < 64 << 10, "{} bytes", PAGE.len());
    for word in [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "http://",
        "https://",
        "onclick=",
        "style=\"",
    ] {
        assert!(!PAGE.contains(word), "{word}");
    }
}

#[test]
fn the_page_works_below_any_path() {
    for path in ["\"rpc\"", "\"events\"", "\"history.svg\""] {
        assert!(PAGE.contains(&format!("send({path}")), "{path}");
    }
    assert!(!PAGE.contains("fetch(\"/") && !PAGE.contains("send(\"/"), "an absolute address");
}

#[tokio::test]
async fn where_the_token_is_needed_the_page_asks_for_it() {
    let server = serve("0.0.0.0:0");
    let local = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let answer = exchange(local, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("<title>clawster</title>"), "{answer}");
    assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
    let answer = exchange(local, "GET /history.svg HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 401") && !answer.contains("<svg>"), "{answer}");
}

#[tokio::test]
async fn the_picture_reaches_back_as_far_as_it_was_asked_to() {
    let server = serve("127.0.0.1:0");
    let (head, body) = get(&server, "/history.svg?since_ms=7000").await;
    assert!(head.contains("content-type: image/svg+xml") && head.contains("sandbox"), "{head}");
    assert_eq!(body, "<svg>7</svg>");
    assert_eq!(get(&server, "/history.svg").await.1, "<svg>86400</svg>");
    for bad in ["since_ms=0", "since_ms=x", "since=1", "since_ms=99999999999999"] {
        assert!(get(&server, &format!("/history.svg?{bad}")).await.0.starts_with("HTTP/1.1 400"), "{bad}");
    }
}
