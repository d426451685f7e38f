//! Evaluates an ecosystem file that is JavaScript or TypeScript, in the user's own runtime: a child
//! of this command, with its environment and directory, never in the daemon. What the file prints
//! goes to standard error; its exports come back as JSON.

use rpm_config::{ConfigError, MAX_FILE_BYTES};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// What the child runs.
const EVALUATOR: &str = include_str!("evaluate.cjs");

/// How long a file may take: long enough to ask a service for a secret, short enough not to be
/// taken for a start that hangs.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// The variable that sets another limit, in seconds.
const LIMIT_VARIABLE: &str = "RPM_CONFIG_TIMEOUT";

/// Runtimes for plain JavaScript.
const JAVASCRIPT: [&str; 2] = ["node", "bun"];

/// Runtimes for TypeScript; Node strips types by itself only from 22.18 on.
const TYPESCRIPT: [&str; 3] = ["bun", "tsx", "node"];

/// What the file at `path` exports, as JSON.
pub(crate) fn evaluate(path: &Path) -> Result<String, ConfigError> {
    let refused = |line, reason: String, hint: Option<&str>| {
        let (path, hint) = (path.to_owned(), hint.map(str::to_owned));
        ConfigError::Evaluation { path, line, reason, hint }
    };
    let absolute = std::fs::canonicalize(path).map_err(|error| ConfigError::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let is_typescript = path.extension().is_some_and(|e| e.to_string_lossy().ends_with("ts"));
    let candidates: &[&str] = if is_typescript { &TYPESCRIPT } else { &JAVASCRIPT };
    let Some(runtime) = find(candidates, &absolute) else {
        let reason = format!("{} is needed to evaluate it", candidates.join(" or "));
        return Err(refused(None, reason, Some("install one, or write it as ecosystem.toml")));
    };
    let mark = format!("rpm-ecosystem-{}:", std::process::id());
    let output = run(&runtime, &absolute, &mark).map_err(|error| {
        let runtime = runtime.display();
        let hint = (error.kind() == io::ErrorKind::TimedOut)
            .then_some("what it waits for does not come; RPM_CONFIG_TIMEOUT=60 allows a minute");
        refused(None, format!("{runtime} cannot evaluate it: {error}"), hint)
    })?;
    let Some((_, json)) = output.rsplit_once(&mark) else {
        let reason = "it ended before it exported anything".to_owned();
        return Err(refused(None, reason, Some("it must export its apps, and not exit")));
    };
    let mut answer: Value = serde_json::from_str(json)
        .map_err(|error| refused(None, format!("its exports are no JSON: {error}"), None))?;
    if let Some(reason) = answer.get("error").and_then(Value::as_str) {
        let line = answer.get("line").and_then(Value::as_u64);
        let line = line.and_then(|line| u32::try_from(line).ok());
        let is_node = runtime.ends_with("node");
        let hint = match (is_typescript, reason.contains("Unexpected token 'export'")) {
            (true, _) if is_node => Some("this node reads no TypeScript; npm install tsx, or bun"),
            (false, true) => Some("as an ES module it must be called ecosystem.config.mjs"),
            (true | false, _) => None,
        };
        return Err(refused(line, reason.to_owned(), hint));
    }
    match answer.get_mut("value").map(Value::take) {
        None | Some(Value::Null) => Err(refused(
            None,
            "it exports nothing".into(),
            Some("module.exports = { apps: [...] }, or export default"),
        )),
        Some(value) => Ok(value.to_string()),
    }
}

/// The first of `names` in PATH or in the `node_modules` above the file.
fn find(names: &[&str], file: &Path) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/local/bin:/usr/bin"));
    let local = file.ancestors().skip(1).map(|directory| directory.join("node_modules/.bin"));
    let directories: Vec<PathBuf> = env::split_paths(&path).chain(local).collect();
    let found = |name: &&str| {
        directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file())
    };
    names.iter().find_map(found)
}

/// Runs the evaluator and returns what stood on its standard output.
fn run(runtime: &Path, file: &Path, mark: &str) -> io::Result<String> {
    let mut child = Command::new(runtime)
        .arg("-e")
        .arg(EVALUATOR)
        .arg("--")
        .arg(file)
        .arg(mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let (done, output) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut text = String::new();
            let read = stdout.take(MAX_FILE_BYTES).read_to_string(&mut text);
            // Who no longer waits has said so.
            let _ = done.send(read.map(|_| text));
        });
    }
    let text = output.recv_timeout(limit());
    end(&mut child);
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no end after {:?}", limit()));
    text.map_err(|_| late())?
}

/// The child has answered, or is not waited for any longer.
fn end(child: &mut Child) {
    // Both fail only where it is gone already.
    let _ = child.kill();
    let _ = child.wait();
}

fn limit() -> Duration {
    let given = env::var(LIMIT_VARIABLE).ok().and_then(|text| text.parse().ok());
    given.map_or(TIME_LIMIT, Duration::from_secs)
}
