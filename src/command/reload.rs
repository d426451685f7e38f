//! `reload`: asks for it, and shows how far it is while it lasts. The daemon does it whether or not
//! anybody looks, so this command may be killed at any time.

use super::act;
use crate::{
    cli::Act,
    error::CliError,
    render::progress::{Progress, outage},
    session::Session,
};
use rpm_config::AppName;
use rpm_protocol::{Acted, EventView, Events, Request, Targets};
use std::{
    collections::BTreeSet,
    future::Future,
    time::{Duration, Instant},
};

/// How often the seconds on the screen change.
const REDRAW: Duration = Duration::from_secs(1);

/// Replaces the workers of the targets. As under PM2, no table is shown.
pub(crate) async fn run(session: &Session, options: Act, update_env: bool) -> Result<(), CliError> {
    let request = act::reload_request(options, update_env)?;
    let mut client = session.daemon().await?;
    let events = match &request {
        Request::Act { targets, .. } => watch(session, targets.clone()).await?,
        _ => None,
    };
    let acted: Acted = watched(session, events, None, client.call(request)).await?;
    act::settle(session, "reloaded", acted)
}

/// The events of what is to be reloaded; `None` where the request will be refused anyway.
pub(crate) async fn watch(session: &Session, targets: Targets) -> Result<Option<Events>, CliError> {
    Ok(session.daemon().await?.events(None, targets).await.ok())
}

/// Waits for the answer, and tells meanwhile what happens: to these apps, or to all whose events
/// come.
pub(crate) async fn watched<T>(
    session: &Session,
    mut events: Option<Events>,
    apps: Option<&BTreeSet<AppName>>,
    answer: impl Future<Output = T>,
) -> T {
    let mut screen = Screen { session, progress: Progress::default(), drawn: false };
    let mut redraw = tokio::time::interval(REDRAW);
    let concerns = |event: &EventView| apps.is_none_or(|apps| apps.contains(&event.app));
    tokio::pin!(answer);
    let answered = loop {
        tokio::select! {
            biased;
            event = next(&mut events) => match event {
                Some(event) if concerns(&event) => screen.on_event(&event),
                Some(_) => {}
                // Without events it is done all the same.
                None => events = None,
            },
            answered = &mut answer => break answered,
            _ = redraw.tick() => screen.draw(),
        }
    };
    screen.clear();
    answered
}

/// The next event, or `None` at their end; never, where there are none.
async fn next(events: &mut Option<Events>) -> Option<EventView> {
    match events {
        Some(events) => events.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// The line on a terminal that says how far it is.
struct Screen<'a> {
    session: &'a Session,
    progress: Progress,
    drawn: bool,
}

impl Screen<'_> {
    fn on_event(&mut self, event: &EventView) {
        if let Some(warning) = outage(event) {
            self.clear();
            self.session.warn(&warning);
        }
        if self.progress.on_event(event, Instant::now()) {
            self.draw();
        }
    }

    fn draw(&mut self) {
        let Some(width) = self.session.progress_width() else { return };
        let line = self.progress.line(width, Instant::now());
        if self.drawn || !line.is_empty() {
            self.session.show_progress(&line);
        }
        self.drawn = !line.is_empty();
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.session.show_progress("");
        }
    }
}
