//! What `logs` takes.

use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Logs {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    pub(crate) targets: Vec<String>,
    /// How many of the last lines of each file.
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(crate) lines: usize,
    /// Show the past and return.
    #[arg(long)]
    pub(crate) nostream: bool,
    /// The lines as they are, standard error's on standard error.
    #[arg(long)]
    pub(crate) raw: bool,
    /// Only standard error.
    #[arg(long)]
    pub(crate) err: bool,
    /// Only standard output.
    #[arg(long)]
    pub(crate) out: bool,
}
