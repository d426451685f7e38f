//! [`Warning`]: what is worth saying, and no reason to refuse.

use crate::{AppName, Problem};
use std::fmt;

/// Said once before a start. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Something in a file of a PM2 format that counts for nothing.
    Ignored(Problem),
    /// `--env NAME`, but the app has no `env_NAME`.
    NoSuchEnv {
        /// Which app.
        app: AppName,
        /// The name after `--env`.
        name: String,
    },
    /// `node_args` for a program that runs by itself.
    InterpreterArgsUnused {
        /// Which app.
        app: AppName,
    },
    /// `balance = "least_conn"` with `listen`.
    LeastConnShared {
        /// Which app.
        app: AppName,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored(problem) => write!(f, "{problem}; it is ignored"),
            Self::NoSuchEnv { app, name } => {
                write!(f, "app {app}: there is no `env_{name}`, only `env` is used")
            }
            Self::InterpreterArgsUnused { app } => {
                write!(f, "app {app}: `node_args` are not used, no interpreter runs it")
            }
            Self::LeastConnShared { app } => {
                write!(
                    f,
                    "app {app}: `least_conn` is not for the sockets of `listen`, `shared` is used"
                )
            }
        }
    }
}
