//! Brings a daemon up: everything it needs is made or taken over, then the engine runs.

use crate::{
    chores::Chores,
    control::Control,
    diagnose::Troubles,
    engine::{Dirty, Engine},
    error::Error,
    events::EventLog,
    front::Fronts,
    hooks::Hooks,
    inbox::{Inbox, Message},
    keeper_link::KeeperLink,
    launch::Places,
    ledger::{self, Ledger},
    listeners::Listeners,
    log_files::Logs,
    notify,
    orphans::Orphans,
    package::Versions,
    pm2::{self, Pm2},
    probes::Probes,
    recover::{self, Inventory},
    replies::Replies,
    sample::Sampler,
    server,
    sharing::Sharing,
    stamp::Stamp,
    store::{self, Saved},
    succession::Succession,
    survivors,
    targets::Specs,
    triggers::Triggers,
    worker::Workers,
};
use rpm_config::AppName;
use rpm_keeper::{DaemonDescriptors, Legacy, Link, daemon_descriptors};
use rpm_unix::{cgroup::Groups, home::Home, spawn::Baseline};
use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::LocalSet,
};

/// Between the keeper's -900 and the apps' 0 (proc_pid_oom_score_adj(5)).
const OOM_SCORE: i32 = -500;

/// How long a daemon that ends waits for its last answers to be read.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs the daemon of the home at `root` until `rpm kill`; returns the exit code of the process.
///
/// Its descriptors come from the keeper that started it; its standard error is `rpm.log`.
pub fn run(root: &Path) -> i32 {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    die_of_panics();
    match start(Home::new(root)) {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("the daemon ends: {error}");
            1
        }
    }
}

/// A bug in any task ends the daemon, and the keeper starts the next one: a daemon that lacks a
/// task would be worse than none. Release builds abort by themselves.
fn die_of_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::abort();
    }));
}

fn start(home: Home) -> Result<(), Error> {
    let baseline = Baseline::capture().map_err(Error::Home)?;
    claim_resources();
    let runtime =
        runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Home)?;
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        let (unanswered, mut all_answered) = mpsc::channel(1);
        // As long as the lock is open no other daemon of this home can start.
        let DaemonDescriptors { rpc: listener, lock } = daemon_descriptors()?;
        let rpc = listener.try_clone().map_err(Error::Home)?;
        let engine = assemble(Legacy { home: home.clone(), rpc, lock, baseline }).await?;
        let server = rpm_protocol::Server::new(listener).map_err(Error::Home)?;
        let requests = engine.inbox.sender();
        let serving = tokio::task::spawn_local(server::run(server, requests, unanswered));
        let ended = engine.run().await;
        serving.abort();
        // Who asked for the end shall read the answer, but not hold it up.
        let _ = tokio::time::timeout(LAST_WORDS, all_answered.recv()).await;
        ended.map(|ending| {
            if ending {
                clean_up(&home)
            }
        })
    })
}

/// Removes what only a running daemon needs. What cannot be removed harms nobody.
fn clean_up(home: &Home) {
    let _ = fs::remove_file(home.pid_file());
    ledger::remove(home);
    rpm_pm2_socket::Sockets::remove(home.root());
    let _ = fs::remove_dir_all(run_directory(home));
}

/// Takes SIGTERM from now on, and tells the engine.
fn watch_for_the_end(engine: mpsc::Sender<Message>) -> std::io::Result<()> {
    let mut signals = signal(SignalKind::terminate())?;
    tokio::task::spawn_local(async move {
        while signals.recv().await.is_some() {
            let _ = engine.send(Message::Terminated).await;
        }
    });
    Ok(())
}

/// Takes SIGUSR2 from now on, as PM2 does: log files are opened anew.
fn watch_for_logrotate(engine: mpsc::Sender<Message>) -> std::io::Result<()> {
    let mut signals = signal(SignalKind::user_defined2())?;
    tokio::task::spawn_local(async move {
        while signals.recv().await.is_some() {
            let _ = engine.send(Message::Reopen).await;
        }
    });
    Ok(())
}

/// Leaves room for the descriptors of thousands of apps, and lets the kernel kill apps first. Both
/// are as far as this user may.
fn claim_resources() {
    if let Err(error) = rpm_unix::limits::raise_open_files() {
        tracing::warn!("the limit of open files is not raised: {error}");
    }
    let _ = rpm_unix::process::set_oom_score_adj(OOM_SCORE);
}

async fn assemble(legacy: Legacy) -> Result<Engine, Error> {
    let home = &legacy.home.clone();
    let inbox = Inbox::new();
    // Before the keeper is greeted: it passes a signal on to each daemon it greets.
    watch_for_the_end(inbox.sender()).map_err(Error::Home)?;
    watch_for_logrotate(inbox.sender()).map_err(Error::Home)?;
    let mut keeper = KeeperLink::new(Link::adopt()?)?;
    let mut inventory = recover::inventory(&mut keeper).await?;
    let safe = inventory.is_crash_loop();
    let saved = saved_state(home, &mut inventory, &mut keeper)?;
    let (next_event, next_ticket) =
        saved.as_ref().map_or((1, 1), |s| (s.next_event, s.next_ticket));
    let places = places(home).map_err(Error::Home)?;
    let control = Control::start(
        &places.control,
        inventory.take(store::CONTROL),
        inbox.sender(),
        &mut keeper,
    )
    .map_err(Error::Home)?;
    notify::start(&places.notify, inventory.take(store::NOTIFY), inbox.sender(), &mut keeper)
        .map_err(Error::Home)?;
    let pm2_sockets = pm2::held(&mut inventory);
    let succession = Succession::new(legacy, inventory.keeper)?;
    let specs = inventory.specs();
    let written_at = saved.as_ref().map(|saved| saved.written_at).filter(|at| *at > 0);
    let mut engine = Engine {
        succession,
        chores: Chores::since(written_at),
        looked: Orphans::default(),
        postponed: Vec::new(),
        probes: Probes::default(),
        pm2: Pm2::default(),
        hooks: Hooks::default(),
        fleet: saved.as_ref().map(|saved| saved.fleet.clone()).unwrap_or_default(),
        stamps: stamps(&specs, &places),
        specs,
        versions: Versions::default(),
        exits: inventory.exits(),
        listeners: saved.as_ref().map(listeners).unwrap_or_default(),
        logs: Logs::adopt(inventory.take_spools(), crate::log_limit::totals(home)),
        events: EventLog::starting_at(next_event),
        replies: Replies::starting_at(next_ticket),
        workers: Workers::default(),
        sampler: Sampler::default(),
        sharing: Sharing::default(),
        fronts: Fronts::default(),
        troubles: Troubles::default(),
        triggers: Triggers::default(),
        queue: VecDeque::new(),
        dirty: Dirty::default(),
        ledger: Ledger::new(),
        update: None,
        ending: false,
        safe,
        home: home.clone(),
        groups: Groups::of_process(crate::tree::own_pid(), &places.hash),
        places,
        keeper,
        control,
        inbox,
    };
    engine.adopt(inventory, saved).await;
    engine.tend();
    engine.adopt_pm2(pm2_sockets);
    crate::pid_file::write(&engine.home.pid_file(), std::process::id()).map_err(Error::Home)?;
    tracing::info!(pid = std::process::id(), apps = engine.fleet.apps.len(), "daemon ready");
    Ok(engine)
}

fn listeners(saved: &store::Saved) -> Listeners {
    Listeners::new(saved.keys.clone(), saved.ports.clone())
}

fn stamps(specs: &Specs, places: &Places) -> BTreeMap<AppName, Stamp> {
    specs.iter().map(|(name, spec)| (name.clone(), Stamp::of(spec, places))).collect()
}

/// What a daemon before knew: as the keeper holds it or, if keeper and daemon have died, as the
/// ledger has it, whose workers are taken over.
fn saved_state(
    home: &Home,
    inventory: &mut Inventory,
    keeper: &mut KeeperLink,
) -> Result<Option<Saved>, Error> {
    let safe = inventory.is_crash_loop();
    let saved = match inventory.state() {
        Err(error) if safe => {
            tracing::error!("{error}");
            None
        }
        state => state?,
    };
    let saved = match survivors::find(home, !run_directory(home).exists())
        .filter(|_| inventory.is_empty())
    {
        Some(found) => Some(found.take_over(inventory, keeper)?),
        None => saved,
    };
    if safe {
        inventory.set_aside(home);
    }
    Ok(saved)
}

/// Where what apps must reach is.
fn run_directory(home: &Home) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    home.run(runtime.as_deref().map(Path::new))
}

/// Makes what apps must reach: the preload and the place of the control socket.
fn places(home: &Home) -> std::io::Result<Places> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    let directory =
        home.create_run(runtime.as_deref().map(Path::new)).map_err(std::io::Error::other)?;
    let preload = directory.join("preload.cjs");
    rpm_unix::atomic::write(&preload, rpm_cluster::preload::PRELOAD.as_bytes())?;
    fs::set_permissions(&preload, fs::Permissions::from_mode(0o644))?;
    Ok(Places {
        home: home.root().to_owned(),
        hash: home.hash(),
        preload,
        control: directory.join("control.sock"),
        notify: directory.join("notify.sock"),
    })
}
