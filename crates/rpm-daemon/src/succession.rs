//! The keeper died: the daemon, which has duplicates of all it kept, starts another and hands
//! everything over. Only the exit codes of apps that run then will be unknown.
//!
//! There is never a second keeper: the one before is killed, and its end waited for, by pidfd.

use crate::{
    engine::Engine,
    error::Error,
    keeper_link::KeeperLink,
    launch,
    tree::{self, SIGKILL},
};
use rpm_keeper::{ChildId, Legacy};
use rpm_supervisor::WorkerId;
use rpm_unix::{
    pidfd,
    procfs::{self, Process},
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    io,
    os::fd::OwnedFd,
    process::Child,
    time::{Duration, Instant},
};

/// So many keepers within a minute are enough: something is wrong with the machine, and the apps,
/// which live on, are taken over by the next command.
const MAX_KEEPERS: usize = 30;
/// How long a start of a keeper is counted.
const WINDOW: Duration = Duration::from_secs(60);

/// The keeper there is, and what it takes to start another.
pub(crate) struct Succession {
    legacy: Legacy,
    pid: i32,
    pidfd: OwnedFd,
    /// Its words, which a child that it has forked has until it becomes its program.
    words: Vec<u8>,
    /// It is our child, so its end is ours to reap.
    child: Option<Child>,
    started: VecDeque<Instant>,
    /// The parents of our apps' leaders, and so of their orphans. They stay as they were found
    /// while all of them live: with a thousand apps, asking each leader at each stop took minutes.
    parents: RefCell<Option<Vec<Process>>>,
}

impl Succession {
    /// `pid`: the keeper at the other end of the link.
    pub(crate) fn new(legacy: Legacy, pid: i32) -> io::Result<Self> {
        let pidfd = pidfd::open(pid)?;
        let (words, started) = (procfs::arguments(pid), VecDeque::new());
        Ok(Self { legacy, pid, pidfd, words, child: None, started, parents: RefCell::default() })
    }

    /// A leader is ours from now on, and its parent may be one we do not know.
    pub(crate) fn note_leader(&self, pid: i32) {
        let parent = procfs::process(pid).map(|leader| leader.ppid);
        let is_it = |known: &Process| Some(known.pid) == parent;
        self.parents.borrow_mut().take_if(|known| !known.iter().any(is_it));
    }

    /// The keeper's pid: orphans of what it started are its children.
    pub(crate) fn keeper(&self) -> i32 {
        self.pid
    }

    /// Whether a process is the keeper, or a child of it that is not a program yet.
    fn was_forked(&self, pid: i32) -> bool {
        !self.words.is_empty() && procfs::arguments(pid) == self.words
    }

    /// Makes sure that it is dead.
    async fn end_former(&mut self) -> io::Result<()> {
        // It may be gone, which is the rule.
        let _gone = pidfd::send_signal(&self.pidfd, SIGKILL);
        let former = crate::async_fd::register(self.pidfd.try_clone()?)?;
        former.readable().await?.retain_ready();
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        Ok(())
    }

    fn start(&mut self) -> io::Result<KeeperLink> {
        let now = Instant::now();
        self.started.retain(|at| now.duration_since(*at) < WINDOW);
        if self.started.len() >= MAX_KEEPERS {
            return Err(io::Error::other("keepers die in a row"));
        }
        self.started.push_back(now);
        let (link, child) = self.legacy.start()?;
        self.pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        self.pidfd = pidfd::open(self.pid)?;
        self.words = procfs::arguments(self.pid);
        self.child = Some(child);
        KeeperLink::new(link)
    }
}

impl Engine {
    /// Starts a keeper in place of one that is gone.
    pub(crate) async fn replace_keeper(&mut self) -> Result<(), Error> {
        tracing::error!(pid = self.succession.pid, "the keeper is gone, another is started");
        self.succession.end_former().await?;
        self.end_uncertain(&self.keeper.uncertain_spawns());
        let next = self.succession.start()?;
        self.keeper.hand_over(next);
        self.keeper.release()?;
        self.note_lost_sharing();
        self.lose_update();
        tracing::info!(pid = self.succession.pid, "the new keeper has everything");
        Ok(())
    }

    /// Spawns that were asked for and not answered are asked for again; what came of the first ones
    /// is in nobody's hands: programs, or children of the keeper's that are about to become them.
    fn end_uncertain(&self, children: &[ChildId]) {
        if children.is_empty() {
            return;
        }
        let token = |child: &ChildId| launch::token(&self.places, WorkerId(child.0)).into_bytes();
        let tokens: BTreeSet<Vec<u8>> = children.iter().map(token).collect();
        let is_marked = |pid: i32| tree::token_of(pid).is_some_and(|own| tokens.contains(&own));
        // In this order: what is not its program yet when the first is asked may be by the second.
        let is_of_one = |one: &Process| {
            let forked = one.pid != self.succession.pid && self.succession.was_forked(one.pid);
            forked || is_marked(one.pid)
        };
        let all = procfs::processes().unwrap_or_default();
        let left: Vec<_> = all.into_iter().filter(is_of_one).collect();
        for child in children {
            self.groups.group(child.0).kill();
        }
        tree::signal_all(&left, SIGKILL);
    }

    /// Processes to which orphans of our apps fall: the keeper, and whoever took over the children
    /// of a former one.
    pub(crate) fn parents_of_orphans(&self) -> BTreeSet<i32> {
        let known = self.succession.parents.take();
        let known = known.filter(|all| all.iter().all(is_there));
        let parents = known.unwrap_or_else(|| self.parents_of_leaders());
        let pids: BTreeSet<i32> = parents.iter().map(|parent| parent.pid).collect();
        self.succession.parents.replace(Some(parents));
        pids.into_iter().chain([self.succession.keeper()]).collect()
    }

    fn parents_of_leaders(&self) -> Vec<Process> {
        let leaders = self.workers.iter().filter_map(|(_, worker)| worker.process.as_ref());
        let parents: BTreeSet<i32> = leaders
            .filter_map(|process| {
                let found = procfs::process(process.leader.pid)?;
                (found.start_time == process.leader.start_time).then_some(found.ppid)
            })
            .collect();
        parents.into_iter().filter_map(procfs::process).collect()
    }
}

/// Whether a process lives; one that is dead has no children any more.
fn is_there(known: &Process) -> bool {
    known.again().is_some_and(|now| !now.zombie)
}
