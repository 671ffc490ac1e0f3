//! Translates the driver's errors into faults.
//!
//! 1. The driver's own texts are never passed on: they may quote the connection string, hosts, names and values.
//!
//! Not here: the reaction to a fault (`crate::engine`).

use crate::store::history::HistoryFault;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// The code for: a document with this `_id` exists already.
pub(super) const DUPLICATE: i32 = 11_000;
/// The code for: the user lacks the permission.
pub(super) const UNAUTHORIZED: i32 = 13;

/// Codes of a server that is starting, stopping, or no longer primary.
const MOVING: [i32; 13] = [6, 7, 89, 91, 134, 189, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436];
/// Codes of a failed login.
const LOGIN: [i32; 4] = [11, 18, 33, 334];
/// Codes for a timeout on the server.
const LATE: [i32; 3] = [50, 64, 202];

/// The code of the error, if the server answered with one.
pub(super) fn code(error: &Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::InsertMany(many) => {
            let write = many.write_errors.iter().flatten().map(|write| write.code).find(|code| *code != DUPLICATE);
            write.or(many.write_concern_error.as_ref().map(|concern| concern.code))
        }
        _ => None,
    }
}

/// Whether nothing was sent, because no server was available.
pub(super) fn is_before_sending(error: &Error) -> bool {
    matches!(
        error.kind.as_ref(),
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } | ErrorKind::Authentication { .. }
    )
}

/// Whether an insertion failed only because of documents that exist already.
pub(super) fn only_duplicates(error: &Error) -> bool {
    let ErrorKind::InsertMany(many) = error.kind.as_ref() else { return false };
    let mut writes = many.write_errors.iter().flatten().peekable();
    many.write_concern_error.is_none() && writes.peek().is_some() && writes.all(|write| write.code == DUPLICATE)
}

/// Translates an error of the driver.
pub(super) fn fault(error: &Error, database: &str) -> HistoryFault {
    use HistoryFault::{Refused, Unavailable};
    if let Some(code) = code(error) {
        return answered(code, database);
    }
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => Refused(login()),
        ErrorKind::DnsResolve { .. } => {
            Unavailable("the host in mongodb.uri cannot be resolved; check its name and the name service".to_owned())
        }
        ErrorKind::ServerSelection { message, .. } => Unavailable(unreachable(message)),
        ErrorKind::InvalidTlsConfig { .. } => Refused(
            "cannot use a certificate or key file that mongodb.uri names; check its path and content".to_owned(),
        ),
        ErrorKind::Io(why) if why.kind() == std::io::ErrorKind::TimedOut => {
            Unavailable("MongoDB did not answer in time".to_owned())
        }
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => {
            Unavailable("the connection to MongoDB was lost".to_owned())
        }
        ErrorKind::InvalidArgument { .. } => Refused(
            "the MongoDB driver refuses mongodb.uri, mongodb.db or mongodb.collection; check their values".to_owned(),
        ),
        ErrorKind::IncompatibleServer { .. } => {
            Refused("this MongoDB is too old for the driver; use version 4.2 or newer".to_owned())
        }
        _ => Unavailable("unexpected answer from MongoDB".to_owned()),
    }
}

/// Translates a server's error code.
pub(super) fn answered(code: i32, database: &str) -> HistoryFault {
    use HistoryFault::{Refused, Unavailable};
    match code {
        UNAUTHORIZED => Refused(format!(
            "MongoDB does not permit this user the operation; give the user the role readWrite on the database {database}"
        )),
        code if LOGIN.contains(&code) => Refused(login()),
        code if MOVING.contains(&code) => Unavailable("MongoDB has no primary at the moment".to_owned()),
        code if LATE.contains(&code) => Unavailable("MongoDB did not confirm the write in time".to_owned()),
        14_031 => Refused("the disk of MongoDB is full; free disk space there".to_owned()),
        73 => Refused(
            "MongoDB does not allow the name in mongodb.db or mongodb.collection; choose another one".to_owned(),
        ),
        100 => Unavailable(
            "MongoDB has too few members for the write concern in mongodb.uri; lower w, or add members".to_owned(),
        ),
        code => Refused(format!("MongoDB answered with error {code}")),
    }
}

fn login() -> String {
    "MongoDB refused the login; check user, password and authSource in mongodb.uri".to_owned()
}

/// Why no server was found, derived from a few words in the driver's text.
fn unreachable(message: &str) -> String {
    let said = message.to_ascii_lowercase();
    let why = if said.contains("certificate") || said.contains("tls") {
        ": TLS failed; check tls and tlsCAFile in mongodb.uri"
    } else if said.contains("refused") {
        ": connection refused"
    } else if said.contains("lookup") || said.contains("dns") || said.contains("resolve") {
        ": its host cannot be resolved"
    } else if said.contains("authenti") {
        ": the login was refused"
    } else {
        ""
    };
    format!("no MongoDB server in mongodb.uri answers{why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_text_is_never_passed_on() {
        for kind in [
            ErrorKind::Custom(std::sync::Arc::new("hush".to_owned())),
            ErrorKind::Io(std::sync::Arc::new(std::io::Error::other("hush"))),
        ] {
            let mut error = Error::custom("hush".to_owned());
            *error.kind = kind;
            assert!(!fault(&error, "db").to_string().contains("hush"));
        }
        assert!(!unreachable("hush: Connection refused").contains("hush"));
        assert!(unreachable("Connection refused").contains("refused"));
        assert!(matches!(answered(14_031, "db"), HistoryFault::Refused(why) if why.contains("full")));
        assert!(matches!(answered(10_107, "db"), HistoryFault::Unavailable(_)));
    }
}
