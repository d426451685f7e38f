//! Runs command lines beside workers, for probes and hooks: with the app's directory, variables and
//! user, and nothing left behind.

use crate::{
    launch::{self, Places, Seat},
    tree::{self, SIGKILL},
};
use rpm_config::AppSpec;
use std::{process::Stdio, sync::Arc};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// Whose directory, variables and user a command line gets.
pub(crate) struct Tools {
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) places: Places,
    pub(crate) seat: Seat,
}

/// What else a command gets.
#[derive(Default)]
pub(crate) struct Extra {
    /// Variables, which win over the app's.
    pub(crate) variables: Vec<(&'static str, String)>,
    /// All of its standard input.
    pub(crate) input: String,
}

/// Ends what a command has started, however its end comes.
struct Sweep(Option<u32>);

impl Drop for Sweep {
    fn drop(&mut self) {
        let root = self.0.and_then(|pid| rpm_unix::procfs::process(i32::try_from(pid).ok()?));
        let left = tree::with_descendants(root.into_iter().collect());
        tree::signal_all(&left, SIGKILL);
    }
}

/// Runs these words; whoever stops waiting ends it.
///
/// # Errors
/// How it failed, for a person.
pub(crate) async fn run(words: &[&str], tools: &Tools, extra: &Extra) -> Result<(), String> {
    let mut child = spawn(words, tools, extra)?;
    // Declared after the child, so dropped before it: while its pid is still its own.
    let mut sweep = Sweep(child.id());
    if let Some(mut input) = child.stdin.take() {
        // One that does not read it has no use for it.
        let _ = input.write_all(extra.input.as_bytes()).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    sweep.0 = None;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}

fn spawn(words: &[&str], tools: &Tools, extra: &Extra) -> Result<Child, String> {
    let Tools { spec, places, seat } = tools;
    let (environment, credentials) = launch::helper(spec, places, *seat)?;
    let [program, arguments @ ..] = words else { return Err("there is nothing to run".into()) };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).current_dir(&spec.cwd);
    command.envs(extra.variables.iter().map(|(name, value)| (name, value)));
    let input = if extra.input.is_empty() { Stdio::null() } else { Stdio::piped() };
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    command.process_group(0).kill_on_drop(true);
    if let Some(user) = credentials {
        command.uid(user.uid).gid(user.gid);
    }
    command.spawn().map_err(|error| format!("{program} cannot be executed: {error}"))
}
