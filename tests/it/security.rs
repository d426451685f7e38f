//! Who may do what: files and socket are their user's alone, secrets are not shown, no shell sees a
//! string that nobody wrote for one, and root is led nowhere. Each line of docs/security.md that
//! speaks of the whole program has its test here.

use crate::harness::{Home, Rpm};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

/// Nobody's user, which every Linux has.
const NOBODY: u32 = 65534;

/// What needs root says so and passes elsewhere.
fn is_root() -> bool {
    let root = rustix::process::geteuid().as_raw() == 0;
    if !root {
        eprintln!("skipped: only root may take another user");
    }
    root
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// All that is below a directory. What rpm replaces may go meanwhile.
fn below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn everything_in_the_home_is_its_users_alone() {
    let home = Home::new();
    home.copy("streams.js");
    // Whatever the umask of who starts it is.
    let line = format!("umask 0; exec {} start streams.js --name app", env!("CARGO_BIN_EXE_rpm"));
    Rpm::new(&home, &["sh", "-c", &line]).success();
    home.wait_for_line(&home.single("app").out_log(), "to stdout");
    home.rpm(["set", "a:b", "c"]).success();
    home.rpm(["save"]).success();
    home.rpm(["save"]).success();
    home.rpm(["restart", "app"]).success();
    assert_eq!(mode(&home.path()), 0o700);
    assert_eq!(mode(&home.path().join("rpm.sock")), 0o600);
    let all = below(&home.path());
    assert!(all.len() >= 10, "{all:?}");
    let is_open = |path: &&PathBuf| {
        let found = fs::symlink_metadata(path).ok();
        found.is_some_and(|found| found.permissions().mode() & 0o077 != 0)
    };
    let open: Vec<_> = all.iter().filter(is_open).collect();
    assert_eq!(open, Vec::<&PathBuf>::new());
    for name in ["dump.pm2", "rpm.log", "module_conf.json", "logs/app-out.log", "pids/app-0.pid"] {
        assert_eq!(mode(&home.path().join(name)), 0o600, "{name}");
    }
}

/// `rpm` as nobody, with this home.
fn as_nobody(home: &Home, words: &[&str]) -> Rpm {
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    home.rpm_under(&nobody, words).env("HOME", "/nonexistent")
}

#[test]
fn another_user_is_refused_with_a_clear_message() {
    if !is_root() {
        return;
    }
    let home = Home::with_own_binary();
    set_mode(home.root(), 0o755);
    set_mode(&home.root().join("rpm"), 0o755);
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "app"]).success();
    let before = home.single("app").pid();
    // As it is: the home is closed.
    let closed = as_nobody(&home, &["ls"]).refused_with(3, &["$ROOT/home belongs to uid 0"]);
    assert!(closed.stdout.is_empty());
    // Somebody opened it: the daemon looks who connects.
    set_mode(&home.path(), 0o711);
    set_mode(&home.path().join("rpm.sock"), 0o666);
    for words in [&["ls"][..], &["jlist"], &["stop", "app"], &["kill"]] {
        let refused = as_nobody(&home, words).output();
        assert!(matches!(refused.code, 1 | 3), "{refused:?}");
        refused.is_clear();
        assert!(
            refused.stderr.contains("user 65534 may not use the daemon of user 0"),
            "{refused:?}"
        );
        assert!(refused.stdout.is_empty(), "{refused:?}");
    }
    assert_eq!(home.single("app").pid(), before);
    assert_eq!(home.single("app").restarts(), 0);
}

#[test]
fn a_home_of_somebody_else_is_refused() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    home.rpm(["ls"]).refused_with(3, &["$ROOT/home", "65534"]);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn secrets_are_hidden_unless_they_are_asked_for() {
    let home = Home::new();
    home.copy("environment.js");
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"app\"\nscript = \"environment.js\"\nargs = \"API_KEY\"\n\
         [apps.env]\nAPI_KEY = \"hunter2\"\nDB = \"postgres://me:hunter2@db/x\"\n\
         PLAIN = \"seen\"\n",
    );
    home.rpm(["start", "ecosystem.toml"]).env("AWS_SECRET", "hunter2").success();
    // The app itself has them.
    home.wait_for_line(&home.single("app").out_log(), "API_KEY=hunter2");
    let targets = json!({ "words": ["app"], "cwd": "/" });
    let api = home.ask("describe", &json!({ "targets": targets })).to_string();
    for shown in [
        home.rpm(["show", "app"]).success().stdout,
        home.rpm(["show", "app", "--json"]).success().stdout,
        home.rpm(["ls"]).success().stdout,
        home.rpm(["report"]).success().stdout,
        home.ask("list", &json!({})).to_string(),
        api.clone(),
        home.log(),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(api.contains("\"API_KEY\":\"***\"") && api.contains("\"PLAIN\":\"seen\""), "{api}");
    let asked = home.rpm(["show", "app", "--json", "--secrets"]).success().stdout;
    let asked: Value = serde_json::from_str(&asked).unwrap();
    assert_eq!(asked[0]["environment"]["API_KEY"], "hunter2");
    assert_eq!(asked[0]["environment"]["AWS_SECRET"], "hunter2");
    assert!(home.rpm(["env", "app"]).success().stdout.contains("API_KEY: hunter2\n"));
    // What changes an app puts no stars in their place.
    home.rpm(["apply", "ecosystem.toml"]).env("AWS_SECRET", "hunter2").success();
    home.rpm(["restart", "app"]).success();
    assert!(home.rpm(["env", "app"]).success().stdout.contains("API_KEY: hunter2\n"));
}

/// What a shell would act on.
const NASTY: [&str; 14] = [
    "$(touch pwned)",
    "`touch pwned`",
    "; touch pwned",
    "| touch pwned",
    "&& touch pwned",
    "> pwned",
    "a'b",
    "a\"b",
    "'; touch pwned; '",
    "\"; touch pwned; \"",
    "two\nlines; touch pwned",
    "\\",
    "../../pwned",
    "*",
];

/// Tells its arguments, its directory and its variables.
const TELLS: &str = "import json, os, sys\n\
    keys = [k for k in os.environ if k.startswith('N_')]\n\
    told = {'args': sys.argv[1:], 'cwd': os.getcwd(), 'script': sys.argv[0],\n\
            'env': {k: os.environ[k] for k in keys}}\n\
    print(json.dumps(told), flush=True)\n\
    sys.stdin.read()\n";

#[test]
fn no_string_of_a_file_reaches_a_shell() {
    let home = Home::new();
    // One folder and script for each that can be the name of one.
    for (number, nasty) in NASTY.iter().enumerate().filter(|(_, text)| !text.contains('/')) {
        let folder = home.work().join(format!("d {nasty}"));
        fs::create_dir(&folder).unwrap();
        let script = folder.join(format!("s {nasty}.py"));
        fs::write(&script, TELLS).unwrap();
        let env: serde_json::Map<_, _> =
            NASTY.iter().enumerate().map(|(n, text)| (format!("N_{n}"), json!(text))).collect();
        let name = format!("n {nasty}").replace('\n', " ");
        let app = json!({
            "name": name, "namespace": name, "script": script, "cwd": folder, "args": NASTY,
            "env": env, "out_file": folder.join(format!("o {nasty}.log")), "autorestart": false,
            "error_file": folder.join(format!("e {nasty}.log")), "exec_mode": "fork",
        });
        let file = home.write("ecosystem.json", &json!({ "apps": [app] }).to_string());
        home.rpm(["start", file.to_str().unwrap()]).success();
        let log = folder.join(format!("o {nasty}.log"));
        let told = home.wait_for_line(&log, "\n");
        let told: Value = serde_json::from_str(told.trim_end()).unwrap();
        let want = json!({ "args": NASTY, "cwd": folder, "script": script, "env": env });
        assert_eq!(told, want, "{number}");
        // Whatever names it finds it, and nothing else.
        home.rpm(["restart", &name]).success();
        home.rpm(["show", &name]).success();
        home.rpm(["logs", &name, "--nostream"]).success();
        home.rpm(["startup", "systemd", "--dry-run", "--service-name", "rpm-me"]).success();
        home.rpm(["delete", &name]).success();
    }
    let pwned: Vec<_> =
        below(home.root()).into_iter().filter(|path| path.ends_with("pwned")).collect();
    assert_eq!(pwned, Vec::<PathBuf>::new());
    assert!(!Path::new("/pwned").exists());
}

/// On the command line the same, as words of their own.
#[test]
fn no_word_of_a_command_line_reaches_a_shell() {
    let home = Home::new();
    home.write("tells.py", TELLS);
    for nasty in NASTY {
        let words =
            ["start", "tells.py", "--name", "app", "--no-autorestart", "--", nasty, "--", nasty];
        home.rpm(words).success();
        let told = home.wait_for_line(&home.single("app").out_log(), "\n");
        let told: Value = serde_json::from_str(told.trim_end()).unwrap();
        assert_eq!(told["args"], json!([nasty, "--", nasty]));
        home.rpm(["delete", "app"]).success();
        home.rpm(["flush"]).success();
        // As a target it is none, and does nothing.
        let refused = home.rpm(["restart", nasty]).output();
        assert_eq!(refused.code, 1, "{refused:?}");
        fs::remove_file(home.path().join("logs/app-out.log")).unwrap();
    }
    assert!(below(home.root()).iter().all(|path| !path.ends_with("pwned")));
}

/// With the groups that `/etc/group` gives a user; the test's own, in a mount namespace of its own.
#[test]
fn an_apps_user_has_the_groups_that_su_gives() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let joined = |name: &str, id: u32| format!("{name}:x:{id}:daemon\n");
    home.write("group", &(groups + &joined("rpm-one", 60_001) + &joined("rpm-two", 60_002)));
    home.write(
        "ecosystem.toml",
        "[[apps]]\nname = \"who\"\nscript = \"id; exec sleep 86413\"\nuid = \"daemon\"\n",
    );
    let line = format!(
        "mount --bind group /etc/group && {} start ecosystem.toml >&2 && \
         su -s /bin/sh daemon -c id",
        env!("CARGO_BIN_EXE_rpm")
    );
    let output = Rpm::new(&home, &["unshare", "-m", "sh", "-c", &line]).output();
    if output.stderr.contains("unshare failed") || output.stderr.contains("mount:") {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("60001(rpm-one)"), "{output:?}");
    let log = home.single("who").out_log();
    assert_eq!(home.wait_for_line(&log, "\n"), output.stdout);
    // All three ids are the user's: nothing can be taken back.
    let status = fs::read_to_string(format!("/proc/{}/status", home.single("who").pid())).unwrap();
    assert!(status.contains("\nUid:\t1\t1\t1\t1\n"), "{status}");
    assert!(status.contains("\nGid:\t1\t1\t1\t1\n"), "{status}");
}

/// A folder of nobody's, a victim beside it, and an app that logs into the folder.
fn logs_to_others(home: &Home) -> (PathBuf, PathBuf) {
    let folder = home.work().join("theirs");
    fs::create_dir(&folder).unwrap();
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    let victim = home.write("victim", "precious\n");
    home.copy("ticker.js");
    let log = folder.join("app.log");
    home.write(
        "ecosystem.toml",
        &format!(
            "[[apps]]\nname = \"app\"\nscript = \"ticker.js\"\nout_file = \"{}\"\n",
            log.display()
        ),
    );
    (log, victim)
}

#[test]
fn root_follows_no_link_that_was_planted_among_logs() {
    if !is_root() {
        return;
    }
    // It is there before the app is.
    let home = Home::new();
    let (log, victim) = logs_to_others(&home);
    symlink(&victim, &log).unwrap();
    let said = home.rpm(["start", "ecosystem.toml"]).output();
    home.wait_for_log(|text| text.contains("app.log is a link in a directory"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n", "{said:?}");
    // It comes in place of a log that is written to, and then of its folder.
    let home = Home::new();
    let (log, victim) = logs_to_others(&home);
    home.rpm(["start", "ecosystem.toml"]).success();
    home.wait_for_line(&log, "tick 1\n");
    fs::remove_file(&log).unwrap();
    symlink(&victim, &log).unwrap();
    let flushed = home.rpm(["flush", "app"]).output();
    assert_eq!(flushed.code, 1, "{flushed:?}");
    home.rpm(["reloadLogs"]).output();
    home.rpm(["restart", "app"]).output();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
    // A second name instead of a link.
    fs::remove_file(&log).unwrap();
    fs::hard_link(&victim, &log).unwrap();
    home.rpm(["reloadLogs"]).output();
    home.rpm(["restart", "app"]).output();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n");
}
