//! `completion install` and `uninstall`: the line for completions in the file that a person's shell
//! reads at its start.

use crate::{completion::line, error::CliError, session::Session};
use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::PathBuf,
};

/// A shell and its file.
struct Shell {
    name: String,
    file: PathBuf,
}

impl Shell {
    /// The person's, which `SHELL` names (environ(7)).
    fn of_person(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, CliError> {
        let shell = PathBuf::from(variable("SHELL").unwrap_or_else(|| "bash".into()));
        let name = shell.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let home = PathBuf::from(variable("HOME").ok_or(CliError::NoHome)?);
        let file = match name.as_str() {
            "bash" => home.join(".bashrc"),
            "zsh" => variable("ZDOTDIR").map_or(home, PathBuf::from).join(".zshrc"),
            "fish" => home.join(".config/fish/config.fish"),
            other => {
                let message = format!("it is not known which file {other} reads at its start");
                return Err(CliError::failed(message, "rpm completion SHELL prints the line"));
            }
        };
        Ok(Self { name, file })
    }

    fn read(&self) -> Result<String, CliError> {
        match fs::read_to_string(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(&error)),
            text => Ok(text.unwrap_or_default()),
        }
    }

    /// Appended, so that a link to the file and its mode stay.
    fn append(&self, text: &str) -> Result<(), CliError> {
        let opened = fs::File::options().append(true).create(true).open(&self.file);
        let written = opened.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> CliError {
        CliError::io(&self.file.display().to_string(), error)
    }
}

/// The name of the person's shell, for a line without a file.
pub(crate) fn name() -> Result<String, CliError> {
    Ok(Shell::of_person(|name| env::var_os(name))?.name)
}

/// Adds the line, once.
pub(crate) fn install(session: &Session) -> Result<(), CliError> {
    let shell = Shell::of_person(|name| env::var_os(name))?;
    let (text, line) = (shell.read()?, line(&shell.name)?);
    let file = shell.file.display();
    if text.lines().any(|found| found == line) {
        session.tell(&format!("{file} has it already"));
        return Ok(());
    }
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    shell.append(&format!("{gap}{line}\n"))?;
    session.tell(&format!("added to {file}: {line}"));
    Ok(())
}

/// Takes it out again.
pub(crate) fn uninstall(session: &Session) -> Result<(), CliError> {
    let shell = Shell::of_person(|name| env::var_os(name))?;
    let (text, line) = (shell.read()?, line(&shell.name)?);
    let file = shell.file.display();
    let is_it = |found: &&str| found.trim_end() == line;
    if !text.lines().any(|found| is_it(&found)) {
        session.tell(&format!("{file} does not have it"));
        return Ok(());
    }
    let kept = text.split_inclusive('\n').filter(|found| !is_it(found));
    fs::write(&shell.file, kept.collect::<String>()).map_err(|error| shell.failed(&error))?;
    session.tell(&format!("removed from {file}: {line}"));
    Ok(())
}
