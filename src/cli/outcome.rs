//! How a command ends: its exit code, and the one sentence that comes with a failure.
//!
//! 1. 0 done, 1 failed, 2 wrong usage (also: no node runs, or several and none is chosen), 3 Redis unreachable, 4 refused.
//! 2. A reader that closes the pipe (`| head`) ends a command silently, with code 0.
//!
//! Not here: the texts of the node's own errors (`crate::rpc::errors`).

use crate::rpc::client::{CallError, ClientError};
use crate::rpc::errors::ErrorKind;
use std::process::ExitCode;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command was tried and failed. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The arguments are wrong, or no node runs. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Redis does not answer. Exit code 3.
    #[error("{0}")]
    RedisUnreachable(String),
    /// The cluster refused. Exit code 4.
    #[error("{0}")]
    Refused(String),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// The message was already printed; this is the exit code.
    #[error("")]
    Reported(u8),
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => 0,
            Self::Failed(_) | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::RedisUnreachable(_) => 3,
            Self::Refused(_) => 4,
            Self::Reported(code) => *code,
        }
    }

    /// The message for the user; `None`: nothing to print.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Reported(_) => None,
            Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe => None,
            other => Some(other.to_string()),
        }
    }
}

/// The exit code of an outcome.
#[must_use]
pub fn exit_code(outcome: &Outcome) -> ExitCode {
    ExitCode::from(outcome.as_ref().err().map_or(0, Failure::code))
}

/// The commands that do what methods do which texts of the node name.
const COMMANDS: [(&str, &str); 5] = [
    ("distributed.join_cluster", "clawster join"),
    ("distributed.get_cluster_state", "clawster status"),
    ("distributed.list_tasks", "clawster tasks list"),
    ("distributed.sync_messages", "clawster recv"),
    ("distributed.drain", "clawster drain"),
];

/// A text of the node for somebody at the command line: methods are named as commands.
fn in_command_names(text: String) -> String {
    match text.contains("distributed.") {
        true => COMMANDS.iter().fold(text, |text, (method, command)| text.replace(method, command)),
        false => text,
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let text = in_command_names(error.to_string());
        let CallError::Rpc(failure) = error else { return Self::Failed(text) };
        let code = failure.code;
        let is = |kinds: &[ErrorKind]| kinds.iter().any(|kind| kind.code() == code);
        if is(&[ErrorKind::RedisUnavailable]) {
            Self::RedisUnreachable(text)
        } else if is(&[ErrorKind::InvalidParams, ErrorKind::MessageTooLarge]) {
            Self::Usage(text)
        } else if is(&[
            ErrorKind::NotJoined,
            ErrorKind::NodeIdInUse,
            ErrorKind::UnknownNode,
            ErrorKind::Overloaded,
            ErrorKind::StaleToken,
            ErrorKind::NotConfigured,
            ErrorKind::NotFound,
        ]) {
            Self::Refused(text)
        } else {
            Self::Failed(text)
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NoNode { .. } => Self::Usage(error.to_string()),
            ClientError::Connect { .. } | ClientError::Foreign { .. } => Self::Failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::client::RpcFailure;

    #[test]
    fn errors_of_the_node_become_exit_codes() {
        let code = |kind: ErrorKind| {
            let failure = RpcFailure { code: kind.code(), message: "so".to_owned(), data: None };
            Failure::from(CallError::Rpc(failure)).code()
        };
        assert_eq!(code(ErrorKind::RedisUnavailable), 3);
        assert_eq!(code(ErrorKind::NodeIdInUse), 4);
        assert_eq!(code(ErrorKind::UnknownNode), 4);
        assert_eq!(code(ErrorKind::StaleToken), 4);
        assert_eq!(code(ErrorKind::InvalidParams), 2);
        assert_eq!(code(ErrorKind::InternalError), 1);
        assert_eq!(Failure::from(CallError::Lost).code(), 1);
    }

    #[test]
    fn texts_name_commands() {
        let text = in_command_names("not a member; call distributed.join_cluster first".to_owned());
        assert_eq!(text, "not a member; call clawster join first");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let failure = Failure::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.message()), (0, None));
    }
}
