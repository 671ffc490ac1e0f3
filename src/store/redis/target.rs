//! The Redis to connect to: the one place that configures every connection.
//!
//! 1. Credentials exist only here; the `Debug` form and all errors omit them.
//! 2. Every connection has nodelay, keepalive and a user timeout, so that the kernel notices a dead peer, too.
//!
//! Not here: which of several servers is the primary (`primary/`), the use of a connection (`link.rs`, `follow.rs`, `presence.rs`).

use super::faults::fault;
use crate::cluster::protocol::Fault;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, TlsCertificates};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a connection may take to open, and a command to be answered.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// Where Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// One server: a host and a port, with TLS or without.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
        /// Whether to use TLS.
        tls: bool,
    },
    /// One server: a unix socket.
    Unix(PathBuf),
    /// The primary that sentinels name.
    Sentinel {
        /// The sentinels.
        nodes: Vec<(String, u16)>,
        /// Their name of the primary.
        master_name: String,
    },
    /// The primary of the cluster's hash slot in a Redis Cluster.
    Cluster {
        /// Some of its nodes.
        nodes: Vec<(String, u16)>,
    },
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts = |nodes: &[(String, u16)]| {
            nodes.iter().map(|(host, port)| format!("{host}:{port}")).collect::<Vec<_>>().join(",")
        };
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port, .. } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
            Self::Sentinel { nodes, master_name } => write!(f, "{master_name} (sentinels {})", hosts(nodes)),
            Self::Cluster { nodes } => write!(f, "Redis Cluster {}", hosts(nodes)),
        }
    }
}

/// A host, and a port where one is named.
pub type Host = (String, Option<u16>);

/// A login.
#[derive(Clone, Default)]
pub struct Login {
    /// The ACL user; `None`: the default user.
    pub username: Option<String>,
    /// The password; `None`: no login.
    pub password: Option<String>,
}

/// The files of TLS; they are read with every connection.
#[derive(Debug, Clone, Default)]
pub struct Certificates {
    /// Whether connections to sentinels and to cluster nodes use TLS.
    pub tls: bool,
    /// The authorities that sign the server's certificate; `None`: the system's trust store.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How many replicas must confirm what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confirmations {
    /// How many replicas must confirm a grant or renewal; 0: none.
    pub replicas: u32,
    /// Whether messages wait for them, too.
    pub messages: bool,
}

/// The Redis of a cluster, with the credentials for it.
#[derive(Clone)]
pub struct Target {
    /// Where it is.
    pub address: Address,
    /// The database number.
    pub db: u32,
    /// The login at the servers.
    pub login: Login,
    /// The login at the sentinels.
    pub sentinel_login: Login,
    /// The files of TLS.
    pub certificates: Certificates,
    /// Announced addresses, and those to use in their place; without a port: all ports of that host.
    pub announce: Vec<(Host, Host)>,
    /// How many replicas must confirm what.
    pub confirmations: Confirmations,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").field("address", &self.address).field("db", &self.db).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Address::Tcp { host, port, tls } => {
                let scheme = if *tls { "rediss" } else { "redis" };
                write!(f, "{scheme}://{host}:{port}/{}", self.db)
            }
            Address::Unix(path) => write!(f, "unix:{}?db={}", path.display(), self.db),
            several => several.fmt(f),
        }
    }
}

impl Target {
    /// A server without a login, with its database 0.
    #[must_use]
    pub fn at_address(address: Address) -> Self {
        Self {
            address,
            db: 0,
            login: Login::default(),
            sentinel_login: Login::default(),
            certificates: Certificates::default(),
            announce: Vec::new(),
            confirmations: Confirmations::default(),
        }
    }

    /// Whether there is one address only, and nobody to ask for another one.
    #[must_use]
    pub fn is_one_server(&self) -> bool {
        matches!(self.address, Address::Tcp { .. } | Address::Unix(_))
    }

    /// Whether connections to servers use TLS.
    pub(super) fn uses_tls(&self) -> bool {
        match &self.address {
            Address::Tcp { tls, .. } => *tls,
            _ => self.certificates.tls,
        }
    }

    /// The address for an announced host and port.
    pub(super) fn at(&self, (host, port): &(String, u16)) -> Address {
        let same = |from: &Host| from.0.eq_ignore_ascii_case(host) && from.1.is_none_or(|of| of == *port);
        let found = self.announce.iter().find(|(from, _)| same(from)).map(|(_, to)| to);
        let (host, port) = match found {
            Some((host, to)) => (host, to.unwrap_or(*port)),
            None => (host, *port),
        };
        Address::Tcp { host: host.clone(), port, tls: self.uses_tls() }
    }

    /// A client for one server; it does not connect by itself.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the address is invalid, [`Fault::Unavailable`] when a file of TLS cannot be used.
    pub fn client_at(&self, address: &Address) -> Result<Client, Fault> {
        self.client_for(address, &self.login, self.db)
    }

    /// A client for a sentinel.
    pub(super) fn sentinel_client(&self, node: &(String, u16)) -> Result<Client, Fault> {
        let address = Address::Tcp { host: node.0.clone(), port: node.1, tls: self.certificates.tls };
        self.client_for(&address, &self.sentinel_login, 0)
    }

    fn client_for(&self, address: &Address, login: &Login, db: u32) -> Result<Client, Fault> {
        let (address, certificates) = match address {
            Address::Tcp { host, port, tls: false } => (ConnectionAddr::Tcp(host.clone(), *port), None),
            Address::Tcp { host, port, tls: true } => {
                // It fails only if a provider is already installed.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let address =
                    ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None };
                (address, self.certificates.read()?)
            }
            Address::Unix(path) => (ConnectionAddr::Unix(path.clone()), None),
            Address::Sentinel { .. } | Address::Cluster { .. } => {
                return Err(Fault::Unavailable("the primary is not known yet".to_owned()));
            }
        };
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(db)).set_skip_set_lib_name();
        if let Some(username) = &login.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &login.password {
            settings = settings.set_password(password);
        }
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
        let tcp =
            TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(Duration::from_secs(20));
        let info = address.into_connection_info().map_err(|why| fault(&why))?;
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        match certificates {
            None => Client::open(info).map_err(|why| fault(&why)),
            Some(certificates) => Client::build_with_tls(info, certificates).map_err(|_| {
                Fault::Unavailable(
                    "a file of redis.ca_file, redis.cert_file, redis.key_file is not in PEM format".to_owned(),
                )
            }),
        }
    }
}

impl Certificates {
    fn read(&self) -> Result<Option<TlsCertificates>, Fault> {
        if self.ca_file.is_none() && self.client.is_none() {
            return Ok(None);
        }
        let root_cert = self.ca_file.as_deref().map(|path| content("redis.ca_file", path)).transpose()?;
        let client_tls = match &self.client {
            Some((cert, key)) => Some(ClientTlsConfig {
                client_cert: content("redis.cert_file", cert)?,
                client_key: content("redis.key_file", key)?,
            }),
            None => None,
        };
        Ok(Some(TlsCertificates { client_tls, root_cert }))
    }
}

fn content(key: &str, path: &Path) -> Result<Vec<u8>, Fault> {
    let failed = |error| Fault::Unavailable(format!("cannot read {key} {}: {error}", path.display()));
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_addresses_are_replaced_the_exact_ones_first() {
        let mut target = Target::at_address(Address::Cluster { nodes: Vec::new() });
        let place = |host: &str, port| (host.to_owned(), port);
        target.announce =
            vec![(place("10.0.0.1", Some(1)), place("a", Some(9))), (place("10.0.0.1", None), place("b", None))];
        let at = |host: &str, port| target.at(&(host.to_owned(), port)).to_string();
        assert_eq!([at("10.0.0.1", 1), at("10.0.0.1", 2), at("c", 1)], ["a:9", "b:2", "c:1"]);
    }
}
