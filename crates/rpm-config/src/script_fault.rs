//! [`ScriptFault`]: what can be wrong with a script, a command line or an interpreter.

use std::{fmt, path::PathBuf};

/// Why an app cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptFault {
    /// No `script`.
    None,
    /// Neither a file nor, where a PATH is named, a program.
    Missing {
        /// As looked for.
        script: PathBuf,
        /// The PATH searched; `None` where a path was given, not a word.
        path: Option<String>,
    },
    /// Several files could be meant.
    Ambiguous {
        /// As written.
        script: String,
        /// The names of the files.
        found: Vec<String>,
    },
    /// A directory where a file must be.
    IsDirectory(PathBuf),
    /// A device, a socket or a pipe.
    IsSpecial(PathBuf),
    /// It cannot be read to see what it is.
    Unreadable {
        /// Which.
        script: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// It must run by itself, and may not.
    NotExecutable(PathBuf),
    /// A text of no known kind.
    UnknownKind(PathBuf),
    /// A command line with an open quote.
    OpenQuote(String),
    /// No such interpreter in PATH.
    InterpreterMissing {
        /// The names tried, one of which would do.
        tried: Vec<String>,
        /// For which script.
        script: PathBuf,
        /// The PATH searched.
        path: String,
    },
    /// The interpreter's file cannot be used.
    InterpreterUnusable {
        /// Which.
        interpreter: PathBuf,
        /// For which script.
        script: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// `node@20`, and nvm has no such version.
    InterpreterVersion {
        /// As written.
        interpreter: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// The versions that are there.
        installed: Vec<String>,
    },
}

impl ScriptFault {
    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::None => "name a file, a program or a command line",
            Self::Missing { path: None, .. } => "check the path, and `cwd`, which it starts from",
            Self::Missing { path: Some(_), .. } => "check the spelling, or give the file's path",
            Self::Ambiguous { .. } => "name the one you mean",
            Self::IsDirectory(_) => "name the file to run in it",
            Self::IsSpecial(_) => "name a script or a program",
            Self::Unreadable { .. } => "give the user who runs it the right to read it",
            Self::NotExecutable(path) => return Some(format!("chmod +x {}", path.display())),
            Self::UnknownKind(_) => {
                "name its interpreter (--interpreter bash), or let it begin with #!"
            }
            Self::OpenQuote(_) => "close it",
            Self::InterpreterMissing { .. } => "install it, or name another with `interpreter`",
            Self::InterpreterUnusable { .. } => "correct `interpreter`, or the script's #! line",
            Self::InterpreterVersion { interpreter, .. } => {
                let version = interpreter.trim_start_matches("node@");
                return Some(format!("nvm install {version}, or give the path of its binary"));
            }
        };
        Some(hint.into())
    }

    /// The key it is about.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::InterpreterMissing { .. }
            | Self::InterpreterUnusable { .. }
            | Self::InterpreterVersion { .. } => "interpreter",
            Self::None
            | Self::Missing { .. }
            | Self::Ambiguous { .. }
            | Self::IsDirectory(_)
            | Self::IsSpecial(_)
            | Self::Unreadable { .. }
            | Self::NotExecutable(_)
            | Self::UnknownKind(_)
            | Self::OpenQuote(_) => "script",
        }
    }
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no `script` is given"),
            Self::Missing { script, path: None } => {
                write!(f, "script {} does not exist", script.display())
            }
            Self::Missing { script, path: Some(path) } => {
                let script = script.display();
                write!(f, "script {script} does not exist, nor such a program in PATH ({path})")
            }
            Self::Ambiguous { script, found } => {
                write!(f, "script `{script}` could be {}", found.join(" or "))
            }
            Self::IsDirectory(script) => write!(f, "script {} is a directory", script.display()),
            Self::IsSpecial(script) => {
                write!(f, "script {} is not a regular file", script.display())
            }
            Self::Unreadable { script, reason } => {
                write!(f, "script {} cannot be read: {reason}", script.display())
            }
            Self::NotExecutable(script) => {
                write!(f, "script {} is not executable", script.display())
            }
            Self::UnknownKind(script) => {
                write!(f, "script {} does not tell what runs it", script.display())
            }
            Self::OpenQuote(command) => write!(f, "a quote is never closed in `{command}`"),
            Self::InterpreterMissing { tried, script, path } => {
                let (tried, script) = (tried.join(" or "), script.display());
                write!(f, "interpreter {tried} for {script} is not in PATH ({path})")
            }
            Self::InterpreterUnusable { interpreter, script, why } => {
                write!(f, "interpreter {} for {} {why}", interpreter.display(), script.display())
            }
            Self::InterpreterVersion { interpreter, folder, installed } => {
                write!(f, "interpreter {interpreter} is not in {}", folder.display())?;
                if installed.is_empty() {
                    return Ok(());
                }
                write!(f, ", which has {}", installed.join(", "))
            }
        }
    }
}
