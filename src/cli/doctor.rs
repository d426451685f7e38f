//! What `doctor` takes.

use clap::Args;

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Doctor {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
