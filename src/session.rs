//! [`Session`]: what every command has: the home, and where and how to talk.
//!
//! Results go to standard output, warnings and errors to standard error: a pipe gets results only,
//! and a script that takes words on standard error for a failure is right.

use crate::{
    cli::Global,
    error::CliError,
    launch,
    render::style::{Colors, Paint},
};
use rpm_protocol::{Client, InstanceView, Request, Targets};
use rpm_unix::home::Home;
use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

/// The context of one command.
pub(crate) struct Session {
    pub(crate) home: Home,
    /// Colours of standard output.
    pub(crate) out: Colors,
    /// Colours of standard error.
    pub(crate) err: Colors,
    /// Columns of the terminal standard output is; `None`: it is none.
    pub(crate) width: Option<u16>,
    /// Columns of the terminal standard error is, where a line can be rewritten on it.
    err_width: Option<u16>,
    silent: bool,
}

impl Session {
    pub(crate) fn new(global: &Global) -> Result<Self, CliError> {
        let variable = |name: &str| env::var_os(name);
        let colors = |terminal| Colors::choose(global.no_color, terminal, variable);
        let size = terminal_size::terminal_size_of(io::stdout());
        Ok(Self {
            home: Home::new(home_path(variable)?),
            out: colors(io::stdout().is_terminal()),
            err: colors(io::stderr().is_terminal()),
            width: size.map(|(width, _)| width.0),
            err_width: rewritable(variable("TERM")),
            silent: global.silent,
        })
    }

    /// A session of tests, which says nothing.
    #[cfg(test)]
    pub(crate) fn quiet(home: Home) -> Self {
        Self {
            home,
            out: Colors::Off,
            err: Colors::Off,
            width: None,
            err_width: None,
            silent: true,
        }
    }

    /// The daemon, started if none runs.
    pub(crate) async fn daemon(&self) -> Result<Client, CliError> {
        launch::daemon(self).await
    }

    /// Says a line to the person, unless silent. Nobody listening is no failure.
    pub(crate) fn say(&self, line: &str) {
        if !self.silent {
            self.insist(line);
        }
    }

    /// Says a line that `--silent` does not suppress: problems.
    pub(crate) fn insist(&self, line: &str) {
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// How wide a line may be that is rewritten while something lasts; `None`: there is none.
    pub(crate) fn progress_width(&self) -> Option<usize> {
        self.err_width.filter(|_| !self.silent).map(usize::from)
    }

    /// Shows such a line in place of the last one; an empty one takes it away.
    pub(crate) fn show_progress(&self, line: &str) {
        // ECMA-48: back to the first column, erase to the end of the line.
        let _ = write!(io::stderr(), "\r\u{1b}[K{line}");
    }

    /// Tells what was done: the result of a command that people type. As under PM2 it goes to
    /// standard output, since many scripts take a line on standard error for a failure.
    pub(crate) fn tell(&self, line: &str) {
        // That nobody reads it is for the table below it to find.
        let _ = self.show(line);
    }

    /// Says what only a person at a terminal wants to know.
    pub(crate) fn mention(&self, line: &str) {
        if io::stderr().is_terminal() {
            self.say(line);
        }
    }

    /// Says a warning.
    pub(crate) fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", self.err.paint(Paint::Busy, "warning:")));
    }

    /// Prints something for a person to read, unless silent.
    pub(crate) fn show(&self, text: &str) -> Result<(), CliError> {
        if self.silent { Ok(()) } else { self.print(&format!("{text}\n")) }
    }

    /// Prints a result exactly as it is, silent or not.
    pub(crate) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        printed.map_err(|error| CliError::io("cannot print", &error))
    }

    /// Warns of log files that take nothing.
    pub(crate) fn warn_of_logs(&self, instances: &[InstanceView]) {
        for one in instances.iter().filter(|one| one.log_trouble) {
            let (name, id) = (&one.name, one.id);
            self.warn(&format!("a log file of {name} takes nothing: rpm show {id}"));
        }
    }

    /// Warns of apps whose instances are not what they would be if they were started now.
    pub(crate) fn warn_of_rolls(&self, instances: &[InstanceView]) {
        let mut said = BTreeSet::new();
        for one in instances {
            let Some(reason) = &one.needs_roll else { continue };
            if said.insert((&one.name, reason)) {
                let name = &one.name;
                self.warn(&format!("{name} needs a roll, {reason}: rpm reload {name}"));
            }
        }
    }

    /// Prints the table of all instances.
    pub(crate) async fn show_table(&self, client: &mut Client) -> Result<(), CliError> {
        if self.silent {
            return Ok(());
        }
        let instances: Vec<InstanceView> = client.call(Request::List).await?;
        self.show(&crate::render::table::fleet(&instances, self.width, self.out))?;
        self.warn_of_logs(&instances);
        self.warn_of_rolls(&instances);
        Ok(())
    }
}

/// The width of a terminal on standard error that understands the erasing of a line.
fn rewritable(term: Option<OsString>) -> Option<u16> {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.filter(|_| term.is_some_and(|term| term != "dumb")).map(|(width, _)| width.0)
}

/// `words` as targets from where the person stands.
pub(crate) fn targets(words: Vec<String>) -> Targets {
    // Only script paths need it; where it is gone, none can match.
    let cwd = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    Targets { words, cwd }
}

/// `RPM_HOME`, or `.rpm` in the person's home; absolute.
fn home_path(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, CliError> {
    let given = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = match (given("RPM_HOME"), given("HOME")) {
        (Some(path), _) => path,
        (None, Some(home)) => home.join(".rpm"),
        (None, None) => return Err(CliError::NoHome),
    };
    std::path::absolute(path).map_err(|error| CliError::io("RPM_HOME", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_rpm_home_or_below_home() {
        let home = |vars: &[(&str, &str)]| {
            let vars = vars.to_vec();
            home_path(move |name| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            })
        };
        let path = |vars| home(vars).unwrap().display().to_string();
        assert_eq!(path(&[("HOME", "/home/me")]), "/home/me/.rpm");
        assert_eq!(path(&[("HOME", "/home/me"), ("RPM_HOME", "/x")]), "/x");
        assert_eq!(path(&[("HOME", "/home/me"), ("RPM_HOME", "")]), "/home/me/.rpm");
        let here = env::current_dir().unwrap().join("rel").display().to_string();
        assert_eq!(path(&[("RPM_HOME", "rel")]), here);
        assert!(matches!(home(&[]), Err(CliError::NoHome)));
    }
}
