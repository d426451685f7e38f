//! Bounds: rude clients, crash loops and exhausted limits cost those who cause them, and nobody
//! else. What has to be measured in time is in `bench/`.

use crate::harness::{App, Home, Process, Rpm, ask, get, port};
use rustix::fs::{CWD, FileType, Mode};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::thread;

/// A user that has no process but those of one test.
fn loner() -> u32 {
    // Another for each run: the limit counts whatever this user has on the whole machine.
    30_000 + std::process::id() % 30_000
}

/// So many commands later all that was closed has been noticed.
const TURNS: u32 = 300;

fn open_files(process: Process) -> usize {
    fs::read_dir(format!("/proc/{}/fd", process.0)).unwrap().count()
}

/// Resident memory in KiB that is not of a file: a debug build's code is large.
fn resident(process: Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.0)).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn connect(home: &Home) -> UnixStream {
    UnixStream::connect(home.path().join("rpm.sock")).unwrap()
}

/// Fifty clients at once, of every kind that is rude; returns when all have gone.
fn rude_clients(home: &Home) {
    let garbage = |mut stream: UnixStream| {
        let _hung_up = stream.write_all(&[0xff, b'{', b'\n', 0, b'\n'].repeat(1000));
    };
    let half_a_line = |mut stream: UnixStream| {
        let _hung_up = stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":");
    };
    let endless = |mut stream: UnixStream| {
        let block = vec![b'x'; 1 << 20];
        // The daemon hangs up long before all 100 MB are written.
        let written = (0..100).take_while(|_| stream.write_all(&block).is_ok()).count();
        assert!(written < 100, "all of a line without an end was taken");
    };
    let vanishes = drop::<UnixStream>;
    let never_reads = |mut stream: UnixStream| {
        let list = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"describe\",\"params\":{\"targets\":\
                    {\"words\":[\"all\"],\"cwd\":\"/\"}}}\n";
        stream.set_write_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let _hung_up_or_full = stream.write_all(list.repeat(500).as_bytes());
    };
    let kinds: [fn(UnixStream); 5] = [garbage, half_a_line, endless, vanishes, never_reads];
    let clients: Vec<_> = (0..50)
        .map(|number| (kinds[number % kinds.len()], connect(home)))
        .map(|(kind, stream)| thread::spawn(move || kind(stream)))
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
}

#[test]
fn fifty_rude_clients_leave_nothing_behind() {
    let home = Home::new();
    home.copy("ticker.js");
    home.rpm(["start", "ticker.js", "--name", "app"]).success();
    let pid = home.single("app").pid();
    // Before the first client, but with the one that asks.
    home.rpm(["ping"]).success();
    let files = open_files(home.daemon());
    let settled = || {
        // Each answer is one turn in which connections that were closed are noticed.
        let gone = |_: &u32| {
            home.rpm(["ping"]).success();
            open_files(home.daemon()) <= files
        };
        let settled = (0..TURNS).find(gone);
        assert!(settled.is_some(), "{files} descriptors became {}", open_files(home.daemon()));
        resident(home.daemon())
    };
    // What is allocated once for the first wave is no leak.
    rude_clients(&home);
    let memory = settled();
    for _ in 0..3 {
        rude_clients(&home);
    }
    let memory_after = settled();
    assert!(memory_after < memory + (4 << 10), "{memory} KiB became {memory_after}");
    assert!(memory_after < 30 << 10, "{memory_after} KiB");
    assert_eq!((home.single("app").pid(), home.single("app").restarts()), (pid, 0));
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

#[test]
fn a_crash_loop_of_fifty_does_not_starve_others() {
    let (home, port) = (Home::new(), port());
    home.start_web("hello.js", "1", port);
    let pid = home.single("web").pid();
    home.write("crash.sh", "exit 1\n");
    home.write(
        "loop.toml",
        "[[apps]]\nname = \"loop\"\nscript = \"crash.sh\"\ninstances = 50\nexec_mode = \"fork\"\n\
         max_restarts = 1000000\n",
    );
    home.rpm(["start", "loop.toml"]).output();
    home.wait_until("they crash in a loop", |apps| {
        apps.iter().filter(|app| app.name() == "loop" && app.restarts() > 3).count() == 50
    });
    for _ in 0..50 {
        assert_eq!(ask(port).pid, pid);
    }
    // Others are supervised as ever.
    Process(pid).kill();
    home.wait_until("the other one is replaced", |apps| {
        apps[0].pid() != pid && apps[0].is_online() && apps[0].restarts() == 1
    });
    get(port, "/").expect("it serves again");
    home.rpm(["delete", "loop"]).success();
    let left: Vec<_> = home.jlist().iter().map(|app| app.name().to_owned()).collect();
    assert_eq!(left, ["web"]);
    assert!(resident(home.daemon()) < 40 << 10, "{} KiB", resident(home.daemon()));
}

/// Those that run, and those that do not.
fn counts(apps: &[App]) -> (usize, usize) {
    let online = apps.iter().filter(|app| app.is_online()).count();
    (online, apps.len() - online)
}

/// Starting too many must be refused for those that are too many, in words that say why; what runs
/// goes on, commands are answered, and there is room again when some have gone.
fn is_refused_and_nothing_else(home: &Home, start: Rpm, reason: &str) {
    home.write(
        "many.toml",
        "[[apps]]\nname = \"many\"\nscript = \"sleep 86430\"\ninstances = 60\n\
         exec_mode = \"fork\"\nautorestart = false\n",
    );
    let first = home.single("first").pid();
    let refused = start.exits(1);
    assert!(refused.stderr.contains("many") && refused.stderr.contains(reason), "{refused:?}");
    assert!(!refused.stderr.contains("panicked"), "{refused:?}");
    let (online, others) = counts(&home.app("many"));
    assert!(online > 0 && others > 0, "{online} of 60");
    assert_eq!((home.single("first").pid(), home.single("first").restarts()), (first, 0));
    home.rpm(["delete", "many"]).success();
    home.rpm(["restart", "first"]).success();
    assert!(home.single("first").is_online());
    assert!(!home.log().contains("panicked"), "{}", home.log());
}

#[test]
fn without_descriptors_an_app_is_refused_and_everything_else_lives() {
    let home = Home::new();
    home.copy("ticker.js");
    let limited = ["prlimit", "--nofile=200:200"];
    home.rpm_under(&limited, &["start", "ticker.js", "--name", "first"]).success();
    let start = home.rpm(["start", "many.toml"]);
    is_refused_and_nothing_else(&home, start, "oo many open files");
}

#[test]
fn without_processes_an_app_is_refused_and_everything_else_lives() {
    if rustix::process::geteuid().as_raw() != 0 {
        eprintln!("skipped: only root may become a user of so few processes");
        return;
    }
    let (home, loner) = (Home::with_own_binary(), loner());
    for path in [home.root().to_owned(), home.work(), home.root().join("rpm")] {
        chown(&path, Some(loner), Some(loner)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    home.copy("ticker.js");
    let words =
        format!("setpriv --reuid {loner} --regid {loner} --clear-groups prlimit --nproc=40:40");
    let limited: Vec<&str> = words.split(' ').collect();
    home.rpm_under(&limited, &["start", "ticker.js", "--name", "first"]).success();
    let start = home.rpm(["start", "many.toml"]);
    is_refused_and_nothing_else(&home, start, "no process could be made");
}

/// A `start` of many apps takes as long as one of them: none waits until others have been up for
/// their `min_uptime`, an hour here. All but the last one end when that one has come.
#[test]
fn the_last_of_many_apps_is_started_beside_the_first() {
    const COUNT: usize = 40;
    let home = Home::new();
    let fifo = home.work().join("go");
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Held open, it keeps what was written for those that have not opened it yet.
    let _held = File::options().read(true).write(true).open(&fifo).unwrap();
    home.write("wait.sh", "read line < go\n");
    home.write("last.sh", &format!("printf '{}' > go\n", "go\\n".repeat(COUNT - 1)));
    let app = |number: usize| {
        let script = if number + 1 == COUNT { "last.sh" } else { "wait.sh" };
        format!(
            "[[apps]]\nname = \"app-{number:02}\"\nscript = \"{script}\"\n\
             min_uptime = \"1h\"\nautorestart = false\n"
        )
    };
    home.write("many.toml", &(0..COUNT).map(app).collect::<String>());
    let started = home.rpm(["start", "many.toml"]).success();
    for number in 0..COUNT {
        let line = format!("started app-{number:02} ({number})\n");
        assert!(started.stdout.contains(&line), "{started:?}");
    }
    assert_eq!(counts(&home.jlist()), (0, COUNT));
}

#[test]
fn two_hundred_apps_are_not_much() {
    let home = Home::new();
    home.write(
        "many.toml",
        "[[apps]]\nname = \"many\"\nscript = \"sleep 86431\"\ninstances = 200\n\
         exec_mode = \"fork\"\n",
    );
    home.rpm(["start", "many.toml"]).success();
    assert_eq!(counts(&home.jlist()), (200, 0));
    for process in [home.daemon(), home.keeper()] {
        assert!(resident(process) < 40 << 10, "{} KiB", resident(process));
    }
    home.rpm(["delete", "all"]).success();
}
