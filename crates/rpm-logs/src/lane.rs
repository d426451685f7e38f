//! [`Lanes`]: the threads on which log bytes move, away from whoever decides things.
//!
//! A disk that hangs stops the thread that writes to it, and nothing else; so each mount point that
//! apps log to has a thread of its own. All files of one stream are written on one thread.

mod unsettled;

use crate::{
    frame::Frame,
    pump::{Alarm, Counters, Drained, Flood, MAX_COMMANDS, Order, Pump, Route},
    rotate::total::Totals,
    scratch::Tools,
    ship::{Address, Origin, Shipper},
    sink::{LogFile, Rules},
    spooled::{Spooled, WhenFull},
};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt, fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicU64},
    thread,
};
use tokio::{
    runtime,
    sync::{mpsc, oneshot},
    task::{LocalSet, spawn_local},
};
use unsettled::Unsettled;

/// Threads, at most; further mount points share the first.
const MAX_LANES: usize = 8;
/// Commands that may wait for a thread: a successor starts the streams of all apps at once.
const MAX_WAITING: usize = 16 << 10;

/// A stream and what becomes of it.
pub struct Stream {
    /// The read end of its pipe.
    pub pipe: OwnedFd,
    /// Its files, the one of its own first; none: it is thrown away, or only shipped.
    pub files: Vec<(PathBuf, Rules)>,
    /// The memory of [`crate::spool::create`], held by somebody who outlives us. Without it bytes
    /// go straight into the first file.
    pub spool: Option<OwnedFd>,
    /// The memory of [`crate::transit::create`] that a predecessor was given, if it was.
    pub transit: Option<OwnedFd>,
    /// Who has one held if it floods.
    pub flood: Option<Flood>,
    /// What is done to its lines, if they are spooled.
    pub frame: Frame,
    /// What is done when a file takes nothing.
    pub when_full: WhenFull,
    /// Where else they go, if they are spooled.
    pub ship: Vec<Address>,
    /// Whose it is.
    pub origin: Origin,
    /// Whom to tell of trouble.
    pub alarm: Alarm,
}

/// A stream that is under way. Dropping it ends its pump; what is in the pipe stays there.
#[derive(Debug)]
pub struct StreamHandle {
    orders: mpsc::Sender<Order>,
    counters: Arc<Counters>,
    unshipped: Arc<AtomicU64>,
}

impl StreamHandle {
    /// What became of its bytes so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Lines its collectors did not get.
    pub fn unshipped(&self) -> u64 {
        self.unshipped.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Takes what the pipe holds now into the files; nothing where its pump has ended.
    pub async fn drain(&self) -> Drained {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Drain(answer)).await.is_err() {
            return Drained::default();
        }
        answered.await.unwrap_or_default()
    }

    /// Takes what is left and ends; done when all is in the files.
    pub async fn finish(self) {
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Finish(answer)).await.is_ok() {
            let _ended = answered.await;
        }
    }
}

enum Command {
    Start(Box<Starting>),
    Reopen(oneshot::Sender<Vec<(PathBuf, io::Error)>>),
    FlushTimes(oneshot::Sender<()>),
}

struct Starting {
    stream: Stream,
    unsettled: Arc<Unsettled>,
    orders: mpsc::Receiver<Order>,
    counters: Arc<Counters>,
    unshipped: Arc<AtomicU64>,
}

impl fmt::Debug for Starting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Starting").field("files", &self.stream.files).finish_non_exhaustive()
    }
}

impl Starting {
    fn paths(&self) -> Vec<PathBuf> {
        // Only what went through memory has a journal.
        let files = self.stream.files.iter().filter(|_| self.stream.spool.is_some());
        files.map(|(path, _)| path.clone()).collect()
    }

    fn announce(&self) {
        self.unsettled.add(&self.paths());
    }

    fn settled(&self) {
        self.unsettled.settled(&self.paths());
    }
}

/// All threads that write logs.
#[derive(Debug, Default)]
pub struct Lanes {
    by_mount: BTreeMap<PathBuf, mpsc::Sender<Command>>,
    files: Arc<Files>,
    unsettled: Arc<Unsettled>,
    /// Streams that wait for [`Lanes::begin`]; `None`: none has to.
    held: Option<Vec<Starting>>,
}

/// The open files, each once even if two threads write to it.
#[derive(Debug, Default)]
struct Files {
    open: Mutex<BTreeMap<PathBuf, Weak<LogFile>>>,
    totals: Arc<Totals>,
}

impl Lanes {
    /// Those of a successor: no stream starts before [`Lanes::begin`], so that what a killed
    /// predecessor left half done in a file of several is seen before anything is written to it.
    pub fn holding(totals: Totals) -> Self {
        let files = Files { totals: Arc::new(totals), ..Files::default() };
        Self { held: Some(Vec::new()), files: Arc::new(files), ..Self::default() }
    }

    /// Starts all streams that were held back; those that come later start at once. Why some
    /// could not be started.
    pub fn begin(&mut self) -> Vec<io::Error> {
        let held = self.held.take().unwrap_or_default();
        held.iter().for_each(Starting::announce);
        held.into_iter().filter_map(|starting| self.send(starting).err()).collect()
    }

    /// Starts to move a stream.
    ///
    /// # Errors
    /// No thread could be made, or too many streams wait for a thread that hangs.
    pub fn start(&mut self, stream: Stream) -> io::Result<StreamHandle> {
        let (orders, inbox) = mpsc::channel(MAX_COMMANDS);
        let (counters, unshipped) = (Arc::<Counters>::default(), Arc::<AtomicU64>::default());
        let handle =
            StreamHandle { orders, counters: counters.clone(), unshipped: unshipped.clone() };
        let unsettled = self.unsettled.clone();
        let starting = Starting { stream, unsettled, orders: inbox, counters, unshipped };
        match &mut self.held {
            Some(held) => held.push(starting),
            None => {
                starting.announce();
                self.send(starting)?;
            }
        }
        Ok(handle)
    }

    fn send(&mut self, starting: Starting) -> io::Result<()> {
        let first = starting.stream.files.first().map(|(path, _)| path.as_path());
        let mount = mount_of(first.unwrap_or(Path::new("/")));
        let lane = match self.lane(mount) {
            Ok(lane) => lane,
            Err(error) => {
                starting.settled();
                return Err(error);
            }
        };
        let sent = lane.try_send(Command::Start(Box::new(starting)));
        sent.map_err(|error| {
            if let Command::Start(back) = error.into_inner() {
                back.settled();
            }
            io::Error::other("its disk hangs")
        })
    }

    fn lane(&mut self, mount: PathBuf) -> io::Result<&mpsc::Sender<Command>> {
        let full = self.by_mount.len() >= MAX_LANES && !self.by_mount.contains_key(&mount);
        let shared = self.by_mount.keys().next().filter(|_| full).cloned();
        let mount = shared.unwrap_or(mount);
        if !self.by_mount.contains_key(&mount) {
            let lane = spawn(self.files.clone())?;
            self.by_mount.insert(mount.clone(), lane);
        }
        self.by_mount.get(&mount).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Opens all files anew, by path: somebody has moved them. Those that could not be.
    pub fn reopen(&self) -> impl Future<Output = Vec<(PathBuf, io::Error)>> + use<> {
        let answers = self.ask(Command::Reopen);
        async move {
            let mut failed = Vec::new();
            for answer in answers {
                failed.extend(answer.await.unwrap_or_default());
            }
            failed
        }
    }

    /// Brings the time indexes of all files up to date, for a reader.
    pub fn flush_times(&self) -> impl Future<Output = ()> + use<> {
        let answers = self.ask(Command::FlushTimes);
        async move {
            for answer in answers {
                let _flushed = answer.await;
            }
        }
    }

    fn ask<T>(&self, command: fn(oneshot::Sender<T>) -> Command) -> Vec<oneshot::Receiver<T>> {
        let ask = |lane: &mpsc::Sender<Command>| {
            let (answer, answered) = oneshot::channel();
            lane.try_send(command(answer)).is_ok().then_some(answered)
        };
        self.by_mount.values().filter_map(ask).collect()
    }
}

impl Files {
    fn get(&self, path: &Path, rules: Rules, app: &str) -> Arc<LogFile> {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, file| file.strong_count() > 0);
        if let Some(open) = all.get(path).and_then(Weak::upgrade)
            && *open.rules() == rules
        {
            return open;
        }
        let file = Arc::new(LogFile::among(self.totals.clone(), app, path, rules));
        all.insert(path.to_owned(), Arc::downgrade(&file));
        file
    }

    fn all(&self) -> Vec<Arc<LogFile>> {
        let all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().filter_map(Weak::upgrade).collect()
    }
}

fn spawn(files: Arc<Files>) -> io::Result<mpsc::Sender<Command>> {
    let (commands, inbox) = mpsc::channel(MAX_WAITING);
    let runtime = runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let run = move || {
        let work = async {
            let Ok(tools) = Tools::new() else { return };
            serve(inbox, &files, &Rc::new(RefCell::new(tools))).await;
        };
        LocalSet::new().block_on(&runtime, work);
    };
    thread::Builder::new().name("log".to_owned()).spawn(run)?;
    Ok(commands)
}

async fn serve(mut inbox: mpsc::Receiver<Command>, files: &Files, tools: &Rc<RefCell<Tools>>) {
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Start(starting) => start(*starting, files, tools),
            Command::Reopen(answer) => {
                let reopened = files.all().into_iter().filter_map(|file| {
                    file.reopen().err().map(|error| (file.path().to_owned(), error))
                });
                let _unheard = answer.send(reopened.collect());
            }
            Command::FlushTimes(answer) => {
                files.all().iter().for_each(|file| file.flush_times());
                let _unheard = answer.send(());
            }
        }
    }
}

fn start(starting: Starting, files: &Files, tools: &Rc<RefCell<Tools>>) {
    let announced = starting.paths();
    let Starting { stream, unsettled, orders, counters, unshipped } = starting;
    let Stream { pipe, files: paths, spool, transit, flood, .. } = stream;
    let Stream { frame, when_full, ship, origin, mut alarm, .. } = stream;
    let all = paths.iter().map(|(path, _)| path.clone()).collect();
    let mut open: Vec<_> =
        paths.into_iter().map(|(path, rules)| files.get(&path, rules, &origin.app)).collect();
    let route = match spool {
        Some(memory) => {
            let ship = ship.into_iter();
            let ships = ship
                .map(|address| Shipper::start(address, origin.clone(), unshipped.clone()))
                .collect();
            Spooled::new(memory, frame, open, ships).map(|one| Route::Spooled(Box::new(one)))
        }
        None if open.is_empty() => Ok(Route::Nowhere),
        None => Ok(Route::Direct(open.swap_remove(0))),
    };
    // What the journal says is done, or this stream will never write.
    unsettled.settled(&announced);
    let pump = route.and_then(|route| Pump::new(pipe, route, tools.clone()));
    match pump {
        Ok(pump) => drop(spawn_local(async move {
            unsettled.wait(all).await;
            let pump = pump.with(when_full, counters, alarm).by_way_of(transit, flood);
            pump.run(orders).await;
        })),
        Err(error) => alarm(crate::pump::Trouble::Blocked(error)),
    }
}

/// Where the file system of `path` is mounted, without touching it: it may hang.
fn mount_of(path: &Path) -> PathBuf {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    longest(&table, path).unwrap_or_else(|| PathBuf::from("/"))
}

/// The fifth field of proc_pid_mountinfo(5), of the line whose is the longest above `path`.
fn longest(table: &str, path: &Path) -> Option<PathBuf> {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let points = points.map(|point| PathBuf::from(point.replace("\\040", " ")));
    points.filter(|point| path.starts_with(point)).max_by_key(|point| point.as_os_str().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_point_above_a_path() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     23 22 0:5 / /srv rw - nfs x rw\n\
                     24 23 0:6 / /srv/my\\040logs rw - tmpfs tmpfs rw\n";
        for (path, want) in [
            ("/var/log/a.log", "/"),
            ("/srv/a.log", "/srv"),
            ("/srvx/a.log", "/"),
            ("/srv/my logs/a.log", "/srv/my logs"),
        ] {
            assert_eq!(longest(table, Path::new(path)), Some(want.into()), "{path}");
        }
        assert!(mount_of(Path::new("/proc/self/status")).starts_with("/proc"));
    }
}
