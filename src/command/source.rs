//! `pull`, `forward`, `backward`: an app's git checkout at another commit, then a reload.
//!
//! Git itself does it, in the app's directory, with the person's own configuration and keys.

use crate::{
    cli::Pull,
    command::{act, environment},
    error::CliError,
    session::Session,
};
use rpm_config::AppSpec;
use rpm_protocol::Action;
use std::{path::PathBuf, process::Command};

/// Gets the newest commit of the branch, or the one that was named.
pub(crate) async fn pull(session: &Session, options: Pull) -> Result<(), CliError> {
    let Pull { name, commit } = options;
    let checkout = Checkout::of(session, &name).await?;
    match commit {
        Some(commit) => {
            checkout.git(&["fetch", "--all", "--quiet"])?;
            checkout.move_to(session, &commit).await
        }
        None => {
            let before = checkout.git(&["rev-parse", "HEAD"])?;
            checkout.git(&["pull", "--quiet", "--ff-only"])?;
            if checkout.git(&["rev-parse", "HEAD"])? == before {
                session.tell(&format!("{name} is up to date"));
                return Ok(());
            }
            checkout.arrived(session).await
        }
    }
}

/// Goes one commit on, or back, along the branch that the checkout is on or came from.
pub(crate) async fn step(session: &Session, name: &str, by: i32) -> Result<(), CliError> {
    let checkout = Checkout::of(session, name).await?;
    let to = if by < 0 { "HEAD~1".to_owned() } else { checkout.next()? };
    checkout.move_to(session, &to).await
}

struct Checkout {
    name: String,
    directory: PathBuf,
    /// What its app wants to be run when it is at another commit.
    post_update: Vec<String>,
}

impl Checkout {
    async fn of(session: &Session, name: &str) -> Result<Self, CliError> {
        let mut client = session.daemon().await?;
        let detail = environment::first(&mut client, name).await?;
        let name = detail.view.name.to_string();
        let AppSpec { cwd, post_update, .. } = detail.spec;
        Ok(Self { name, directory: cwd, post_update })
    }

    /// Goes to `commit`, unless something there would be lost.
    async fn move_to(&self, session: &Session, commit: &str) -> Result<(), CliError> {
        if !self.git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
            let message = format!("{} has changes that are not committed", self.place());
            return Err(CliError::failed(message, "commit or stash them"));
        }
        self.git(&["reset", "--quiet", "--hard", commit])?;
        self.arrived(session).await
    }

    async fn arrived(&self, session: &Session) -> Result<(), CliError> {
        let subject = self.git(&["log", "-1", "--format=%h %s"])?;
        session.tell(&format!("{} is at {subject}", self.place()));
        self.post_update.iter().try_for_each(|line| self.update(session, line))?;
        let mut client = session.daemon().await?;
        act::act(session, &mut client, Action::Reload, vec![self.name.clone()], None).await?;
        session.show_table(&mut client).await
    }

    /// Runs one line of `post_update`; what it prints is for the person. An app is not reloaded
    /// with half of its update.
    fn update(&self, session: &Session, line: &str) -> Result<(), CliError> {
        session.tell(&format!("running {line}"));
        let status = Command::new("sh").args(["-c", line]).current_dir(&self.directory).status();
        let status = status.map_err(|error| CliError::io(line, &error))?;
        if status.success() {
            return Ok(());
        }
        let message = format!("{} post_update {line:?} failed: {status}", self.place());
        let hint =
            format!("its workers are those of before; rpm reload {} when it is well", self.name);
        Err(CliError::failed(message, hint))
    }

    /// The commit after this one on the way to the upstream branch.
    fn next(&self) -> Result<String, CliError> {
        let list = self.git(&["rev-list", "--reverse", "--ancestry-path", "HEAD..@{upstream}"])?;
        let next = list.lines().next().map(str::to_owned);
        next.ok_or_else(|| {
            let message = format!("{} is at the newest commit", self.place());
            CliError::failed(message, format!("rpm pull {} looks for newer ones", self.name))
        })
    }

    fn place(&self) -> String {
        format!("{}, {},", self.name, self.directory.display())
    }

    /// What git prints; its own words if it fails.
    fn git(&self, words: &[&str]) -> Result<String, CliError> {
        let output = Command::new("git").arg("-C").arg(&self.directory).args(words).output();
        let output = output.map_err(|error| CliError::io("git cannot be run", &error))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
        let command = words.first().copied().unwrap_or_default();
        let message = format!("{} git {command}: {line}", self.place());
        Err(CliError::Failed { message, hint: None })
    }
}
