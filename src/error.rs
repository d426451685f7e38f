//! [`CliError`]: why a command failed, and the exit code that says so. `render::problem` puts it
//! into words for a person; nothing else prints errors.

use rpm_config::{ConfigError, InvalidValue};
use rpm_protocol::{ClientError, FailureView, RpcError};
use rpm_unix::home::HomeError;
use std::{io, path::PathBuf};

/// Why a command ends without having done all it was asked.
#[derive(Debug)]
pub(crate) enum CliError {
    /// An option's value is not what it must be.
    Usage {
        /// The option as typed, `--max-memory-restart`.
        option: &'static str,
        /// What is wrong with its value.
        value: InvalidValue,
    },
    /// There is nothing to start.
    NoEcosystem {
        /// Where it was looked for.
        directory: PathBuf,
    },
    /// An ecosystem file, or a script.
    Config {
        /// What is wrong.
        error: ConfigError,
        /// What may have been meant.
        meant: Option<String>,
    },
    /// The home cannot be used.
    Home(HomeError),
    /// There is no `RPM_HOME` and no `HOME`.
    NoHome,
    /// No daemon runs, and none could be started.
    Launch {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The daemon could not be asked, or refused.
    Client(ClientError),
    /// An instance failed.
    Failure(FailureView),
    /// Anything else that is told in a line.
    Failed {
        /// What failed, on what, why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// It was all told already.
    Told,
    /// Who reads the output has gone: no error, the work is done.
    ClosedPipe,
}

impl CliError {
    /// A failure told in a line.
    pub(crate) fn failed(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), hint: Some(hint.into()) }
    }

    /// What could not be done to what, and the system's reason.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::Failed { message: format!("{what}: {error}"), hint: None },
        }
    }

    /// What the process exits with; see `docs/errors.md`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Usage { .. } => 2,
            Self::Home(_) | Self::NoHome | Self::Launch { .. } => 3,
            Self::Client(error) => client_code(error),
            Self::NoEcosystem { .. }
            | Self::Config { .. }
            | Self::Failure(_)
            | Self::Failed { .. }
            | Self::Told => 1,
        }
    }
}

/// A daemon that answers, even with a refusal, was reached.
fn client_code(error: &ClientError) -> u8 {
    match error {
        ClientError::Rpc(RpcError { code: RpcError::VERSION | RpcError::PERMISSION, .. })
        | ClientError::NobodyListens
        | ClientError::Connect(_)
        | ClientError::Closed
        | ClientError::Frame(_)
        | ClientError::Malformed(_) => 3,
        ClientError::Rpc(_) | ClientError::Unspeakable(_) | ClientError::TooLong(_) => 1,
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config { error, meant: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_failure_from_an_unreachable_daemon() {
        let rpc = |code| CliError::Client(ClientError::Rpc(RpcError::new(code, "no")));
        let table = [
            (CliError::ClosedPipe, 0),
            (CliError::Told, 1),
            (rpc(RpcError::FAILED), 1),
            (rpc(RpcError::INVALID_PARAMS), 1),
            (rpc(RpcError::PERMISSION), 3),
            (rpc(RpcError::VERSION), 3),
            (CliError::Client(ClientError::Closed), 3),
            (CliError::Client(ClientError::NobodyListens), 3),
            (CliError::NoHome, 3),
        ];
        for (error, code) in table {
            assert_eq!(error.exit_code(), code, "{error:?}");
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error = CliError::io("printing", &io::ErrorKind::BrokenPipe.into());
        assert!(matches!(error, CliError::ClosedPipe));
    }
}
