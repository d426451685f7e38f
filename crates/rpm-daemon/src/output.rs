//! A worker's two streams on their way to their files.

use crate::log_files::Sinks;
use rpm_config::AppName;
use rpm_logs::pump::{Pump, PumpHandle, Trouble};
use std::{io, os::fd::OwnedFd};
use tokio::task::spawn_local;

/// The pumps of one worker. Dropping it ends them: the bytes still in the pipes stay there.
pub(crate) struct Output {
    pumps: Vec<PumpHandle>,
}

impl Output {
    /// Starts moving bytes from the pipes into `sinks`.
    pub(crate) fn start(app: &AppName, pipes: [OwnedFd; 2], sinks: Sinks) -> Self {
        let pumps = pipes.into_iter().zip(sinks).filter_map(|(pipe, sink)| {
            let pump = Pump::new(pipe, sink);
            pump.inspect_err(|error| tracing::error!(%app, "a stream is not logged: {error}")).ok()
        });
        let pumps = pumps.map(|pump| pump.on_trouble(teller(app.clone())).spawn()).collect();
        Self { pumps }
    }

    /// Takes what the pipes hold now: the last words of a leader that has just ended.
    pub(crate) async fn drain(&self) -> io::Result<()> {
        for pump in &self.pumps {
            pump.drain_now().await?;
        }
        Ok(())
    }

    /// Takes what is left, without anybody waiting for it, and ends.
    pub(crate) fn finish(self) {
        spawn_local(async move {
            // What cannot be read now never will be.
            let _ = self.drain().await;
        });
    }

    /// Bytes that could not be written and were thrown away.
    pub(crate) fn dropped(&self) -> u64 {
        self.pumps.iter().map(|pump| pump.counters().dropped()).sum()
    }
}

/// Tells the daemon's log when a file refuses bytes, and when it takes them again.
fn teller(app: AppName) -> impl FnMut(Trouble) + Send + 'static {
    move |trouble| match trouble {
        Trouble::Dropping(error) => tracing::error!(%app, "log lines are dropped: {error}"),
        Trouble::Recovered => tracing::info!(%app, "log lines are written again"),
    }
}
