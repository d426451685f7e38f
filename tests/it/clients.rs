//! Programs of other people that run `pm2` and read what it says, with `rpm` under that name: a
//! dashboard and log viewer, a manager's library, a metrics exporter, a build tool's plugin, a
//! deploy script.

use crate::harness::{AT_EASE, Home, Output, Rpm, get, node_modules, port, venv};
use std::{fs, os::unix::fs::symlink, path::Path};

/// A folder with nothing but `pm2` in it, to be the first of a PATH.
fn as_pm2(home: &Home) -> String {
    let folder = home.root().join("bin");
    fs::create_dir(&folder).expect("bin");
    symlink(env!("CARGO_BIN_EXE_rpm"), folder.join("pm2")).expect("symlink");
    format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display())
}

/// Runs a program with `rpm` as `pm2`; it must exit 0.
fn run(home: &Home, path: &str, words: &[&str]) -> Output {
    Rpm::new(home, words).env("PATH", path).env("npm_config_loglevel", "error").success()
}

fn git(folder: &Path, words: &[&str]) {
    let command = std::process::Command::new("git")
        .args(["-C", &folder.display().to_string()])
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"])
        .args(words)
        .output()
        .expect("git");
    assert!(command.status.success(), "git {words:?}: {command:?}");
}

/// PyPI's `pm2-dash`: reads `pm2 jlist` and the log files it names.
#[test]
fn a_dashboard_shows_apps_and_their_logs() {
    let (home, port) = (Home::new(), port());
    let path = as_pm2(&home);
    home.copy("lines.js");
    home.copy("streams.js");
    home.rpm(["start", "streams.js", "--name", "api"]).success();
    let dash = venv("pm2-dash").display().to_string();
    let number = port.to_string();
    let words = ["start", &dash, "--name", "dash", "-i", "1"];
    let words = [&words[..], &AT_EASE, &["--", "-p", &number]].concat();
    home.rpm_under(&[], &words).env("PATH", path).success();
    home.wait_for_line(&home.single("api").out_log(), "to stdout\n");
    home.wait_for_line(&home.single("api").error_log(), "to stderr\n");
    let services = get(port, "/services").expect("/services").body;
    for part in ["api", "dash", "online", "fork"] {
        assert!(services.contains(part), "no {part} in {services}");
    }
    let summary = get(port, "/summary").expect("/summary").body;
    assert!(summary.contains('2'), "{summary}");
    let logs = get(port, "/logs/api").expect("/logs").body;
    assert!(logs.contains("to stdout") && logs.contains("to stderr"), "{logs}");
}

const MANAGER: &str = "
import pm2, subprocess, sys
manager = pm2.PM2Manager()
assert manager.list_processes() == []
# The library cannot find an app whose id is 0, with PM2 neither.
manager.start_app('streams.js', name='zero')
process = manager.start_app('streams.js', name='api', instances=1)
assert process.name == 'api' and process.is_online, process
first = process.pid
assert manager.restart_process(name='api').pid != first
assert manager.reload_process(name='api').is_online
# The app may just have been started: followed until it has said something.
follower = subprocess.Popen(['pm2', 'logs', 'api', '--raw'], stdout=subprocess.PIPE, text=True)
assert any('to stdout' in line for line in follower.stdout)
follower.kill()
follower.wait()
assert 'to stdout' in manager.get_logs(name='api', lines=50)
manager.flush_logs(name='api')
assert manager.stop_process(name='api').is_stopped
assert manager.save_process_list()
manager.delete_process(name='api')
assert [p.name for p in manager.list_processes()] == ['zero']
assert sorted(p.name for p in manager.resurrect_processes()) == ['api', 'zero']
try:
    manager.get_process(name='nobody')
    sys.exit('found nobody')
except pm2.PM2ProcessNotFoundError:
    pass
manager.kill_daemon()
print('all of it')
";

/// PyPI's `pm2`: runs the command for each call and reads `pm2 jlist`.
#[test]
fn a_library_manages_apps() {
    let home = Home::new();
    let path = as_pm2(&home);
    home.copy("streams.js");
    let python = venv("python3").display().to_string();
    let output = run(&home, &path, &[&python, "-c", MANAGER]);
    assert_eq!(output.stdout, "all of it\n");
}

/// npm's `pm2-metrics`, an exporter for Prometheus: asks over PM2's sockets, and is an app itself.
#[test]
fn an_exporter_tells_prometheus_of_every_app() {
    let (home, port) = (Home::new(), port());
    home.modules();
    home.copy("streams.js");
    home.write("package.json", r#"{"name": "x", "version": "3.2.1"}"#);
    home.rpm(["set", "pm2_socket", "true"]).success();
    home.rpm(["start", "streams.js", "--name", "api"]).success();
    home.rpm(["stop", "api"]).success();
    let exporter = "node_modules/pm2-metrics/exporter.js";
    let settings = format!("{{\"port\":{port}}}");
    // It says that it listens before it does; with instances `start` waits for it.
    let words = [&["start", exporter, "--name", "pm2-metrics", "-i", "1"][..], &AT_EASE].concat();
    home.rpm_under(&[], &words)
        .env("PM2_HOME", home.path().display())
        .env("pm2-metrics", settings)
        .success();
    let metrics = get(port, "/metrics").expect("/metrics").body;
    let node = std::process::Command::new("node").arg("--version").output().unwrap().stdout;
    let node = String::from_utf8(node).unwrap().trim().trim_start_matches('v').to_owned();
    let api = format!(
        "{{id=\"0\",name=\"api\",version=\"3.2.1\",instance=\"0\",\
         interpreter=\"node\",node_version=\"{node}\"}}"
    );
    for line in [format!("pm2_up{api} 0\n"), format!("pm2_restarts{api} 0\n")] {
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    assert!(metrics.contains("pm2_up{id=\"1\",name=\"pm2-metrics\""), "{metrics}");
}

/// npm's `nx-pm2-plugin`: runs `npx pm2 start` with long options, and takes anything on standard
/// error for a failure.
#[test]
fn a_build_tools_plugin_starts_an_app() {
    let home = Home::new();
    let path = as_pm2(&home);
    // A daemon that is slow to come up is told of on standard error.
    home.rpm(["ping"]).success();
    let bin = home.work().join("node_modules/.bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_rpm"), bin.join("pm2")).unwrap();
    let nx = home.work().join("node_modules/nx/bin");
    fs::create_dir_all(&nx).unwrap();
    fs::rename(home.copy("streams.js"), nx.join("nx.js")).unwrap();
    let plugin = node_modules().join("nx-pm2-plugin/src/executors/pm2-executor/executor.js");
    let script = format!(
        "require({:?}).default({{ name: 'api', instances: '2', \
         out_file: 'out.log', error_file: 'err.log', max_memory_restart: '300M' }})\
         .then(done => console.log(JSON.stringify(done)))",
        plugin.display().to_string()
    );
    let output = run(&home, &path, &["node", "-e", &script]);
    assert!(output.stdout.ends_with("{\"success\":true}\n"), "{output:?}");
    let apps = home.app("api");
    assert_eq!(apps.len(), 2);
    assert_eq!(apps[0].out_log(), home.work().join("out-0.log"));
    assert_eq!(apps[0].env("max_memory_restart"), 300 << 20);
}

/// npm's `pm2-deploy`, what `pm2 deploy` runs: its last step is `pm2 startOrRestart`.
#[test]
fn a_deploy_script_starts_and_restarts() {
    let home = Home::new();
    let path = as_pm2(&home);
    let origin = home.root().join("origin");
    fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "-q", "-b", "main"]);
    let commit = |version: &str| {
        let app = "console.log(require('./package.json').version); setInterval(() => {}, 1000)";
        fs::write(origin.join("app.js"), app).unwrap();
        fs::write(origin.join("package.json"), format!(r#"{{"version": "{version}"}}"#)).unwrap();
        let apps = r#"{"apps": [{"name": "api", "script": "app.js"}]}"#;
        fs::write(origin.join("ecosystem.json"), apps).unwrap();
        git(&origin, &["add", "."]);
        git(&origin, &["commit", "-qm", version]);
    };
    let deploy = |words: &str| {
        let config = serde_json::json!({ "production": {
            "host": "localhost", "ref": "origin/main",
            "repo": origin.display().to_string(),
            "path": home.root().join("srv").display().to_string(),
            "post-deploy": "pm2 startOrRestart ecosystem.json",
        }});
        let module = node_modules().join("pm2-deploy");
        let script = format!(
            "require({:?}).deployForEnv({config}, 'production', [{words}], \
             error => process.exit(error ? 1 : 0))",
            module.display().to_string()
        );
        let words = ["node", "-e", &script];
        Rpm::new(&home, &words).env("PATH", &path).cwd(origin.clone()).success()
    };
    commit("1.0.0");
    deploy("'setup'");
    deploy("");
    let first = home.single("api");
    assert_eq!((first.status(), first.env("version").as_str()), ("online", Some("1.0.0")));
    commit("2.0.0");
    deploy("'--force'");
    let second = home.single("api");
    assert_ne!(first.pid(), second.pid());
    assert_eq!((second.status(), second.env("version").as_str()), ("online", Some("2.0.0")));
}
