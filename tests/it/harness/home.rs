//! [`Home`]: an `RPM_HOME` of its own, a folder to work in, and the promise that nothing is left.

use super::command::{Output, Rpm};
use super::events::{Events, Next};
use super::fixture::{copy, fixture, node_modules};
use super::process::Process;
use super::{App, LIMIT, files};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, thread};
use tempfile::TempDir;

/// How long keeper, daemon and apps may take to be gone after `rpm kill` returned: no more than a
/// machine may stand still.
const FAREWELL: Duration = Duration::from_secs(30);

/// What a server is given in which no time shall matter: an app is ready when it listens, and not
/// after PM2's three seconds, in which a busy machine may not even have loaded Node; and it is not
/// killed while it ends.
pub(crate) const AT_EASE: [&str; 4] = ["--listen-timeout", "30s", "--kill-timeout", "30s"];

/// One test's world. Dropping it runs `rpm kill` and fails the test if anything of it lives on.
pub(crate) struct Home {
    root: TempDir,
    /// What is executed as `rpm`.
    binary: PathBuf,
}

impl Home {
    /// An empty home. The path is short, because a Unix socket's may have 107 bytes only.
    pub(crate) fn new() -> Self {
        let root = tempfile::Builder::new().prefix("rpm-t").tempdir_in("/tmp").expect("tempdir");
        fs::create_dir(root.path().join("work")).expect("work");
        Self { root, binary: env!("CARGO_BIN_EXE_rpm").into() }
    }

    /// A home whose `rpm` is a file of its own, which a test may replace.
    pub(crate) fn with_own_binary() -> Self {
        let mut home = Self::new();
        home.binary = home.root().join("rpm");
        home.install(Path::new(env!("CARGO_BIN_EXE_rpm")));
        home
    }

    /// Replaces that file as a package manager does: by another one of its name.
    pub(crate) fn install(&self, program: &Path) {
        let new = self.root().join("rpm.new");
        fs::copy(program, &new).expect("copy");
        fs::rename(new, &self.binary).expect("rename");
    }

    /// The folder that holds everything of this test.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// `RPM_HOME`; rpm creates it.
    pub(crate) fn path(&self) -> PathBuf {
        self.root().join("home")
    }

    /// Where commands run.
    pub(crate) fn work(&self) -> PathBuf {
        self.root().join("work")
    }

    /// The binary with these arguments.
    pub(crate) fn rpm<const N: usize>(&self, args: [&str; N]) -> Rpm {
        self.rpm_under(&[], &args)
    }

    /// As [`Self::rpm`], below another program such as `["taskset", "1"]`.
    pub(crate) fn rpm_under(&self, wrapper: &[&str], args: &[&str]) -> Rpm {
        let binary = self.binary.to_str().expect("a path");
        Rpm::new(self, &[wrapper, &[binary], args].concat())
    }

    /// The binary on a terminal of so many columns; its streams arrive as one, lines end in CR LF.
    pub(crate) fn on_terminal(&self, columns: u16, args: &[&str]) -> Rpm {
        let (binary, args) = (env!("CARGO_BIN_EXE_rpm"), args.join(" "));
        let line = format!("stty cols {columns} rows 24; exec {binary} {args}");
        Rpm::new(self, &["script", "-qec", &line, "/dev/null"]).env("SHELL", "/bin/sh")
    }

    /// Copies a fixture into the work folder, Express beside it.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        let target = self.work().join(Path::new(name).file_name().expect("a name"));
        copy(&fixture(name), &target);
        if name == "express.js" {
            self.modules();
        }
        target
    }

    /// Puts the packages of tests/node beside what was copied.
    pub(crate) fn modules(&self) {
        let modules = self.work().join("node_modules");
        std::os::unix::fs::symlink(node_modules(), modules).expect("symlink");
    }

    /// Copies a fixture and starts it as `web` on `port` with `-i COUNT`, [`AT_EASE`].
    pub(crate) fn start_web(&self, name: &str, count: &str, port: u16) -> Output {
        self.copy(name);
        let name = Path::new(name).file_name().and_then(|name| name.to_str()).expect("a name");
        let words = [&["start", name, "--name", "web", "-i", count][..], &AT_EASE].concat();
        self.rpm_under(&[], &words).env("PORT", port).success()
    }

    /// Writes a file in the work folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        fs::write(&path, text).expect("write");
        path
    }

    /// `rpm jlist`, which prints nothing but JSON.
    pub(crate) fn jlist(&self) -> Vec<App> {
        // Its paths are used, so the folder is put back in.
        let mut output = self.rpm(["jlist"]).success();
        output.stdout = output.stdout.replace("$ROOT", &self.root().display().to_string());
        output.apps()
    }

    /// The instances of one app.
    pub(crate) fn app(&self, name: &str) -> Vec<App> {
        self.jlist().into_iter().filter(|app| app.name() == name).collect()
    }

    /// The only instance of one app.
    pub(crate) fn single(&self, name: &str) -> App {
        let [app] = <[App; 1]>::try_from(self.app(name)).expect("one instance");
        app
    }

    /// The pids of one app, in the order of ids.
    pub(crate) fn pids(&self, name: &str) -> Vec<u32> {
        self.app(name).iter().map(App::pid).collect()
    }

    /// Waits until `rpm jlist` is as wanted; looks after each event.
    pub(crate) fn wait_until(&self, what: &str, wanted: impl Fn(&[App]) -> bool) -> Vec<App> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let Some(mut events) = Events::subscribe(self, deadline) else {
                self.give_up(what);
            };
            loop {
                let apps = self.jlist();
                if wanted(&apps) {
                    return apps;
                }
                match events.next(deadline) {
                    Next::Event(_) => {}
                    Next::Ended => break,
                    Next::TimedOut => self.give_up(what),
                }
            }
        }
    }

    /// Asks the daemon for one thing as any client may; its whole answer.
    pub(crate) fn ask(&self, method: &str, params: &Value) -> Value {
        let mut stream = UnixStream::connect(self.path().join("rpm.sock")).expect("rpm.sock");
        stream.set_read_timeout(Some(LIMIT)).expect("timeout");
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        stream.write_all(format!("{request}\n").as_bytes()).expect("a request");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The event stream from now on.
    pub(crate) fn events(&self) -> Events {
        Events::subscribe(self, Instant::now() + LIMIT).expect("a daemon that tells events")
    }

    fn give_up(&self, what: &str) -> ! {
        panic!("never happened: {what}; apps: {:#?}\ndaemon's log: {}", self.jlist(), self.log())
    }

    /// What the daemon wrote about itself.
    pub(crate) fn log(&self) -> String {
        files::text(&self.path().join("rpm.log"))
    }

    /// Waits until a log file has `text` in it.
    pub(crate) fn wait_for_line(&self, path: &Path, text: &str) -> String {
        files::wait_for(path, text, |found| found.contains(text))
    }

    /// Waits until a file has `text` in it so often.
    pub(crate) fn wait_for_times(&self, path: &Path, text: &str, times: usize) {
        files::wait_for(path, text, |found| found.matches(text).count() == times);
    }

    /// Waits until the daemon's own log is as wanted.
    pub(crate) fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) {
        files::wait_for(&self.path().join("rpm.log"), "what was to be said", wanted);
    }

    /// Waits until `count` lines of a log file start with `text`; the first so many.
    pub(crate) fn wait_for_lines(&self, path: &Path, text: &str, count: usize) -> String {
        let lines = |found: &str| -> Vec<String> {
            // The last one counts only when its end is there.
            let whole = found.rsplit_once('\n').map_or("", |(whole, _)| whole);
            whole.lines().filter(|line| line.starts_with(text)).map(str::to_owned).collect()
        };
        let found = files::wait_for(path, text, |found| lines(found).len() >= count);
        lines(&found)[..count].join("\n")
    }

    /// The daemon, by `rpm.pid`.
    pub(crate) fn daemon(&self) -> Process {
        let pid = |text: &str| text.trim().parse().ok();
        // A daemon that comes up is about to write it.
        let path = self.path().join("rpm.pid");
        let text = files::wait_for(&path, "a pid", |text| pid(text).is_some());
        Process(pid(&text).expect("a pid"))
    }

    /// The keeper: the daemon's parent, or what a daemon has started in place of a dead one.
    pub(crate) fn keeper(&self) -> Process {
        let home = self.path().display().to_string();
        let roles = ["__keeper", "__heir", "__resume"].map(|role| format!("{role} {home} "));
        let is_keeper = |one: &Process| {
            let command = one.command();
            roles.iter().any(|role| command.contains(role)) && one.is_alive()
        };
        let mut all = Process::all();
        all.retain(is_keeper);
        // A child that has not executed its program yet has its parent's command line.
        let is_child = |one: &Process| all.iter().any(|other| one.is_child_of(*other));
        all.iter().copied().find(|one| !is_child(one)).expect("a keeper")
    }

    /// Everything alive that carries this home in its environment or arguments, or works in it.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mark = self.root().display().to_string();
        let ours = |process: &Process| process.mentions(&mark) || process.works_in(self.root());
        Process::all().into_iter().filter(|found| ours(found) && found.is_alive()).collect()
    }

    /// As [`Self::processes`] without keeper and daemon: the apps with all their children.
    pub(crate) fn app_processes(&self) -> Vec<Process> {
        let mut all = self.processes();
        // A replaced file has ` (deleted)` behind its name.
        let binary = self.binary.display().to_string();
        all.retain(|one| !one.executable().display().to_string().starts_with(&binary));
        all
    }

    /// Waits until no process of any app is left.
    pub(crate) fn apps_end(&self) {
        for process in self.app_processes() {
            let command = process.command();
            assert!(process.ends_within(FAREWELL), "still there: {} {command}", process.0);
        }
    }

    /// The directories of this home's control groups that are there.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let lines = files::text(&self.path().join("state/cgroups"));
        lines.lines().map(PathBuf::from).filter(|group| group.exists()).collect()
    }

    /// Ends everything; the commands of what had to be killed by force.
    fn leave(&self) -> Vec<String> {
        let told = self.path().join("rpm.sock").exists();
        let groups = self.cgroups();
        if told {
            let output = self.rpm(["kill"]).output();
            if output.code != 0 {
                return vec![format!("{output:?}")];
            }
        }
        let mut survivors = Vec::new();
        for process in self.processes() {
            let command = process.command();
            if !process.ends_within(FAREWELL) {
                survivors.push(format!("{} {command}", process.0));
            }
        }
        let left = groups.iter().filter(|group| told && group.exists());
        survivors.extend(left.map(|group| group.display().to_string()));
        remove_groups(&groups);
        survivors
    }

    fn kill_all(&self) {
        for _ in 0..3 {
            let all = self.processes();
            // Keeper and daemon would each start the other again.
            all.iter().for_each(|process| process.signal(Signal::STOP));
            all.iter().for_each(|process| process.kill());
            for process in all {
                process.ends_within(FAREWELL);
            }
        }
    }
}

/// Removes what a keeper that was killed left of its control groups.
fn remove_groups(homes: &[PathBuf]) {
    for home in homes {
        for worker in fs::read_dir(home).into_iter().flatten().flatten() {
            // Files of the kernel's cannot be removed, and need not be.
            let _ = fs::write(worker.path().join("cgroup.kill"), "1");
            let _ = fs::remove_dir(worker.path());
        }
        let _ = fs::remove_dir(home);
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- rpm.log\n{}", self.log());
            let groups = self.cgroups();
            self.kill_all();
            remove_groups(&groups);
            return;
        }
        let survivors = self.leave();
        self.kill_all();
        assert!(survivors.is_empty(), "left after rpm kill: {survivors:#?}\n{}", self.log());
    }
}
