//! Fork and exec: one program, with everything it shall inherit and nothing else.

use std::{ffi::CString, path::PathBuf};

/// What to execute. Everything a child inherits is in here; nothing comes from the caller's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// A path, or a word to look up in the PATH of `environment`.
    pub file: CString,
    /// All arguments, `argv[0]` included.
    pub arguments: Vec<CString>,
    /// `KEY=VALUE` each.
    pub environment: Vec<CString>,
    /// Entered before exec.
    pub directory: PathBuf,
    /// Whom to become; `None`: the caller.
    pub credentials: Option<Credentials>,
}

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Supplementary group ids.
    pub groups: Vec<u32>,
}
