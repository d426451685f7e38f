//! A new daemon takes over: it asks the keeper what there is and continues where its predecessor
//! was killed. A first daemon does the same and finds nothing.

use crate::{
    engine::Engine,
    error::Error,
    front::is_front,
    keeper_events::worker_of,
    keeper_link::KeeperLink,
    store::{self, Exits, Label, Saved},
    targets::Specs,
    tree,
    worker::Worker,
};
use rpm_keeper::{Child, Event, ExitStatus, Request};
use rpm_supervisor::WorkerId;
use rpm_unix::{home::Home, procfd};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::fd::OwnedFd,
    sync::Arc,
};

/// So many crashes within a minute are a loop.
const CRASH_LOOP: u32 = 3;

/// All the keeper keeps.
#[derive(Default)]
pub(crate) struct Inventory {
    pub(crate) children: Vec<Found>,
    pub(crate) held: BTreeMap<String, OwnedFd>,
    /// Exits that were told while the inventory was.
    exits: BTreeMap<u64, ExitStatus>,
    /// How many daemons crashed in the last minute.
    crashes: u32,
    /// The keeper's pid.
    pub(crate) keeper: i32,
}

/// One child.
pub(crate) struct Found {
    pub(crate) child: Child,
    pub(crate) label: Vec<u8>,
    pub(crate) status: Option<ExitStatus>,
}

/// Greets the keeper and asks for everything it keeps.
pub(crate) async fn inventory(keeper: &mut KeeperLink) -> io::Result<Inventory> {
    keeper.send(Request::Hello { version: rpm_keeper::VERSION });
    keeper.send(Request::Inventory);
    keeper.flush_all().await?;
    let mut all = Inventory::default();
    loop {
        match keeper.receive().await? {
            // Where it has listened is told once more after the inventory, as it was when it did.
            Event::Known { child, label, status, listening: _ } => {
                all.children.push(Found { child, label, status });
            }
            Event::Held { name, fd } => drop(all.held.insert(name, fd)),
            Event::Exited { child, status } => drop(all.exits.insert(child.0, status)),
            Event::InventoryEnd => return Ok(all),
            Event::Welcome { version, deaths, crashes, keeper } => {
                tracing::debug!(version, deaths, crashes, "the keeper answered");
                (all.crashes, all.keeper) = (crashes, keeper);
            }
            // A spawn or a listen that the predecessor asked for: the child is in the inventory, or
            // its worker asks again.
            Event::Spawned(_)
            | Event::SpawnFailed { .. }
            | Event::Unfiltered { .. }
            | Event::Retired { .. }
            | Event::Relieved { .. }
            | Event::Blocked { .. }
            | Event::Unbalanced { .. }
            | Event::Shared { .. }
            | Event::Snapshot { .. }
            | Event::NotUpgraded { .. }
            | Event::Unshared { .. }
            | Event::Slots { .. }
            | Event::SlotsEnd { .. }
            | Event::Listening { .. }
            | Event::Refused { .. }
            | Event::Listener { .. }
            | Event::Released
            | Event::ListenFailed { .. } => {}
            Event::Error { text } => return Err(io::Error::other(text)),
        }
    }
}

impl Inventory {
    /// Whether the keeper has just begun: nothing was ever held.
    pub(crate) fn is_empty(&self) -> bool {
        self.children.is_empty() && self.held.is_empty()
    }

    /// Whether daemons crash in a row (traps B10).
    pub(crate) fn is_crash_loop(&self) -> bool {
        self.crashes >= CRASH_LOOP
    }

    /// The predecessor's state, if there was one that can be read.
    pub(crate) fn state(&self) -> Result<Option<Saved>, Error> {
        self.held.get(store::STATE).map(store::open_state).transpose().map_err(Error::State)
    }

    /// Writes the state where a person finds it, for it may be what daemons crash of.
    pub(crate) fn set_aside(&self, home: &Home) {
        let Some(state) = self.held.get(store::STATE) else { return };
        let path = home.state().join("set-aside.json");
        let written = store::bytes(state).and_then(|bytes| rpm_unix::atomic::write(&path, &bytes));
        if let Err(error) = written {
            tracing::error!("{} cannot be written: {error}", path.display());
        }
    }

    /// The exit records; none are no reason to stop.
    pub(crate) fn exits(&self) -> Exits {
        self.held.get(store::EXITS).and_then(|fd| store::open(fd).ok()).unwrap_or_default()
    }

    /// The specs of all apps.
    pub(crate) fn specs(&self) -> Specs {
        let held = self.held.iter().filter(|(name, _)| name.starts_with(store::SPEC));
        held.filter_map(|(_, fd)| store::open_spec(fd).ok())
            .map(|spec| (spec.name.clone(), Arc::new(spec)))
            .collect()
    }

    /// Takes a held descriptor out.
    pub(crate) fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.held.remove(name)
    }

    /// Takes the spools of streams out, by their names without the prefix.
    pub(crate) fn take_spools(&mut self) -> BTreeMap<String, OwnedFd> {
        let spools = self.held.extract_if(.., |name, _| name.starts_with(store::SPOOL));
        spools
            .filter_map(|(name, fd)| Some((name.strip_prefix(store::SPOOL)?.to_owned(), fd)))
            .collect()
    }
}

impl Engine {
    /// Takes over the children of the inventory and lets the supervisor settle what changed.
    pub(crate) async fn adopt(&mut self, inventory: Inventory, saved: Option<Saved>) {
        let records = saved.map(|saved| saved.workers).unwrap_or_default();
        let mut alive = BTreeSet::new();
        let mut ended = Vec::new();
        let (fronts, children): (Vec<_>, Vec<_>) =
            inventory.children.into_iter().partition(|found| is_front(found.child.child));
        let exit = |id: u64| inventory.exits.get(&id).copied();
        let fronts = fronts.into_iter().map(|found| {
            let status = found.status.or_else(|| exit(found.child.child.0));
            (found.child, found.label, status)
        });
        let fronts: Vec<_> = fronts.collect();
        for mut found in children {
            let worker = worker_of(found.child.child);
            found.status = found.status.or_else(|| inventory.exits.get(&worker.0).copied());
            let Ok(label) = serde_json::from_slice::<Label>(&found.label) else { continue };
            if !self.safe && self.fleet.worker(worker).is_none() {
                self.remove_stray(worker, label, found);
                continue;
            }
            alive.insert(worker);
            ended.extend(found.status.map(|status| (worker, status)));
            let record = records.get(&worker).cloned().unwrap_or_default();
            self.workers.insert(worker, Worker { label, record, process: None });
            self.attach(found.child);
        }
        if self.safe {
            // In safe mode they go on as they are; what they say stays in their pipes.
            return;
        }
        // Where the workers are reached is known by now.
        self.adopt_fronts(fronts);
        for error in self.logs.lanes.begin() {
            tracing::error!("a stream is not logged: {error}");
        }
        let effects = self.fleet.recover(&alive, crate::clock::now());
        self.dirty.state = true;
        self.perform_all(effects);
        for (worker, status) in ended {
            self.on_exited(worker, status).await;
        }
        self.logs.release_unused(&mut self.keeper);
        self.check_fronts();
        self.rotate_all();
    }

    /// A child that no state knows: its app was deleted while no daemon lived. It is ended.
    fn remove_stray(&mut self, worker: WorkerId, label: Label, found: Found) {
        tracing::warn!(app = %label.app, pid = found.child.pid, "ending a worker nobody wants");
        let token = crate::launch::token(&self.places, worker);
        let child = &found.child;
        let pipes = [&child.stdout, &child.stderr].map(|pipe| procfd::inode(pipe).unwrap_or(0));
        let (pid, start_time) = (child.pid, child.start_time);
        let group = self.groups.find(worker.0, pid);
        let leader = tree::Leader { pid, start_time, token, pipes, group };
        tree::kill(&leader, &tree::members(&leader, &[]));
        // Its exit is acknowledged when it comes, as that of any worker nobody knows.
        if found.status.is_none() {
            return;
        }
        // The predecessor may have been killed before all it said was written.
        let output = match self.specs.get(&label.app).cloned() {
            Some(spec) => {
                let pipes = [found.child.stdout, found.child.stderr];
                self.start_output(worker, &label, &spec, pipes)
            }
            None => crate::output::Output::default(),
        };
        self.finish_output(worker, output);
    }
}
