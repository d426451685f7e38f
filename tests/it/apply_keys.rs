//! `apply`, key by key: an edit of each shows up in `jlist` or in `/proc`; the second run does
//! nothing; without the key all is as before.

use crate::harness::{Home, port};
use rustix::process::geteuid;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs};

/// Where the value of a key is seen.
#[derive(Clone, Copy)]
enum At {
    /// A field of `pm2_env`, or a place in it (RFC 6901).
    List(&'static str),
    /// A word of the command line of the process.
    Word(usize),
    /// The directory of the process.
    Directory,
    /// A variable of the process.
    Variable(&'static str),
    /// The soft limit of open files of the process.
    OpenFiles,
}

/// Says that it is ready, and stays.
const MAIN: &str = "setInterval(() => {}, 1000);\nif (process.send) process.send('ready');\n";

/// Keys that name an app: another name is another app.
const NAMES: [&str; 2] = ["name", "append_env_to_name"];

type Row = (&'static str, &'static str, At, Value);

/// What is edited in `one`, a fork.
fn of_one() -> Vec<Row> {
    use At::{Directory, List, OpenFiles, Variable, Word};
    let mut rows = vec![
        ("namespace", "'back'", List("namespace"), json!("back")),
        ("script", "'$WORK/other.js'", Word(3), json!("$WORK/other.js")),
        ("args", "'x y'", Word(5), json!("y")),
        ("cwd", "'sub'", Directory, json!("$WORK/sub")),
        ("interpreter", "'$WORK/bin/node'", Word(0), json!("$WORK/bin/node")),
        ("node_args", "'--no-warnings'", Word(2), json!("--no-warnings")),
        ("source_map_support", "true", Word(1), json!("--enable-source-maps")),
        ("env", "{ A = 'a' }", Variable("A"), json!("a")),
        ("instance_var", "'SLOT'", Variable("SLOT"), json!("0")),
        ("port", "4000", Variable("PORT"), json!("4000")),
        ("share_ports", "true", List("share_ports"), json!(true)),
        ("out_file", "'o.log'", List("pm_out_log_path"), json!("$WORK/sub/o.log")),
        ("error_file", "'e.log'", List("pm_err_log_path"), json!("$WORK/sub/e.log")),
        ("log_type", "'json'", List("log_type"), json!("json")),
        ("log_date_format", "'YYYY'", List("log_date_format"), json!("YYYY")),
        ("log_file", "'all.log'", List("pm_log_path"), json!("$WORK/sub/all.log")),
        ("rotate", "{ keep = 3 }", List("/rotate/keep"), json!(3)),
        ("log_full", "'block'", List("log_full"), json!("block")),
        ("log_mode", "'0640'", List("log_mode"), json!("0640")),
        ("log_group", "'0'", List("log_group"), json!("0")),
        ("log_ship", "['journald']", List("/log_ship/0"), json!("journald")),
        ("pid_file", "'p.pid'", List("pm_pid_path"), json!("$WORK/sub/p-1.pid")),
        ("post_update", "['true']", List("/post_update/0"), json!("true")),
        ("autorestart", "false", List("autorestart"), json!(false)),
        ("stop_exit_codes", "[3]", List("stop_exit_codes"), json!([3])),
        ("max_restarts", "5", List("max_restarts"), json!(5)),
        ("min_uptime", "'300ms'", List("min_uptime"), json!(300)),
        ("restart_delay", "7", List("restart_delay"), json!(7)),
        ("exp_backoff_restart_delay", "9", List("exp_backoff_restart_delay"), json!(9)),
        ("max_memory_restart", "'300M'", List("max_memory_restart"), json!(314_572_800)),
        ("kill_timeout", "1700", List("kill_timeout"), json!(1700)),
        ("listen_timeout", "'59s'", List("listen_timeout"), json!(59_000)),
        ("ready", "{ exec = 'true' }", List("/ready/exec"), json!("true")),
        ("health", "{ exec = 'true' }", List("/health/probe/exec"), json!("true")),
        ("limits", "{ nofile = 512 }", OpenFiles, json!("512")),
        ("depends_on", "['two']", List("/depends_on/two"), json!("ready")),
        ("on", "{ crash = 'true' }", List("/on/crash"), json!("true")),
        ("drain_timeout", "'9s'", List("drain_timeout"), json!(9000)),
        ("stop_signal", "'SIGTERM'", List("stop_signal"), json!("SIGTERM")),
        ("treekill", "false", List("treekill"), json!(false)),
        ("shutdown_with_message", "true", List("shutdown_with_message"), json!(true)),
        ("env_file", "'$WORK/.env'", Variable("B"), json!("b")),
        ("filter_env", "'HIDDEN'", Variable("HIDDEN"), Value::Null),
        ("cron_restart", "'0 0 1 1 *'", List("cron_restart"), json!("0 0 1 1 *")),
        ("watch", "['w']", List("watch"), json!(["w"])),
        ("ignore_watch", "['x']", List("ignore_watch"), json!(["x"])),
        ("watch_delay", "50", List("watch_delay"), json!(50)),
        (
            "watch_options",
            "{ followSymlinks = true }",
            List("/watch_options/followSymlinks"),
            json!(true),
        ),
    ];
    if geteuid().is_root() {
        rows.push(("uid", "'root'", List("uid"), json!(0)));
        rows.push(("gid", "0", List("gid"), json!(0)));
    }
    rows
}

/// What is edited in `two`, which becomes a cluster.
fn of_two() -> Vec<Row> {
    use At::List;
    vec![
        ("instances", "2", List("instances"), json!(2)),
        ("exec_mode", "'cluster'", List("exec_mode"), json!("cluster_mode")),
        ("balance", "'random'", List("balance"), json!("random")),
        ("max_surge", "2", List("max_surge"), json!(2)),
        ("merge_logs", "true", List("merge_logs"), json!(true)),
        ("time", "true", List("log_date_format"), json!("YYYY-MM-DDTHH:mm:ss")),
        ("wait_ready", "true", List("wait_ready"), json!(true)),
        ("listen", "['unix:$WORK/a.sock']", List("/listen/0"), json!("unix:$WORK/a.sock")),
    ]
}

/// What is edited in `three`, whose instances keep ports of their own.
fn of_three() -> Vec<Row> {
    use At::List;
    vec![
        ("execute_command", "true", List("exec_mode"), json!("fork_mode")),
        ("increment_var", "'PORT'", List("increment_var"), json!("PORT")),
        ("disable_logs", "true", List("pm_out_log_path"), json!("/dev/null")),
        ("autostart", "false", List("autostart"), json!(false)),
        ("proxy", "['$PROXY']", List("/proxy/listen/0/tcp"), json!("$PROXY")),
    ]
}

struct Bench {
    home: Home,
    proxy: String,
}

impl Bench {
    fn new() -> Self {
        let home = Home::new();
        let work = home.work();
        fs::create_dir_all(work.join("sub/w")).unwrap();
        fs::create_dir(work.join("bin")).unwrap();
        for (name, text) in [("main.js", MAIN), ("other.js", MAIN), (".env", "B=b\n")] {
            fs::write(work.join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(node(), work.join("bin/node")).unwrap();
        Self { home, proxy: format!("127.0.0.1:{}", port()) }
    }

    fn filled(&self, text: &str) -> String {
        let work = self.home.work().display().to_string();
        text.replace("$WORK", &work).replace("$PROXY", &self.proxy)
    }

    /// Writes the file with these lines.
    fn write(&self, rows: &[(&str, Vec<Row>)]) {
        let mut text = String::new();
        for (app, rows) in rows {
            text.push_str(&format!("[[apps]]\nname = '{app}'\n"));
            let script = rows.iter().all(|row| row.0 != "script");
            text.push_str(if script { "script = '$WORK/main.js'\n" } else { "" });
            // Three has the ports its front needs.
            let ports = *app == "three" && !rows.is_empty();
            text.push_str(if ports { "instances = 2\nport = 4100\n" } else { "" });
            // What says that it is ready may take longer than PM2's three seconds to load.
            let speaks = *app == "two" && !rows.is_empty();
            text.push_str(if speaks { "listen_timeout = '59s'\n" } else { "" });
            for (key, value, ..) in rows {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        self.home.write("ecosystem.toml", &self.filled(&text));
    }

    fn apply(&self) -> String {
        self.home.rpm(["apply"]).env("HIDDEN", "h").success().stdout
    }

    /// The daemon's description of each app, by its name.
    fn specs(&self) -> Value {
        let targets = json!({ "targets": { "words": ["all"], "cwd": "/" } });
        let details = self.home.ask("describe", &targets);
        let all = details["result"].as_array().expect("details");
        let named = |one: &Value| {
            let spec = one["spec"].clone();
            (spec["name"].as_str().expect("a name").to_owned(), spec)
        };
        Value::Object(all.iter().map(named).collect())
    }

    /// The value of a row as it is in force.
    fn seen(&self, app: &str, at: At) -> Value {
        let first = || self.home.app(app).remove(0);
        match at {
            At::List(place) => {
                match place.strip_prefix('/').and_then(|path| path.split_once('/')) {
                    Some((field, below)) => first()
                        .env(field)
                        .pointer(&format!("/{below}"))
                        .cloned()
                        .unwrap_or_default(),
                    None => first().env(place).clone(),
                }
            }
            At::Word(number) => {
                let text = fs::read(format!("/proc/{}/cmdline", first().pid())).unwrap();
                let text = String::from_utf8_lossy(&text).into_owned();
                text.split('\0').nth(number).map(|word| json!(word)).unwrap_or_default()
            }
            At::Directory => {
                json!(fs::read_link(format!("/proc/{}/cwd", first().pid())).unwrap())
            }
            At::Variable(name) => {
                let text = fs::read(format!("/proc/{}/environ", first().pid())).unwrap();
                let text = String::from_utf8_lossy(&text).into_owned();
                let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
                pairs
                    .filter(|(key, _)| *key == name)
                    .map(|(_, value)| json!(value))
                    .collect::<Vec<_>>()
                    .pop()
                    .unwrap_or_default()
            }
            At::OpenFiles => {
                let text = fs::read_to_string(format!("/proc/{}/limits", first().pid())).unwrap();
                let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap();
                json!(line.split_whitespace().nth(3).unwrap())
            }
        }
    }

    fn pids(&self) -> Vec<u32> {
        self.home.jlist().iter().map(|app| app.pid()).collect()
    }
}

fn node() -> String {
    let path = std::env::var("PATH").unwrap();
    let mut found = path.split(':').map(|dir| format!("{dir}/node"));
    found.find(|file| fs::metadata(file).is_ok()).expect("node")
}

/// The keys of the reference, without those that mean nothing.
fn reference() -> BTreeSet<String> {
    let text = include_str!("../../docs/ecosystem.md");
    let meaning = text.split("| key | why |").next().unwrap();
    let rows = meaning.lines().filter_map(|line| line.strip_prefix("| `"));
    let named = rows.filter_map(|row| row.split_once("` |")).map(|(name, _)| name);
    named.filter(|name| !name.starts_with(['.', '-'])).map(str::to_owned).collect()
}

#[test]
fn every_key_shows_up_and_goes_again() {
    let bench = Bench::new();
    let edited = [("two", of_two()), ("one", of_one()), ("three", of_three())];
    let plain = ["two", "one", "three"].map(|app| (app, Vec::new()));

    let mut keys: BTreeSet<String> = NAMES.map(str::to_owned).into();
    keys.extend(edited.iter().flat_map(|(_, rows)| rows.iter().map(|row| row.0.to_owned())));
    if !geteuid().is_root() {
        keys.extend(["uid".to_owned(), "gid".to_owned()]);
    }
    assert_eq!(keys, reference());

    bench.write(&plain);
    bench.apply();
    let former = bench.specs();
    let pids = bench.pids();

    bench.write(&edited);
    let dry = bench.home.rpm(["apply", "--dry-run", "--prune", "--json"]).success().stdout;
    let dry: Value = serde_json::from_str(&dry).expect("JSON");
    assert_eq!(dry["apps"].as_array().map(Vec::len), Some(3));
    assert_eq!(bench.pids(), pids, "a dry run does nothing");

    let told = bench.apply();
    assert!(!told.contains("no change"), "{told}");
    let mut missing = Vec::new();
    for (app, rows) in &edited {
        for (key, value, at, want) in rows {
            let seen = bench.seen(app, *at);
            let want: Value = serde_json::from_str(&bench.filled(&want.to_string())).unwrap();
            if seen != want {
                missing.push(format!("{app}: {key} = {value}: {seen}, not {want}"));
            }
        }
    }
    assert_eq!(missing, [""; 0], "{told}");

    let pids = bench.pids();
    assert_eq!(bench.apply(), "no change\n");
    assert_eq!(bench.pids(), pids);

    bench.write(&plain);
    bench.apply();
    assert_eq!(bench.specs(), former);
    assert_eq!(bench.apply(), "no change\n");
}
