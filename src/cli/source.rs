//! What the commands about an app's git checkout take: `pull`, `forward`, `backward`.

use crate::completion::targets;
use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Pull {
    /// The app's name.
    #[arg(add = targets())]
    pub(crate) name: String,
    /// The commit to go to; without one, the newest of its branch.
    pub(crate) commit: Option<String>,
}
