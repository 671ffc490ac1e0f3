//! Redis addresses: parsing a URL, and the precedence of URLs and single keys from several layers.
//!
//! 1. A URL is a complete address: it discards all address keys of lower layers, credentials included, so that a password is never
//!    sent to another host than the one it was written for.
//! 2. A host discards the URLs of lower layers in the same way.
//! 3. Port, database, user, password and TLS of a higher layer change only that part.
//! 4. Within one layer a URL excludes host, port and tls, and every part that the URL itself contains.
//! 5. TLS that a layer requires stays on: a host of a higher layer is reached with TLS, too, and a `redis://` URL of a higher layer
//!    is refused. Only `redis.tls: false` of a higher layer turns TLS off, with a warning.
//!
//! Not here: connecting (`crate::store`).

use super::layer::{Given, Layer, Source};
use super::problem::Findings;
use super::settings::RedisAddress;
use serde_json::Value;
use std::borrow::Cow;
use std::path::PathBuf;

/// The keys that make up an address.
const PARTS: [&str; 8] =
    ["redis.url", "redis.host", "redis.port", "redis.tls", "redis.db", "redis.username", "redis.password", SOCKET];

/// The path of a unix socket: an internal key, set only from URLs.
pub(super) const SOCKET: &str = "redis.socket";

/// The place that required TLS: an internal key. Unlike `redis.tls` it stays when a higher layer discards the address.
const TLS_ASKED: &str = "redis.tls asked for";

/// A parsed URL.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) address: RedisAddress,
    pub(super) tls: bool,
    pub(super) db: Option<u32>,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl std::fmt::Debug for Parsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parsed")
            .field("address", &self.address)
            .field("tls", &self.tls)
            .field("db", &self.db)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .finish()
    }
}

/// Merges a layer over the lower ones, with the rules above for Redis keys.
pub(super) fn lay_over(below: &mut Layer, mut layer: Layer, findings: &mut Findings) {
    if let Some(url) = layer.get("redis.url").cloned() {
        for key in ["redis.host", "redis.port", "redis.tls"] {
            if let Some(given) = layer.remove(key) {
                findings.problem(
                    given.source.to_string(),
                    key,
                    "cannot be combined with redis.url in the same place; keep one of them",
                );
            }
        }
        PARTS.iter().for_each(|key| drop(below.remove(key)));
        match parse(url.value.as_str().unwrap_or_default()) {
            Ok(parsed) => spread(parsed, &url, below, &layer, findings),
            Err(text) => findings.problem(url.source.to_string(), "redis.url", text),
        }
    } else if layer.get("redis.host").is_some() && below.get("redis.url").is_some() {
        PARTS.iter().for_each(|key| drop(below.remove(key)));
    } else if below.get(SOCKET).is_some() {
        for key in ["redis.port", "redis.tls"] {
            if let Some(given) = layer.remove(key) {
                findings.problem(
                    given.source.to_string(),
                    key,
                    "cannot be combined with redis.url, which names a unix socket; remove one of them",
                );
            }
        }
    }
    for (key, given) in layer.iter() {
        below.insert(key, given.clone());
    }
    keep_tls(below, &layer, findings);
}

/// Keeps TLS on once a layer required it, whatever host or URL a higher layer sets.
fn keep_tls(values: &mut Layer, layer: &Layer, findings: &mut Findings) {
    let on = |given: &&Given| given.value == Value::Bool(true);
    let asked = values.get(TLS_ASKED).cloned();
    if let Some(given) = values.get("redis.tls").filter(on).cloned() {
        values.insert(TLS_ASKED, asked.unwrap_or(given));
    } else if let Some(asked) = asked {
        if let Some(off) = layer.get("redis.tls") {
            values.remove(TLS_ASKED);
            findings.warn(format!(
                "{}: redis.tls: false disables the TLS that {} requires; passwords and data are sent to Redis unencrypted",
                off.source, asked.source
            ));
        } else if values.get("redis.url").is_none() {
            values.insert("redis.tls", asked);
        }
    }
}

/// The source of a URL without TLS and the place that requires TLS, if the two contradict each other.
pub(super) fn contradiction(values: &Layer) -> Option<(&Source, &Source)> {
    let (url, asked) = (values.get("redis.url")?, values.get(TLS_ASKED)?);
    let plain = values.get("redis.tls").is_none_or(|given| given.value != Value::Bool(true));
    (plain && values.get(SOCKET).is_none()).then_some((&url.source, &asked.source))
}

/// Stores the parts of a URL as single keys, with the URL's source.
fn spread(parsed: Parsed, url: &Given, below: &mut Layer, layer: &Layer, findings: &mut Findings) {
    let mut put = |key: &str, value: Value| below.insert(key, Given { value, source: url.source.clone() });
    put("redis.url", url.value.clone());
    put("redis.tls", parsed.tls.into());
    match parsed.address {
        RedisAddress::Tcp { host, port } => {
            put("redis.host", host.into());
            put("redis.port", port.into());
        }
        RedisAddress::Unix(path) => put(SOCKET, path.display().to_string().into()),
    }
    let rest = [
        ("redis.db", parsed.db.map(Value::from)),
        ("redis.username", parsed.username.map(Value::from)),
        ("redis.password", parsed.password.map(Value::from)),
    ];
    for (key, value) in rest {
        let Some(value) = value else { continue };
        if let Some(given) = layer.get(key) {
            findings.problem(
                given.source.to_string(),
                key,
                "is also part of redis.url in the same place; keep one of them",
            );
        }
        put(key, value);
    }
}

/// Parses a URL. The error texts quote nothing of it.
pub(super) fn parse(url: &str) -> Result<Parsed, String> {
    const FORMS: &str = "use redis://[user:password@]host[:port][/db], rediss:// for TLS, or redis+unix:///path[?db=0]";
    for scheme in ["redis+unix:", "unix:"] {
        if let Some(rest) = strip_scheme(url, scheme) {
            let rest = rest.strip_prefix("//").or_else(|| rest.starts_with('/').then_some(rest)).unwrap_or_default();
            return unix(rest).map_err(|what| format!("{what}; {FORMS}"));
        }
    }
    let tls = strip_scheme(url, "rediss:").is_some();
    if !tls && strip_scheme(url, "redis:").is_none() {
        return Err(format!("does not start with redis://, rediss:// or redis+unix://; {FORMS}"));
    }
    tcp(url, tls)
        .map_err(|what| format!("{what}; {FORMS}, with special characters of user and password percent-encoded"))
}

fn strip_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let head = url.get(..scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then(|| url.get(scheme.len()..)).flatten()
}

fn tcp(url: &str, tls: bool) -> Result<Parsed, String> {
    let parsed = url::Url::parse(url).map_err(|error| format!("is not a valid URL ({error})"))?;
    let host = match parsed.host() {
        Some(url::Host::Domain(name)) => decode(name)?,
        Some(url::Host::Ipv4(ip)) => ip.to_string(),
        Some(url::Host::Ipv6(ip)) => ip.to_string(),
        None => String::new(),
    };
    check_host(&host)?;
    if parsed.fragment().is_some() {
        return Err("has a part after #, which is not allowed".to_owned());
    }
    if parsed.port() == Some(0) {
        return Err("has port 0; ports are 1 to 65535".to_owned());
    }
    let from_query = query(parsed.query())?;
    let from_path = match parsed.path().trim_matches('/') {
        "" => None,
        text => Some(database(text)?),
    };
    if from_path.is_some() && from_query.is_some() {
        return Err("specifies the database twice".to_owned());
    }
    let some = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
    Ok(Parsed {
        address: RedisAddress::Tcp { host, port: parsed.port().unwrap_or(6379) },
        tls,
        db: from_path.or(from_query),
        username: some(parsed.username())?,
        password: some(parsed.password().unwrap_or_default())?,
    })
}

/// Parses the part after `unix://`: `[user:password@]/path[?db=0]`.
fn unix(rest: &str) -> Result<Parsed, String> {
    let (rest, db) = match rest.split_once('?') {
        Some((rest, text)) => (rest, query(Some(text))?),
        None => (rest, None),
    };
    let start = rest.find('/').ok_or("does not contain an absolute path")?;
    let (login, path) = rest.split_at(start);
    let (username, password) = match login.strip_suffix('@') {
        Some(login) => login.split_once(':').unwrap_or((login, "")),
        None if login.is_empty() || login.eq_ignore_ascii_case("localhost") => ("", ""),
        None => return Err("contains a host before the path of a unix socket".to_owned()),
    };
    let path = decode(path)?;
    if path.len() < 2 || path.contains('\0') {
        return Err("does not name a socket".to_owned());
    }
    let some = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
    let address = RedisAddress::Unix(PathBuf::from(path));
    Ok(Parsed { address, tls: false, db, username: some(username)?, password: some(password)? })
}

fn query(text: Option<&str>) -> Result<Option<u32>, String> {
    let mut db = None;
    for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("db", number)) if db.is_none() => db = Some(database(number)?),
            _ => return Err("may only have db=<number>, once, after the question mark".to_owned()),
        }
    }
    Ok(db)
}

fn database(text: &str) -> Result<u32, String> {
    let number = text.parse::<u16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    number.map(u32::from).ok_or_else(|| "has a database that is not a whole number from 0 to 65535".to_owned())
}

/// Checks that a text is a host name or address; IPv6 without brackets.
pub(super) fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() {
        return Err("does not name a host".to_owned());
    }
    if host.contains("//") {
        return Err("is a URL; put it into redis.url (REDIS_URL) instead".to_owned());
    }
    if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        return Err("is not a host name or address; set the port with redis.port".to_owned());
    }
    let good = host.len() <= 255 && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':'));
    if good { Ok(()) } else { Err("contains a character that is not allowed in a host name".to_owned()) }
}

/// Decodes percent-encoding such as `%41`.
fn decode(text: &str) -> Result<String, String> {
    let is_code = |rest: &str| rest.bytes().take_while(u8::is_ascii_hexdigit).count() >= 2;
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok();
    decoded.filter(|_| text.split('%').skip(1).all(is_code)).map(Cow::into_owned).ok_or_else(|| {
        "contains a percent sign that is not followed by two hexadecimal digits of valid UTF-8".to_owned()
    })
}

/// A URL with its password masked.
pub(super) fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("//") else { return "***".to_owned() };
    // The last @ before the path: a password may contain one by mistake.
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| rest.get(..end).unwrap_or_default());
    match authority.rsplit_once('@') {
        Some((login, host)) => {
            let tail = rest.get(authority.len()..).unwrap_or_default();
            let user = login.split_once(':').map_or("", |(user, _)| user);
            format!("{scheme}//{user}:***@{host}{tail}")
        }
        None => url.to_owned(),
    }
}
