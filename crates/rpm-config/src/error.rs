//! [`ConfigError`]: why an ecosystem file, or the options of a start, give no apps.

use crate::{Fault, Format};
use std::{fmt, path::PathBuf};

/// The most problems one error lists; who has more begins with these.
pub const MAX_LISTED: usize = 20;

/// The largest ecosystem file, in bytes; a thousand apps with long environments need less.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// Why there are no apps. `Display` is one line, but for several [`ConfigError::Problems`]: one
/// line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// The file is larger than [`MAX_FILE_BYTES`].
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// The file's name ends like no ecosystem file's.
    UnknownFormat {
        /// Which.
        path: PathBuf,
    },
    /// What evaluates a JavaScript file did not give its apps.
    Evaluation {
        /// Which file.
        path: PathBuf,
        /// Where it threw, counted from 1.
        line: Option<u32>,
        /// Why: its exception, or what became of the evaluation; may be several lines.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The text breaks the rules of its format.
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: Option<u32>,
        /// Its format.
        format: Format,
        /// The parser's reason.
        reason: String,
    },
    /// The apps are not as they must be; never empty.
    Problems(Vec<Problem>),
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
}

/// Where something is wrong. All parts are absent for options from the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Option<PathBuf>,
    /// Counted from 1.
    pub line: Option<u32>,
    /// The app's name, or its number in the file.
    pub app: Option<String>,
}

impl ConfigError {
    /// What to do about it (of several problems: about the first that has a remedy).
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } | Self::TooLarge { .. } => None,
            Self::UnknownFormat { .. } => Some(
                "ecosystem files are *.toml, *.json, *.json5, *.yaml, *.yml and *.config.js, .cjs, \
                 .mjs or .ts"
                    .into(),
            ),
            Self::Evaluation { hint, .. } => hint.clone(),
            Self::Syntax { .. } => None,
            Self::Problems(problems) => problems.iter().find_map(|problem| problem.fault.hint()),
        }
    }
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self::Problems(vec![Problem { place: Place::default(), fault }])
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, reason } => {
                write!(f, "cannot read {}: {reason}", path.display())
            }
            Self::TooLarge { path } => {
                write!(f, "{} is larger than {} MiB", path.display(), MAX_FILE_BYTES >> 20)
            }
            Self::UnknownFormat { path } => write!(f, "{} is no ecosystem file", path.display()),
            Self::Evaluation { path, line, reason, .. } => {
                let place = Place { file: Some(path.clone()), line: *line, app: None };
                write!(f, "{place}{reason}")
            }
            Self::Syntax { path, line, format, reason } => {
                let place = Place { file: Some(path.clone()), line: *line, app: None };
                write!(f, "{place}not valid {format}: {reason}")
            }
            Self::Problems(problems) => list(problems, f),
        }
    }
}

impl std::error::Error for ConfigError {}

fn list(problems: &[Problem], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (number, problem) in problems.iter().take(MAX_LISTED).enumerate() {
        let separator = if number == 0 { "" } else { "\n" };
        write!(f, "{separator}{problem}")?;
    }
    match problems.len().saturating_sub(MAX_LISTED) {
        0 => Ok(()),
        more => write!(f, "\n… and {more} more"),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.place, self.fault)
    }
}

/// Ends in `: ` unless empty, to be followed by what is wrong.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            self.line.map_or(Ok(()), |line| write!(f, "{line}:"))?;
            f.write_str(" ")?;
        }
        match &self.app {
            Some(app) => write!(f, "app {app}: "),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(count: usize) -> ConfigError {
        let place = Place { file: Some("e.toml".into()), line: Some(3), app: Some("api".into()) };
        ConfigError::Problems(vec![Problem { place, fault: Fault::NoApps }; count])
    }

    #[test]
    fn the_list_of_problems_is_bounded() {
        let line = "e.toml:3: app api: there are no apps";
        assert_eq!(problems(1).to_string(), line);
        assert_eq!(problems(MAX_LISTED).to_string(), vec![line; MAX_LISTED].join("\n"));
        let more = format!("{}\n… and 1 more", vec![line; MAX_LISTED].join("\n"));
        assert_eq!(problems(MAX_LISTED + 1).to_string(), more);
    }
}
