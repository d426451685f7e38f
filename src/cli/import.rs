//! What `import` takes.

use clap::Args;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Import {
    /// PM2's dump; without one, dump.pm2 in PM2_HOME or ~/.pm2.
    #[arg(conflicts_with = "live")]
    pub(crate) dump: Option<PathBuf>,
    /// From the PM2 that runs: app by app started here, then deleted there.
    #[arg(long)]
    pub(crate) live: bool,
    /// Only show what would be started.
    #[arg(long)]
    pub(crate) dry_run: bool,
}
