//! What `serve` takes.

use super::AppFlags;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) site: Site,
    #[command(flatten)]
    pub(crate) app: AppFlags,
}

#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Site {
    /// The directory [default: this one].
    pub(crate) path: Option<PathBuf>,
    /// The port [default: 8080].
    pub(crate) port: Option<u16>,
    /// The port again, as an option.
    #[arg(long = "port", value_name = "PORT", conflicts_with = "port")]
    pub(crate) port_option: Option<u16>,
    /// Answer what is not found with /index.html.
    #[arg(long)]
    pub(crate) spa: bool,
    /// List directories without index.html.
    #[arg(long)]
    pub(crate) ftp: bool,
    /// Ask for this name and a password.
    #[arg(long, value_name = "NAME")]
    pub(crate) basic_auth_username: Option<String>,
    /// The password; other users can read it here.
    #[arg(long, value_name = "WORD", requires = "basic_auth_username")]
    pub(crate) basic_auth_password: Option<String>,
    /// Of PM2's paid service.
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) monitor: Option<String>,
}

#[derive(Debug, PartialEq, Args)]
pub(crate) struct ServeForeground {
    #[command(flatten)]
    pub(crate) site: Site,
}
