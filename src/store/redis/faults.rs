//! Translates errors of Redis into faults.
//!
//! 1. Redis's own text is never passed on, because it may quote keys and values. Our text says the cause and what to do.
//! 2. A server that answers but cannot do it now is [`Fault::Unwritable`], whatever the reason; only an unexpected error is
//!    [`Fault::Refused`].
//!
//! A script fails with such an error only at its first write, so that it has changed nothing: a server checks memory, role and disk
//! before a script's first write that needs memory, and never refuses a later write (tried on 5.0, 7.0 and Valkey 9).

use crate::cluster::protocol::Fault;
use redis::{ErrorKind, RedisError, ServerErrorKind};
use std::error::Error as _;
use std::io::ErrorKind as Io;
use std::sync::Arc;

const LOGIN: &str = "Redis refused the login; check redis.username and redis.password in secrets.json";

/// The primary is another server than the one of a connection.
pub(super) const MOVED: &str = "the primary of Redis is another server now";

/// The cause of an error, and what to do, in one sentence.
#[must_use]
pub fn explain(error: &RedisError) -> String {
    fault(error).to_string()
}

/// Translates a Redis error.
pub(super) fn fault(error: &RedisError) -> Fault {
    let silent = |why: &str| Fault::Unavailable(why.to_owned());
    if let Some(tls) = tls_error(error) {
        return Fault::Unavailable(of_tls(tls));
    }
    // The library's own words where it keeps those of the server, else the server's.
    let said = error.to_string();
    if said.contains("max number of clients") {
        return silent("Redis has reached its limit of connections; raise maxclients, or close some connections");
    }
    if said.contains("refused to switch database") {
        return silent(
            "Redis has no such database, or does not permit SELECT; set redis.db (REDIS_DB) to one that it has, usually 0",
        );
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => return silent(LOGIN),
        _ if error.is_timeout() => return silent("no answer in time"),
        // The library counts a socket that does not exist as a refusal, too.
        _ if error.is_connection_refusal() && io_kind(error) != Some(Io::NotFound) => {
            return silent("connection refused");
        }
        _ if error.is_io_error() || error.is_connection_dropped() => return silent(of_io(error, &said)),
        _ => {}
    }
    if let Some(fault) = in_words(error) {
        return fault;
    }
    let code = known_code(error.kind()).or_else(|| script_code(error)).or(error.code()).unwrap_or_default();
    server_fault(code)
}

/// Errors of the kind ERR, which only their words tell apart.
fn in_words(error: &RedisError) -> Option<Fault> {
    let said = error.detail().filter(|_| error.code() == Some("ERR"))?.to_ascii_lowercase();
    let refuses = |why: &str| Some(Fault::Unwritable(format!("Redis {why}")));
    if said.contains("limit") && (said.contains("request") || said.contains("quota")) || said.contains("quota exceeded")
    {
        return refuses(
            "refuses calls: the quota of requests of its plan is used up; raise it, or wait until it begins anew",
        );
    }
    if said.starts_with("unknown command") {
        return refuses(
            "does not know a command that clawster needs: it is renamed, older than 5.0, or a proxy; run clawster doctor",
        );
    }
    None
}

fn of_io(error: &RedisError, said: &str) -> &'static str {
    match io_kind(error) {
        _ if said.contains("lookup address") => {
            "the host name cannot be resolved; correct redis.host, or check the name server"
        }
        Some(Io::NotFound) => "the socket does not exist; start Redis, or correct redis.url",
        Some(Io::PermissionDenied) => "this user may not open the socket; check its permissions",
        Some(Io::HostUnreachable | Io::NetworkUnreachable) => "the host cannot be reached; check address and network",
        _ => "the connection was lost",
    }
}

fn io_kind(error: &RedisError) -> Option<Io> {
    cause(error).and_then(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind)
}

/// The error of the system or of TLS behind an error: the library shares it among all calls that it ends.
fn cause(error: &RedisError) -> Option<&(dyn std::error::Error + 'static)> {
    let source = error.source()?;
    match source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>() {
        Some(shared) => Some(&**shared),
        None => Some(source),
    }
}

fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    let cause = cause(error)?;
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref()?.downcast_ref(),
        None => cause.downcast_ref(),
    }
}

/// What is wrong with TLS, and what to do.
fn of_tls(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Wrong, Error};
    let why = match error {
        Error::InvalidCertificate(Wrong::UnknownIssuer) => {
            "the certificate of Redis is signed by an unknown authority; set redis.ca_file to the certificate of that authority"
        }
        Error::InvalidCertificate(Wrong::NotValidForName | Wrong::NotValidForNameContext { .. }) => {
            "the certificate of Redis is for another host name; connect by a name that is in it (redis.host, redis.nodes, redis.announce)"
        }
        Error::InvalidCertificate(Wrong::Expired | Wrong::ExpiredContext { .. }) => {
            "the certificate of Redis has expired; renew it, or correct this host's clock"
        }
        Error::InvalidCertificate(Wrong::NotValidYet | Wrong::NotValidYetContext { .. }) => {
            "the certificate of Redis is not valid yet; correct this host's clock"
        }
        Error::InvalidCertificate(_) => "the certificate of Redis is not valid",
        Error::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure) => {
            "Redis asks for a client certificate; set redis.cert_file and redis.key_file"
        }
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::DecryptError,
        ) => {
            "Redis refuses this client certificate (redis.cert_file); use one that its authority signed and that has not expired"
        }
        Error::InvalidMessage(_) => {
            "the server does not speak TLS on this port; use its TLS port, or set redis.tls: false"
        }
        _ => "TLS failed",
    };
    why.to_owned()
}

/// Whether the connection must be closed after this error: it is broken, or its server was replaced by another one.
pub(super) fn breaks(error: &RedisError, fault: &Fault) -> bool {
    match fault {
        Fault::Unavailable(_) => true,
        Fault::Unwritable(_) => {
            let code = known_code(error.kind()).or_else(|| script_code(error)).or(error.code());
            matches!(code, Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING" | "MOVED"))
        }
        Fault::Refused(_) => false,
    }
}

fn known_code(kind: ErrorKind) -> Option<&'static str> {
    use ServerErrorKind::{
        Ask, BusyLoading, ClusterDown, CrossSlot, MasterDown, Moved, NoPerm, NoScript, ReadOnly, TryAgain,
    };
    let ErrorKind::Server(kind) = kind else { return None };
    Some(match kind {
        ReadOnly => "READONLY",
        BusyLoading => "LOADING",
        MasterDown => "MASTERDOWN",
        ClusterDown => "CLUSTERDOWN",
        TryAgain => "TRYAGAIN",
        Ask => "ASK",
        Moved => "MOVED",
        CrossSlot => "CROSSSLOT",
        NoPerm => "NOPERM",
        NoScript => "NOSCRIPT",
        _ => return None,
    })
}

/// The code of a command's error inside a script: before Redis 7 it is part of the text of a plain ERR.
fn script_code(error: &RedisError) -> Option<&'static str> {
    const CODES: [&str; 8] =
        ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "WRONGTYPE", "MASTERDOWN", "CLUSTERDOWN", "NOPERM"];
    let text = error.detail().filter(|text| error.code() == Some("ERR") && text.starts_with("Error running script"))?;
    let words = text.split(|c: char| !c.is_ascii_uppercase());
    words.into_iter().find_map(|word| CODES.into_iter().find(|code| *code == word))
}

fn server_fault(code: &str) -> Fault {
    let unwritable = |why: &str| Fault::Unwritable(format!("Redis {why}"));
    match code {
        "" => Fault::Unavailable("the connection failed".to_owned()),
        "NOAUTH" | "WRONGPASS" => Fault::Unavailable(LOGIN.to_owned()),
        "DENIED" => Fault::Unavailable(
            "Redis accepts connections from its own host only (protected mode); set a password in Redis, or run this node there"
                .to_owned(),
        ),
        "OOM" => unwritable("refuses writes: it is out of memory; raise maxmemory, or remove data"),
        "MISCONF" => unwritable("refuses writes: it cannot write its data to disk; free disk space on its host"),
        "READONLY" => unwritable("refuses writes: it is a read-only replica; connect to its primary"),
        "NOREPLICAS" => {
            unwritable("refuses writes: too few replicas are connected; start them, or lower min-replicas-to-write")
        }
        "LOADING" => unwritable("is still loading its data; wait until it has finished"),
        "TRYAGAIN" | "ASK" => unwritable("Cluster is moving the keys to another server; wait until it has finished"),
        "MOVED" | "CROSSSLOT" => {
            unwritable(
                "is a node of a Redis Cluster, and another node has the keys; set redis.mode to cluster, and redis.nodes to some of its \
                 nodes, or, where that is so, wait until its nodes agree on the one that has them",
            )
        }
        "UNBLOCKED" => Fault::Unwritable(MOVED.to_owned()),
        "MASTERDOWN" | "CLUSTERDOWN" => unwritable("has no primary at the moment; wait for the failover"),
        "BUSY" | "UNKILLABLE" => unwritable("is busy with a script; wait until the script ends, or stop it with SCRIPT KILL"),
        "NOSCRIPT" => unwritable("lost a script between two calls; call again"),
        "NOPERM" => unwritable("does not permit this user a required command; run clawster doctor to see which"),
        "WRONGTYPE" => {
            unwritable("has a value of the wrong type in one of clawster's keys; run clawster doctor, and remove that key")
        }
        other => {
            let code: String = other.chars().filter(|c| c.is_ascii_uppercase() || *c == '_').take(20).collect();
            Fault::Refused(format!("Redis answered with the unexpected error {code}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_tls_is_found_behind_the_error_of_the_connection() {
        use rustls::{AlertDescription, CertificateError, Error};
        let said = |error: Error| explain(&std::io::Error::new(std::io::ErrorKind::InvalidData, error).into());
        let issuer = said(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert!(issuer.contains("unknown authority") && issuer.contains("redis.ca_file"), "{issuer}");
        let client = said(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert!(client.contains("redis.cert_file"), "{client}");
        let socket = explain(&std::io::Error::from(std::io::ErrorKind::NotFound).into());
        assert!(socket.contains("the socket does not exist"), "{socket}");
    }

    #[test]
    fn what_redis_cannot_do_now_is_no_defect() {
        let codes = [
            "OOM",
            "MISCONF",
            "READONLY",
            "NOREPLICAS",
            "LOADING",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "TRYAGAIN",
            "MOVED",
            "BUSY",
            "UNKILLABLE",
            "NOSCRIPT",
            "NOPERM",
            "WRONGTYPE",
        ];
        for code in codes {
            assert!(matches!(server_fault(code), Fault::Unwritable(_)), "{code}");
        }
        for code in ["NOAUTH", "WRONGPASS", "DENIED", ""] {
            assert!(matches!(server_fault(code), Fault::Unavailable(_)), "{code}");
        }
        assert!(matches!(server_fault("ERR"), Fault::Refused(_)));
    }
}
