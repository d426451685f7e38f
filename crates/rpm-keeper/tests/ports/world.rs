//! [`World`]: ports, the programs that use them, and a loop that waits for events.

use crate::clients::no_forks;
use rpm_keeper::{Address, ChildId, Event, Owner, ports::Ports};
use rpm_unix::{
    pidfd, pipe,
    poll::{Entry, poll},
    spawn::{Baseline, Credentials, Filter, Program, Setup, spawn},
    wait,
};
use std::{
    collections::BTreeMap,
    ffi::CString,
    fs::File,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

/// Nothing here takes a second; a test that waits this long hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// The unprivileged user of tests that start as root.
pub(crate) const NOBODY: Credentials = Credentials { uid: 65_534, gid: 65_534, groups: Vec::new() };

/// A program that was started.
struct Running {
    owner: Owner,
    pid: i32,
    pidfd: OwnedFd,
    output: Option<OwnedFd>,
    text: String,
    status: Option<i32>,
}

/// Ports and programs.
pub(crate) struct World {
    pub(crate) ports: Ports,
    pub(crate) events: Vec<Event>,
    running: BTreeMap<ChildId, Running>,
    next: u64,
    pub(crate) credentials: Option<Credentials>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            ports: Ports::new(),
            events: Vec::new(),
            running: BTreeMap::new(),
            next: 0,
            credentials: None,
        }
    }

    /// Starts a program for a slot, under the filter.
    pub(crate) fn start(&mut self, app: &str, slot: u32, words: &[&str]) -> ChildId {
        self.start_with(app, slot, words, &[])
    }

    /// The same, and it inherits these descriptors.
    pub(crate) fn start_with(
        &mut self,
        app: &str,
        slot: u32,
        words: &[&str],
        inherited: &[(BorrowedFd<'_>, i32)],
    ) -> ChildId {
        let (read, write) = nix_pipe();
        let null = pipe::null().unwrap();
        let baseline = Baseline { oom_score_adj: None, ..Baseline::capture().unwrap() };
        let setup = Setup {
            input: null.as_fd(),
            output: write.as_fd(),
            error: write.as_fd(),
            inherited,
            pid_variable: None,
            filter: true,
            group: None,
            baseline: &baseline,
        };
        let program = self.program(words);
        let guard = no_forks();
        let spawned = spawn(&program, &setup).unwrap();
        drop(guard);
        let Filter::Installed(notify) = spawned.filter else { panic!("{:?}", spawned.filter) };
        let child = ChildId(self.next);
        self.next += 1;
        let owner = Owner { app: app.to_owned(), slot };
        self.ports.add_child(child, owner.clone(), spawned.pid, notify).unwrap();
        let running = Running {
            owner,
            pid: spawned.pid,
            pidfd: spawned.pidfd,
            output: Some(read),
            text: String::new(),
            status: None,
        };
        self.running.insert(child, running);
        child
    }

    fn program(&self, words: &[&str]) -> Program {
        let string = |word: &str| CString::new(word).unwrap();
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        let environment = [&path, "HOME=/tmp", "NO_UPDATE_NOTIFIER=1", "PYTHONUNBUFFERED=1"];
        Program {
            file: string(words[0]),
            arguments: words.iter().map(|word| string(word)).collect(),
            environment: environment.into_iter().map(string).collect(),
            directory: "/tmp".into(),
            credentials: self.credentials.clone(),
        }
    }

    pub(crate) fn settled(&mut self, child: ChildId) {
        self.ports.settled(child);
    }

    pub(crate) fn pid(&self, child: ChildId) -> i32 {
        self.running[&child].pid
    }

    /// One turn of the loop: waits for anything, and deals with it.
    fn turn(&mut self) {
        let timeout = self.ports.timeout().map_or(DEADLINE, |timeout| timeout.min(DEADLINE));
        let (tokens, mut entries): (Vec<_>, Vec<_>) = self.ports.watched().unzip();
        let mut children = Vec::new();
        for (child, running) in &self.running {
            if running.status.is_none() {
                children.push((*child, true));
                entries.push(Entry::readable(running.pidfd.as_fd()));
            }
            if let Some(output) = &running.output {
                children.push((*child, false));
                entries.push(Entry::readable(output.as_fd()));
            }
        }
        poll(&mut entries, Some(timeout)).unwrap();
        let ready: Vec<_> = entries.iter().map(Entry::is_ready).collect();
        drop(entries);
        let (of_ports, of_children) = ready.split_at(tokens.len());
        for (token, ready) in tokens.into_iter().zip(of_ports) {
            if *ready {
                let events = self.ports.on_ready(token);
                self.events.extend(events);
            }
        }
        self.events.extend(self.ports.on_timeout());
        for ((child, exited), ready) in children.into_iter().zip(of_children) {
            match (ready, exited) {
                (false, _) => {}
                (true, true) => self.reap(child),
                (true, false) => self.read(child),
            }
        }
    }

    fn read(&mut self, child: ChildId) {
        let running = self.running.get_mut(&child).unwrap();
        let mut file = File::from(running.output.take().unwrap());
        let mut bytes = [0; 4096];
        let count = file.read(&mut bytes).unwrap();
        running.text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        running.output = (count > 0).then(|| file.into());
    }

    fn reap(&mut self, child: ChildId) {
        let running = self.running.get_mut(&child).unwrap();
        let end = wait::reap(running.pid).unwrap();
        running.status = Some(match end {
            wait::End::Code(code) => code,
            wait::End::Signal(signal) => 128 + signal,
        });
        self.events.extend(self.ports.exited(child));
        self.ports.remove_child(child);
    }

    /// Turns until the condition holds.
    pub(crate) fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let start = Instant::now();
        while !condition(self) {
            let texts: Vec<_> = self.running.values().map(|running| &running.text).collect();
            assert!(start.elapsed() < DEADLINE, "{what}: {:?} {texts:?}", self.events);
            self.turn();
        }
    }

    pub(crate) fn listening(&self, child: ChildId) -> Vec<Address> {
        let of_child = self.events.iter().filter_map(|event| match event {
            Event::Listening { child: other, address } if *other == child => Some(address.clone()),
            _ => None,
        });
        of_child.collect()
    }

    pub(crate) fn until_listening(&mut self, child: ChildId) {
        self.until("listening", |world| !world.listening(child).is_empty());
    }

    /// Starts a program and waits until it listens.
    pub(crate) fn serve(&mut self, app: &str, slot: u32, words: &[&str]) -> ChildId {
        let child = self.start(app, slot, words);
        self.until_listening(child);
        child
    }

    pub(crate) fn until_text(&mut self, child: ChildId, text: &str) {
        self.until(text, |world| world.running[&child].text.contains(text));
    }

    pub(crate) fn until_exit(&mut self, child: ChildId) -> (i32, String) {
        self.until("exit", |world| {
            let running = &world.running[&child];
            running.status.is_some() && running.output.is_none()
        });
        let running = &self.running[&child];
        (running.status.unwrap(), running.text.clone())
    }

    /// What was refused to a child.
    pub(crate) fn refused(&self, child: ChildId) -> Vec<(Address, i32, Option<Owner>)> {
        let of_child = self.events.iter().filter_map(|event| match event {
            Event::Refused { child: other, address, errno, holder } if *other == child => {
                Some((address.clone(), *errno, holder.clone()))
            }
            _ => None,
        });
        of_child.collect()
    }

    /// Kills a whole session's processes (they are one group here) and waits for the leader's end.
    pub(crate) fn kill(&mut self, child: ChildId) {
        self.signal(child, 9);
        self.until("end", |world| world.running[&child].status.is_some());
    }

    pub(crate) fn signal(&self, child: ChildId, signal: i32) {
        let running = &self.running[&child];
        let group = running.pid;
        for process in rpm_unix::procfs::processes().unwrap() {
            if process.session == group && !process.zombie {
                let _ = pidfd::open(process.pid).and_then(|fd| pidfd::send_signal(fd, signal));
            }
        }
    }

    /// Kills it and starts another in its slot.
    pub(crate) fn restart(&mut self, child: ChildId, words: &[&str]) -> ChildId {
        let Owner { app, slot } = self.running[&child].owner.clone();
        self.kill(child);
        self.serve(&app, slot, words)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let children: Vec<_> = self.running.keys().copied().collect();
        for child in children {
            self.signal(child, 9);
            let running = &self.running[&child];
            if running.status.is_none() {
                let _ = wait::reap(running.pid);
            }
        }
    }
}

fn nix_pipe() -> (OwnedFd, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (read.into(), write.into())
}
