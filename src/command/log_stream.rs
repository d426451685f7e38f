//! The present of `logs`: lines as they come, also of what starts later.
//!
//! Ctrl-C has its default effect: it ends the command at once, also where the terminal is stopped
//! and a handler would wait behind a write.

use super::logs::{sources, wanted};
use crate::{
    cli::Logs,
    error::CliError,
    launch,
    log_files::{self, LogFile},
    log_printer::Printer,
    session::Session,
};
use rpm_logs::{
    follow::{Follower, Line, Source, Start},
    times::now_ms,
};
use rpm_protocol::{Client, ClientError, EventView, Events};
use std::{
    collections::BTreeSet,
    fs,
    future::{pending, ready},
    io,
    path::Path,
    time::SystemTime,
};

/// What `logs` does until it is ended.
struct Stream<'a> {
    session: &'a Session,
    options: &'a Logs,
    client: Client,
    printer: Printer,
    follower: Follower,
    /// In the order of the follower's sources.
    files: Vec<LogFile>,
    /// Instances whose files are known.
    instances: BTreeSet<u32>,
    /// Files made after this are read from their beginning.
    began: SystemTime,
    /// Files that were told to be given up.
    given_up: u64,
}

/// What happens next.
enum Next {
    Line(io::Result<Line>),
    Event(Result<Option<EventView>, ClientError>),
    /// Nothing for now: what waits can be printed.
    Idle,
}

/// Prints what comes, until the end of the daemon, or a reader that has gone. Without `events` only
/// the daemon's own log is followed.
pub(crate) async fn run(
    session: &Session,
    client: Client,
    mut events: Option<Events>,
    options: &Logs,
    (files, sources): (Vec<LogFile>, Vec<Source>),
    printer: Printer,
) -> Result<(), CliError> {
    let follower = Follower::new(sources).map_err(not_followed)?;
    let (instances, began) = (BTreeSet::new(), SystemTime::now());
    let mut stream = Stream {
        session,
        options,
        client,
        printer,
        follower,
        files,
        instances,
        began,
        given_up: 0,
    };
    stream.look_again().await?;
    loop {
        match stream.next(&mut events).await {
            Next::Line(line) => stream.on_line(&line.map_err(not_followed)?)?,
            Next::Idle => stream.on_idle()?,
            Next::Event(Ok(Some(event))) => stream.on_event(&event).await?,
            Next::Event(Ok(None) | Err(_)) => match stream.reconnect().await? {
                Some(again) => events = Some(again),
                None => return stream.printer.flush(),
            },
        }
    }
}

fn not_followed(error: io::Error) -> CliError {
    let hint = "rpm logs --nostream shows what there is; fs.inotify limits may be used up";
    CliError::failed(format!("logs cannot be followed: {error}"), hint)
}

impl Stream<'_> {
    async fn next(&mut self, events: &mut Option<Events>) -> Next {
        let event = async {
            match events {
                Some(events) => events.next().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            line = self.follower.next() => Next::Line(line),
            () = ready(()), if self.printer.is_waiting() => Next::Idle,
            event = event => Next::Event(event),
        }
    }

    fn on_line(&mut self, line: &Line) -> Result<(), CliError> {
        let wanted = self.options.grep.as_ref().is_none_or(|grep| grep.matches(&line.text));
        match self.files.get(line.source).filter(|_| wanted) {
            Some(file) => self.printer.line(file, now_ms(), &line.text, line.ends),
            None => Ok(()),
        }
    }

    fn on_idle(&mut self) -> Result<(), CliError> {
        let given_up = self.follower.given_up();
        if std::mem::replace(&mut self.given_up, given_up) < given_up {
            let text = "lines come faster than they are printed: rotated files were left out";
            self.session.warn(text);
        }
        self.printer.flush()
    }

    async fn on_event(&mut self, event: &EventView) -> Result<(), CliError> {
        self.printer.event(event)?;
        if self.instances.contains(&event.instance) { Ok(()) } else { self.look_again().await }
    }

    /// Follows the files of instances that were not there before. A file that is followed already
    /// gets its new owner's name.
    async fn look_again(&mut self) -> Result<(), CliError> {
        let Some(targets) = wanted(self.options) else { return Ok(()) };
        match sources(&mut self.client, targets).await {
            Ok(sources) => {
                self.instances.extend(sources.iter().map(|source| source.id));
                let found = log_files::of(&sources, self.options);
                found.into_iter().try_for_each(|file| self.follow(file))
            }
            // Its targets have gone again, or the daemon has: both are told by events.
            Err(CliError::Client(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn follow(&mut self, file: LogFile) -> Result<(), CliError> {
        self.printer.expect(&file);
        if let Some(known) = self.files.iter_mut().find(|known| known.path == file.path) {
            *known = file;
            return Ok(());
        }
        let from = if self.is_new(&file.path) { Start::Beginning } else { Start::End };
        let source = Source { path: file.path.clone(), from };
        self.follower.add(source).map_err(not_followed)?;
        self.files.push(file);
        Ok(())
    }

    /// Whether all of a file was written since this command began. A file system that does not tell
    /// is believed to have old ones.
    fn is_new(&self, path: &Path) -> bool {
        let born = fs::metadata(path).and_then(|meta| meta.created());
        born.is_ok_and(|born| born >= self.began)
    }

    /// The events of the next daemon; `None` when there will be none: somebody ended it.
    async fn reconnect(&mut self) -> Result<Option<Events>, CliError> {
        let Some(targets) = wanted(self.options) else { return Ok(None) };
        let Some(client) = launch::greeted_if_running(self.session).await? else { return Ok(None) };
        let events = client.events(None, targets).await;
        let client = launch::greeted_if_running(self.session).await?;
        match (events, client) {
            (Ok(events), Some(client)) => {
                self.client = client;
                self.look_again().await?;
                Ok(Some(events))
            }
            // What was followed is gone for good.
            (Err(ClientError::Rpc(_)), _) | (_, None) => Ok(None),
            (Err(error), _) => Err(error.into()),
        }
    }
}
