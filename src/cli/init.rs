//! What `init` takes.

use clap::{Args, ValueEnum};

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Init {
    /// Only what is needed, without the explanation of every key.
    #[arg(value_name = "simple")]
    form: Option<Form>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Form {
    Simple,
}

impl Init {
    /// Whether only what is needed is wanted.
    pub(crate) fn simple(&self) -> bool {
        self.form.is_some()
    }
}
