//! The engine: the one task that owns the fleet. It takes an event, lets the supervisor decide, and
//! performs the effects; everything else in this crate feeds it or is asked by it.
//!
//! One turn: select an event → `step` → perform → commit. Commit writes the state into the keeper
//! before the turn's other requests follow on the same link, so that a daemon killed anywhere is
//! continued by its successor.

use crate::{
    chores::Chores,
    clock,
    control::Control,
    diagnose::Troubles,
    error::Error,
    events::EventLog,
    front::Fronts,
    handler::Postponed,
    hooks::Hooks,
    inbox::{Inbox, Message},
    keeper_link::{KeeperLink, is_loss},
    launch::Places,
    ledger::Ledger,
    listeners::Listeners,
    log_files::Logs,
    orphans::Orphans,
    package::Versions,
    pm2::Pm2,
    probes::Probes,
    replies::Replies,
    sample::{Sampler, Whom},
    sharing::Sharing,
    stamp::Stamp,
    store::{self, Exits, Saving},
    succession::Succession,
    targets::Specs,
    triggers::Triggers,
    update::Update,
    worker::Workers,
};
use rpm_config::AppName;
use rpm_keeper::Request;
use rpm_supervisor::{Effect, Event, Fleet};
use rpm_unix::{cgroup::Groups, home::Home};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::time::sleep;

/// How often the memory of apps with a limit is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// How many messages one turn takes before it commits: one state is written for all of them, and
/// a flood delays nothing else for longer.
const MESSAGES_A_TURN: usize = 64;

/// How long a daemon that ends waits for its threads to write.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The fleet and all it takes to run it.
pub(crate) struct Engine {
    pub(crate) home: Home,
    pub(crate) places: Places,
    pub(crate) fleet: Fleet,
    pub(crate) specs: Specs,
    pub(crate) versions: Versions,
    /// What a worker of each app would be started with.
    pub(crate) stamps: BTreeMap<AppName, Stamp>,
    pub(crate) workers: Workers,
    pub(crate) exits: Exits,
    pub(crate) events: EventLog,
    pub(crate) keeper: KeeperLink,
    /// Where workers' control groups are.
    pub(crate) groups: Groups,
    pub(crate) succession: Succession,
    /// Orphans that were looked at.
    pub(crate) looked: Orphans,
    pub(crate) listeners: Listeners,
    pub(crate) logs: Logs,
    pub(crate) replies: Replies,
    pub(crate) sampler: Sampler,
    pub(crate) sharing: Sharing,
    pub(crate) fronts: Fronts,
    pub(crate) troubles: Troubles,
    pub(crate) triggers: Triggers,
    pub(crate) control: Control,
    pub(crate) inbox: Inbox,
    pub(crate) chores: Chores,
    pub(crate) probes: Probes,
    pub(crate) pm2: Pm2,
    pub(crate) hooks: Hooks,
    /// Events that performing an effect caused; stepped before the turn ends.
    pub(crate) queue: VecDeque<Event>,
    /// What differs from what the keeper holds.
    pub(crate) dirty: Dirty,
    pub(crate) ledger: Ledger,
    /// Starts that wait for apps to go.
    pub(crate) postponed: Vec<Postponed>,
    /// An update under way.
    pub(crate) update: Option<Update>,
    /// `rpm kill` is under way: exit when the fleet is empty.
    pub(crate) ending: bool,
    /// Nothing is decided: see `safe_mode.rs`.
    pub(crate) safe: bool,
}

/// What differs from what the keeper holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dirty {
    /// Fleet or worker records.
    pub(crate) state: bool,
    /// Exit records.
    pub(crate) exits: bool,
}

impl Engine {
    /// Runs until `rpm kill` is done, which is `true`, or until another daemon is to go on.
    pub(crate) async fn run(mut self) -> Result<bool, Error> {
        let mut memory_timer = tokio::time::interval(MEMORY_INTERVAL);
        memory_timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        if self.safe && self.run_safe().await? {
            // The next one tries again.
            return Ok(false);
        }
        self.dirty.state = true;
        self.tend_probes();
        self.commit()?;
        while !self.is_done() {
            let deadline = self.until_deadline();
            let limited = self.has_memory_limits();
            let unwritten = self.ledger.due();
            let drain_look = self.until_drain_look();
            let (looks, look) = (drain_look.is_some(), drain_look.unwrap_or_default());
            tokio::select! {
                event = self.keeper.receive() => self.on_keeper_link(event).await?,
                message = self.inbox.receive() => self.on_messages(message),
                () = sleep(deadline) => self.queue.push_back(Event::Tick),
                _ = memory_timer.tick(), if limited => self.start_sample(Whom::Watched),
                () = sleep(unwritten.unwrap_or_default()), if unwritten.is_some() => {}
                () = sleep(look), if looks => self.start_sample(Whom::Watched),
            }
            self.settle();
            self.start_postponed();
            self.rotate_all();
            self.tend_probes();
            self.commit()?;
        }
        self.await_last_lines().await;
        self.keeper.send(Request::Shutdown);
        self.keeper.flush_all().await?;
        Ok(true)
    }

    /// Lets the threads write what the last workers said, unless a disk hangs.
    async fn await_last_lines(&mut self) {
        let all = async {
            while self.logs.finishing > 0 {
                let message = self.inbox.receive().await;
                if matches!(message, Message::Logged { .. }) {
                    self.on_message(message);
                }
            }
        };
        let _in_time = rpm_protocol::within(LAST_LINES, all).await;
    }

    fn is_done(&self) -> bool {
        let nothing_runs =
            self.fleet.apps.is_empty() && self.workers.is_empty() && self.fronts.is_empty();
        self.ending && nothing_runs && !self.replies.is_holding_back()
    }

    /// How long until the supervisor wants to be called; far away when it does not.
    fn until_deadline(&self) -> Duration {
        const FAR: Duration = Duration::from_secs(24 * 3600);
        self.fleet.deadline().map_or(FAR, |at| at.since(clock::now()))
    }

    async fn on_keeper_link(
        &mut self,
        event: std::io::Result<rpm_keeper::Event>,
    ) -> Result<(), Error> {
        match event {
            Ok(event) => self.on_keeper_events(event).await,
            Err(error) if is_loss(&error) => self.replace_keeper().await,
            Err(error) => Err(error.into()),
        }
    }

    async fn on_keeper_events(&mut self, first: rpm_keeper::Event) -> Result<(), Error> {
        self.on_keeper(first).await;
        for _ in 1..MESSAGES_A_TURN {
            let Some(event) = self.keeper.try_receive()? else { return Ok(()) };
            self.on_keeper(event).await;
        }
        Ok(())
    }

    fn on_messages(&mut self, first: Message) {
        self.on_message(first);
        for _ in 1..MESSAGES_A_TURN {
            let Some(message) = self.inbox.try_receive() else { return };
            self.on_message(message);
        }
    }

    fn on_message(&mut self, message: Message) {
        match message {
            Message::Request { request, respond } => self.on_request(request, respond),
            Message::Channel { worker, said } => self.on_channel(worker, said),
            Message::Control(news) => self.on_control(news),
            Message::TreeChanged { worker } => self.check_tree(worker),
            Message::Front { child, said } => self.on_front(child, *said),
            Message::FrontsLate => self.on_fronts_late(),
            Message::FrontDue { app } => self.respawn_front(&app),
            Message::Expired { ticket, after } => self.on_expired(ticket, after),
            Message::Logged { worker, spools } => self.on_logged(worker, spools),
            Message::Flooded(flooded) => self.on_flooded(flooded),
            Message::Log(news) => self.on_log_news(news),
            Message::Reopen => self.reopen_logs(None),
            Message::Due { app } => self.on_due(&app),
            Message::Changed { app, path, at } => self.on_changed(&app, path, at),
            Message::TriggerExpired { trigger } => self.on_trigger_expired(trigger),
            Message::Probed { worker, outcome } => self.on_probed(worker, outcome),
            Message::Notified(said) => self.on_notified(said),
            Message::Terminated => self.terminate(),
            Message::Sampled(sample) => self.on_sample(*sample),
            Message::Checked(checked) => self.on_checked(checked),
        }
    }

    /// Feeds an event to the supervisor and performs what it decides.
    pub(crate) fn step(&mut self, event: Event) {
        self.queue.push_back(event);
        self.settle();
    }

    fn settle(&mut self) {
        if self.safe {
            return self.queue.clear();
        }
        while let Some(event) = self.queue.pop_front() {
            let effects = self.fleet.step(event, clock::now());
            self.dirty.state = true;
            self.perform_all(effects);
        }
    }

    /// Performs effects in order.
    pub(crate) fn perform_all(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.perform(effect);
        }
    }

    /// Hands the state to the keeper, ahead of this turn's requests.
    fn commit(&mut self) -> Result<(), Error> {
        if std::mem::take(&mut self.dirty.state) {
            self.ledger.touch();
            let fd = store::seal(&self.saving()).map_err(Error::State)?;
            self.keeper.send_first(Request::Hold { name: store::STATE.to_owned(), fd });
        }
        // A replacement is spawned before anything is done that it need not wait for.
        self.keeper.release()?;
        if std::mem::take(&mut self.dirty.exits) {
            self.ledger.touch();
            let fd = store::seal(&self.exits).map_err(Error::State)?;
            self.keeper.send(Request::Hold { name: store::EXITS.to_owned(), fd });
        }
        self.keeper.release()?;
        self.keep_ledger();
        Ok(())
    }

    /// The state as a successor reads it.
    pub(crate) fn saving(&self) -> Saving<'_> {
        Saving {
            version: store::VERSION,
            written_at: clock::epoch_millis(),
            fleet: &self.fleet,
            workers: self.workers.records(),
            next_event: self.events.next(),
            next_ticket: self.replies.next_ticket(),
            keys: &self.listeners.keys,
            ports: &self.listeners.ports,
        }
    }
}
