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

const LOGIN: &str = "Redis refused the login; check redis.username and redis.password in secrets.json";

/// Translates a Redis error.
pub(super) fn fault(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => return Fault::Unavailable(LOGIN.to_owned()),
        _ if error.is_timeout() => return Fault::Unavailable("no answer in time".to_owned()),
        _ if error.is_connection_refusal() => return Fault::Unavailable("connection refused".to_owned()),
        _ if error.is_io_error() || error.is_connection_dropped() => {
            return Fault::Unavailable("the connection was lost".to_owned());
        }
        _ => {}
    }
    if error.detail().is_some_and(|text| text.contains("max number of clients")) {
        let why = "Redis has reached its limit of connections; raise maxclients, or close some connections";
        return Fault::Unavailable(why.to_owned());
    }
    let code = known_code(error.kind()).or_else(|| script_code(error)).or(error.code()).unwrap_or_default();
    server_fault(code)
}

/// Whether the connection must be closed after this error: it is broken, or its server was replaced by another one.
pub(super) fn breaks(error: &RedisError, fault: &Fault) -> bool {
    match fault {
        Fault::Unavailable(_) => true,
        Fault::Unwritable(_) => {
            let code = known_code(error.kind()).or_else(|| script_code(error)).or(error.code());
            matches!(code, Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING"))
        }
        Fault::Refused(_) => false,
    }
}

fn known_code(kind: ErrorKind) -> Option<&'static str> {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, NoPerm, NoScript, ReadOnly, TryAgain};
    let ErrorKind::Server(kind) = kind else { return None };
    Some(match kind {
        ReadOnly => "READONLY",
        BusyLoading => "LOADING",
        MasterDown => "MASTERDOWN",
        ClusterDown => "CLUSTERDOWN",
        TryAgain => "TRYAGAIN",
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
        "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => unwritable("has no primary at the moment; wait for the failover"),
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
