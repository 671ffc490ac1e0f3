//! The rules between the keys of Redis: which servers there are, how to log in, what they must confirm.
//!
//! Not here: the precedence of addresses (`config/redis.rs`).

use super::Surroundings;
use crate::config::frugal;
use crate::config::keys::{RedisKeys, RedisModeKey, WaitReplicasKey};
use crate::config::layer::{Given, Layer};
use crate::config::problem::Findings;
use crate::config::redis::{SOCKET, check_host, contradiction};
use crate::config::settings::{Host, RedisAddress, RedisConfig, RedisMode, Secret, WaitReplicas};
use std::path::PathBuf;

/// Keys without effect in mode `embedded`.
const WITHOUT_EFFECT: [&str; 7] =
    ["redis.url", "redis.host", "redis.port", "redis.db", "redis.username", "redis.password", "redis.tls"];
/// Keys that only the modes with several servers use.
const SEVERAL: [&str; 3] = ["redis.nodes", "redis.master_name", "redis.announce"];
/// The ports of sentinels and of cluster nodes, where an address names none.
const PORTS: (u16, u16) = (26_379, 6_379);

struct Rules<'a> {
    raw: &'a RedisKeys,
    values: &'a Layer,
    findings: &'a mut Findings,
}

/// The checked configuration of Redis.
pub(super) fn redis(raw: &RedisKeys, values: &Layer, around: &Surroundings, findings: &mut Findings) -> RedisConfig {
    let mut rules = Rules { raw, values, findings };
    let mode = match raw.mode {
        RedisModeKey::Standalone => RedisMode::Standalone,
        RedisModeKey::Embedded => RedisMode::Embedded,
        RedisModeKey::Sentinel => RedisMode::Sentinel,
        RedisModeKey::Cluster => RedisMode::Cluster,
    };
    rules.without_effect(mode);
    let address = rules.address();
    let nodes = rules.nodes(mode, &address);
    rules.tls(mode);
    let files = around.config_dir.as_ref().unwrap_or(&around.cwd);
    let file = |path: &Option<String>| path.as_ref().map(|path| files.join(path));
    let (username, password) = rules.login("redis.username", raw.username.as_ref(), "redis.password", "REDIS_PASSWORD");
    let (sentinel_username, sentinel_password) = rules.login(
        "redis.sentinel_username",
        raw.sentinel_username.as_ref(),
        "redis.sentinel_password",
        "CLAWSTER__REDIS__SENTINEL_PASSWORD",
    );
    RedisConfig {
        // How often Redis is called says nothing about where it is.
        configured: values.iter().any(|(key, _)| key.starts_with("redis.") && key != frugal::SWITCH),
        mode,
        address,
        db: raw.db,
        username,
        password,
        tls: raw.tls,
        ca_file: file(&raw.ca_file),
        client_certificate: file(&raw.cert_file).zip(file(&raw.key_file)),
        nodes,
        master_name: raw.master_name.clone(),
        sentinel_username,
        sentinel_password,
        announce: rules.announce(),
        confirmations: rules.confirmations(mode),
        wait_messages: raw.wait_messages,
    }
}

impl Rules<'_> {
    /// Reports a problem of a key where it is set; of a missing one, where the mode that needs it is set.
    fn problem(&mut self, key: &str, text: impl Into<String>) {
        if !self.findings.bad_keys.contains(key) {
            let place = if self.is_set(key) { key } else { "redis.mode" };
            self.findings.problem(self.values.source(place).to_string(), key, text);
        }
    }

    fn is_set(&self, key: &str) -> bool {
        self.values.get(key).is_some()
    }

    /// Warns about keys that the mode does not use.
    fn without_effect(&mut self, mode: RedisMode) {
        let url = self.values.get("redis.url").map(|given| &given.source);
        // One warning for a URL, not one for each of its parts.
        let is_part_of_url = |key: &str, given: &Given| key != "redis.url" && url == Some(&given.source);
        let unused: Vec<&str> = match mode {
            RedisMode::Embedded => WITHOUT_EFFECT.into_iter().chain(SEVERAL).collect(),
            RedisMode::Standalone => SEVERAL.to_vec(),
            // The URL may hold the credentials.
            RedisMode::Sentinel => vec!["redis.host", "redis.port"],
            RedisMode::Cluster if self.raw.nodes.is_empty() => vec!["redis.master_name"],
            RedisMode::Cluster => vec!["redis.host", "redis.port", "redis.master_name"],
        };
        for key in unused {
            if self.values.get(key).is_some_and(|given| !is_part_of_url(key, given)) {
                let (place, word) = (self.values.source(key), mode_word(mode));
                self.findings.warn(format!("{place}: {key} has no effect with redis.mode {word}; remove it"));
            }
        }
    }

    fn address(&mut self) -> RedisAddress {
        let host = self.raw.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if let Err(text) = check_host(&host) {
            self.problem("redis.host", text);
        }
        match self.values.text(SOCKET) {
            Some(path) => RedisAddress::Unix(PathBuf::from(path)),
            None => RedisAddress::Tcp { host, port: self.raw.port },
        }
    }

    fn nodes(&mut self, mode: RedisMode, address: &RedisAddress) -> Vec<(String, u16)> {
        let port = match mode {
            RedisMode::Standalone | RedisMode::Embedded => return Vec::new(),
            RedisMode::Sentinel => PORTS.0,
            RedisMode::Cluster => PORTS.1,
        };
        if mode == RedisMode::Sentinel && self.raw.master_name.is_none() {
            self.problem(
                "redis.master_name",
                "is needed with redis.mode sentinel: the name after `sentinel monitor` in sentinel.conf",
            );
        }
        if mode == RedisMode::Cluster && self.raw.db != 0 {
            self.problem("redis.db", "must be 0 with redis.mode cluster: a Redis Cluster has no other database");
        }
        if self.raw.nodes.is_empty() {
            let given = self.is_set("redis.host") || self.is_set("redis.url");
            if let (RedisMode::Cluster, true, RedisAddress::Tcp { host, port }) = (mode, given, address) {
                return vec![(host.clone(), *port)];
            }
            let what = if mode == RedisMode::Sentinel { "sentinels" } else { "nodes of the Redis Cluster" };
            let text = format!(
                "is needed with redis.mode {}: the addresses of the {what}, such as [\"10.0.0.1:{port}\"]",
                mode_word(mode)
            );
            self.problem("redis.nodes", text);
        }
        let mut nodes = Vec::new();
        for text in &self.raw.nodes {
            match host_and_port(text) {
                Ok((host, given)) => nodes.push((host, given.unwrap_or(port))),
                Err(why) => self.problem("redis.nodes", format!("contains an address that {why}; use host:port")),
            }
        }
        nodes
    }

    fn announce(&mut self) -> Vec<(Host, Host)> {
        let mut map = Vec::new();
        for (from, to) in &self.raw.announce {
            match (host_and_port(from), host_and_port(to)) {
                (Ok(from), Ok(to)) => map.push((from, to)),
                (Err(why), _) | (_, Err(why)) => {
                    self.problem("redis.announce", format!("contains an address that {why}; use host or host:port"));
                }
            }
        }
        // An address with a port is more exact than its host alone.
        map.sort_by_key(|((_, port), _)| port.is_none());
        map
    }

    fn tls(&mut self, mode: RedisMode) {
        if mode == RedisMode::Standalone
            && let Some((url, asked)) = contradiction(self.values)
        {
            let text = format!(
                "connects to Redis without TLS, but {asked} requires TLS; use rediss:// here, or remove the TLS setting from {asked}"
            );
            self.findings.problem(url.to_string(), "redis.url", text);
        }
        let files = ["redis.ca_file", "redis.cert_file", "redis.key_file"];
        if self.raw.cert_file.is_some() != self.raw.key_file.is_some() {
            let [_, cert, key] = files;
            let (there, missing) = if self.is_set(cert) { (cert, key) } else { (key, cert) };
            self.problem(there, format!("needs {missing}: a client certificate consists of both files"));
        }
        if !self.raw.tls && mode != RedisMode::Embedded {
            for key in files.into_iter().filter(|key| self.is_set(key)).collect::<Vec<_>>() {
                self.problem(key, "is set, but TLS is off; set redis.tls: true, or use rediss://");
            }
        }
    }

    fn login(
        &mut self,
        user_key: &str,
        user: Option<&String>,
        password_key: &str,
        variable: &str,
    ) -> (Option<String>, Option<Secret>) {
        let username = user.cloned().filter(|name| !name.is_empty());
        let password = self.values.text(password_key).filter(|text| !text.is_empty()).map(Secret::new);
        if username.is_some() && password.is_none() && !self.findings.bad_keys.contains(password_key) {
            let text = format!("is set without a password; set {password_key} in secrets.json, or {variable}");
            self.problem(user_key, text);
        }
        (username, password)
    }

    /// How many replicas must confirm.
    fn confirmations(&mut self, mode: RedisMode) -> u32 {
        let wait = match self.raw.wait_replicas {
            WaitReplicasKey::None => WaitReplicas::None,
            WaitReplicasKey::Majority => WaitReplicas::Majority,
            WaitReplicasKey::All => WaitReplicas::All,
        };
        let key = "redis.wait_replicas";
        if wait != WaitReplicas::None && mode == RedisMode::Embedded {
            self.problem(key, "must be none with redis.mode embedded: the private Redis has no replicas");
        } else if wait != WaitReplicas::None && self.raw.replicas.is_none() {
            self.problem(key, "needs redis.replicas: how many replicas the primary should have");
        }
        wait.of(self.raw.replicas.unwrap_or_default())
    }
}

fn mode_word(mode: RedisMode) -> &'static str {
    match mode {
        RedisMode::Standalone => "standalone",
        RedisMode::Sentinel => "sentinel",
        RedisMode::Cluster => "cluster",
        RedisMode::Embedded => "embedded",
    }
}

/// Parses `host`, `host:port`, `[IPv6]:port` or an IPv6 address. The error continues "an address that".
fn host_and_port(text: &str) -> Result<Host, String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or_default())),
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.contains("//") || text.contains("://") {
        return Err("is a URL".to_owned());
    }
    check_host(host)?;
    let port = match port {
        None => None,
        Some(port) => {
            let number = port.parse().ok().filter(|port: &u16| *port > 0);
            Some(number.ok_or_else(|| "has a port that is not a whole number from 1 to 65535".to_owned())?)
        }
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_read() {
        let good = [
            ("a", ("a", None)),
            ("a:1", ("a", Some(1))),
            ("::1", ("::1", None)),
            ("[::1]", ("::1", None)),
            ("[::1]:7", ("::1", Some(7))),
        ];
        for (text, (host, port)) in good {
            assert_eq!(host_and_port(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":1", "a:", "a:0", "a:65536", "redis://a:1", "a b", "[::1]7"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_majority_counts_the_primary() {
        assert_eq!([1, 2, 3, 4, 5].map(|n| WaitReplicas::Majority.of(n)), [1, 1, 2, 2, 3]);
        assert_eq!([1, 2].map(|n| WaitReplicas::All.of(n)), [1, 2]);
        assert_eq!(WaitReplicas::None.of(3), 0);
    }
}
