//! `rpm update`: keeper and daemon are replaced by another binary, which first proves that it can
//! read what is there.
//!
//! The proof is `NEW __check HOME` with the keeper's snapshot as its input and the ledger in the
//! home: it prints [`PROOF`] and exits 0. Then the keeper executes the very file that was asked,
//! and ends this daemon, whose successor comes from the same file.

use crate::{
    engine::Engine,
    inbox::{Message, Responder},
    ledger,
    replies::respond,
};
use rpm_keeper::Request;
use rpm_protocol::RpcError;
use rpm_unix::home::Home;
use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// What a binary prints that can go on from here.
pub const PROOF: &str = "rpm-check 1";
/// The role that proves it.
const ROLE: &str = "__check";
/// How long a proof may take: it reads some files.
const PATIENCE: Duration = Duration::from_secs(20);
/// How much of what another binary prints is read.
const MAX_TEXT: u64 = 4096;

/// An update under way.
pub(crate) struct Update {
    path: PathBuf,
    program: OwnedFd,
    respond: Responder,
}

impl Engine {
    /// Begins an update to the binary at `path`.
    pub(crate) fn begin_update(&mut self, path: PathBuf, to: Responder) {
        if self.update.is_some() {
            let error = RpcError::failed("an update is under way", None);
            return respond::<()>(to, Err(error));
        }
        match File::open(&path) {
            Ok(file) => {
                self.update = Some(Update { path, program: file.into(), respond: to });
                self.keeper.send(Request::Snapshot);
            }
            Err(error) => respond::<()>(to, Err(refused(&path, &error.to_string()))),
        }
    }

    /// The keeper has told what it keeps: the new binary is asked whether it can read it.
    pub(crate) fn on_snapshot(&mut self, snapshot: OwnedFd) {
        let Some(update) = &self.update else { return };
        let program = update.program.try_clone();
        self.write_ledger_now();
        let (home, sender) = (self.home.clone(), self.inbox.sender());
        tokio::task::spawn_local(async move {
            let checked = match program {
                Ok(program) => check(&home, &program, snapshot).await,
                Err(error) => Err(error.to_string()),
            };
            let _ = sender.send(Message::Checked(checked)).await;
        });
    }

    /// The new binary has answered.
    pub(crate) fn on_checked(&mut self, checked: Result<(), String>) {
        let Some(update) = self.update.take() else { return };
        let program =
            checked.and_then(|()| update.program.try_clone().map_err(|error| error.to_string()));
        match program {
            Ok(program) => {
                tracing::info!("going on as {}", update.path.display());
                self.keeper.send(Request::Upgrade { program });
                // Answered by its successor: this connection ends with this daemon.
                self.update = Some(update);
            }
            Err(reason) => {
                let error = refused(&update.path, &reason);
                respond::<()>(update.respond, Err(error));
            }
        }
    }

    /// The keeper has died, and nobody will say what it was asked.
    pub(crate) fn lose_update(&mut self) {
        let Some(update) = self.update.take() else { return };
        respond::<()>(update.respond, Err(refused(&update.path, "the keeper died meanwhile")));
    }

    /// The keeper could not do it.
    pub(crate) fn on_not_upgraded(&mut self, errno: i32) {
        let Some(update) = self.update.take() else { return };
        let reason = io::Error::from_raw_os_error(errno).to_string();
        respond::<()>(update.respond, Err(refused(&update.path, &reason)));
    }
}

fn refused(path: &std::path::Path, reason: &str) -> RpcError {
    tracing::error!("no update to {}: {reason}", path.display());
    let message = format!("{} cannot go on from here: {reason}", path.display());
    let hint = "nothing was changed: keeper, daemon and apps are as before".to_owned();
    RpcError::failed(message, Some(hint))
}

async fn check(home: &Home, program: &OwnedFd, snapshot: OwnedFd) -> Result<(), String> {
    let failed = |error: io::Error| format!("it cannot be executed: {error}");
    let mut child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
        .args([ROLE.as_ref(), home.root().as_os_str()])
        .stdin(Stdio::from(snapshot))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let status = ended(&mut child).await.map_err(failed)?;
    let said = text(child.stdout.take());
    if status.success() && said.trim() == PROOF {
        return Ok(());
    }
    let told = text(child.stderr.take());
    let last = told.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("its check ended with {status}: {last}"))
}

/// Waits for a child's end; one that takes too long is killed.
async fn ended(child: &mut Child) -> io::Result<ExitStatus> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let process = rpm_unix::pidfd::open(pid)?;
    let process = crate::async_fd::register(process)?;
    let in_time = tokio::time::timeout(PATIENCE, process.readable()).await;
    if in_time.is_err() {
        child.kill()?;
    }
    child.wait()
}

/// What a child that has ended had printed, as far as the pipe held it.
fn text(pipe: Option<impl Read + AsFd>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // A descendant may still have it open.
        let _ = rpm_unix::fd::set_nonblocking(&pipe, true);
        let _ = pipe.take(MAX_TEXT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether this program can go on from what another one left: its half of the proof.
///
/// # Errors
/// It cannot; the text says what it does not understand.
pub fn check_home(home: &Home, snapshot: impl AsFd) -> Result<(), String> {
    rpm_keeper::check_snapshot(snapshot).map_err(|error| format!("keeper: {error}"))?;
    ledger::check(home)
}
