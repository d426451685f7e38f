//! What the commands that only look take: `describe`, `events`, `pid` …

use crate::completion::targets;
use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Describe {
    /// all, ids, names, /regex/ or namespaces.
    #[arg(required = true, add = targets())]
    pub(crate) targets: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show the values of variables that look like secrets too.
    #[arg(long)]
    pub(crate) secrets: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Targets {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    #[arg(add = targets())]
    pub(crate) targets: Vec<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Events {
    /// all, ids, names, /regex/ or namespaces; without any, all.
    #[arg(add = targets())]
    pub(crate) targets: Vec<String>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Begin after this cursor.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) since: Option<u64>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Name {
    /// The app's name.
    #[arg(add = targets())]
    pub(crate) name: String,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct OptionalName {
    /// The app's name; without one, all.
    #[arg(add = targets())]
    pub(crate) name: Option<String>,
}
