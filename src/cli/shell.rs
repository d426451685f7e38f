//! What `completion` takes.

use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Shell {
    /// bash, zsh, fish or elvish, whose line it is; install or uninstall: yours, in its file.
    pub(crate) shell: Option<String>,
}
