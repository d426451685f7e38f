//! `logs`: the last lines of the targets' files, and then what comes.
//!
//! The daemon only tells which files; they are read here, so that a slow or stopped reader costs
//! nobody anything.

use super::log_stream;
use crate::{
    cli::Logs,
    error::CliError,
    log_files::{self, LogFile, Printer},
    session::{Session, targets},
};
use rpm_logs::{
    follow::Source,
    tail::{Tail, last_lines},
};
use rpm_protocol::{Client, LogSource, Request, Targets};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Prints the past, and the present until Ctrl-C.
pub(crate) async fn run(session: &Session, options: Logs) -> Result<(), CliError> {
    let mut printer = Printer::new(options.raw, session.out);
    let mut client = session.daemon().await?;
    if options.nostream {
        let sources = sources(&mut client, &options).await?;
        return past(&sources, &options, &mut printer);
    }
    // Before the files are asked for: what starts in between is told then.
    let events = session.daemon().await?.events(None, wanted(&options)).await?;
    let files = begin(&sources(&mut client, &options).await?, &options, &mut printer)?;
    log_stream::run(session, client, events, &options, files, printer).await
}

/// Files that are followed, and from where.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) files: Vec<LogFile>,
    pub(crate) sources: Vec<Source>,
    pub(crate) known: BTreeSet<PathBuf>,
}

/// Where the targets log.
pub(crate) async fn sources(
    client: &mut Client,
    options: &Logs,
) -> Result<Vec<LogSource>, CliError> {
    Ok(client.call(Request::Logs { targets: wanted(options) }).await?)
}

/// The targets as the daemon takes them: `all` also means what is not there yet.
pub(crate) fn wanted(options: &Logs) -> Targets {
    let everything = options.targets.iter().any(|word| word == "all");
    targets(if everything { Vec::new() } else { options.targets.clone() })
}

/// Prints the last lines of all files, an unfinished one too.
fn past(sources: &[LogSource], options: &Logs, printer: &mut Printer) -> Result<(), CliError> {
    for file in by_age(log_files::of(sources, options, &mut BTreeSet::new())) {
        printer.past(&file, &tail(&file, options.lines)?.into_lines())?;
    }
    Ok(())
}

/// Prints the last whole lines; what comes after them is for the follower.
fn begin(
    sources: &[LogSource],
    options: &Logs,
    printer: &mut Printer,
) -> Result<Followed, CliError> {
    let mut followed = Followed::default();
    for file in by_age(log_files::of(sources, options, &mut followed.known)) {
        let tail = tail(&file, options.lines)?;
        printer.past(&file, &tail.lines)?;
        followed.sources.push(Source { path: file.path.clone(), from: Some(tail.complete_to) });
        followed.files.push(file);
    }
    Ok(followed)
}

/// The file written last comes last, next to the prompt.
fn by_age(mut files: Vec<LogFile>) -> Vec<LogFile> {
    files.sort_by_cached_key(|file| modified(&file.path));
    files
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// A file that is not there yet has no lines.
fn tail(file: &LogFile, lines: usize) -> Result<Tail, CliError> {
    match last_lines(&file.path, lines) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Tail::default()),
        result => result.map_err(|error| CliError::io(&file.path.display().to_string(), &error)),
    }
}
