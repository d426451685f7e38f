//! What `list` takes.

use clap::Args;

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct List {
    /// Lines of words and values in place of a table.
    #[arg(short, long)]
    pub(crate) mini_list: bool,
    /// By name, namespace, pid, id, cpu, memory, uptime or status; `cpu:desc` turns it round.
    #[arg(long, value_name = "FIELD")]
    pub(crate) sort: Option<String>,
    /// Show it anew each second, until Ctrl-C.
    #[arg(long)]
    pub(crate) watch: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
