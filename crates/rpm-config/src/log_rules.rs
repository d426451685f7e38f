//! [`LogRules`]: what is done to an app's lines and files beside where they go.

use crate::spec::LogFile;
use serde::{Deserialize, Serialize};

/// The smallest `max_size` of a rotated file.
pub const MIN_ROTATE_SIZE: u64 = 4096;

/// How lines are written, and how files are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRules {
    /// One JSON object a line (PM2's `log_type`).
    pub json: bool,
    /// The time before each line, or in each object, as day.js formats it.
    pub date_format: Option<String>,
    /// Both streams in one more file (PM2's `log_file`).
    pub combined: LogFile,
    /// When files are rotated; `None`: never.
    pub rotate: Option<Rotate>,
    /// What is done when a file takes nothing.
    pub when_full: WhenFull,
    /// Permission bits of the files.
    pub mode: u32,
    /// Their group, a name or a number.
    pub group: Option<String>,
    /// Collectors that get each line too: `journald`, `syslog`, `syslog+udp:HOST:PORT` …
    pub ship: Vec<String>,
}

/// How files are rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotate {
    /// Bytes a file may have; `None`: any number.
    pub max_size: Option<u64>,
    /// Rotated files that are kept of each.
    pub keep: u32,
    /// Compress them.
    pub compress: bool,
    /// `hourly`, `daily` or a cron pattern.
    pub interval: Option<String>,
    /// Bytes all logs of the app may have, with all that was rotated away from them.
    pub max_total: Option<u64>,
}

/// What is done when a file takes nothing: a full disk, for instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Lines are thrown away and counted.
    #[default]
    Drop,
    /// The app waits.
    Block,
}

impl Default for LogRules {
    fn default() -> Self {
        Self {
            json: false,
            date_format: None,
            combined: LogFile::Discard,
            rotate: Some(Rotate::default()),
            when_full: WhenFull::Drop,
            mode: 0o600,
            group: None,
            ship: Vec::new(),
        }
    }
}

/// Ten files of 10 MiB, a new one at least each day.
impl Default for Rotate {
    fn default() -> Self {
        Self {
            max_size: Some(10 << 20),
            keep: 10,
            compress: true,
            interval: Some("daily".to_owned()),
            max_total: None,
        }
    }
}
