//! The Redis server to connect to: the one place that configures every connection.
//!
//! 1. Credentials exist only here; the `Debug` form and all errors omit them.
//! 2. Every connection has nodelay, keepalive and a user timeout, so that the kernel notices a dead peer, too.
//!
//! Not here: the use of a connection (`link.rs`, `follow.rs`, `presence.rs`).

use super::faults::fault;
use crate::cluster::protocol::Fault;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo};
use std::path::PathBuf;
use std::time::Duration;

/// How long a connection may take to open, and a command to be answered.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// The address of a Redis server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and a port, with TLS or without.
    Tcp {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
        /// Whether to use TLS; the certificate is checked against the system's roots.
        tls: bool,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// A Redis server with the credentials for it.
#[derive(Clone)]
pub struct Target {
    /// The server's address.
    pub address: Address,
    /// The database number.
    pub db: u32,
    /// The ACL user; `None`: the default user.
    pub username: Option<String>,
    /// The password; `None`: no login.
    pub password: Option<String>,
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
        }
    }
}

impl Target {
    /// A client that can open connections; it does not connect by itself.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the address is invalid.
    pub fn client(&self) -> Result<Client, Fault> {
        let address = match &self.address {
            Address::Tcp { host, port, tls: false } => ConnectionAddr::Tcp(host.clone(), *port),
            Address::Tcp { host, port, tls: true } => {
                // It fails only if a provider is already installed.
                let _ = rustls::crypto::ring::default_provider().install_default();
                ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
            }
            Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
        };
        let mut login = RedisConnectionInfo::default().set_db(i64::from(self.db)).set_skip_set_lib_name();
        if let Some(username) = &self.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
        let tcp =
            TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(Duration::from_secs(20));
        let info = address.into_connection_info().map_err(|why| fault(&why))?;
        Client::open(info.set_redis_settings(login).set_tcp_settings(tcp)).map_err(|why| fault(&why))
    }
}
