//! What the commands about settings take: `set`, `get`, `unset` …

use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Set {
    /// The name, levels parted by dots or colons: app.key; without one, all are shown.
    pub(crate) key: Option<String>,
    /// The value, kept as text.
    pub(crate) value: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Multiset {
    /// Names and values in turn: "app:a 1 app:b 2".
    pub(crate) pairs: String,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Get {
    /// The name; without one, all are shown.
    pub(crate) key: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Unset {
    /// The name, or all.
    pub(crate) key: String,
}
