//! [`Printer`]: prints lines of logs, as bytes: what an app wrote need not be text.

use crate::{
    cli::Logs,
    error::CliError,
    log_files::{LogFile, Whose},
    render::{
        log_line::{self, Prefixes, Stream},
        style::{Colors, Paint},
    },
};
use rpm_logs::date_format::DateFormat;
use rpm_protocol::EventView;
use std::io::{self, Write};

/// Printed at once, so that many lines cost few writes.
const BUFFER_BYTES: usize = 64 << 10;

/// Prints as the options say.
pub(crate) struct Printer {
    style: Style,
    colors: Colors,
    waiting: Vec<u8>,
}

enum Style {
    /// As they are; standard error's on standard error.
    Raw,
    Json,
    Pairs,
    Person(Person),
}

/// How a person reads them.
struct Person {
    prefixes: Prefixes,
    timestamp: Option<DateFormat>,
    highlight: Option<String>,
}

impl Printer {
    pub(crate) fn new(options: &Logs, colors: Colors) -> Self {
        let style = match options {
            // PM2's order, where several are asked for.
            Logs { json: true, .. } => Style::Json,
            Logs { format: true, .. } => Style::Pairs,
            Logs { raw: true, .. } => Style::Raw,
            Logs { timestamp, highlight, .. } => Style::Person(Person {
                prefixes: Prefixes::new(colors),
                timestamp: timestamp.as_deref().map(DateFormat::new),
                highlight: highlight
                    .clone()
                    .filter(|word| !word.is_empty() && colors == Colors::On),
            }),
        };
        Self { style, colors, waiting: Vec::new() }
    }

    /// Lines of this file will come.
    pub(crate) fn expect(&mut self, file: &LogFile) {
        match &mut self.style {
            Style::Person(person) => person.prefixes.widen(file),
            Style::Raw | Style::Json | Style::Pairs => {}
        }
    }

    /// A line that was written `at`; `ends` is false for a piece of a very long one.
    pub(crate) fn line(
        &mut self,
        file: &LogFile,
        at: u64,
        line: &[u8],
        ends: bool,
    ) -> Result<(), CliError> {
        match &self.style {
            Style::Raw => return self.raw(file, line, ends),
            Style::Json => self.waiting.extend(log_line::json(file, at, line)),
            Style::Pairs => self.waiting.extend(log_line::pairs(file, at, line)),
            Style::Person(person) => person.line(file, at, line, self.colors, &mut self.waiting),
        }
        self.waiting.push(b'\n');
        self.flush_full()
    }

    fn raw(&mut self, file: &LogFile, line: &[u8], ends: bool) -> Result<(), CliError> {
        let end: &[u8] = if ends { b"\n" } else { b"" };
        if file.stream == Stream::Err && file.whose != Whose::Rpm {
            // What came before it is seen before it.
            self.flush()?;
            return raw_error(&[line, end].concat());
        }
        self.waiting.extend(line);
        self.waiting.extend(end);
        self.flush_full()
    }

    /// What happened to an instance; only programs are told among the lines.
    pub(crate) fn event(&mut self, event: &EventView) -> Result<(), CliError> {
        match &self.style {
            Style::Raw | Style::Pairs | Style::Person(_) => return Ok(()),
            Style::Json => self.waiting.extend(log_line::event_json(event).into_bytes()),
        }
        self.waiting.push(b'\n');
        self.flush_full()
    }

    /// Whether something waits to be printed.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn flush_full(&mut self) -> Result<(), CliError> {
        if self.waiting.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Prints what waits.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let printed = out.write_all(&self.waiting).and_then(|()| out.flush());
        self.waiting.clear();
        printed.map_err(|error| CliError::io("cannot print", &error))
    }
}

impl Person {
    fn line(&self, file: &LogFile, at: u64, line: &[u8], colors: Colors, out: &mut Vec<u8>) {
        if let Some(format) = &self.timestamp {
            out.extend(colors.paint(Paint::Dim, &format.local(at)).into_bytes());
            out.push(b' ');
        }
        out.extend(self.prefixes.of(file).into_bytes());
        match &self.highlight {
            Some(word) => out.extend_from_slice(&log_line::highlighted(line, word)),
            None => out.extend_from_slice(line),
        }
    }
}

fn raw_error(line: &[u8]) -> Result<(), CliError> {
    io::stderr().write_all(line).map_err(|error| CliError::io("cannot print", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(options: &Logs) -> String {
        let whose = Whose::Instance { id: 0, app: "api".into() };
        let file = LogFile { whose, stream: Stream::Out, path: "/l/out".into() };
        let mut printer = Printer::new(options, Colors::Off);
        printer.expect(&file);
        printer.line(&file, 0, b"one", true).unwrap();
        printer.line(&file, 0, b"half", false).unwrap();
        printer.line(&file, 0, b" \xff", true).unwrap();
        String::from_utf8_lossy(&printer.waiting).into_owned()
    }

    #[test]
    fn raw_lines_are_as_they_were() {
        let raw = Logs { raw: true, ..Logs::default() };
        assert_eq!(printed(&raw), "one\nhalf \u{fffd}\n");
        let want = "0|api  | one\n0|api  | half\n0|api  |  \u{fffd}\n";
        assert_eq!(printed(&Logs::default()), want);
        let timed = Logs { timestamp: Some("[at]".into()), ..Logs::default() };
        assert!(printed(&timed).starts_with("at 0|api  | one\n"));
    }
}
