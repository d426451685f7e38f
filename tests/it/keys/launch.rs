//! The keys about what is executed: seen in /proc.

use super::{STAYS, plain, script, variable, words};
use crate::harness::Home;

/// One file for all: each app shows some keys.
const FILE: &str = r#"{
  deploy: { production: { user: "x", env: { A: "deploy", Z: "deploy" } } },
  apps: [
    { name: "plain", script: "run.sh", cwd: "sub", args: ["a b", "c"], port: 4321,
      env: { A: "1", B: 2, C: true, D: { x: [1, null] }, E: null },
      env_production: { A: "over" }, env_staging: { A: "never" } },
    { name: "sh", cmd: "run.sh", exec_interpreter: "sh", interpreterArgs: "-e -u",
      args: "one 'two three'", namespace: "back" },
    { name: "none", command: "./own", interpreter: "none", args: "x" },
    { name: "line", exec: "sh -c 'read line' --flag" },
    { name: "shell", script: "read line; true && false" },
    { name: "count", script: "run.sh", instances: 3, increment_var: "PORT", port: 4100,
      instance_var: "SLOT", env: { WHO: "number-{instance}" } },
    { name: "zero", script: "run.sh", increment_var: "N" },
    { name: "forks", script: "run.sh", instances: 2, execute_command: true },
    { name: "api", script: "run.sh", append_env_to_name: true },
    { name: "all", script: "run.sh", filter_env: true },
    { name: "named", script: "run.sh", filter_env: "HIDE_ONE" },
    { name: "parts", script: "run.sh", filter_env: ["HIDE", "nothing"] },
    { name: "forces", script: "run.sh", force: true, vizion: false, kill_retry_time: 100 },
  ]
}"#;

struct Fleet(Home);

impl Fleet {
    fn started() -> Self {
        let home = Home::new();
        std::fs::create_dir(home.work().join("sub")).unwrap();
        for name in ["run.sh", "sub/run.sh", "own"] {
            script(&home, name, STAYS);
        }
        home.write("launch.json", FILE);
        let words = ["start", "launch.json", "--env", "production"];
        let start = home.rpm(words).env("HIDE_ONE", "1").env("HIDE_TWO", "2").env("N", " 7 ");
        let started = start.success();
        for key in ["force", "kill_retry_time"] {
            let said = format!("app forces: key `{key}` means nothing here");
            assert!(started.stderr.contains(&said), "{started:?}");
        }
        Self(home)
    }

    fn words(&self, app: &str) -> String {
        let words = words(self.0.single(app).pid());
        plain(&self.0, &words.join("|"))
    }

    /// The variables of the first instance, as `NAME=value` where they are there.
    fn variables(&self, app: &str, names: &[&str]) -> Vec<String> {
        let pid = self.0.app(app)[0].pid();
        let one = |name: &&str| Some(format!("{name}={}", variable(pid, name)?));
        names.iter().filter_map(one).collect()
    }
}

#[test]
fn every_key_of_the_launch_is_seen_in_the_process() {
    let fleet = Fleet::started();
    let home = &fleet.0;

    assert_eq!(fleet.words("plain"), "bash|$WORK/sub/run.sh|a b|c");
    assert_eq!(fleet.words("sh"), "sh|-e|-u|$WORK/run.sh|one|two three");
    assert_eq!(fleet.words("none"), "/bin/sh|$WORK/own|x");
    assert!(fleet.words("line").ends_with("sh|-c|read line|--flag"), "{}", fleet.words("line"));
    assert!(fleet.words("shell").ends_with("bash|-c|read line; true && false"));
    let cwd = std::fs::read_link(format!("/proc/{}/cwd", home.single("plain").pid())).unwrap();
    assert_eq!(cwd, home.work().join("sub"));

    let seen = fleet.variables("plain", &["A", "B", "C", "D", "E", "Z", "PORT"]);
    let want = ["A=over", "B=2", "C=true", "D={\"x\":[1,null]}", "Z=deploy", "PORT=4321"];
    assert_eq!(seen, want);
    assert_eq!(home.single("sh").env("namespace"), "back");

    let count: Vec<String> = home
        .app("count")
        .iter()
        .map(|app| {
            let of = |name| variable(app.pid(), name).unwrap_or_else(|| "-".to_owned());
            let names = ["PORT", "SLOT", "NODE_APP_INSTANCE", "WHO"].map(of);
            format!("{} {}", app.exec_mode(), names.join(" "))
        })
        .collect();
    let want = [0, 1, 2].map(|slot| format!("fork_mode {} {slot} - number-{slot}", 4100 + slot));
    assert_eq!(count, want);
    assert_eq!(
        fleet.variables("zero", &["N", "NODE_APP_INSTANCE"]),
        ["N=7", "NODE_APP_INSTANCE=0"]
    );
    let modes: Vec<_> = home.app("forks").iter().map(|app| app.exec_mode().to_owned()).collect();
    assert_eq!(modes, ["fork_mode", "fork_mode"]);
    assert_eq!((home.app("api").len(), home.app("api-production").len()), (0, 1));

    let hidden = ["HIDE_ONE", "HIDE_TWO", "HOME"];
    let home_is = format!("HOME={}", std::env::var("HOME").unwrap_or_default());
    let kept = |app| fleet.variables(app, &hidden);
    assert_eq!(kept("plain"), ["HIDE_ONE=1", "HIDE_TWO=2", home_is.as_str()]);
    assert_eq!(kept("all"), [""; 0]);
    assert_eq!(kept("named"), ["HIDE_TWO=2", home_is.as_str()]);
    assert_eq!(kept("parts"), [home_is.as_str()]);
}

#[test]
fn a_pid_file_can_be_named_on_the_command_line() {
    let home = Home::new();
    script(&home, "run.sh", STAYS);
    home.rpm(["start", "run.sh", "--pid", "run/run.pid"]).success();
    let app = home.single("run");
    let pid_file = home.work().join("run/run-0.pid");
    assert_eq!(app.env("pm_pid_path"), &*pid_file.display().to_string());
    assert!(super::has(&pid_file, &app.pid().to_string()));
}

#[test]
fn an_interpreter_may_be_a_version_that_nvm_has() {
    let home = Home::new();
    let bin = home.work().join("nvm/versions/node/v20.9.0/bin");
    std::fs::create_dir_all(&bin).unwrap();
    // It stands for that Node: what matters is which file runs the script.
    std::os::unix::fs::symlink("/bin/sh", bin.join("node")).unwrap();
    script(&home, "app.js", "read line\n");
    let start = |version: &str| {
        home.rpm(["start", "app.js", "--interpreter", version])
            .env("NVM_DIR", home.work().join("nvm").display())
    };
    start("node@18").refused(&["node@18", "which has 20.9.0", "nvm install 18"]);
    start("node@20").success();
    let shown = home.single("app").env("exec_interpreter").clone();
    assert_eq!(shown, &*bin.join("node").display().to_string());
}
