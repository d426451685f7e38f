//! Safe mode: what a daemon does whose predecessors crashed in a row (traps B10).
//!
//! It takes the apps over, moves their output to the logs and answers who only looks; it decides
//! nothing, because deciding is what its predecessors died of. Exits stay with the keeper, which
//! tells them again to the next daemon. After [`LASTS`] it makes room for one that tries again.

use crate::{
    engine::Engine,
    error::Error,
    inbox::{Message, Responder},
    keeper_link::is_loss,
    replies::respond,
};
use rpm_protocol::{Request, RpcError};
use std::time::Duration;

/// As long as the keeper counts a crash: the next daemon begins without one.
pub(crate) const LASTS: Duration = Duration::from_secs(60);

/// What everybody is told who asks.
pub(crate) const NOTICE: &str = "the daemon crashed three times within a minute and is in safe \
mode for a minute: apps run on and are logged, but nothing is started, stopped or restarted; \
rpm.log says why it crashed, state/set-aside.json is what it had in hand";

impl Engine {
    /// Serves who looks, for a while; `false` when somebody wants the end and it is to be done.
    pub(crate) async fn run_safe(&mut self) -> Result<bool, Error> {
        tracing::error!("{NOTICE}");
        let over = tokio::time::sleep(LASTS);
        tokio::pin!(over);
        loop {
            self.keeper.release()?;
            tokio::select! {
                event = self.keeper.receive() => match event {
                    Ok(event) => self.on_keeper_in_safe_mode(event),
                    Err(error) if is_loss(&error) => self.replace_keeper().await?,
                    Err(error) => return Err(error.into()),
                },
                message = self.inbox.receive() => if self.is_the_end(message) { return Ok(false) },
                () = &mut over => return Ok(true),
            }
        }
    }

    fn on_keeper_in_safe_mode(&mut self, event: rpm_keeper::Event) {
        use rpm_keeper::Event as News;
        match event {
            News::Slots { app, fallback, slots, .. } => self.on_slots(&app, fallback, slots),
            News::SlotsEnd { request } => self.on_slots_end(request),
            // Kept by the keeper, or asked again by the next daemon.
            News::Welcome { .. }
            | News::Spawned(_)
            | News::SpawnFailed { .. }
            | News::Unfiltered { .. }
            | News::Exited { .. }
            | News::Listening { .. }
            | News::Refused { .. }
            | News::Listener { .. }
            | News::ListenFailed { .. }
            | News::Retired { .. }
            | News::Relieved { .. }
            | News::Blocked { .. }
            | News::Unbalanced { .. }
            | News::Shared { .. }
            | News::Unshared { .. }
            | News::Known { .. }
            | News::Held { .. }
            | News::InventoryEnd
            | News::Snapshot { .. }
            | News::NotUpgraded { .. }
            | News::Released
            | News::Error { .. } => {}
        }
    }

    /// Takes a message; true if all is to end, which is done whatever the danger.
    fn is_the_end(&mut self, message: Message) -> bool {
        match message {
            Message::Request { request: Request::Kill, respond } => {
                self.safe = false;
                self.on_request(Request::Kill, respond);
                true
            }
            Message::Terminated => {
                self.safe = false;
                self.terminate();
                true
            }
            Message::Request { request, respond } => {
                self.look_or_refuse(request, respond);
                false
            }
            Message::Sampled(sample) => {
                self.on_sample(*sample);
                false
            }
            Message::Log(news) => {
                self.on_log_news(news);
                false
            }
            Message::Flooded(flooded) => {
                self.on_flooded(flooded);
                false
            }
            Message::Reopen => {
                self.reopen_logs(None);
                false
            }
            Message::Channel { .. }
            | Message::Control(_)
            | Message::TreeChanged { .. }
            | Message::Checked(_)
            | Message::Probed { .. }
            | Message::Notified(_)
            | Message::Front { .. }
            | Message::FrontDue { .. }
            | Message::FrontsLate
            | Message::Logged { .. }
            | Message::Due { .. }
            | Message::Changed { .. }
            | Message::TriggerExpired { .. }
            | Message::Expired { .. } => false,
        }
    }

    fn look_or_refuse(&mut self, request: Request, to: Responder) {
        let looks = matches!(request, Request::Hello { .. } | Request::Events { .. });
        if looks || request.only_looks() {
            return self.on_request(request, to);
        }
        let hint = "try again in a minute, or rpm kill and start anew".to_owned();
        respond::<()>(to, Err(RpcError::failed(NOTICE, Some(hint))));
    }
}
