//! The keys of the HTTP server: `http.*` of both files, and `metrics.*`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `http.*` of config.json
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpKeys {
    /// The address (ip:port) on which a node serves the page, /metrics, /healthz, /readyz, /rpc, /events and /mcp, or "off". An address that other hosts can reach needs `http.token` in secrets.json, and TLS or `http.allow_plaintext`.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) listen: String,
    /// Whether an address that other hosts can reach may be served without TLS. Then anyone on the network path can read the token and the answers.
    pub(crate) allow_plaintext: bool,
    /// The host names under which clients reach the address, such as the name of a proxy. A request for another name is refused. IP addresses, localhost and this host's own name need not be listed.
    #[schemars(length(max = 100), inner(length(min = 1, max = 253)))]
    pub(crate) hosts: Vec<String>,
    /// The PEM file of the TLS certificate with its chain, relative to the configuration folder. Set together with `http.key_file`.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) cert_file: Option<String>,
    /// The PEM file of the certificate's private key, relative to the configuration folder.
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) key_file: Option<String>,
}

impl Default for HttpKeys {
    fn default() -> Self {
        Self { listen: "off".to_owned(), allow_plaintext: false, hosts: Vec::new(), cert_file: None, key_file: None }
    }
}

/// `metrics.*`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsKeys {
    /// The earlier name of `http.listen`.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) listen: String,
}

impl Default for MetricsKeys {
    fn default() -> Self {
        Self { listen: "off".to_owned() }
    }
}

/// `http.*` of secrets.json
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HttpSecrets {
    /// The token that HTTP clients send as `Authorization: Bearer`. Required for everything that changes the cluster, and for reading from other hosts; use at least 16 random characters.
    #[schemars(length(max = 4096), extend("writeOnly" = true))]
    pub(crate) token: Option<String>,
}
