//! What the commands that talk with apps take: `send`, `trigger`, `attach`, `sendSignal`.

use crate::completion::targets;
use clap::Args;

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Send {
    /// all, an id, a name, a /regex/ or a namespace.
    #[arg(add = targets())]
    pub(crate) target: String,
    /// JSON is a message to `process.on('message')` of a Node app; anything else, and to other
    /// programs, a line to standard input.
    #[arg(required = true, allow_hyphen_values = true)]
    pub(crate) text: Vec<String>,
    /// A message in any case, or fail.
    #[arg(long, conflicts_with = "line")]
    pub(crate) message: bool,
    /// A line to standard input in any case.
    #[arg(long)]
    pub(crate) line: bool,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Trigger {
    /// all, an id, a name, a /regex/ or a namespace.
    #[arg(add = targets())]
    pub(crate) target: String,
    /// The action's name; `rpm show` lists what an app offers.
    pub(crate) action: String,
    /// What the action is given.
    pub(crate) param: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct Attach {
    /// An id or a name.
    #[arg(add = targets())]
    pub(crate) target: String,
    /// What ends each line that is sent; a newline if it is not given.
    pub(crate) separator: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct SendSignal {
    /// `SIGUSR2`, `USR2` or 12.
    pub(crate) signal: String,
    /// all, an id, a name, a /regex/ or a namespace.
    #[arg(add = targets())]
    pub(crate) target: String,
}
