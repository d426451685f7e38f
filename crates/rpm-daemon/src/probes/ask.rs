//! Asks one question once: over HTTP (`http.rs`), by a connection, or by a command.

use super::http;
use crate::{
    launch::{self, Places, Seat},
    tree::{self, Leader},
};
use rpm_config::{AppSpec, Probe};
use std::{process::Stdio, sync::Arc, time::Duration};
use tokio::{net::TcpStream, process::Command, sync::Semaphore, time::timeout};

/// Linux's number of SIGKILL.
const SIGKILL: i32 = 9;

/// A question to one worker.
pub(crate) struct Question {
    /// What is asked, with port and number in place.
    pub(crate) probe: Probe,
    /// Its port is that of so many instances: an answer counts only if it came from this tree.
    pub(crate) sharing: Option<(Leader, u32)>,
    /// What a command needs.
    pub(crate) tools: Tools,
}

/// What a command needs to run beside its worker.
pub(crate) struct Tools {
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) places: Places,
    pub(crate) seat: Seat,
}

/// Asks, and waits at most `limit` for the answer.
///
/// # Errors
/// What is wrong, for a person.
pub(crate) async fn ask(
    question: &Question,
    limit: Duration,
    at_once: &Semaphore,
) -> Result<(), String> {
    // Never closed.
    let _turn = at_once.acquire().await;
    let probe = &question.probe;
    let answer = async {
        match probe {
            Probe::Http(url) => http::get(url, question.sharing.as_ref()).await,
            Probe::Tcp(address) => connect(address, question.sharing.as_ref()).await,
            Probe::Exec(command) => run(command, &question.tools).await,
        }
    };
    let answer = timeout(limit, answer).await;
    let late = || format!("no answer in {}", humane(limit));
    answer.unwrap_or_else(|_| Err(late())).map_err(|reason| format!("{probe}: {reason}"))
}

fn humane(limit: Duration) -> String {
    match u64::try_from(limit.as_millis()) {
        Ok(ms) if ms % 1000 == 0 => format!("{} s", ms / 1000),
        Ok(ms) => format!("{ms} ms"),
        Err(_) => "time".to_owned(),
    }
}

async fn connect(address: &str, sharing: Option<&(Leader, u32)>) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let Some((leader, _)) = sharing else { return Ok(()) };
    // Others may have answered: it must at least have the port open too.
    let port = stream.peer_addr().map_err(|error| error.to_string())?.port();
    let own = rpm_unix::procfd::listening(&tree::pids(&tree::members(leader, &[])));
    let listens = own.iter().any(|at| at.port() == port);
    if listens { Ok(()) } else { Err("this instance does not listen there".to_owned()) }
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

async fn run(command: &str, tools: &Tools) -> Result<(), String> {
    let Tools { spec, places, seat } = tools;
    let (environment, credentials) = launch::helper(spec, places, *seat)?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).env_clear().envs(environment).current_dir(&spec.cwd);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.process_group(0).kill_on_drop(true);
    if let Some(user) = credentials {
        shell.uid(user.uid).gid(user.gid);
    }
    let mut child = shell.spawn().map_err(|error| format!("cannot be executed: {error}"))?;
    // Declared after the child, so dropped before it: while its pid is still its own.
    let mut sweep = Sweep(child.id());
    let status = child.wait().await.map_err(|error| error.to_string())?;
    sweep.0 = None;
    if status.success() { Ok(()) } else { Err(status.to_string()) }
}
