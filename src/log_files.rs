//! Which files the targets of `logs` write, and how their lines are printed.

use crate::{
    cli::Logs,
    error::CliError,
    render::{
        log_line::{Prefixes, Stream},
        style::{Colors, Paint},
    },
};
use rpm_protocol::LogSource;
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Printed at once, so that many lines cost few writes.
const BUFFER_BYTES: usize = 64 << 10;

/// A file, and whose it is. Where instances share one it is the first one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) source: LogSource,
    pub(crate) stream: Stream,
    pub(crate) path: PathBuf,
}

/// The files of `sources` that `options` want to see, each once, without those in `known`.
pub(crate) fn of(
    sources: &[LogSource],
    options: &Logs,
    known: &mut BTreeSet<PathBuf>,
) -> Vec<LogFile> {
    let both = options.out == options.err;
    let mut files = Vec::new();
    for source in sources {
        let streams = [
            (Stream::Out, &source.out, both || options.out),
            (Stream::Err, &source.error, both || options.err),
        ];
        for (stream, path, wanted) in streams {
            let Some(path) = path.as_ref().filter(|_| wanted) else { continue };
            if known.insert(path.clone()) {
                files.push(LogFile { source: source.clone(), stream, path: path.clone() });
            }
        }
    }
    files
}

/// Prints lines of logs, as bytes: what an app wrote need not be text.
pub(crate) struct Printer {
    raw: bool,
    colors: Colors,
    prefixes: Prefixes,
    waiting: Vec<u8>,
}

impl Printer {
    pub(crate) fn new(raw: bool, colors: Colors) -> Self {
        Self { raw, colors, prefixes: Prefixes::new(colors), waiting: Vec::new() }
    }

    /// The lines that a file had before.
    pub(crate) fn past(&mut self, file: &LogFile, lines: &[Vec<u8>]) -> Result<(), CliError> {
        if lines.is_empty() {
            return Ok(());
        }
        self.heading(&file.path, lines.len());
        for line in lines {
            let prefix = self.prefixes.past(&file.source, file.stream);
            self.line(file.stream, &prefix, line, true)?;
        }
        if !self.raw {
            self.waiting.push(b'\n');
        }
        self.flush()
    }

    /// A line that has just come; `ends` is false for a piece of a very long one.
    pub(crate) fn present(
        &mut self,
        file: &LogFile,
        line: &[u8],
        ends: bool,
    ) -> Result<(), CliError> {
        let prefix = self.prefixes.present(&file.source, file.stream);
        self.line(file.stream, &prefix, line, ends)
    }

    /// Whether something waits to be printed.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Prints what waits.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let printed = out.write_all(&self.waiting).and_then(|()| out.flush());
        self.waiting.clear();
        printed.map_err(|error| CliError::io("cannot print", &error))
    }

    fn heading(&mut self, path: &Path, count: usize) {
        if !self.raw {
            let text = format!("{} last {count} lines:", path.display());
            self.waiting.extend(self.colors.paint(Paint::Dim, &text).into_bytes());
            self.waiting.push(b'\n');
        }
    }

    fn line(
        &mut self,
        stream: Stream,
        prefix: &str,
        line: &[u8],
        ends: bool,
    ) -> Result<(), CliError> {
        let end: &[u8] = if ends || !self.raw { b"\n" } else { b"" };
        if !self.raw {
            self.waiting.extend(prefix.as_bytes());
        } else if stream == Stream::Err {
            return raw_error(&[line, end].concat());
        }
        self.waiting.extend(line);
        self.waiting.extend(end);
        if self.waiting.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }
}

fn raw_error(line: &[u8]) -> Result<(), CliError> {
    io::stderr().write_all(line).map_err(|error| CliError::io("cannot print", &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpm_config::AppName;

    fn options(out: bool, err: bool) -> Logs {
        Logs { targets: vec![], lines: 15, nostream: false, raw: false, err, out }
    }

    fn source(id: u32, out: Option<&str>, error: Option<&str>) -> LogSource {
        let path = |path: Option<&str>| path.map(PathBuf::from);
        LogSource { id, name: AppName::new("api").unwrap(), out: path(out), error: path(error) }
    }

    fn paths(out: bool, err: bool) -> Vec<(u32, Stream, String)> {
        let sources = [
            source(0, Some("/l/out"), Some("/l/err-0")),
            source(1, Some("/l/out"), Some("/l/err-1")),
            source(2, None, None),
        ];
        let files = of(&sources, &options(out, err), &mut BTreeSet::new());
        let show = |file: LogFile| (file.source.id, file.stream, file.path.display().to_string());
        files.into_iter().map(show).collect()
    }

    #[test]
    fn each_wanted_file_once() {
        let out = (0, Stream::Out, "/l/out".to_owned());
        let errors = [0, 1].map(|id| (id, Stream::Err, format!("/l/err-{id}")));
        let [first, second] = errors.clone();
        let all = vec![out.clone(), first, second];
        assert_eq!(paths(false, false), all);
        assert_eq!(paths(true, true), all);
        assert_eq!(paths(true, false), [out]);
        assert_eq!(paths(false, true), errors);
    }

    fn printed(raw: bool) -> String {
        let file =
            LogFile { source: source(0, None, None), stream: Stream::Out, path: "/l/out".into() };
        let mut printer = Printer::new(raw, Colors::Off);
        printer.heading(&file.path, 2);
        printer.present(&file, b"one", true).unwrap();
        printer.present(&file, b"half", false).unwrap();
        printer.present(&file, b" \xff", true).unwrap();
        String::from_utf8_lossy(&printer.waiting).into_owned()
    }

    #[test]
    fn raw_lines_are_as_they_were() {
        assert_eq!(printed(true), "one\nhalf \u{fffd}\n");
        let want = "/l/out last 2 lines:\n0|api  | one\n0|api  | half\n0|api  |  \u{fffd}\n";
        assert_eq!(printed(false), want);
    }
}
