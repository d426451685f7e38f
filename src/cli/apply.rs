//! What `apply` and `diff` take.

use super::FileOptions;
use crate::completion::targets;
use clap::Args;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Apply {
    /// The ecosystem file, or `-`; without one, that of this directory.
    pub(crate) path: Option<String>,
    #[command(flatten)]
    pub(crate) file: FileOptions,
    /// Only show what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete the apps of this file that are not in it any more.
    #[arg(long, conflicts_with = "only")]
    pub(crate) prune: bool,
    /// Compare and renew what apps inherit from this shell, too.
    #[arg(short = 'a', long)]
    pub(crate) update_env: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Diff {
    /// all, ids, names, /regex/, namespaces, or an ecosystem file.
    #[arg(required = true, add = targets())]
    pub(crate) targets: Vec<String>,
    /// Take the variables of env_NAME from the file.
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
