//! What the driver's errors mean for a caller.
//!
//! 1. The driver's own texts are never passed on: they may quote the connection string, hosts, names and values.
//!
//! Not here: what the caller does about it (`crate::engine`).

use crate::store::history::HistoryFault;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// A document with this `_id` is there already.
pub(super) const DUPLICATE: i32 = 11_000;
/// The user may not do this.
pub(super) const UNAUTHORIZED: i32 = 13;

/// Codes of a server that is starting, stopping, or no primary any more.
const MOVING: [i32; 13] = [6, 7, 89, 91, 134, 189, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436];
/// Codes of a failed login.
const LOGIN: [i32; 4] = [11, 18, 33, 334];
/// Time ran out on the server.
const LATE: [i32; 3] = [50, 64, 202];

/// The code of a server's answer, if the error is one.
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

/// Whether nothing was sent, because there was no server to send it to.
pub(super) fn is_before_sending(error: &Error) -> bool {
    matches!(
        error.kind.as_ref(),
        ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } | ErrorKind::Authentication { .. }
    )
}

/// Whether an insertion failed only because all that it missed is there already.
pub(super) fn only_duplicates(error: &Error) -> bool {
    let ErrorKind::InsertMany(many) = error.kind.as_ref() else { return false };
    let mut writes = many.write_errors.iter().flatten().peekable();
    many.write_concern_error.is_none() && writes.peek().is_some() && writes.all(|write| write.code == DUPLICATE)
}

/// What an error means.
pub(super) fn fault(error: &Error, database: &str) -> HistoryFault {
    use HistoryFault::{Refused, Unavailable};
    if let Some(code) = code(error) {
        return answered(code, database);
    }
    match error.kind.as_ref() {
        ErrorKind::Authentication { .. } => Refused(login()),
        ErrorKind::DnsResolve { .. } => {
            Unavailable("the name service does not know the host of mongodb.uri".to_owned())
        }
        ErrorKind::ServerSelection { message, .. } => Unavailable(unreachable(message)),
        ErrorKind::InvalidTlsConfig { .. } => {
            Refused("a file of certificates or keys that mongodb.uri names cannot be used".to_owned())
        }
        ErrorKind::Io(why) if why.kind() == std::io::ErrorKind::TimedOut => {
            Unavailable("MongoDB did not answer in time".to_owned())
        }
        ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } => {
            Unavailable("the connection to MongoDB was lost".to_owned())
        }
        ErrorKind::InvalidArgument { .. } => {
            Refused("the driver refuses a value of mongodb.uri, mongodb.db or mongodb.collection".to_owned())
        }
        ErrorKind::IncompatibleServer { .. } => {
            Refused("this MongoDB is too old for the driver; use 4.2 or newer".to_owned())
        }
        _ => Unavailable("MongoDB did not answer as expected".to_owned()),
    }
}

/// What a server's answer means.
pub(super) fn answered(code: i32, database: &str) -> HistoryFault {
    use HistoryFault::{Refused, Unavailable};
    match code {
        UNAUTHORIZED => Refused(format!(
            "MongoDB does not permit this to its user; give it the role readWrite on the database {database}"
        )),
        code if LOGIN.contains(&code) => Refused(login()),
        code if MOVING.contains(&code) => Unavailable("MongoDB has no primary at the moment".to_owned()),
        code if LATE.contains(&code) => Unavailable("MongoDB did not confirm it in time".to_owned()),
        14_031 => Refused("the disk of MongoDB is full".to_owned()),
        73 => Refused("mongodb.db or mongodb.collection is no name that MongoDB allows".to_owned()),
        100 => Unavailable("MongoDB has too few members to confirm a write as mongodb.uri asks for".to_owned()),
        code => Refused(format!("MongoDB answered with error {code}")),
    }
}

fn login() -> String {
    "MongoDB refused the login; check user, password and authSource in mongodb.uri".to_owned()
}

/// Why no server was found, as far as a few words of the driver tell it.
fn unreachable(message: &str) -> String {
    let said = message.to_ascii_lowercase();
    let why = if said.contains("certificate") || said.contains("tls") {
        ": no agreement on TLS; check tls and tlsCAFile in mongodb.uri"
    } else if said.contains("refused") {
        ": connection refused"
    } else if said.contains("lookup") || said.contains("dns") || said.contains("resolve") {
        ": the name service does not know its host"
    } else if said.contains("authenti") {
        ": it refused the login"
    } else {
        ""
    };
    format!("no server that mongodb.uri names answers{why}")
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
