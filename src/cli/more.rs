//! The rarer options that describe an app, and those of PM2's monitoring, which are taken and do
//! nothing so that old scripts work.

use clap::Args;

/// PM2's names, like those of [`super::AppFlags`], whose second half this is.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub(crate) struct MoreFlags {
    /// Restart it when files change; these, or those of its directory.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) watch: Vec<String>,
    /// Files whose changes mean nothing.
    #[arg(long, value_name = "PATHS")]
    pub(crate) ignore_watch: Vec<String>,
    /// Only files with these extensions count: js,ts.
    #[arg(long, value_name = "EXTENSIONS")]
    pub(crate) ext: Option<String>,
    /// From a change to the restart: 4 s, or 4000ms.
    #[arg(long, value_name = "DELAY")]
    pub(crate) watch_delay: Option<String>,
    /// Restart it by the clock: "0 3 * * *"; 0 ends that.
    #[arg(short, long, visible_alias = "cron-restart", value_name = "PATTERN")]
    pub(crate) cron: Option<String>,
    /// Both streams into one more file.
    #[arg(short, long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    pub(crate) log: Option<String>,
    /// json: each line as an object.
    #[arg(long, value_name = "TYPE")]
    pub(crate) log_type: Option<String>,
    /// Put the time before each line, in this format.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_date_format: Option<String>,
    /// Put the time before each line.
    #[arg(long)]
    pub(crate) time: bool,
    /// Rotate its log files: false, or max_size=10M,keep=5.
    #[arg(long, value_name = "HOW")]
    pub(crate) rotate: Option<String>,
    /// A file of variables, read at each start.
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<String>,
    /// Stack traces of Node name the sources.
    #[arg(long)]
    pub(crate) source_map_support: bool,
    /// Keep inherited variables with this in their name from it.
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "")]
    pub(crate) filter_env: Vec<String>,
    /// Its pid file.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) pid: Option<String>,
    /// The user it runs as.
    #[arg(short, long, alias = "uid", value_name = "USER")]
    pub(crate) user: Option<String>,
    /// The group it runs as.
    #[arg(long, value_name = "GROUP")]
    pub(crate) gid: Option<String>,
    #[command(flatten)]
    pub(crate) ignored: IgnoredFlags,
}

/// Options of PM2 that ask for nothing rpm does, hidden from the help.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct IgnoredFlags {
    #[arg(long, hide = true)]
    no_vizion: bool,
    #[arg(long, hide = true)]
    no_pmx: bool,
    #[arg(long, hide = true)]
    no_automation: bool,
    #[arg(long, hide = true)]
    disable_source_map_support: bool,
    #[arg(long, hide = true)]
    trace: bool,
    #[arg(long, hide = true)]
    disable_trace: bool,
    #[arg(long, hide = true)]
    v8: bool,
    #[arg(long, hide = true)]
    event_loop_inspector: bool,
    #[arg(long, hide = true)]
    deep_monitoring: bool,
    /// How many at once is not for the person to choose: `max_surge` is the app's.
    #[arg(long, hide = true, value_name = "N")]
    parallel: Option<String>,
}

/// They describe nothing, so that with and without them an app is the same.
impl PartialEq for IgnoredFlags {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
