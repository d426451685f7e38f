//! `logs`: what the targets' files have, merged in the order of time, and then what comes.
//!
//! The daemon only tells which files; they are read here, so that a slow or stopped reader costs
//! nobody anything.

use super::log_stream;
use crate::{
    cli::Logs,
    error::CliError,
    log_files::{self, LogFile},
    log_printer::Printer,
    render::style::Paint,
    session::{Session, targets},
};
use rpm_logs::{
    follow::{Source, Start},
    history::{History, Query, merge::Merged},
};
use rpm_protocol::{Client, LogSource, Request, Targets};
use std::{io, path::Path};

/// Words for the daemon's own log: ours and PM2's.
const OWN: [&str; 2] = ["rpm", "PM2"];

/// Prints the past, and the present until Ctrl-C.
pub(crate) async fn run(session: &Session, options: Logs) -> Result<(), CliError> {
    if options.since.zip(options.until).is_some_and(|(since, until)| since > until) {
        let hint = "10m means ten minutes ago: --since 2h --until 1h is an hour of lines";
        return Err(CliError::failed("--since is later than --until, no line is between", hint));
    }
    // A descriptor for each file, and PM2's users have hundreds.
    let _as_far_as_it_goes = rpm_unix::limits::raise_open_files();
    let mut client = session.daemon().await?;
    let mut printer = Printer::new(&options, session.out);
    if !options.follows() {
        let files = files(session, &mut client, &options).await?;
        past(session, &files, &options, &mut printer)?;
        return printer.flush();
    }
    // Before the files are asked for: what starts in between is told then.
    let events = match wanted(&options) {
        Some(targets) => Some(session.daemon().await?.events(None, targets).await?),
        None => None,
    };
    let files = files(session, &mut client, &options).await?;
    let ends = past(session, &files, &options, &mut printer)?;
    printer.flush()?;
    let sources = files.iter().zip(ends).map(|(file, from)| source(file, from)).collect();
    log_stream::run(session, client, events, &options, (files, sources), printer).await
}

/// A file to follow, from where its history ended.
fn source(file: &LogFile, from: Option<(std::fs::File, u64)>) -> Source {
    // A file that was not there is all new.
    let from = from.map_or(Start::Beginning, |(file, offset)| Start::At(file, offset));
    Source { path: file.path.clone(), from }
}

/// The files of all targets, the daemon's own where it is meant.
async fn files(
    session: &Session,
    client: &mut Client,
    options: &Logs,
) -> Result<Vec<LogFile>, CliError> {
    let mut files = match wanted(options) {
        Some(targets) => log_files::of(&sources(client, targets).await?, options),
        None => Vec::new(),
    };
    if is_own_wanted(options) {
        files.push(LogFile::daemon(&session.home.daemon_log()));
    }
    Ok(files)
}

/// Where the targets log.
pub(crate) async fn sources(
    client: &mut Client,
    targets: Targets,
) -> Result<Vec<LogSource>, CliError> {
    Ok(client.call(Request::Logs { targets }).await?)
}

/// The targets as the daemon takes them: `all` also means what is not there yet. `None`: only the
/// daemon's own log.
pub(crate) fn wanted(options: &Logs) -> Option<Targets> {
    let words: Vec<String> =
        options.targets.iter().filter(|word| !OWN.contains(&word.as_str())).cloned().collect();
    if words.is_empty() && !options.targets.is_empty() {
        return None;
    }
    let everything = words.iter().any(|word| word == "all");
    Some(targets(if everything { Vec::new() } else { words }))
}

/// As under PM2: with everything, unless only one stream or raw lines are asked for; by its name,
/// whatever is asked for.
fn is_own_wanted(options: &Logs) -> bool {
    let Logs { targets, raw, json, format, err, out, .. } = options;
    let named = targets.iter().any(|word| OWN.contains(&word.as_str()));
    let everything = targets.is_empty() || targets.iter().any(|word| word == "all");
    named || (everything && !(*raw || *json || *format || *err || *out))
}

/// Prints what the files have; where each is to be followed from.
fn past(
    session: &Session,
    files: &[LogFile],
    options: &Logs,
    printer: &mut Printer,
) -> Result<Vec<Option<(std::fs::File, u64)>>, CliError> {
    let wanted = |line: &[u8]| options.grep.as_ref().is_none_or(|grep| grep.matches(line));
    let query = Query {
        lines: options.limit(),
        since: options.since,
        until: options.until,
        wanted: options.grep.is_some().then_some(&wanted),
        unfinished: !options.follows(),
    };
    let mut histories = Vec::new();
    for file in files {
        printer.expect(file);
        let opened = History::open(&file.path, query);
        histories.push(opened.map_err(|error| unreadable(&file.path, &error))?);
    }
    heading(session, files, options)?;
    let failed = |error: io::Error| CliError::io("logs cannot be read", &error);
    let mut merged = Merged::new(histories).map_err(failed)?;
    while let Some((index, line)) = merged.next_line().map_err(failed)? {
        if let Some(file) = files.get(index) {
            printer.line(file, line.at, &line.text, line.ends)?;
        }
    }
    Ok(merged.into_ends())
}

/// Tells a person at a terminal how much of what is shown.
fn heading(session: &Session, files: &[LogFile], options: &Logs) -> Result<(), CliError> {
    let plain = options.raw || options.json || options.format;
    let (Some(lines), Some(_), false) = (options.limit(), session.width, plain) else {
        return Ok(());
    };
    let files = match files.len() {
        1 => "1 file".to_owned(),
        count => format!("each of {count} files, in the order of time"),
    };
    let text = format!("the last {lines} lines of {files}; --lines N shows more");
    session.show(&session.out.paint(Paint::Dim, &text))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::io(&format!("{} cannot be read", path.display()), error)
}
