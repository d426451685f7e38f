//! The present of `logs`: lines as they come, also of what starts later.
//!
//! Ctrl-C has its default effect: it ends the command at once, also where the terminal is stopped
//! and a handler would wait behind a write.

use super::logs::{Followed, sources, wanted};
use crate::{
    cli::Logs,
    error::CliError,
    launch,
    log_files::{self, Printer},
    session::Session,
};
use rpm_logs::follow::{Follower, Line, Source};
use rpm_protocol::{Client, ClientError, EventView, Events};
use std::{collections::BTreeSet, fs, future::ready, io, path::Path, time::SystemTime};

/// What `logs` does until it is ended.
struct Stream<'a> {
    session: &'a Session,
    options: &'a Logs,
    client: Client,
    printer: Printer,
    follower: Follower,
    followed: Followed,
    /// Instances whose files are known.
    instances: BTreeSet<u32>,
    /// Files made after this are read from their beginning.
    began: SystemTime,
}

/// What happens next.
enum Next {
    Line(io::Result<Line>),
    Event(Result<Option<EventView>, ClientError>),
    /// Nothing for now: what waits can be printed.
    Idle,
}

/// Prints what comes, until the end of the daemon, or a reader that has gone.
pub(crate) async fn run(
    session: &Session,
    client: Client,
    mut events: Events,
    options: &Logs,
    mut followed: Followed,
    printer: Printer,
) -> Result<(), CliError> {
    let follower = Follower::new(std::mem::take(&mut followed.sources)).map_err(not_followed)?;
    let instances = followed.files.iter().map(|file| file.source.id).collect();
    let began = SystemTime::now();
    let mut stream =
        Stream { session, options, client, printer, follower, followed, instances, began };
    loop {
        match stream.next(&mut events).await {
            Next::Line(line) => stream.on_line(&line.map_err(not_followed)?)?,
            Next::Idle => stream.printer.flush()?,
            Next::Event(Ok(Some(event))) => stream.on_event(&event).await?,
            Next::Event(Ok(None) | Err(_)) => match stream.reconnect().await? {
                Some(again) => events = again,
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
    async fn next(&mut self, events: &mut Events) -> Next {
        tokio::select! {
            biased;
            line = self.follower.next() => Next::Line(line),
            () = ready(()), if self.printer.is_waiting() => Next::Idle,
            event = events.next() => Next::Event(event),
        }
    }

    fn on_line(&mut self, line: &Line) -> Result<(), CliError> {
        match self.followed.files.get(line.source) {
            Some(file) => self.printer.present(file, &line.text, line.ends),
            None => Ok(()),
        }
    }

    /// Follows the files of an instance that was not there before.
    async fn on_event(&mut self, event: &EventView) -> Result<(), CliError> {
        if self.instances.contains(&event.instance) {
            return Ok(());
        }
        match sources(&mut self.client, self.options).await {
            Ok(sources) => {
                self.instances.extend(sources.iter().map(|source| source.id));
                for file in log_files::of(&sources, self.options, &mut self.followed.known) {
                    let from = self.is_new(&file.path).then_some(0);
                    let source = Source { path: file.path.clone(), from };
                    self.follower.add(source).map_err(not_followed)?;
                    self.followed.files.push(file);
                }
                Ok(())
            }
            // Its targets have gone again, or the daemon has: both are told by events.
            Err(CliError::Client(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether all of a file was written since this command began. A file system that does not tell
    /// is believed to have old ones.
    fn is_new(&self, path: &Path) -> bool {
        let born = fs::metadata(path).and_then(|meta| meta.created());
        born.is_ok_and(|born| born >= self.began)
    }

    /// The events of the next daemon; `None` when there will be none: somebody ended it.
    async fn reconnect(&mut self) -> Result<Option<Events>, CliError> {
        let Some(client) = launch::greeted_if_running(self.session).await? else { return Ok(None) };
        let events = client.events(None, wanted(self.options)).await;
        let client = launch::greeted_if_running(self.session).await?;
        match (events, client) {
            (Ok(events), Some(client)) => {
                self.client = client;
                Ok(Some(events))
            }
            // What was followed is gone for good.
            (Err(ClientError::Rpc(_)), _) | (_, None) => Ok(None),
            (Err(error), _) => Err(error.into()),
        }
    }
}
