//! What `start`, `restart` and `reload` may do when they are done: go on with the logs.

use clap::Args;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct After {
    /// Then show their logs, until Ctrl-C.
    #[arg(long)]
    pub(crate) attach: bool,
    /// The same, and all ends with it if no daemon ran.
    #[arg(long)]
    pub(crate) no_daemon: bool,
}

impl After {
    /// Whether the command goes on.
    pub(crate) fn is_any(&self) -> bool {
        self.attach || self.no_daemon
    }
}
