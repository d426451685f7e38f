//! What `completion` takes.

use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Shell {
    /// bash, zsh, fish or elvish; its line goes into .bashrc, .zshrc, config.fish or rc.elv.
    pub(crate) shell: String,
}
