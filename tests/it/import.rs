//! `import`: the apps of a real PM2 become rpm's.

use crate::harness::{Home, Output, Rpm, get, node_modules, port};
use serde_json::{Value, json};
use std::fs;

/// A home, and npm's PM2 with one of its own, ended with the test.
struct Both {
    home: Home,
    port: u16,
}

impl Both {
    fn new() -> Self {
        let home = Home::new();
        for name in ["messages.js", "server.py", "ticker.js"] {
            home.copy(name);
        }
        Self { home, port: port() }
    }

    fn in_home(&self, words: &[&str]) -> Rpm {
        let pm2_home = self.home.root().join("pm2");
        Rpm::new(&self.home, words)
            .env("PM2_HOME", pm2_home.display())
            .env("PM2_DISCRETE_MODE", 1)
            .env("NO_COLOR", 1)
            .env("PORT", self.port)
    }

    fn pm2(&self, words: &[&str]) -> Output {
        let program = node_modules().join("pm2/bin/pm2");
        let words = [&["node", program.to_str().expect("a path")], words].concat();
        self.in_home(&words).success()
    }

    /// PM2's list: names and states.
    fn in_pm2(&self) -> Vec<(String, String)> {
        let list: Value = serde_json::from_str(&self.pm2(&["jlist"]).stdout).expect("JSON");
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let brief = |one: &Value| (text(&one["name"]), text(&one["pm2_env"]["status"]));
        list.as_array().expect("a list").iter().map(brief).collect()
    }

    /// `rpm import`, with what is said on stderr.
    fn import(&self, words: &[&str]) -> Rpm {
        let words = [&[env!("CARGO_BIN_EXE_rpm"), "import"], words].concat();
        self.in_home(&words)
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        self.pm2(&["kill"]);
    }
}

/// What stands above the table.
fn told(output: &Output) -> &str {
    output.stdout.split('┌').next().unwrap_or_default()
}

const FILE: &str = r#"{ "apps": [
    { "name": "web", "script": "messages.js", "instances": 2, "exec_mode": "cluster",
      "env": { "FLAVOUR": "sweet" }, "args": ["--two words", "x"], "kill_timeout": 2500,
      "listen_timeout": 30000,
      "max_memory_restart": "200M", "error_file": "own.log", "flavour": "sour" },
    { "name": "py", "script": "server.py", "interpreter": "python3", "namespace": "back",
      "env": { "PORT": "0" }, "autorestart": false },
    { "name": "idle", "script": "ticker.js", "cron_restart": "0 3 * * *" } ] }"#;

#[test]
fn a_dump_is_taken_over() {
    let both = Both::new();
    both.home.write("apps.json", FILE);
    // One after the other, so that their order is known.
    for name in ["web", "py", "idle"] {
        both.pm2(&["start", "apps.json", "--only", name]);
    }
    both.pm2(&["stop", "idle"]);
    both.pm2(&["save"]);
    both.pm2(&["kill"]);
    let would = "would start web × 2: $ROOT/work/messages.js\n\
        would start py × 1: $ROOT/work/server.py\n\
        would start idle × 1, 1 of them stopped: $ROOT/work/ticker.js\n";
    both.import(&["--dry-run"]).stdout(would).success();
    assert!(!both.home.path().join("rpm.sock").exists());
    let output = both.import(&[]).success();
    let want = "imported web (0, 1)\nimported py (2)\nimported idle (3), stopped as it was\n";
    assert_eq!(told(&output), want);
    assert_eq!(output.stderr, "3 of 3 apps are imported; rpm save keeps them\n");
    let [web, _] = &both.home.app("web")[..] else { panic!("two of web") };
    for (key, want) in [
        ("exec_mode", json!("cluster_mode")),
        ("args", json!(["--two words", "x"])),
        ("kill_timeout", json!(2500)),
        ("max_memory_restart", json!(200 << 20)),
        ("FLAVOUR", json!("sweet")),
        ("instances", json!(2)),
    ] {
        assert_eq!(*web.env(key), want, "{key}");
    }
    let work = both.home.work().display().to_string();
    assert_eq!(*web.env("pm_err_log_path"), json!(format!("{work}/own-0.log")));
    let logs = both.home.path().join("logs/web-out-0.log").display().to_string();
    assert_eq!(*web.env("pm_out_log_path"), json!(logs));
    let py = both.home.single("py");
    assert_eq!((py.env("namespace"), py.env("autorestart")), (&json!("back"), &json!(false)));
    let idle = both.home.single("idle");
    assert_eq!((idle.status(), idle.env("cron_restart")), ("stopped", &json!("0 3 * * *")));
    assert!(get(both.port, "/").expect("an answer").body.contains("pid"));
    // What a restart with another shell's environment must not lose.
    let restart = both.home.rpm(["restart", "web", "--update-env"]);
    restart.env("PORT", both.port).success();
    assert_eq!(*both.home.app("web")[0].env("FLAVOUR"), json!("sweet"));
    // Not again.
    let output = both.import(&[]).exits(1);
    assert!(output.stderr.contains("web is not imported: rpm has an app of this name already"));
}

#[test]
fn a_living_pm2_is_taken_over_app_by_app() {
    let both = Both::new();
    both.pm2(&["start", "messages.js", "--name", "web", "-i", "2", "--listen-timeout", "30000"]);
    both.pm2(&["start", "ticker.js", "--name", "worker"]);
    both.pm2(&["start", "ticker.js", "--name", "idle"]);
    both.pm2(&["stop", "idle"]);
    let output = both.import(&["--live"]).success();
    let want = "imported web (0, 1)\nimported worker (2)\nimported idle (3), stopped as it was\n";
    assert_eq!(told(&output), want);
    // Why is told in the words of whoever found it first: the daemon or Node.
    let first = "warning: web is stopped in PM2 first, since beside it: exited with code 1 before \
                 it was ready (";
    assert!(output.stderr.starts_with(first), "{output:?}");
    let last = ")\n3 of 3 apps are imported; rpm save keeps them\n";
    assert!(output.stderr.ends_with(last) && output.stderr.lines().count() == 2, "{output:?}");
    assert_eq!(both.in_pm2(), []);
    assert!(get(both.port, "/").expect("an answer").body.contains("pid"));
    assert_eq!(both.home.app("web").len(), 2);
    assert_eq!(both.home.single("idle").status(), "stopped");
}

#[test]
fn what_runs_nowhere_else_stays_in_pm2() {
    let both = Both::new();
    // It cannot run twice, and not here at all.
    both.home.write(
        "only.js",
        "if (!process.env.PM2_HOME) process.exit(3);\nsetInterval(() => {}, 1e6);\n",
    );
    // It fails before it could be taken for ready, however slowly it starts.
    let app = r#"{ "apps": [{ "name": "only", "script": "only.js", "min_uptime": "30s" }] }"#;
    both.home.write("only.json", app);
    both.pm2(&["start", "only.json"]);
    let output = both.import(&["--live"]).exits(1);
    assert!(output.stderr.contains("it runs in PM2 again"), "{output:?}");
    assert_eq!(both.in_pm2(), [("only".to_owned(), "online".to_owned())]);
    assert_eq!(both.home.jlist().len(), 0);
}

#[test]
fn what_is_no_dump() {
    let home = Home::new();
    let import = |word: &str| home.rpm(["import", word]);
    import("nowhere.pm2").refused(&["nowhere.pm2", "pm2 save"]);
    for text in ["", "{}", "[1]", "[{\"name\":", "no JSON"] {
        fs::write(home.work().join("dump.pm2"), text).unwrap();
        import("dump.pm2").refused(&["it is no dump of PM2"]);
    }
    home.rpm(["import", "--live"]).env("PM2_HOME", "/nowhere").refused(&["no PM2 answers"]);
    home.rpm(["import", "--live", "dump.pm2"]).refused_with(2, &["--live"]);
    // One that cannot be run does not hold up the others.
    let sh = json!({ "name": "sh", "pm_exec_path": "/bin/sh", "pm_cwd": "/",
                     "exec_interpreter": "none", "args": ["-c", "sleep 1000"], "env": {} });
    let list = json!([{ "name": "gone", "pm_exec_path": "/no.js", "env": {} }, {}, sh]);
    fs::write(home.work().join("dump.pm2"), list.to_string()).unwrap();
    let output = import("dump.pm2").exits(1);
    assert_eq!(told(&output), "imported sh (0)\n");
    for words in ["gone is not imported", "/no.js", "nameless", "no pm_exec_path", "1 of 3 apps"] {
        assert!(output.stderr.contains(words), "no {words:?} in {output:?}");
    }
}
