//! What the commands that change instances take: `stop`, `restart`, `scale`, `save` …

use super::{After, AppFlags, FileOptions};
use crate::completion::targets;
use clap::Args;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Act {
    /// all, ids, names, /regex/, namespaces, or an ecosystem file.
    #[arg(required = true, add = targets())]
    pub(crate) targets: Vec<String>,
    #[command(flatten)]
    pub(crate) file: FileOptions,
}

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) act: Act,
    /// Give them the environment of this shell.
    #[arg(short = 'a', long)]
    pub(crate) update_env: bool,
    /// Taken as PM2 takes it: nothing is locked here.
    #[arg(short, long, hide = true)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) after: After,
    #[command(flatten)]
    pub(crate) app: AppFlags,
    /// New arguments of the app.
    #[arg(last = true)]
    pub(crate) app_args: Vec<String>,
}

/// What `startOrRestart` and its kin take.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct StartOr {
    /// The ecosystem file, or `-`.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) file: FileOptions,
    /// Taken as PM2 takes it: a file is always read with this environment.
    #[arg(short = 'a', long, hide = true)]
    pub(crate) update_env: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Scale {
    /// The app's name.
    #[arg(add = targets())]
    pub(crate) app: String,
    /// 4, +1 or -1.
    #[arg(allow_hyphen_values = true)]
    pub(crate) instances: String,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Save {
    /// Also when there is no app.
    #[arg(short, long)]
    pub(crate) force: bool,
}
