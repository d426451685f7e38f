//! What `startup` and `unstartup` take.

use clap::Args;
use std::path::PathBuf;

#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Startup {
    #[command(flatten)]
    pub(crate) service: Unstartup,
    /// Wait for an address on the network.
    #[arg(long)]
    pub(crate) wait_ip: bool,
    /// Only print what would be written and done.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Which service.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct Unstartup {
    /// systemd, openrc, runit, launchd or rcd; without one, what this machine has.
    pub(crate) platform: Option<String>,
    /// The user whose apps they are [default: you].
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// That user's home directory; rpm's own is .rpm in it.
    #[arg(long, value_name = "DIR")]
    pub(crate) hp: Option<PathBuf>,
    /// rpm's own home, where it is called otherwise.
    #[arg(long, value_name = "DIR", conflicts_with = "hp")]
    pub(crate) rpm_home: Option<PathBuf>,
    /// The name of the service [default: rpm-USER].
    #[arg(long, value_name = "NAME")]
    pub(crate) service_name: Option<String>,
}
